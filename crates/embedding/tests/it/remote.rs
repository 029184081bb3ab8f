//! Claims about services, made against a small one on a local socket.

use std::sync::Once;
use std::time::Duration;

use embedding::{DIMENSIONS, Embedder, Error, Kind, Priority, RemoteConfig, RemoteProblem, Vector};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// A request as the service saw it.
struct Seen {
    head: String,
    body: Value,
}

/// Answers every request with what `answer` makes of its body; passes on what it was asked.
struct Service {
    base_url: String,
    seen: mpsc::UnboundedReceiver<Seen>,
}

impl Service {
    async fn start(answer: impl Fn(&Value) -> Option<(u16, String)> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
        let (sender, seen) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut silent = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let request = read(&mut stream).await;
                match answer(&request.body) {
                    Some((status, body)) => write(&mut stream, status, &body).await,
                    None => silent.push(stream),
                }
                sender.send(request).ok();
            }
        });
        Self { base_url, seen }
    }

    fn embedder(&self) -> Embedder {
        self.embedder_with(Duration::from_secs(20))
    }

    fn embedder_with(&self, timeout: Duration) -> Embedder {
        let key = Some("secret-key".to_owned());
        let config = RemoteConfig { timeout, ..RemoteConfig::new(self.base_url.clone(), "some-model".to_owned(), key) };
        Embedder::remote(config, client())
    }
}

fn client() -> reqwest::Client {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        rustls::crypto::ring::default_provider().install_default().unwrap();
    });
    reqwest::Client::builder().no_proxy().build().unwrap()
}

async fn read(stream: &mut TcpStream) -> Seen {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length: usize = head
                .lines()
                .find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok())
                .unwrap();
            if body.len() >= length {
                return Seen { head: head.to_owned(), body: serde_json::from_str(body).unwrap() };
            }
        }
        assert!(stream.read_buf(&mut bytes).await.unwrap() > 0);
    }
}

