//! Claims about the sentence model. They need its weights: `make setup` unpacks them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use embedding::{DIMENSIONS, Embedder, Error, Kind, Priority, Vector, cosine};

const FILES: [&str; 3] = ["model.safetensors", "tokenizer.json", "config.json"];

fn model_dir() -> PathBuf {
    let dir = std::env::var_os("IMAGO_MODEL_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.imago/models/all-MiniLM-L6-v2"),
        PathBuf::from,
    );
    for file in FILES {
        assert!(
            dir.join(file).is_file(),
            "{file} of the embedding model is missing in {}: run `make setup`, \
             or set IMAGO_MODEL_DIR",
            dir.display()
        );
    }
    dir
}

/// One model for all tests that do not look at figures or queues: it takes 70 MB.
fn shared() -> Embedder {
    static EMBEDDER: OnceLock<Embedder> = OnceLock::new();
    EMBEDDER.get_or_init(|| Embedder::minilm(&model_dir()).unwrap()).clone()
}

async fn embed(texts: &[&str]) -> Vec<Vector> {
    let texts = texts.iter().map(|&text| text.to_owned()).collect();
    shared().embed(texts, Priority::Interactive).await.unwrap()
}

async fn one(text: &str) -> Vector {
    embed(&[text]).await.remove(0)
}

fn distance(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max)
}

#[tokio::test]
async fn vectors_match_the_reference_implementation() {
    // First six numbers of a double-precision forward pass over the same weights.
    let known: [(&str, [f32; 6]); 4] = [
        ("This is an example sentence", [0.067657, 0.063496, 0.048713, 0.079305, 0.037448, 0.002653]),
        ("A man is eating food.", [0.033242, 0.004406, -0.006277, 0.048379, -0.138702, -0.033617]),
        ("Grüße aus Köln — 你好, world! 12,345", [0.028303, 0.086569, 0.006139, -0.032029, -0.025178, 0.046863]),
        (&"word ".repeat(400), [-0.008124, -0.095586, -0.038673, 0.049662, -0.043794, 0.02372]),
    ];
    for (text, numbers) in known {
        let vector = one(text).await;
        let off = distance(&vector[..6], &numbers);
        assert!(off < 2e-4, "{:.30} is off by {off}", text);
    }
}

#[tokio::test]
async fn similar_meaning_is_close_and_other_meaning_is_far() {
    let close = |a, b| async move { cosine(&one(a).await, &one(b).await) };
    assert!(close("software developer", "developer").await > 0.6);
    let forgotten = close("How do I reset my password?", "I forgot my login credentials").await;
    let unrelated = close("How do I reset my password?", "The recipe needs two eggs").await;
    assert!(forgotten > 0.6, "{forgotten}");
    assert!(unrelated < 0.1, "{unrelated}");
}

#[tokio::test]
async fn every_vector_has_384_numbers_and_unit_length() {
    let long = "long ".repeat(1000);
    for vector in embed(&["", " ", "?", "word", "a whole sentence", &long]).await {
        assert_eq!(vector.len(), DIMENSIONS);
        let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
        assert!((length - 1.0).abs() < 1e-5);
    }
}

#[tokio::test]
async fn a_batch_gives_what_single_texts_give_in_their_order() {
    let long = "Paragraph after paragraph about the harbour. ".repeat(40);
    let texts = ["short", &long, "The girl is carrying a baby.", "x", "A man is eating a piece of bread."];
    let own = || Embedder::minilm(&model_dir()).unwrap();
    let batch = own().embed(texts.map(str::to_owned).to_vec(), Priority::Background).await.unwrap();
    let single = own();
    for (text, vector) in texts.iter().zip(&batch) {
        let alone = single.embed(vec![(*text).to_owned()], Priority::Interactive).await.unwrap();
        assert!(distance(&alone[0], vector) < 1e-4, "{text:.20}");
    }
}

#[tokio::test]
async fn text_beyond_256_tokens_changes_nothing() {
    let head = "many words ".repeat(200);
    let longer = format!("{head} and a different end");
    let much_longer = format!("{head}{}", "something else entirely ".repeat(20_000));
    let vectors = embed(&[&head, &longer, &much_longer]).await;
    assert!(distance(&vectors[0], &vectors[1]) < 1e-6);
    assert!(distance(&vectors[0], &vectors[2]) < 1e-6);
    let ideographs = "知识".repeat(200);
    let longer = format!("{ideographs}{}", "天气".repeat(20_000));
    let vectors = embed(&[&ideographs, &longer]).await;
    assert!(distance(&vectors[0], &vectors[1]) < 1e-6);
}

#[tokio::test]
async fn a_text_of_one_endless_word_is_embedded() {
    let vectors = embed(&[&"ä".repeat(300_000), &"!".repeat(300_000)]).await;
    assert_eq!(vectors.len(), 2);
}

#[tokio::test]
async fn no_texts_need_no_model() {
    assert_eq!(embed(&[]).await, Vec::<Vector>::new());
}

