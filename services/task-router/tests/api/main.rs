//! The task router over HTTP, on a real database.

#![cfg(test)]

mod rig;

use rig::Rig;
use serde_json::json;
use test_support::assert_no_operation_is_open;

#[tokio::test]
async fn nothing_but_the_version_is_open() {
    let rig = Rig::start(&[]).await;
    assert_no_operation_is_open(&rig.service, &["GET /ains/version"]).await;
}

#[tokio::test]
async fn it_says_what_it_speaks() {
    let rig = Rig::start(&[]).await;
    let answer = rig.service.client().get("/ains/version").await;
    let version = answer.ains(200);
    assert_eq!((&version["version"], &version["api_version"]), (&json!("1.0.0"), &json!("v1")));
    assert_eq!(answer.header("api-version"), "1.0.0");
}
