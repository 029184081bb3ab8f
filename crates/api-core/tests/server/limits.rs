//! What happens when there is too much of something.

use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::future::join_all;
use serde_json::json;

use crate::tiny::{AINS, READER, THINGS, Tiny};

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
    assert_eq!(
        (answer.header("retry-after"), answer.header("x-ratelimit-remaining-hour")),
        (&*seconds.to_string(), "0")
    );
    // Others are not concerned, nor are pages that are never limited.
    tiny.admin().get("/api/v1/things/a").await.data(200);
    tiny.client().bearer(READER).get("/health").await.data(200);
}

#[tokio::test]
async fn the_ains_door_tells_what_was_exceeded() {
    let tiny = Tiny::start(&[]).await;
    tiny.keys.change("reader", |key| key.rate_limit_per_hour = Some(2));
    for _ in 0..3 {
        tiny.reader().get("/api/v1/things/a").await;
    }
    let answer = tiny.reader().get(AINS).await;
    let error = answer.ains_error(429, "RATE_LIMIT_EXCEEDED");
    assert_eq!(error["message"], "Rate limit exceeded: 2 requests per hour");
    let details = &error["details"];
    // The refused ones count, on whichever door.
    assert_eq!(
        (&details["limit"], &details["window"], &details["current_usage"]),
        (&json!(2), &json!("per_hour"), &json!(4))
    );
    assert_eq!(answer.header("retry-after"), details["retry_after_seconds"].to_string());
    let reset: chrono::DateTime<chrono::Utc> = details["reset_at"].as_str().unwrap().parse().unwrap();
    assert_eq!(answer.header("x-ratelimit-reset-hour"), reset.timestamp().to_string());
    assert_eq!(details.as_object().unwrap().len(), 5);
}

#[tokio::test]
async fn whatever_an_identified_caller_is_answered_says_what_is_left() {
    let tiny = Tiny::start(&[("REQUEST_TIMEOUT_SECONDS", "1"), ("AUTH_OPEN_DOORS", "legacy")]).await;
    tiny.keys.change("reader", |key| key.rate_limit_per_hour = Some(5000));
    tiny.keys.add("writer.secret", &[api_types::auth::Role::Service], &[]);
    let reader = tiny.reader();
    let writer = tiny.client().bearer("writer.secret");
    for (status, answer) in [
        (200, reader.get("/api/v1/things/a").await),
        (200, reader.get(AINS).await),
        (403, reader.post(THINGS, &json!({})).await),
        (404, reader.get("/api/v1/things/a%00").await),
        (415, writer.raw("POST", THINGS, Some("text/plain"), b"{}".to_vec()).await),
        (422, writer.post(THINGS, &json!({})).await),
        (500, writer.post(THINGS, &json!({"name": "panic"})).await),
        (503, writer.post(THINGS, &json!({"name": "wait"})).await),
    ] {
        assert_eq!(answer.status, status, "{}", answer.text);
        let number = |name: &str| answer.header(name).parse::<u64>().unwrap_or_else(|_| panic!("{name} of a {status}"));
        for window in ["minute", "hour"] {
            let [limit, remaining, reset] =
                ["limit", "remaining", "reset"].map(|what| number(&format!("x-ratelimit-{what}-{window}")));
            assert!(
                remaining < limit && reset % if window == "minute" { 60 } else { 3600 } == 0,
                "{window} of a {status}"
            );
        }
        for what in ["limit", "remaining", "reset"] {
            assert_eq!(number(&format!("x-ratelimit-{what}")), number(&format!("x-ratelimit-{what}-minute")));
        }
        let (per_minute, per_hour) = (number("x-ratelimit-limit-minute"), number("x-ratelimit-limit-hour"));
        let policy = format!("\"minute\";q={per_minute};w=60, \"hour\";q={per_hour};w=3600");
        assert_eq!(answer.header("ratelimit-policy"), policy);
        let (minute, hour) = answer.header("ratelimit").split_once(", ").unwrap();
        assert!(minute.starts_with(&format!("\"minute\";r={};t=", number("x-ratelimit-remaining-minute"))), "{minute}");
        assert!(hour.starts_with(&format!("\"hour\";r={};t=", number("x-ratelimit-remaining-hour"))), "{hour}");
    }
    for (status, answer) in [
        (401, tiny.client().get("/api/v1/things/a").await),
        (404, reader.get("/api/v1/nothing").await),
        (200, reader.get("/health").await),
        (201, tiny.client().post("/things", &json!({})).await),
    ] {
        assert_eq!((answer.status, answer.header("x-ratelimit-limit"), answer.header("ratelimit")), (status, "", ""));
    }
}

