//! Limits that several processes share, with a real Redis. Each `Tiny` here is a process as far as limits go.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use test_support::{Answer, Redis};
use tokio::time::{Instant, sleep};

use crate::tiny::Tiny;

const PATH: &str = "/api/v1/things/a";
/// An hour's limit: a minute might end in the middle of a test.
const LIMIT: u64 = 20;

async fn replica(redis: &Redis) -> Tiny {
    let tiny = Tiny::start(&[("RATE_LIMIT_STORE", &redis.url())]).await;
    tiny.keys.change("reader", |key| key.rate_limit_per_hour = Some(LIMIT));
    tiny
}

/// Asks until the answer is as wanted.
async fn until(what: &str, mut ask: impl AsyncFnMut() -> Answer, wanted: impl Fn(&Answer) -> bool) -> Answer {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let answer = ask().await;
        if wanted(&answer) {
            return answer;
        }
        assert!(Instant::now() < deadline, "not in time: {what}: {} {}", answer.status, answer.text);
        sleep(Duration::from_millis(20)).await;
    }
}

async fn until_the_store_is(status: &str, tiny: &Tiny) -> Value {
    let client = tiny.client();
    let is = |answer: &Answer| answer.body["data"]["dependencies"]["rate_limit_store"]["status"] == status;
    until(status, async || client.get("/health/detailed").await, is).await.data(200)
}

fn used(answer: &Answer) -> u64 {
    let number = |name: &str| answer.header(name).parse::<u64>().unwrap();
    number("x-ratelimit-limit-hour") - number("x-ratelimit-remaining-hour")
}

#[tokio::test]
async fn replicas_share_one_budget() {
    let Some(redis) = Redis::start() else { return };
    let (first, second) = (replica(&redis).await, replica(&redis).await);
    for _ in 0..LIMIT {
        first.reader().get(PATH).await.data(200);
    }
    // The second knows nothing of this key yet; it learns within an interval of its first request.
    let began = Instant::now();
    let answer =
        until("the second refuses", async || second.reader().get(PATH).await, |answer| answer.status == 429).await;
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    answer.error(429, "RATE_LIMIT_ERROR.TOO_MANY_REQUESTS");
    assert_eq!(answer.header("x-ratelimit-remaining-hour"), "0");
    first.reader().get(PATH).await.error(429, "RATE_LIMIT_ERROR.TOO_MANY_REQUESTS");
    // Other keys are not concerned.
    second.admin().get(PATH).await.data(200);
}

#[tokio::test]
async fn together_replicas_admit_little_more_than_the_limit() {
    let Some(redis) = Redis::start() else { return };
    let replicas = [replica(&redis).await, replica(&redis).await, replica(&redis).await];
    let mut admitted = 0;
    // Round after round, as a balancer would, slowly enough for them to settle.
    for _ in 0..LIMIT {
        let answers = join_all(replicas.iter().map(|tiny| async { tiny.reader().get(PATH).await })).await;
        admitted += answers.iter().filter(|answer| answer.status == 200).count();
        sleep(Duration::from_millis(30)).await;
    }
    let limit = usize::try_from(LIMIT).unwrap();
    assert!(admitted >= limit, "{admitted}");
    // Without settling it would be three times the limit.
    assert!(admitted <= 2 * limit, "{admitted}");
}

#[tokio::test]
async fn when_redis_is_away_everybody_counts_alone_until_it_is_back() {
    let Some(mut redis) = Redis::start() else { return };
    let (first, second) = (replica(&redis).await, replica(&redis).await);
    until_the_store_is("healthy", &first).await;
    until_the_store_is("healthy", &second).await;
    redis.down();
    let health = until_the_store_is("unreachable", &first).await;
    assert_eq!(health["status"], "healthy", "limits go on without it");
    until_the_store_is("unreachable", &second).await;
    let metrics = first.client().get("/metrics").await.text;
    let errors = metrics.lines().find(|line| line.starts_with("imago_rate_limit_store_errors_total ")).unwrap();
    assert_ne!(errors, "imago_rate_limit_store_errors_total 0");
    // Each for itself, and exactly.
    for tiny in [&first, &second] {
        let statuses: Vec<u16> = join_all((0..=LIMIT).map(|_| async { tiny.reader().get(PATH).await.status })).await;
        assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 1);
    }
    redis.up();
    until_the_store_is("healthy", &first).await;
    until_the_store_is("healthy", &second).await;
    // What was counted meanwhile is told.
    let knows = |answer: &Answer| used(answer) == LIMIT;
    until("all is told", async || first.reader().get(PATH).await, knows).await;
    let third = replica(&redis).await;
    until("the third is told", async || third.reader().get(PATH).await, |answer| answer.status == 429).await;
}

#[tokio::test]
async fn what_is_left_in_redis_goes_by_itself() {
    let Some(redis) = Redis::start() else { return };
    let tiny = replica(&redis).await;
    tiny.reader().get(PATH).await.data(200);
    tiny.client().get(PATH).await.error(401, "AUTHENTICATION_ERROR.MISSING_AUTHORIZATION");
    let client = redis::Client::open(redis.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    let keys = loop {
        let keys: Vec<String> = redis::cmd("KEYS").arg("imago:rate:*").query_async(&mut connection).await.unwrap();
        if keys.len() >= 4 {
            break keys;
        }
        assert!(Instant::now() < deadline, "{keys:?}");
        sleep(Duration::from_millis(20)).await;
    };
    for key in keys {
        let seconds: i64 = redis::cmd("TTL").arg(&key).query_async(&mut connection).await.unwrap();
        assert!((1..=7200).contains(&seconds), "{key}: {seconds}");
    }
}

#[tokio::test]
async fn a_service_starts_without_redis() {
    let tiny = Tiny::start(&[("RATE_LIMIT_STORE", "redis://127.0.0.1:1/0")]).await;
    tiny.reader().get(PATH).await.data(200);
    let health = tiny.client().get("/health/detailed").await.data(200);
    assert_eq!(health["dependencies"]["rate_limit_store"], json!({"status": "unreachable"}));
}