#[tokio::test]
async fn equal_texts_are_embedded_once() {
    let embedder = Embedder::minilm(&model_dir()).unwrap();
    let ask = |texts: [&str; 2]| {
        let texts = texts.map(str::to_owned).to_vec();
        let embedder = embedder.clone();
        async move { embedder.embed(texts, Priority::Interactive).await.unwrap() }
    };
    let first = ask(["a cat", "a cat"]).await;
    let figures = embedder.stats();
    assert_eq!((figures.texts, figures.cache_hits), (2, 1));
    assert!(figures.seconds > 0.0);
    let second = ask(["a dog", "a cat"]).await;
    assert_eq!((embedder.stats().texts, embedder.stats().cache_hits), (4, 2));
    assert_eq!(first[0], first[1]);
    assert_eq!(first[0], second[1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interactive_text_overtakes_background_texts() {
    let embedder = Embedder::minilm(&model_dir()).unwrap();
    let bulk: Vec<String> =
        (0..1500).map(|i| format!("Report {i} of the weather station on the northern coast")).collect();
    let background = {
        let embedder = embedder.clone();
        tokio::spawn(async move { embedder.embed(bulk, Priority::Background).await })
    };
    // The workers are busy with the bulk as soon as they have spent time on it.
    while embedder.stats().seconds == 0.0 {
        tokio::task::yield_now().await;
    }
    for text in ["a question", "another question"] {
        embedder.embed(vec![text.to_owned()], Priority::Interactive).await.unwrap();
        assert!(!background.is_finished(), "the bulk was done first");
    }
    assert_eq!(background.await.unwrap().unwrap().len(), 1500);
}

#[tokio::test]
async fn texts_of_callers_who_left_do_not_hold_up_others() {
    let embedder = Embedder::minilm(&model_dir()).unwrap();
    let bulk: Vec<String> = (0..3000).map(|i| format!("text number {i}")).collect();
    let background = {
        let embedder = embedder.clone();
        tokio::spawn(async move { embedder.embed(bulk, Priority::Background).await })
    };
    while embedder.stats().seconds == 0.0 {
        tokio::task::yield_now().await;
    }
    background.abort();
    assert!(background.await.unwrap_err().is_cancelled());
    let before = embedder.stats().seconds;
    embedder.embed(vec!["after all".to_owned()], Priority::Background).await.unwrap();
    // 3,000 texts would take many seconds; the few batches under way take far less.
    assert!(embedder.stats().seconds - before < 2.0);
}

#[tokio::test]
async fn names_are_as_published() {
    let embedder = shared();
    assert_eq!(embedder.model(), "all-MiniLM-L6-v2");
    assert_eq!(embedder.kind(), Kind::MiniLm);
    let kinds = [Kind::MiniLm, Kind::Remote, Kind::Lexical].map(Kind::as_str);
    assert_eq!(kinds, ["minilm", "remote", "lexical"]);
    assert_eq!(Embedder::lexical().model(), "lexical-384");
    assert_eq!(format!("{embedder:?}"), r#"Embedder { kind: MiniLm, model: "all-MiniLM-L6-v2", .. }"#);
}

/// A copy of the model's folder with one file replaced.
fn damaged(file: &str, bytes: &[u8]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let model = fs::canonicalize(model_dir()).unwrap();
    for name in FILES {
        if name == file {
            fs::write(dir.path().join(name), bytes).unwrap();
        } else {
            std::os::unix::fs::symlink(model.join(name), dir.path().join(name)).unwrap();
        }
    }
    dir
}

fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

#[test]
fn a_missing_file_is_noticed_at_once_and_named_without_its_path() {
    let dir = damaged("config.json", b"{}");
    fs::remove_file(dir.path().join("config.json")).unwrap();
    let error = Embedder::minilm(dir.path()).unwrap_err();
    assert!(matches!(error, Error::Load(_)));
    assert_eq!(error.to_string(), "the embedding model could not be loaded");
    assert!(chain(&error).contains("cannot read config.json"));
    assert!(!chain(&error).contains(dir.path().to_str().unwrap()));
}

#[tokio::test]
async fn damaged_files_are_an_error_of_every_call_and_end_no_worker() {
    let weights = fs::read(model_dir().join("model.safetensors")).unwrap();
    let config = |from: &str, to: &str| {
        let text = fs::read_to_string(model_dir().join("config.json")).unwrap();
        assert!(text.contains(from));
        text.replace(from, to).into_bytes()
    };
    let cases: [(&str, Vec<u8>, &str); 9] = [
        ("model.safetensors", vec![], "cannot read"),
        ("model.safetensors", vec![0xff; 100], "header is too long"),
        ("model.safetensors", weights[..10_000].to_vec(), "cannot read"),
        ("model.safetensors", weights[..weights.len() - 1_000_000].to_vec(), "cannot read"),
        ("tokenizer.json", b"{}".to_vec(), "tokenizer.json is malformed"),
        ("config.json", b"[]".to_vec(), "config.json is malformed"),
        ("config.json", config("384", "768"), "384 dimensions"),
        ("config.json", config("\"gelu\"", "\"relu\""), "not gelu"),
        ("config.json", config("1536", "1024"), "weights lack"),
    ];
    for (file, bytes, problem) in cases {
        let dir = damaged(file, &bytes);
        let embedder = Embedder::minilm(dir.path()).unwrap();
        for _ in 0..3 {
            let texts = vec!["one".to_owned(), "two".to_owned()];
            let error = embedder.embed(texts, Priority::Background).await.unwrap_err();
            assert!(matches!(error, Error::Load(_)), "{file}: {error:?}");
            assert!(chain(&error).contains(problem), "{}", chain(&error));
        }
    }
}

#[tokio::test]
async fn a_repaired_model_is_picked_up() {
    let dir = damaged("config.json", b"{}");
    let embedder = Embedder::minilm(dir.path()).unwrap();
    let ask = || embedder.embed(vec!["text".to_owned()], Priority::Interactive);
    assert!(ask().await.is_err());
    fs::copy(model_dir().join("config.json"), dir.path().join("config.json")).unwrap();
    assert!(distance(&ask().await.unwrap()[0], &one("text").await) < 1e-4);
}
