//! Following events as they come.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use test_support::Client;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::{
    events::{PATH, developer, event, take_in},
    keys,
    rig::{ADMIN, Rig, on},
};

/// Somebody who reads a stream.
struct Reader {
    response: reqwest::Response,
    text: String,
}

/// One event of a stream.
#[derive(Debug)]
struct Got {
    id: i64,
    kind: String,
    data: Value,
}

impl Reader {
    async fn open(client: &Client, query: &str, last: Option<i64>) -> Self {
        let mut request = client.request("GET", &format!("{PATH}/stream?{query}"));
        if let Some(last) = last {
            request = request.header("last-event-id", last.to_string());
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-store");
        let mut reader = Self { response, text: String::new() };
        assert_eq!(reader.block().await.unwrap(), "retry: 1000");
        reader
    }

    /// The text up to the next empty line; `None` at the end.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let block = block.to_owned();
                self.text = rest.to_owned();
                return Some(block);
            }
            let chunk = tokio::time::timeout(Duration::from_secs(30), self.response.chunk()).await.unwrap();
            self.text.push_str(std::str::from_utf8(&chunk.ok()??).unwrap());
        }
    }

    /// The next event; `None` at the end.
    async fn next(&mut self) -> Option<Got> {
        loop {
            let block = self.block().await?;
            if !block.starts_with(':') {
                return Some(read(&block));
            }
        }
    }

    async fn take(&mut self, count: usize) -> Vec<Got> {
        let mut got = Vec::new();
        while got.len() < count {
            got.push(self.next().await.unwrap());
        }
        got
    }
}

fn read(block: &str) -> Got {
    let lines: Vec<&str> = block.lines().collect();
    let [id, kind, data] = lines[..] else { panic!("{block}") };
    Got {
        id: id.strip_prefix("id: ").unwrap().parse().unwrap(),
        kind: kind.strip_prefix("event: ").unwrap().to_owned(),
        data: serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap(),
    }
}

fn numbered(from: usize, count: usize) -> Vec<Value> {
    (from..from + count).map(|n| event(n + 1, "a.b", json!({"n": n}))).collect()
}

fn numbers(got: &[Got]) -> Vec<usize> {
    got.iter().map(|got| got.data["data"]["n"].as_u64().unwrap().try_into().unwrap()).collect()
}

#[tokio::test]
async fn an_event_reaches_whoever_follows() {
    let rig = Rig::start(&[]).await;
    take_in(&rig, vec![event(99, "a.before", json!({}))]).await;
    let mut reader = Reader::open(&developer(&rig), "event_type=a.*", None).await;
    take_in(&rig, vec![event(1, "a.b", json!({"n": 1, "text": "two\nlines"})), event(2, "b.c", json!({}))]).await;
    take_in(&rig, vec![event(3, "a.c", json!({}))]).await;
    let got = reader.take(2).await;
    assert_eq!((got[0].kind.as_str(), got[1].kind.as_str()), ("a.b", "a.c"));
    let listed = rig.admin().get(&format!("{PATH}?event_type=a.b")).await.data(200);
    assert_eq!(got[0].data, listed[0]);
    assert!(got[0].id < got[1].id);
}

#[tokio::test]
async fn an_event_that_another_process_took_in_is_followed_too() {
    let rig = Rig::start(&[]).await;
    let second = on(&rig.db, &[], &rig.tokens).await;
    let mut reader = Reader::open(&developer(&rig), "event_type=a.b", None).await;
    let body = json!({"events": numbered(0, 3)});
    second.client().service("agent-builder").post("/internal/v1/events", &body).await.data(200);
    assert_eq!(numbers(&reader.take(3).await), [0, 1, 2]);
}

