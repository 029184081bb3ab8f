//! What each door makes of one and the same error.

use serde_json::json;

use crate::tiny::{AINS, Tiny};

#[tokio::test]
async fn an_ains_error_names_the_fields_in_an_object() {
    let tiny = Tiny::start(&[]).await;
    let answer = tiny.admin().post(AINS, &json!({"priority": 11, "name": "x".repeat(21)})).await;
    let error = answer.ains_error(400, "INVALID_FIELD_VALUE");
    assert_eq!(error["details"]["field"], "name");
    let codes: Vec<_> = error["details"]["errors"].as_array().unwrap().iter().map(|e| e["code"].clone()).collect();
    assert_eq!(codes, ["INVALID_FIELD_VALUE", "INVALID_PRIORITY"]);
    tiny.admin().post(AINS, &json!({"name": "a", "priority": "1"})).await.ains_error(400, "INVALID_PRIORITY");
    tiny.admin().post(AINS, &json!({"name": null})).await.ains_error(400, "MISSING_REQUIRED_FIELD");
}

#[tokio::test]
async fn a_body_that_is_no_object_is_no_request() {
    let tiny = Tiny::start(&[]).await;
    for body in ["{nope", "[]", "\"x\"", "", "{\"a\":\"\\u0000\"}"] {
        let answer = tiny.admin().raw("POST", AINS, Some("application/json"), body.into()).await;
        let error = answer.ains_error(400, "INVALID_REQUEST");
        assert_eq!(error["details"], json!({}), "{body}");
    }
    tiny.admin().raw("POST", AINS, Some("text/plain"), b"{}".to_vec()).await.ains_error(415, "UNSUPPORTED_MEDIA_TYPE");
}

#[tokio::test]
async fn errors_made_before_a_handler_are_of_the_door_too() {
    let tiny = Tiny::start(&[("AINS_MAX_BODY_BYTES", "1000")]).await;
    tiny.client().get("/ains/nothing").await.ains_error(404, "RESOURCE_NOT_FOUND");
    let answer = tiny.client().delete(AINS).await;
    answer.ains_error(405, "METHOD_NOT_ALLOWED");
    assert_eq!(answer.header("allow"), "GET, POST");
    let error = tiny.client().get(AINS).await.ains_error(401, "INVALID_API_KEY");
    assert_eq!(error["message"], "API key required");
    let error = tiny.client().bearer("no.key").get(AINS).await.ains_error(401, "INVALID_API_KEY");
    assert_eq!(error["message"], "Invalid API key");
    let error = tiny.reader().post(AINS, &json!({})).await.ains_error(403, "INSUFFICIENT_PERMISSIONS");
    assert_eq!(error["details"]["required_scope"], "agents:write");
    tiny.admin().raw("POST", AINS, None, vec![b' '; 2000]).await.ains_error(413, "PAYLOAD_TOO_LARGE");
}

#[tokio::test]
async fn a_handler_may_say_what_exactly_is_missing() {
    let tiny = Tiny::start(&[]).await;
    let error = tiny.admin().post(AINS, &json!({"name": "missing"})).await.ains_error(404, "TASK_NOT_FOUND");
    assert_eq!(error["details"], json!({"asked": "missing"}));
}

#[tokio::test]
async fn ains_answers_are_flat_and_say_their_version() {
    let tiny = Tiny::start(&[]).await;
    let mine = format!("req_{}", "0123456789abcdef".repeat(2));
    let answer = tiny.admin().header("x-request-id", &mine).post(AINS, &json!({"name": "a", "unknown": 1})).await;
    assert_eq!(answer.ains(201), json!({"name": "a"}));
    assert_eq!((answer.header("x-request-id"), answer.header("api-version")), (mine.as_str(), "1.0.0"));
    assert_eq!(answer.header("x-frame-options"), "DENY");
    let other = tiny.admin().header("x-request-id", "0190f1c2-0000-7000-8000-00000000002a").get(AINS).await;
    assert!(other.header("x-request-id").starts_with("req_"));
}

#[tokio::test]
async fn a_version_that_is_not_spoken_is_refused_to_those_who_may_ask() {
    let tiny = Tiny::start(&[]).await;
    for version in ["1", "v1", "1.0", "1.0.0"] {
        tiny.admin().header("api-version", version).get(AINS).await.ains(200);
    }
    tiny.admin().header("api-version", "2").get(AINS).await.ains_error(400, "INVALID_REQUEST");
    tiny.client().header("api-version", "2").get(AINS).await.ains_error(401, "INVALID_API_KEY");
    tiny.admin().header("api-version", "2").get("/api/v1/things/a").await.data(200);
}

#[tokio::test]
async fn a_window_outside_its_bounds_is_refused() {
    let tiny = Tiny::start(&[]).await;
    let page = tiny.admin().get(AINS).await.ains(200);
    assert_eq!(
        page["pagination"],
        json!({"total": 0, "limit": 50, "offset": 0, "has_more": false, "next_offset": null})
    );
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("offset=-1", "offset"),
        ("offset=x", "offset"),
        ("active=1", "active"),
    ] {
        let error = tiny.admin().get(&format!("{AINS}?{query}")).await.ains_error(400, "INVALID_FIELD_VALUE");
        assert_eq!(error["details"]["field"], field, "{query}");
    }
}
