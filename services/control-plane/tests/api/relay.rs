//! From the outbox of a service to the event log, across whatever may go wrong between them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use api_client::{ServiceClient, control_plane::ControlPlane, http_client, token::TokenKey};
use api_core::{
    db::{self, Db},
    outbox,
    settings::DEVELOPMENT_JWT_SECRET,
};
use diesel::{Connection as _, PgConnection, connection::SimpleConnection as _};
use migrations::Service;
use serde_json::json;
use test_support::TestDb;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::rig::Rig;

const NAME: &str = "skill-builder";

/// A service with an outbox, beside a control plane.
struct Sender {
    schema: TestDb,
    db: Db,
}

impl Sender {
    fn new() -> Self {
        let schema = TestDb::schema(Service::SkillBuilder);
        Self { db: Db::lazy(&schema.url(), 4), schema }
    }

    /// Another process of the same service.
    fn beside(&self) -> Db {
        Db::lazy(&self.schema.url(), 4)
    }

    fn conn(&self) -> PgConnection {
        self.schema.connect()
    }

    fn left(&self) -> i64 {
        use diesel::{QueryDsl as _, RunQueryDsl as _};
        diesel::table! { outbox (seq) { seq -> BigInt, } }
        outbox::table.count().get_result(&mut self.conn()).unwrap()
    }
}

/// A relay that runs until it is dropped.
struct Relay {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Relay {
    fn start(db: Db, url: &str) -> Self {
        let key = TokenKey::derive(DEVELOPMENT_JWT_SECRET);
        let client = ServiceClient::new(http_client().unwrap(), url, "control-plane", NAME, key);
        let stop = CancellationToken::new();
        let task = tokio::spawn(outbox::relay(db, NAME, ControlPlane(client), stop.clone()));
        Self { stop, task }
    }

    async fn end(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }

    /// Ends in the middle of whatever it is doing, as a process does that is killed.
    fn kill(self) {
        self.task.abort();
    }
}

fn push(conn: &mut PgConnection, kind: &str, aggregate: &str, n: usize) {
    outbox::push(conn, kind, aggregate, Some("k_1"), json!({"n": n})).unwrap();
}

/// The events of a kind in the log, by arrival: `aggregate n`.
fn arrived(rig: &Rig, kind: &str) -> Vec<String> {
    rig.texts(&format!(
        "SELECT aggregate || ' ' || (payload->>'n') AS value FROM events WHERE kind = '{kind}' ORDER BY seq"
    ))
}

async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// What stands between a relay and the control plane.
#[derive(Default)]
struct Between {
    /// Nobody is there.
    away: AtomicBool,
    /// So many answers get lost after the control plane has done its work.
    lost: AtomicUsize,
    /// Batches with this text in them are refused for good.
    refuses_bad: AtomicBool,
    requests: AtomicUsize,
}

impl Between {
    /// Listens for relays and passes requests on to the control plane; returns where it listens.
    async fn start(self: &Arc<Self>, rig: &Rig) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let target = rig.service.base_url().trim_start_matches("http://").to_owned();
        let between = Arc::clone(self);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(Arc::clone(&between).pass(stream, target.clone()));
            }
        });
        url
    }

    async fn pass(self: Arc<Self>, mut from: TcpStream, target: String) {
        while let Some(request) = read_message(&mut from).await {
            self.requests.fetch_add(1, Ordering::SeqCst);
            if self.away.load(Ordering::SeqCst) {
                return;
            }
            let text = String::from_utf8_lossy(&request);
            let answer = if self.refuses_bad.load(Ordering::SeqCst) && text.contains("a.bad") {
                let error = json!({
                    "code": "VALIDATION_ERROR.INVALID_FORMAT", "category": "VALIDATION_ERROR", "message": "no", "details": [],
                    "request_id": "r", "timestamp": "t", "documentation_url": "d", "retry_after": null, "suggestions": [],
                });
                let error = json!({"success": false, "error": error, "meta": {}}).to_string();
                let length = error.len();
                format!("HTTP/1.1 422 No\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{error}")
                    .into_bytes()
            } else {
                let mut to = TcpStream::connect(&target).await.unwrap();
                to.write_all(&request).await.unwrap();
                read_message(&mut to).await.unwrap()
            };
            let lose = |left: usize| left.checked_sub(1);
            if self.lost.fetch_update(Ordering::SeqCst, Ordering::SeqCst, lose).is_ok() {
                return;
            }
            if from.write_all(&answer).await.is_err() {
                return;
            }
        }
    }
}

