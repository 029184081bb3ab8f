//! What every answer carries.

use serde_json::json;
use test_support::Answer;

use crate::tiny::{THINGS, Tiny};

fn carries_the_common_headers(answer: &Answer) {
    for (name, value) in [
        ("x-api-version", "v1"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("x-xss-protection", "1; mode=block"),
        ("strict-transport-security", "max-age=31536000; includeSubDomains"),
        ("content-security-policy", "default-src 'self'"),
        ("referrer-policy", "strict-origin-when-cross-origin"),
    ] {
        assert_eq!(answer.header(name), value, "{name} of {} {}", answer.status, answer.text);
    }
    let id = answer.header("x-request-id");
    assert_eq!(id.len(), 36, "{id}");
    if answer.body.get("meta").is_some() {
        assert_eq!(answer.body["meta"]["request_id"], id);
        assert_eq!(answer.body["meta"]["version"], "v1");
    }
    if let Some(error) = answer.body.get("error") {
        assert_eq!((&error["request_id"], &error["timestamp"]), (&json!(id), &answer.body["meta"]["timestamp"]));
        let keys: Vec<&String> = error.as_object().unwrap().keys().collect();
        assert_eq!(keys.len(), 9, "{keys:?}");
        let retry_after = error["retry_after"].as_u64().map_or(String::new(), |seconds| seconds.to_string());
        assert_eq!(answer.header("retry-after"), retry_after);
    }
}

#[tokio::test]
async fn every_answer_carries_the_common_headers() {
    let tiny = Tiny::start(&[]).await;
    let client = tiny.client();
    let preflight = client.header("origin", "http://a.example").header("access-control-request-method", "POST");
    let impatient = tiny.client().service("impatient").header("x-imago-deadline-ms", "1");
    for (status, answer) in [
        (200, tiny.admin().get("/api/v1/things/a").await),
        (201, tiny.admin().post(THINGS, &json!({"name": "a"})).await),
        (401, client.get("/api/v1/things/a").await),
        (403, tiny.reader().post(THINGS, &json!({})).await),
        (404, client.get("/nothing").await),
        (405, client.delete(THINGS).await),
        (409, tiny.admin().post(THINGS, &json!({"name": "conflict"})).await),
        (422, tiny.admin().post(THINGS, &json!({})).await),
        (500, tiny.admin().post(THINGS, &json!({"name": "panic"})).await),
        (503, impatient.post(THINGS, &json!({"name": "wait"})).await),
        (200, preflight.send("OPTIONS", THINGS, None).await),
        (200, client.get("/health").await),
        (200, client.get("/metrics").await),
        (200, client.get("/docs").await),
        (307, client.get("/").await),
        (200, client.get("/api/v1/openapi.json").await),
    ] {
        assert_eq!(answer.status, status, "{}", answer.text);
        carries_the_common_headers(&answer);
    }
}

#[tokio::test]
async fn a_request_id_is_adopted_when_it_is_a_uuid() {
    let tiny = Tiny::start(&[]).await;
    let mine = "A1B2C3D4-0000-4000-8000-00000000000F";
    for path in ["/api/v1/things/a", "/nothing"] {
        let answer = tiny.admin().header("x-request-id", mine).get(path).await;
        assert_eq!(answer.header("x-request-id"), mine.to_lowercase());
        carries_the_common_headers(&answer);
    }
    for other in ["req_1", "", "a1b2c3d4-0000-4000-8000-00000000000g"] {
        let answer = tiny.admin().header("x-request-id", other).get("/health").await;
        assert_ne!(answer.header("x-request-id"), other);
        carries_the_common_headers(&answer);
    }
}

#[tokio::test]
async fn who_is_known_is_told_what_is_left() {
    let tiny = Tiny::start(&[("RATE_LIMIT_PER_MINUTE", "50")]).await;
    for answer in [tiny.reader().get("/api/v1/things/a").await, tiny.reader().post(THINGS, &json!({})).await] {
        let number = |name: &str| answer.header(name).parse::<i64>().unwrap();
        assert_eq!(number("x-ratelimit-limit"), 50);
        assert!((0..50).contains(&number("x-ratelimit-remaining")), "{}", answer.status);
        let now = chrono::Utc::now().timestamp();
        assert!((now - 1..=now + 60).contains(&number("x-ratelimit-reset")));
    }
    assert_eq!(tiny.admin().get("/api/v1/things/a").await.header("x-ratelimit-limit"), "1000000");
    for answer in [tiny.client().get("/api/v1/things/a").await, tiny.admin().get("/health").await] {
        assert_eq!(answer.header("x-ratelimit-limit"), "");
    }
}

#[tokio::test]
async fn whoever_is_not_known_is_told_how_to_be() {
    let tiny = Tiny::start(&[]).await;
    let answer = tiny.client().get("/api/v1/things/a").await;
    assert_eq!(answer.error(401, "AUTHENTICATION_ERROR.MISSING_AUTHORIZATION")["message"], "Authentication required");
    assert_eq!(answer.header("www-authenticate"), "Bearer");
}

#[tokio::test]
async fn pages_of_other_origins_may_call_in_development() {
    let tiny = Tiny::start(&[]).await;
    let page = tiny.client().header("origin", "http://localhost:3000");
    let asked = page.header("access-control-request-method", "PATCH").send("OPTIONS", "/api/v1/things/x", None).await;
    assert_eq!((asked.status, asked.header("access-control-allow-origin")), (200, "http://localhost:3000"));
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        assert!(asked.header("access-control-allow-methods").split(", ").any(|m| m == method), "{method}");
    }
    for header in ["Content-Type", "Authorization", "X-API-Key", "Idempotency-Key", "Prefer", "traceparent"] {
        assert!(asked.header("access-control-allow-headers").split(", ").any(|h| h == header), "{header}");
    }
    let answer = page.get("/api/v1/things/a").await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (401, "http://localhost:3000"));
    assert_eq!(tiny.client().get("/health").await.header("access-control-allow-origin"), "");
}