#[tokio::test]
async fn filters_and_rights_are_those_of_the_list() {
    let rig = Rig::start(&[]).await;
    let (dev, admin) = (developer(&rig), rig.admin());
    let mut shown = Reader::open(&dev, "", None).await;
    let mut all = Reader::open(&admin, "event_type=user.login", None).await;
    let mut bad = Reader::open(&dev, "level=error&agent_id=ada", None).await;
    let events = vec![
        event(1, "user.login", json!({"user_id": "u"})),
        event(2, "secret.rotated", json!({})),
        event(3, "agent.failed", json!({"agent_id": "bob"})),
        event(4, "agent.failed", json!({"agent_id": "ada"})),
    ];
    take_in(&rig, events).await;
    assert_eq!(shown.next().await.unwrap().data["agent_id"], "bob");
    assert_eq!(all.next().await.unwrap().kind, "user.login");
    assert_eq!(bad.next().await.unwrap().data["agent_id"], "ada");
    for (query, field) in [("level=loud", "level"), ("filter[ghost]=1", "filter[ghost]")] {
        let refused = dev.get(&format!("{PATH}/stream?{query}")).await;
        refused.error(422, "VALIDATION_ERROR.INVALID_FORMAT");
        assert_eq!(refused.fields(), [field]);
    }
    for id in ["evt_1", "-1", "1.5"] {
        let refused = dev.header("last-event-id", id).get(&format!("{PATH}/stream")).await;
        refused.error(422, "VALIDATION_ERROR.INVALID_FORMAT");
    }
}

#[tokio::test]
async fn who_comes_back_goes_on_where_it_was() {
    let rig = Rig::start(&[]).await;
    let dev = developer(&rig);
    let mut reader = Reader::open(&dev, "event_type=a.b", None).await;
    take_in(&rig, numbered(0, 5)).await;
    let got = reader.take(3).await;
    let last = got[2].id;
    drop(reader);
    take_in(&rig, numbered(5, 400)).await;
    let mut reader = Reader::open(&dev, "event_type=a.b", Some(last)).await;
    take_in(&rig, numbered(405, 5)).await;
    assert_eq!(numbers(&reader.take(407).await), (3..410).collect::<Vec<_>>());
    // From before everything that is kept: from the beginning. From beyond the end: what comes next.
    let mut first = Reader::open(&dev, "event_type=a.b", Some(0)).await;
    let mut ahead = Reader::open(&dev, "event_type=a.b", Some(i64::MAX)).await;
    assert_eq!(numbers(&first.take(3).await), [0, 1, 2]);
    take_in(&rig, numbered(410, 1)).await;
    assert_eq!(numbers(&ahead.take(1).await), [410]);
}

