//! Which of several things that are wrong is answered.

use futures_util::stream;
use serde_json::json;
use test_support::Client;

use crate::tiny::{READER, SECRETS, THINGS, Tiny};

const LARGE: usize = 2000;

/// A service that takes bodies of 1000 bytes.
async fn small() -> Tiny {
    Tiny::start(&[("MAX_BODY_BYTES", "1000")]).await
}

/// A body of unknown length.
fn in_chunks(client: &Client, path: &str, bytes: usize) -> reqwest::RequestBuilder {
    let chunks = (0..bytes / 100).map(|_| Ok::<_, std::io::Error>(vec![b' '; 100]));
    client.request("POST", path).body(reqwest::Body::wrap_stream(stream::iter(chunks)))
}

#[tokio::test]
async fn an_unknown_path_is_not_found_whoever_asks() {
    let tiny = small().await;
    for client in [tiny.client(), tiny.admin(), tiny.client().bearer("bad")] {
        for path in ["/api/v1/nothing", "/api/v1/things/a/b", "/api", "/api/v1/thing"] {
            let answer = client.raw("POST", path, Some("text/plain"), vec![b'x'; LARGE]).await;
            answer.error(404, "NOT_FOUND_ERROR.ENDPOINT_NOT_FOUND");
        }
    }
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones_before_anything_else() {
    let tiny = small().await;
    for (method, path, allowed) in [
        ("DELETE", THINGS, "POST"),
        ("PUT", "/api/v1/things/a", "GET"),
        ("BREW", SECRETS, "POST"),
        ("POST", "/health", "GET"),
        ("DELETE", "/metrics", "GET"),
        ("POST", "/api/v1/openapi.json", "GET"),
    ] {
        let answer = tiny.client().raw(method, path, None, vec![b'x'; LARGE]).await;
        answer.error(405, "VALIDATION_ERROR.METHOD_NOT_ALLOWED");
        assert_eq!(answer.header("allow"), allowed, "{method} {path}");
    }
}

#[tokio::test]
async fn a_body_too_large_is_refused_before_the_credential_is_looked_at() {
    let tiny = small().await;
    let answer = tiny.client().raw("POST", THINGS, Some("text/plain"), vec![b'x'; LARGE]).await;
    answer.error(413, "VALIDATION_ERROR.PAYLOAD_TOO_LARGE");
    // Of unknown length it shows only as it is read.
    let client = tiny.client();
    client.answer(in_chunks(&client, THINGS, LARGE)).await.error(401, "AUTHENTICATION_ERROR.MISSING_AUTHORIZATION");
    let client = tiny.admin();
    client.answer(in_chunks(&client, THINGS, LARGE)).await.error(413, "VALIDATION_ERROR.PAYLOAD_TOO_LARGE");
    client.answer(in_chunks(&client, THINGS, 900)).await.error(400, "VALIDATION_ERROR.INVALID_FORMAT");
}

#[tokio::test]
async fn the_credential_comes_before_the_scope_and_the_scope_before_the_rate() {
    let tiny = small().await;
    tiny.keys.change("reader", |key| key.rate_limit_per_hour = Some(0));
    let broken = |client: Client| async move { client.raw("POST", THINGS, Some("text/plain"), b"{".to_vec()).await };
    broken(tiny.client()).await.error(401, "AUTHENTICATION_ERROR.MISSING_AUTHORIZATION");
    broken(tiny.client().bearer("reader.wrong")).await.error(401, "AUTHENTICATION_ERROR.INVALID_TOKEN");
    let error = broken(tiny.client().bearer(READER)).await.error(403, "AUTHORIZATION_ERROR.INSUFFICIENT_PERMISSIONS");
    assert_eq!(error["message"], "Permission 'agents:write' required");
    tiny.reader().get("/api/v1/things/a").await.error(429, "RATE_LIMIT_ERROR.TOO_MANY_REQUESTS");
}

#[tokio::test]
async fn the_rate_comes_before_the_media_type_and_that_before_syntax_and_fields() {
    let tiny = small().await;
    let post = async |kind: Option<&str>, body: &str| tiny.admin().raw("POST", THINGS, kind, body.into()).await;
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/xml", "json", "multipart/form-data"] {
        post(Some(kind), "{nope").await.error(415, "VALIDATION_ERROR.UNSUPPORTED_MEDIA_TYPE");
    }
    for kind in [None, Some("application/json"), Some("Application/JSON; charset=utf-8"), Some("application/ld+json")] {
        post(kind, "{nope").await.error(400, "VALIDATION_ERROR.INVALID_FORMAT");
    }
    for body in [r#"{"name":"a","name":"b"}"#, r#"{"name":"a\u0000"}"#, "", "{\"name\": \"\u{0}\"}"] {
        post(None, body).await.error(400, "VALIDATION_ERROR.INVALID_FORMAT");
    }
    let answer = post(None, "[]").await;
    answer.error(422, "VALIDATION_ERROR.INVALID_TYPE");
    assert_eq!(answer.fields(), ["body"]);
    post(None, "{}").await.error(422, "VALIDATION_ERROR.REQUIRED_FIELD");
    tiny.keys.add("limited.secret", &[api_types::auth::Role::Admin], &[]);
    tiny.keys.change("limited", |key| key.rate_limit_per_hour = Some(0));
    let limited = tiny.client().bearer("limited.secret");
    limited
        .raw("POST", THINGS, Some("text/plain"), b"{".to_vec())
        .await
        .error(429, "RATE_LIMIT_ERROR.TOO_MANY_REQUESTS");
}

#[tokio::test]
async fn bytes_that_are_no_text_are_no_json() {
    let tiny = small().await;
    let answer = tiny.admin().raw("POST", THINGS, None, vec![b'{', b'"', 0xff, b'"', b':', b'1', b'}']).await;
    answer.error(400, "VALIDATION_ERROR.INVALID_FORMAT");
}

#[tokio::test]
async fn a_slash_at_the_end_is_ignored() {
    let tiny = small().await;
    assert_eq!(tiny.admin().get("/api/v1/things/a/").await.data(200)["name"], "a");
    tiny.admin().post("/api/v1/things/", &json!({"name": "a"})).await.data(201);
    tiny.client().get("/health/").await.data(200);
    tiny.client().get("/api/v1/nothing/").await.error(404, "NOT_FOUND_ERROR.ENDPOINT_NOT_FOUND");
    assert_eq!(tiny.client().delete("/api/v1/things/").await.header("allow"), "POST");
}

#[tokio::test]
async fn a_name_that_no_database_takes_is_found_nowhere() {
    let tiny = small().await;
    tiny.admin().get("/api/v1/things/a%00b").await.error(404, "NOT_FOUND_ERROR.RESOURCE_NOT_FOUND");
    tiny.client().get("/api/v1/things/a%00b").await.error(401, "AUTHENTICATION_ERROR.MISSING_AUTHORIZATION");
    let data = tiny.admin().get("/api/v1/things/a?q=%00").await.data(200);
    assert_eq!(data["query"], serde_json::Value::Null);
    assert_eq!(tiny.admin().get("/api/v1/things/%C3%A4?q=%C3%A4").await.data(200)["name"], "ä");
}