/// One HTTP message with a `Content-Length`; `None` at the end.
async fn read_message(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut message = Vec::new();
    loop {
        if let Some(head) = message.windows(4).position(|window| window == b"\r\n\r\n") {
            let text = String::from_utf8_lossy(&message[..head]).to_lowercase();
            let length = text.lines().find_map(|line| line.strip_prefix("content-length:")).unwrap();
            let length: usize = length.trim().parse().unwrap();
            if message.len() >= head + 4 + length {
                return Some(message);
            }
        }
        if stream.read_buf(&mut message).await.ok()? == 0 {
            return None;
        }
    }
}

#[tokio::test]
async fn an_event_is_in_the_log_soon_after_its_commit() {
    let (rig, sender) = (Rig::start(&[]).await, Sender::new());
    let relay = Relay::start(sender.db.clone(), rig.service.base_url());
    let mut slowest = Duration::ZERO;
    for n in 0..20 {
        // Alone each, so that none rides with another one's wake-up.
        let pushed = sender.db.transaction::<_, db::Error>(move |conn| {
            push(conn, "a.soon", "thing:1", n);
            Ok(Instant::now())
        });
        let begun = pushed.await.unwrap();
        eventually("arrives", || arrived(&rig, "a.soon").len() == n + 1).await;
        slowest = slowest.max(begun.elapsed());
    }
    // Far below what polling alone would need; how fast it is, is for the bench to say.
    assert!(slowest < Duration::from_millis(450), "{slowest:?}");
    relay.end().await;
    assert_eq!(sender.left(), 0);
}

#[tokio::test]
async fn what_is_rolled_back_never_happened() {
    let (rig, sender) = (Rig::start(&[]).await, Sender::new());
    let relay = Relay::start(sender.db.clone(), rig.service.base_url());
    let failed = sender.db.transaction::<(), db::Error>(|conn| {
        push(conn, "a.never", "thing:1", 1);
        Err(diesel::result::Error::RollbackTransaction.into())
    });
    assert!(failed.await.is_err());
    let later = sender.db.run::<_, db::Error>(|conn| {
        push(conn, "a.later", "thing:1", 2);
        Ok(())
    });
    later.await.unwrap();
    eventually("arrives", || arrived(&rig, "a.later") == ["thing:1 2"]).await;
    assert_eq!(arrived(&rig, "a.never"), [""; 0]);
    relay.end().await;
}

#[tokio::test]
async fn what_was_committed_before_a_process_died_is_handed_over_by_the_next() {
    let (rig, sender) = (Rig::start(&[]).await, Sender::new());
    let between = Arc::new(Between::default());
    between.lost.store(usize::MAX, Ordering::SeqCst);
    let url = between.start(&rig).await;
    let first = Relay::start(sender.db.clone(), &url);
    let mut conn = sender.conn();
    (0..50).for_each(|n| push(&mut conn, "a.b", "thing:1", n));
    // Killed after the control plane has taken the events and before the relay knows.
    eventually("they are in the log", || arrived(&rig, "a.b").len() == 50).await;
    first.kill();
    (50..60).for_each(|n| push(&mut conn, "a.b", "thing:1", n));
    assert_eq!(sender.left(), 60);
    let second = Relay::start(sender.beside(), rig.service.base_url());
    eventually("all are handed over", || sender.left() == 0).await;
    let expected: Vec<String> = (0..60).map(|n| format!("thing:1 {n}")).collect();
    assert_eq!(arrived(&rig, "a.b"), expected);
    second.end().await;
}

#[tokio::test]
async fn events_wait_while_the_control_plane_is_away() {
    let (rig, sender) = (Rig::start(&[]).await, Sender::new());
    let between = Arc::new(Between::default());
    between.away.store(true, Ordering::SeqCst);
    let url = between.start(&rig).await;
    let relay = Relay::start(sender.db.clone(), &url);
    let mut conn = sender.conn();
    (0..30).for_each(|n| push(&mut conn, "a.b", "thing:1", n));
    eventually("it is asked in vain", || between.requests.load(Ordering::SeqCst) >= 2).await;
    assert_eq!((sender.left(), arrived(&rig, "a.b").len()), (30, 0));
    between.away.store(false, Ordering::SeqCst);
    // And some answers get lost on top of it.
    between.lost.store(2, Ordering::SeqCst);
    eventually("all are handed over", || sender.left() == 0).await;
    assert_eq!(arrived(&rig, "a.b"), (0..30).map(|n| format!("thing:1 {n}")).collect::<Vec<_>>());
    relay.end().await;
}

#[tokio::test]
async fn an_event_whose_transaction_commits_late_is_not_passed_over() {
    let (rig, sender) = (Rig::start(&[]).await, Sender::new());
    let relay = Relay::start(sender.db.clone(), rig.service.base_url());
    let (mut slow, mut fast) = (sender.conn(), sender.conn());
    slow.batch_execute("BEGIN").unwrap();
    push(&mut slow, "a.b", "thing:slow", 1);
    for n in 2..20 {
        fast.transaction::<_, diesel::result::Error, _>(|conn| {
            push(conn, "a.b", "thing:fast", n);
            Ok(())
        })
        .unwrap();
    }
    eventually("the others arrive", || arrived(&rig, "a.b").len() == 18).await;
    slow.batch_execute("COMMIT").unwrap();
    eventually("the late one arrives", || arrived(&rig, "a.b").last().unwrap() == "thing:slow 1").await;
    eventually("nothing is left", || sender.left() == 0).await;
    relay.end().await;
}

