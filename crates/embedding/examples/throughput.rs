//! Measures sentences per second, the wait of an interactive text behind bulk work, and memory.
//!
//! `cargo run --release -p embedding --example throughput [folder of the model]`

use std::path::PathBuf;
use std::time::{Duration, Instant};

use embedding::{Embedder, Priority};

const SENTENCES: usize = 1000;
const LONG_TEXTS: usize = 60;
const INTERACTIVE: usize = 20;

#[tokio::main]
async fn main() -> Result<(), embedding::Error> {
    let dir = std::env::args().nth(1).map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../.imago/models/all-MiniLM-L6-v2"),
        PathBuf::from,
    );
    let embedder = Embedder::minilm(&dir)?;
    let started = Instant::now();
    embedder.embed(vec!["warm up".to_owned()], Priority::Interactive).await?;
    report("first text, loading included", &format!("{:?}", started.elapsed()));
    memory("memory after loading");

    let sentences: Vec<String> = (0..SENTENCES).map(sentence).collect();
    let started = Instant::now();
    embedder.embed(sentences, Priority::Background).await?;
    report("short sentences per second", &rate(SENTENCES, started.elapsed()));

    let long: Vec<String> =
        (0..LONG_TEXTS).map(|i| (0..30).map(|j| sentence(i * 30 + j + 100_000)).collect()).collect();
    let started = Instant::now();
    embedder.embed(long, Priority::Background).await?;
    report("256-token texts per second", &rate(LONG_TEXTS, started.elapsed()));

    let background = {
        let embedder = embedder.clone();
        let texts = (0..2 * SENTENCES).map(|i| sentence(i + 200_000)).collect();
        tokio::spawn(async move { embedder.embed(texts, Priority::Background).await })
    };
    let mut waits = Vec::new();
    for index in 0..INTERACTIVE {
        let text = sentence(index + 300_000);
        let started = Instant::now();
        embedder.embed(vec![text], Priority::Interactive).await?;
        waits.push(started.elapsed());
    }
    waits.sort_unstable();
    report("interactive behind bulk, p50", &format!("{:?}", waits[INTERACTIVE / 2]));
    report("interactive behind bulk, max", &format!("{:?}", waits[INTERACTIVE - 1]));
    background.abort();

    let started = Instant::now();
    for index in 0..INTERACTIVE {
        let text = sentence(index + 400_000);
        embedder.embed(vec![text], Priority::Interactive).await?;
    }
    let each = started.elapsed() / u32::try_from(INTERACTIVE).unwrap_or(1);
    report("one sentence alone", &format!("{each:?}"));
    memory("memory at the end");
    report("figures", &format!("{:?}", embedder.stats()));
    Ok(())
}

/// Twelve to fifteen tokens, no two alike.
fn sentence(index: usize) -> String {
    const SUBJECTS: [&str; 5] = ["The engineer", "A customer", "Our team", "The agent", "A visitor"];
    const VERBS: [&str; 4] = ["asked about", "described", "fixed", "reviewed"];
    const OBJECTS: [&str; 3] = ["the invoice of order", "a failed login on host", "the delay of flight"];
    format!(
        "{} {} {} {index} this morning. ",
        SUBJECTS[index % SUBJECTS.len()],
        VERBS[index / 5 % VERBS.len()],
        OBJECTS[index / 20 % OBJECTS.len()],
    )
}

fn rate(count: usize, elapsed: Duration) -> String {
    format!("{:.1}", count as f64 / elapsed.as_secs_f64())
}

fn memory(what: &str) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    for line in status.lines() {
        if line.starts_with("VmRSS") || line.starts_with("VmHWM") {
            report(what, &line.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }
}

#[expect(clippy::print_stdout, reason = "this program's purpose")]
fn report(what: &str, value: &str) {
    println!("{what:32} {value}");
}