#[tokio::test]
async fn nothing_is_missed_or_repeated_however_events_are_taken_in() {
    const EACH: usize = 60;
    const WRITERS: usize = 6;
    let rig = Rig::start(&[]).await;
    let second = on(&rig.db, &[], &rig.tokens).await;
    let dev = developer(&rig);
    let mut steady = Reader::open(&dev, "event_type=a.b", None).await;
    let mut restless = Reader::open(&dev, "event_type=a.b", None).await;
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let client = if writer % 2 == 0 { rig.service.client() } else { second.client() };
            let client = client.service("agent-builder");
            tokio::spawn(async move {
                for turn in 0..EACH / 3 {
                    let batch = numbered(writer * EACH + turn * 3, 3);
                    client.post("/internal/v1/events", &json!({"events": batch})).await.data(200);
                }
            })
        })
        .collect();
    // One stays, the other breaks off after every few.
    let mut seen = Vec::new();
    while seen.len() < WRITERS * EACH {
        let got = restless.take(7.min(WRITERS * EACH - seen.len())).await;
        let last = got.last().unwrap().id;
        seen.extend(got);
        restless = Reader::open(&dev, "event_type=a.b", Some(last)).await;
    }
    let stayed = steady.take(WRITERS * EACH).await;
    for writer in writers {
        writer.await.unwrap();
    }
    let ids = |got: &[Got]| got.iter().map(|got| got.id).collect::<Vec<_>>();
    assert!(ids(&stayed).is_sorted());
    assert_eq!(ids(&seen), ids(&stayed));
    let mut all = numbers(&stayed);
    all.sort_unstable();
    assert_eq!(all, (0..WRITERS * EACH).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_reader_that_does_not_read_holds_nobody_up_and_misses_nothing() {
    let rig = Rig::start(&[]).await;
    let dev = developer(&rig);
    // Raw, with a connection that takes in little by itself.
    let address = rig.service.base_url().trim_start_matches("http://").to_owned();
    let mut slow = tokio::net::TcpStream::connect(&address).await.unwrap();
    let request =
        format!("GET {PATH}/stream?event_type=a.b HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ADMIN}\r\n\r\n");
    slow.write_all(request.as_bytes()).await.unwrap();
    let mut head = [0_u8; 12];
    slow.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    let mut quick = Reader::open(&dev, "event_type=a.b", None).await;
    // More than is kept in memory, and than the connection's buffers take.
    let text = "x".repeat(4000);
    for turn in 0..30_usize {
        let batch = (turn * 100..turn * 100 + 100).map(|n| event(n + 1, "a.b", json!({"n": n, "text": text})));
        take_in(&rig, batch.collect()).await;
    }
    assert_eq!(numbers(&quick.take(3000).await), (0..3000).collect::<Vec<_>>());
    let mut text = Vec::new();
    let mut found = Vec::new();
    let mut chunk = vec![0_u8; 1 << 16];
    while found.len() < 3000 {
        let count = tokio::time::timeout(Duration::from_secs(30), slow.read(&mut chunk)).await.unwrap().unwrap();
        assert!(count > 0, "{} events", found.len());
        text.extend_from_slice(&chunk[..count]);
        // Enough to be told apart from the sizes of the chunks between.
        while let Some(end) = text.windows(2).position(|pair| pair == b"\n\n") {
            let block: Vec<u8> = text.drain(..end + 2).collect();
            let block = String::from_utf8_lossy(&block).into_owned();
            let number = block.split("\"n\":").nth(1).and_then(|rest| rest.split(',').next());
            found.extend(number.and_then(|number| number.parse::<usize>().ok()));
        }
    }
    assert_eq!(found, (0..3000).collect::<Vec<_>>());
}

#[tokio::test]
async fn there_are_only_so_many_streams_at_once() {
    let rig = Rig::start(&[("EVENT_STREAMS_MAX", "2")]).await;
    let dev = developer(&rig);
    let first = Reader::open(&dev, "", None).await;
    let _second = Reader::open(&dev, "", None).await;
    let refused = dev.get(&format!("{PATH}/stream")).await;
    assert_eq!(refused.status, 503);
    assert!(!refused.header("retry-after").is_empty());
    drop(first);
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let request = dev.request("GET", &format!("{PATH}/stream"));
        if request.send().await.unwrap().status() == 200 {
            return;
        }
        assert!(Instant::now() < deadline, "the place of a reader that left stays taken");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn streams_end_when_the_service_stops() {
    let Rig { service, tokens: _tokens, db, .. } = Rig::start(&[]).await;
    let client = service.client().bearer(ADMIN);
    let mut reader = Reader::open(&client, "event_type=a.b", None).await;
    let begun = Instant::now();
    drop(service);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert!(reader.next().await.is_none());
    drop(db);
}

#[tokio::test]
async fn a_stream_without_news_says_that_it_is_there_and_ends_with_its_key() {
    let rig = Rig::start(&[("EVENT_KEEP_ALIVE_SECONDS", "1")]).await;
    let (token, key) = keys::make(&rig.admin(), json!({"name": "n", "permissions": ["observability:read"]})).await;
    let client = rig.service.client().bearer(&token);
    let mut reader = Reader::open(&client, "event_type=a.b", None).await;
    assert_eq!(reader.block().await.unwrap(), ": keep-alive");
    let id = key["id"].as_str().unwrap();
    rig.admin().delete(&format!("{}/{id}", keys::PATH)).await.data(200);
    while let Some(block) = reader.block().await {
        assert_eq!(block, ": keep-alive");
    }
}
