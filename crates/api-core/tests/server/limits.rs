//! What happens when there is too much of something.

use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::future::join_all;
use serde_json::json;

use crate::tiny::{READER, THINGS, Tiny};

/// Seconds until the next window of this length begins.
fn left_of(window_s: u64) -> u64 {
    window_s - SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() % window_s
}

#[tokio::test]
async fn the_request_over_the_limit_is_told_when_to_come_back() {
    let tiny = Tiny::start(&[]).await;
    // An hour is long enough not to end in the middle of the test; nearly always.
    tiny.keys.change("reader", |key| key.rate_limit_per_hour = Some(2));
    for _ in 0..2 {
        tiny.reader().get("/api/v1/things/a").await.data(200);
    }
    let most = left_of(3600);
    let answer = tiny.reader().get("/api/v1/things/a").await;
    let least = left_of(3600);
    let error = answer.error(429, "RATE_LIMIT_ERROR.TOO_MANY_REQUESTS");
    let seconds = error["retry_after"].as_u64().unwrap();
    assert!((least..=most).contains(&seconds), "{least} {seconds} {most}");
    assert_eq!(error["message"], format!("Rate limit exceeded. Try again after {seconds} seconds."));
    assert_eq!((answer.header("retry-after"), answer.header("x-ratelimit-remaining")), (&*seconds.to_string(), "0"));
    // Others are not concerned, nor are pages that are never limited.
    tiny.admin().get("/api/v1/things/a").await.data(200);
    tiny.client().bearer(READER).get("/health").await.data(200);
}

#[tokio::test]
async fn a_key_is_one_caller_however_it_is_presented() {
    let tiny = Tiny::start(&[]).await;
    tiny.keys.change("reader", |key| key.rate_limit_per_hour = Some(1));
    tiny.reader().get("/api/v1/things/a").await.data(200);
    let other_way = tiny.client().header("x-api-key", READER).get("/api/v1/things/b").await;
    other_way.error(429, "RATE_LIMIT_ERROR.TOO_MANY_REQUESTS");
}

#[tokio::test]
async fn an_address_cannot_guess_without_end() {
    let tiny = Tiny::start(&[]).await;
    let guess = tiny.client().bearer("admin.guess");
    let mut answers = Vec::new();
    // More than two windows allow: a minute may end in between.
    for _ in 0..13 {
        answers.extend(join_all((0..100).map(|_| guess.get("/api/v1/things/a"))).await);
    }
    assert_eq!(answers[0].status, 401);
    let refused = answers.iter().find(|answer| answer.status == 429).unwrap();
    refused.error(429, "RATE_LIMIT_ERROR.TOO_MANY_REQUESTS");
    assert!(answers.iter().filter(|answer| answer.status == 401).count() >= 600);
    // Who knows the secret is not kept out by those who do not.
    tiny.admin().get("/api/v1/things/a").await.data(200);
}

#[tokio::test]
async fn services_are_not_limited() {
    let tiny = Tiny::start(&[("RATE_LIMIT_PER_MINUTE", "1")]).await;
    let client = tiny.client().service("chat");
    for _ in 0..5 {
        let answer = client.get("/api/v1/things/a").await;
        answer.data(200);
        assert_eq!(answer.header("x-ratelimit-limit"), "");
    }
}

#[tokio::test]
async fn a_panic_is_one_requests_misfortune() {
    let tiny = Tiny::start(&[]).await;
    let admin = tiny.admin();
    let body = json!({"name": "panic"});
    for answer in join_all((0..8).map(|_| admin.post(THINGS, &body))).await {
        answer.error(500, "SERVICE_ERROR.INTERNAL_ERROR");
    }
    admin.post(THINGS, &json!({"name": "a"})).await.data(201);
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_given_up() {
    let tiny = Tiny::start(&[("REQUEST_TIMEOUT_SECONDS", "1")]).await;
    let error =
        tiny.admin().post(THINGS, &json!({"name": "wait"})).await.error(503, "SERVICE_ERROR.SERVICE_UNAVAILABLE");
    assert_eq!(error["retry_after"], 1);
    // A service that waits no longer than this need not be worked for any longer either.
    let impatient = tiny.client().service("impatient").header("x-imago-deadline-ms", "20");
    impatient.post(THINGS, &json!({"name": "wait"})).await.error(503, "SERVICE_ERROR.SERVICE_UNAVAILABLE");
}

#[tokio::test]
async fn one_request_too_many_at_once_is_turned_away_and_probes_are_not() {
    let tiny = Tiny::start(&[("MAX_IN_FLIGHT", "2")]).await;
    let (admin, body) = (tiny.admin(), json!({"name": "wait"}));
    let busy = async { join_all((0..2).map(|_| admin.post(THINGS, &body))).await };
    let meanwhile = async {
        tiny.app.wait_for(2).await;
        let error = admin.get("/api/v1/things/a").await.error(503, "SERVICE_ERROR.SERVICE_UNAVAILABLE");
        assert_eq!(error["retry_after"], 1);
        // What waits may wait for our own services.
        tiny.client().service("agent-builder").get("/api/v1/things/a").await.data(200);
        for path in ["/health", "/ready", "/metrics"] {
            assert_eq!(admin.get(path).await.status, 200, "{path}");
        }
        tiny.app.gate.add_permits(2);
    };
    let (answers, ()) = tokio::join!(busy, meanwhile);
    for answer in answers {
        answer.data(201);
    }
    admin.get("/api/v1/things/a").await.data(200);
}

#[tokio::test]
async fn a_request_that_was_given_up_makes_room() {
    let tiny = Tiny::start(&[("MAX_IN_FLIGHT", "1"), ("REQUEST_TIMEOUT_SECONDS", "1")]).await;
    for name in ["wait", "panic", "wait"] {
        let status = tiny.admin().post(THINGS, &json!({"name": name})).await.status;
        assert!(status == 503 || status == 500, "{status}");
    }
    tiny.admin().get("/api/v1/things/a").await.data(200);
}

#[tokio::test]
async fn headers_have_a_limit() {
    let tiny = Tiny::start(&[("MAX_HEADER_BYTES", "2000")]).await;
    let answer = tiny.admin().header("x-client-version", &"x".repeat(2000)).get("/api/v1/things/a").await;
    assert_eq!(answer.status, 431, "{}", answer.text);
    tiny.admin().header("x-client-version", &"x".repeat(1000)).get("/api/v1/things/a").await.data(200);
}

#[tokio::test]
async fn a_stopping_service_ends_what_it_began() {
    let tiny = Tiny::start(&[]).await;
    let (admin, body) = (tiny.admin(), json!({"name": "wait"}));
    let answer = tokio::spawn(async move { admin.post(THINGS, &body).await });
    tiny.app.wait_for(1).await;
    tiny.app.gate.add_permits(1);
    drop(tiny);
    answer.await.unwrap().data(201);
}
