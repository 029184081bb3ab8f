//! The control plane over HTTP, on a real database.

#![cfg(test)]

mod ains_keys;
mod audit;
mod audit_verify;
mod bootstrap;
mod events;
mod first_user;
mod forms;
mod internal;
mod keys;
mod log;
mod logins;
mod me;
mod people;
mod refresh;
mod register;
mod relay;
mod revoking;
mod rig;
mod sessions;
mod start;
mod stream;
mod users;
mod webhooks;

use rig::Rig;
use test_support::assert_no_operation_is_open;

#[tokio::test]
async fn nothing_is_open_but_the_ways_in() {
    let rig = Rig::start(&[]).await;
    let open = ["bootstrap", "login", "refresh", "register"].map(|name| format!("POST /api/v1/auth/{name}"));
    assert_no_operation_is_open(&rig.service, &open.each_ref().map(String::as_str)).await;
}

#[tokio::test]
async fn it_says_how_it_is() {
    let rig = Rig::start(&[]).await;
    let client = rig.service.client();
    let health = client.get("/health").await.data(200);
    assert_eq!(health, serde_json::json!({"status": "healthy", "service": "controlplane", "version": "v1"}));
    let detailed = client.get("/health/detailed").await.data(200);
    assert_eq!(detailed.pointer("/dependencies/database/status").unwrap(), "healthy");
    let ready = client.get("/ready").await.data(200);
    for check in ["database", "migrations", "keys"] {
        assert_eq!(ready["checks"][check]["ok"], true, "{ready}");
    }
}

#[tokio::test]
async fn without_its_migrations_it_is_not_ready() {
    let rig = Rig::start(&[]).await;
    rig.execute("DELETE FROM __diesel_schema_migrations WHERE version LIKE '%2'");
    let answer = rig.service.client().get("/ready").await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.body["data"]["status"], "not_ready");
    assert_eq!(answer.body["data"]["checks"]["migrations"]["ok"], false);
    assert_eq!(answer.body["data"]["checks"]["database"]["ok"], true);
}