#[tokio::test]
async fn behind_an_open_door_every_address_has_its_own_budget() {
    let tiny = Tiny::start(&[
        ("AUTH_OPEN_DOORS", "legacy"),
        ("RATE_LIMIT_PER_MINUTE", "3"),
        ("TRUSTED_PROXIES", "127.0.0.0/8"),
    ])
    .await;
    let from = |address: &str| tiny.client().header("x-forwarded-for", address);
    let mut statuses = Vec::new();
    // Two windows' worth and one more: a minute may end in between. All of one IPv6 network are one customer.
    for number in 0..7 {
        statuses.push(from(&format!("2001:db8::{number}")).post("/things", &json!({})).await.status);
    }
    assert_eq!(statuses[0], 201);
    assert!(statuses.contains(&429), "{statuses:?}");
    from("2001:db8:0:1::1").post("/things", &json!({})).await.data(201);
    from("2001:db8::1, 192.0.2.1, 127.0.0.9").post("/things", &json!({})).await.data(201);
}

#[tokio::test]
async fn who_says_that_it_forwards_is_not_believed() {
    let tiny = Tiny::start(&[("AUTH_OPEN_DOORS", "legacy"), ("RATE_LIMIT_PER_MINUTE", "3")]).await;
    let mut statuses = Vec::new();
    for number in 0..7 {
        let client = tiny.client().header("x-forwarded-for", &format!("192.0.2.{number}"));
        statuses.push(client.post("/things", &json!({})).await.status);
    }
    assert!(statuses.contains(&429), "{statuses:?}");
}

#[tokio::test]
async fn administration_comes_from_where_the_operator_says() {
    let settings = [("ADMIN_ALLOW_CIDRS", "10.0.0.0/8, 2001:db8::/32"), ("TRUSTED_PROXIES", "127.0.0.1")];
    let tiny = Tiny::start(&settings).await;
    tiny.keys.add("keeper.secret", &[api_types::auth::Role::Service], &["keys:manage", "agents:read"]);
    let code = "AUTHORIZATION_ERROR.FORBIDDEN_RESOURCE";
    let path = "/api/v1/things/a";
    for key in [crate::tiny::ADMIN, "keeper.secret", &test_support::jwt("ada", &[api_types::auth::Role::Admin], &[])] {
        let client = tiny.client().bearer(key);
        for outside in ["192.0.2.1", "10.1.1.1, 192.0.2.1"] {
            let answer = client.header("x-forwarded-for", outside).get(path).await;
            let error = answer.error(403, code);
            assert_eq!(error["message"], "Administration is not allowed from this address");
            // It is known who asked, so it counts.
            assert_ne!(answer.header("x-ratelimit-limit"), "");
        }
        client.get(path).await.error(403, code);
        for inside in ["10.1.1.1", "192.0.2.1, 10.1.1.1", "2001:db8::1"] {
            client.header("x-forwarded-for", inside).get(path).await.data(200);
        }
    }
    // Others are not concerned, and whom a service calls for was looked at before.
    tiny.reader().get(path).await.data(200);
    tiny.client().service("chat").get(path).await.data(200);
    // Routes of administrators are closed to whoever may use them.
    tiny.client().service("chat").get("/api/v1/admin").await.data(200);
    tiny.reader().get("/api/v1/admin").await.error(403, code);
    let inside = tiny.reader().header("x-forwarded-for", "10.1.1.1");
    inside.get("/api/v1/admin").await.error(403, "AUTHORIZATION_ERROR.INSUFFICIENT_PERMISSIONS");
}

#[tokio::test]
async fn a_body_over_the_limit_is_answered_however_large_it_is() {
    let tiny = Tiny::start(&[("AINS_MAX_BODY_BYTES", "100000")]).await;
    for (path, bytes) in [(THINGS, 5 << 20), (THINGS, 40 << 20), (AINS, 100_001)] {
        let answer = tiny.admin().raw("POST", path, None, vec![b' '; bytes]).await;
        assert_eq!(answer.status, 413, "{path} {bytes}: {}", answer.text);
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
    }
    tiny.admin().raw("POST", AINS, None, vec![b' '; 100_000]).await.ains_error(400, "INVALID_REQUEST");
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