async fn write(stream: &mut TcpStream, status: u16, body: &str) {
    let head = format!(
        "HTTP/1.1 {status} Status\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    // The caller may hang up early, which is its right.
    stream.write_all(head.as_bytes()).await.ok();
    stream.write_all(body.as_bytes()).await.ok();
}

/// Twice as long as it should be, pointing along the dimension the text names.
fn vector_for(text: &str) -> Vec<f32> {
    let mut vector = vec![0.0; DIMENSIONS];
    vector[text.parse::<usize>().unwrap()] = 2.0;
    vector
}

fn items(request: &Value) -> Vec<Value> {
    let texts = request["input"].as_array().unwrap();
    let item = |(index, text): (usize, &Value)| json!({"object": "embedding", "index": index, "embedding": vector_for(text.as_str().unwrap())});
    texts.iter().enumerate().map(item).collect()
}

fn answer(items: &[Value]) -> (u16, String) {
    (200, json!({"object": "list", "data": items, "model": "some-model"}).to_string())
}

async fn ask(embedder: &Embedder, texts: &[&str]) -> Result<Vec<Vector>, Error> {
    let texts = texts.iter().map(|&text| text.to_owned()).collect();
    embedder.embed(texts, Priority::Interactive).await
}

/// The problem an answer leads to; checks on the way that the error names no address.
async fn problem(reply: impl Fn(&Value) -> Option<(u16, String)> + Send + 'static) -> RemoteProblem {
    problem_within(Duration::from_secs(20), reply).await
}

async fn problem_within(
    timeout: Duration,
    reply: impl Fn(&Value) -> Option<(u16, String)> + Send + 'static,
) -> RemoteProblem {
    let service = Service::start(reply).await;
    let embedder = service.embedder_with(timeout);
    let error = ask(&embedder, &["0", "1"]).await.unwrap_err();
    let mut next: Option<&dyn std::error::Error> = Some(&error);
    while let Some(cause) = next {
        assert!(!cause.to_string().contains("127.0.0.1"), "{cause}");
        assert!(!cause.to_string().contains("secret"), "{cause}");
        next = cause.source();
    }
    assert!(!format!("{error:?}").contains("secret-key"));
    match error {
        Error::Remote { problem, .. } => problem,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_service_is_asked_as_the_openai_api_says() {
    let mut service = Service::start(|request| Some(answer(&items(request)))).await;
    let embedder = service.embedder();
    assert_eq!((embedder.kind(), embedder.model()), (Kind::Remote, "some-model"));
    let vectors = ask(&embedder, &["7", "300"]).await.unwrap();
    let seen = service.seen.recv().await.unwrap();
    assert!(seen.head.starts_with("POST /v1/embeddings HTTP/1.1"));
    assert!(seen.head.contains("authorization: Bearer secret-key"));
    assert_eq!(seen.body, json!({"model": "some-model", "input": ["7", "300"], "dimensions": 384}));
    assert_eq!((vectors[0][7], vectors[1][300]), (1.0, 1.0));
}

#[tokio::test]
async fn embeddings_are_put_in_order_by_their_index() {
    let service = Service::start(|request| {
        let mut items = items(request);
        items.reverse();
        items.swap(0, 1);
        Some(answer(&items))
    })
    .await;
    let vectors = ask(&service.embedder(), &["5", "6", "7", "8"]).await.unwrap();
    for (vector, dimension) in vectors.iter().zip(5..) {
        assert_eq!(vector[dimension], 1.0);
    }
}

#[tokio::test]
async fn many_texts_go_in_several_requests_and_known_ones_in_none() {
    let mut service = Service::start(|request| Some(answer(&items(request)))).await;
    let embedder = service.embedder();
    let texts: Vec<String> = (0..150).map(|i| i.to_string()).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let vectors = ask(&embedder, &texts).await.unwrap();
    assert!((0..150).all(|i| vectors[i][i] == 1.0));
    for expected in [64, 64, 22] {
        let body = service.seen.recv().await.unwrap().body;
        assert_eq!(body["input"].as_array().unwrap().len(), expected);
    }
    assert_eq!(ask(&embedder, &texts).await.unwrap(), vectors);
    assert!(service.seen.try_recv().is_err());
    assert_eq!(embedder.stats().cache_hits, 150);
}

#[tokio::test]
async fn an_error_status_is_told_and_its_body_is_not() {
    for status in [500, 401, 429] {
        let body = r#"{"error": "secret internals of http://127.0.0.1"}"#;
        let found = problem(move |_| Some((status, body.to_owned()))).await;
        assert_eq!(found, RemoteProblem::Status(status));
    }
}

#[tokio::test]
async fn a_service_that_never_answers_is_given_up() {
    let found = problem_within(Duration::from_millis(200), |_| None).await;
    assert_eq!(found, RemoteProblem::TimedOut);
}

#[tokio::test]
async fn a_service_that_is_not_there_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let config = RemoteConfig::new(base_url, "some-model".to_owned(), None);
    let error = ask(&Embedder::remote(config, client()), &["0"]).await.unwrap_err();
    assert_eq!(error.to_string(), "the embedding service cannot be reached");
    assert!(error.is_transient());
}

#[tokio::test]
async fn answers_that_do_not_fit_the_question_are_refused() {
    let bad = |change: fn(&mut Vec<Value>)| async move {
        let found = problem(move |request| {
            let mut items = items(request);
            change(&mut items);
            Some(answer(&items))
        })
        .await;
        match found {
            RemoteProblem::BadAnswer(why) => why,
            other => panic!("{other:?}"),
        }
    };
    assert!(bad(|items| items[1]["embedding"] = json!(vec![1.0; 1536])).await.contains("384"));
    assert!(bad(|items| items[1]["embedding"] = json!(vec![0.0; 384])).await.contains("zero"));
    assert!(bad(|items| items[1]["index"] = json!(0)).await.contains("two embeddings"));
    assert!(bad(|items| items[1]["index"] = json!(2)).await.contains("never sent"));
    assert!(bad(|items| drop(items.pop())).await.contains("lacks"));
    assert!(bad(|items| items[0] = json!({})).await.contains("not a list"));
}

#[tokio::test]
async fn what_is_not_an_answer_at_all_is_refused() {
    let text = problem(|_| Some((200, "<html>".to_owned()))).await;
    assert_eq!(text, RemoteProblem::BadAnswer("it is not a list of embeddings"));
    let huge = problem(|_| Some((200, " ".repeat(5 * 1024 * 1024)))).await;
    assert_eq!(huge, RemoteProblem::BadAnswer("it is too large"));
}

#[test]
fn the_key_is_not_printed() {
    let config = RemoteConfig::new("base".into(), "model".into(), Some("secret-key".into()));
    assert!(!format!("{config:?}").contains("secret-key"));
}