#[tokio::test]
async fn two_relays_at_once_repeat_nothing_and_keep_the_order_of_each_aggregate() {
    const AGGREGATES: usize = 8;
    const EACH: usize = 150;
    let (rig, sender) = (Rig::start(&[]).await, Sender::new());
    let between = Arc::new(Between::default());
    between.lost.store(3, Ordering::SeqCst);
    let (first, second) = (
        Relay::start(sender.db.clone(), &between.start(&rig).await),
        Relay::start(sender.beside(), rig.service.base_url()),
    );
    let writers = (0..AGGREGATES).map(|aggregate| {
        let db = if aggregate % 2 == 0 { sender.db.clone() } else { sender.beside() };
        tokio::spawn(async move {
            for n in 0..EACH {
                let pushed = db.transaction::<_, db::Error>(move |conn| {
                    push(conn, "a.b", &format!("thing:{aggregate}"), n);
                    Ok(())
                });
                pushed.await.unwrap();
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    eventually("all are handed over", || sender.left() == 0).await;
    let arrived = arrived(&rig, "a.b");
    assert_eq!(arrived.len(), AGGREGATES * EACH);
    for aggregate in 0..AGGREGATES {
        let prefix = format!("thing:{aggregate} ");
        let order: Vec<usize> = arrived.iter().filter_map(|event| event.strip_prefix(&prefix)?.parse().ok()).collect();
        assert_eq!(order, (0..EACH).collect::<Vec<_>>(), "aggregate {aggregate}");
    }
    first.end().await;
    second.end().await;
}

#[tokio::test]
async fn another_process_goes_on_when_the_one_at_work_is_killed() {
    let (rig, sender) = (Rig::start(&[]).await, Sender::new());
    let between = Arc::new(Between::default());
    between.away.store(true, Ordering::SeqCst);
    let first = Relay::start(sender.db.clone(), &between.start(&rig).await);
    let mut conn = sender.conn();
    push(&mut conn, "a.b", "thing:1", 1);
    eventually("the first one tries", || between.requests.load(Ordering::SeqCst) >= 1).await;
    first.kill();
    // It held the lease, which now has to run out.
    let second = Relay::start(sender.beside(), rig.service.base_url());
    eventually("the second one hands over", || arrived(&rig, "a.b") == ["thing:1 1"]).await;
    second.end().await;
}

#[tokio::test]
async fn an_event_that_is_refused_keeps_no_other_back() {
    let (rig, sender) = (Rig::start(&[]).await, Sender::new());
    let between = Arc::new(Between::default());
    between.refuses_bad.store(true, Ordering::SeqCst);
    let mut conn = sender.conn();
    for n in 0..40 {
        push(&mut conn, if n == 17 { "a.bad" } else { "a.good" }, "thing:1", n);
    }
    let relay = Relay::start(sender.db.clone(), &between.start(&rig).await);
    eventually("the good ones arrive", || sender.left() == 1).await;
    let expected: Vec<String> = (0..40).filter(|n| *n != 17).map(|n| format!("thing:1 {n}")).collect();
    assert_eq!(arrived(&rig, "a.good"), expected);
    // When its time has come, it is tried again.
    between.refuses_bad.store(false, Ordering::SeqCst);
    conn.batch_execute("UPDATE outbox SET set_aside_until = now()").unwrap();
    eventually("it arrives after all", || arrived(&rig, "a.bad") == ["thing:1 17"]).await;
    relay.end().await;
}

#[tokio::test]
async fn a_batch_is_bounded_by_its_size() {
    let (rig, sender) = (Rig::start(&[]).await, Sender::new());
    let mut conn = sender.conn();
    // The first is larger than any batch alone; the others need several.
    for (n, size) in [1_500_000].into_iter().chain([60_000; 40]).enumerate() {
        outbox::push(&mut conn, "a.large", "thing:1", None, json!({"n": n, "text": "x".repeat(size)})).unwrap();
    }
    let between = Arc::new(Between::default());
    let relay = Relay::start(sender.db.clone(), &between.start(&rig).await);
    eventually("all are handed over", || sender.left() == 0).await;
    assert_eq!(arrived(&rig, "a.large"), (0..41).map(|n| format!("thing:1 {n}")).collect::<Vec<_>>());
    let requests = between.requests.load(Ordering::SeqCst);
    assert!((4..=5).contains(&requests), "{requests}");
    relay.end().await;
}