#[tokio::test]
async fn only_listed_origins_may_call_where_there_is_a_list() {
    let tiny = Tiny::start(&[("CORS_ALLOWED_ORIGINS", "https://a.example, https://b.example")]).await;
    for (origin, allowed) in [("https://b.example", "https://b.example"), ("https://c.example", "")] {
        let page = tiny.client().header("origin", origin);
        let asked = page.header("access-control-request-method", "GET").send("OPTIONS", THINGS, None).await;
        assert_eq!((asked.status, asked.header("access-control-allow-origin")), (200, allowed));
        assert_eq!(page.get("/health").await.header("access-control-allow-origin"), allowed);
    }
}

#[tokio::test]
async fn an_options_request_that_asks_for_nothing_is_a_wrong_method() {
    let tiny = Tiny::start(&[]).await;
    tiny.client().send("OPTIONS", THINGS, None).await.error(405, "VALIDATION_ERROR.METHOD_NOT_ALLOWED");
}

#[tokio::test]
async fn requests_are_counted_by_template_whatever_became_of_them() {
    let tiny = Tiny::start(&[]).await;
    let admin = tiny.admin();
    assert_eq!(admin.get("/api/v1/things/secret-name").await.status, 200);
    assert_eq!(admin.post(THINGS, &json!({"name": "panic"})).await.status, 500);
    assert_eq!(tiny.client().delete(THINGS).await.status, 405);
    assert_eq!(tiny.client().get("/api/v1/nowhere-at-all").await.status, 404);
    let text = tiny.client().get("/metrics").await.text;
    for labels in [
        r#"method="GET",route="/api/v1/things/{name}",service="tiny",status="200""#,
        r#"method="POST",route="/api/v1/things",service="tiny",status="500""#,
        r#"method="DELETE",route="/api/v1/things",service="tiny",status="405""#,
        r#"method="GET",route="unmatched",service="tiny",status="404""#,
    ] {
        assert!(text.contains(&format!("http_requests_total{{{labels}}}")), "{labels}");
    }
    assert!(text.contains(r#"http_request_duration_seconds_count{route="/api/v1/things",service="tiny"}"#));
    assert!(!text.contains("secret-name") && !text.contains("nowhere-at-all"));
}

#[tokio::test]
async fn an_internal_error_tells_nothing_of_its_cause() {
    let tiny = Tiny::start(&[]).await;
    for name in ["panic", "internal"] {
        let answer = tiny.admin().post(THINGS, &json!({"name": name})).await;
        let error = answer.error(500, "SERVICE_ERROR.INTERNAL_ERROR");
        assert_eq!((&error["message"], &error["details"]), (&json!("Internal server error"), &json!([])));
        assert!(!answer.text.contains("SELECT") && !answer.text.contains("test"), "{}", answer.text);
    }
}

/// What the server sends back on a connection of its own, until it closes it.
async fn spoken(tiny: &Tiny, request: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let address = tiny.client().base_url().trim_start_matches("http://").to_owned();
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).to_lowercase()
}

#[tokio::test]
async fn what_is_no_request_is_answered_with_nothing_and_the_connection_ends() {
    let tiny = Tiny::start(&[]).await;
    let many: String = (0..97).map(|number| format!("x-{number}: y\r\n")).collect();
    for (request, status) in [
        (format!("GET /health HTTP/1.1\r\nhost: x\r\n{many}\r\n"), "431"),
        ("no request at all\r\n\r\n".to_owned(), "400"),
        ("GET /health HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n".to_owned(), "400"),
    ] {
        let answer = spoken(&tiny, &request).await;
        assert!(answer.starts_with(&format!("http/1.1 {status} ")), "{answer}");
        assert!(answer.contains("content-length: 0") && answer.ends_with("\r\n\r\n"), "{answer}");
    }
    // A head that is too large, but not too large to be read, is answered like everything else.
    let large =
        format!("GET /health HTTP/1.1\r\nhost: x\r\nx-large: {}\r\nconnection: close\r\n\r\n", "y".repeat(60_000));
    let answer = spoken(&tiny, &large).await;
    assert!(answer.starts_with("http/1.1 431 ") && answer.contains("x-content-type-options: nosniff"), "{answer}");
}

#[tokio::test]
async fn caches_keep_the_answers_to_different_pages_apart() {
    let tiny = Tiny::start(&[("CORS_ALLOWED_ORIGINS", "https://a.example")]).await;
    for client in [tiny.client(), tiny.client().header("origin", "https://a.example")] {
        assert_eq!(client.get("/health").await.header("vary"), "Origin");
    }
    let page = tiny.admin().header("origin", "https://a.example");
    let exposed = page.get("/api/v1/things/a").await.header("access-control-expose-headers").to_lowercase();
    for name in ["x-ratelimit-remaining-hour", "ratelimit", "retry-after", "x-request-id"] {
        assert!(exposed.split(", ").any(|exposed| exposed == name), "{name}");
    }
}
