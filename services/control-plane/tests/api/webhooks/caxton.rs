//! Webhooks of the Caxton door, as the service behind it asks for them.

use serde_json::{Value, json};
use test_support::Client;

use super::{
    event, publish,
    receiver::{Answer, Receiver},
    start,
};
use crate::rig::Rig;

const PATH: &str = "/internal/v1/caxton/webhooks";

fn chat(rig: &Rig) -> Client {
    rig.service.client().service("chat")
}

fn happened(kind: &str, capabilities: &[&str]) -> Value {
    let data = json!({"conversation_id": "conv-1", "message": {"content": "hello"}});
    event("chat", kind, json!({"conversation_id": "conv-1", "caxton": {"data": data, "capabilities": capabilities}}))
}

#[tokio::test]
async fn a_webhook_lives_from_its_making_to_its_removal() {
    let rig = start(&[]).await;
    let body = json!({
        "url": "https://example.com/h", "events": ["message.response"], "filter": {"capabilities": ["data-analysis"]},
        "authentication": {"type": "bearer", "token": "your-webhook-token"},
    });
    let made = chat(&rig).post(PATH, &body).await.data(201);
    assert!(made["id"].as_str().unwrap().starts_with("wh-"));
    assert_eq!((&made["authentication"], &made["status"]), (&json!({"type": "bearer"}), &json!("active")));
    assert_eq!(made["filter"], body["filter"]);
    let second =
        chat(&rig).post(PATH, &json!({"url": "https://example.com/h", "events": ["agent.removed"]})).await.data(201);
    assert_eq!((&second["filter"], &second["authentication"]), (&Value::Null, &json!({"type": "none"})));
    let path = format!("{PATH}/{}", made["id"].as_str().unwrap());
    assert_eq!(chat(&rig).get(&path).await.data(200), made);
    assert_eq!(chat(&rig).get(PATH).await.data(200), json!({"webhooks": [second, made], "total": 2}));
    assert!(!rig.everything_stored().contains("your-webhook-token"));
    let removed = chat(&rig).delete(&path).await.data(200);
    assert_eq!((&removed["id"], removed["removed_at"].is_string()), (&made["id"], true));
    for method in ["GET", "DELETE"] {
        chat(&rig).send(method, &path, None).await.error(404, "NOT_FOUND_ERROR.RESOURCE_NOT_FOUND");
    }
    rig.admin().get(PATH).await.error(404, "NOT_FOUND_ERROR.ENDPOINT_NOT_FOUND");
}

#[tokio::test]
async fn addresses_and_numbers_are_checked_here() {
    let rig = start(&[]).await;
    for url in ["ftp://example.com/h", "http://169.254.169.254/h", "http://a:b@example.com/"] {
        let answer = chat(&rig).post(PATH, &json!({"url": url, "events": ["message.response"]})).await;
        answer.error(422, "VALIDATION_ERROR.INVALID_FORMAT");
        assert_eq!(answer.fields(), ["url"]);
    }
    let answer = chat(&rig).post(PATH, &json!({"url": "https://example.com", "events": ["moon.rise"]})).await;
    answer.error(422, "VALIDATION_ERROR.INVALID_FORMAT");
    rig.execute(
        "INSERT INTO webhooks (id, door, client_id, url, events, authentication, active, sees_audited, created_by, created_at, updated_at)
         SELECT 'wh-' || n, 'caxton', 'c', 'https://example.com', '{message.response}', 'none', true, false, 'c', now(), now()
         FROM generate_series(1, 100) n",
    );
    let answer = chat(&rig).post(PATH, &json!({"url": "https://example.com", "events": ["message.response"]})).await;
    answer.error(409, "CONFLICT_ERROR.RESOURCE_CONFLICT");
}

#[tokio::test]
async fn events_pass_the_filter_by_any_of_their_capabilities() {
    let rig = start(&[]).await;
    let (some, all) = (Receiver::always(Answer::Status(200)).await, Receiver::always(Answer::Status(200)).await);
    let make = async |body: Value| chat(&rig).post(PATH, &body).await.data(201);
    let authentication = json!({"type": "basic", "username": "u", "password": "p"});
    make(json!({
        "url": some.url("/"), "events": ["message.response"], "filter": {"capabilities": ["a", "b"]},
        "authentication": authentication,
    }))
    .await;
    make(json!({"url": all.url("/"), "events": ["message.response", "agent.deployed"]})).await;
    publish(
        &rig.service,
        vec![
            happened("message.response", &["c"]),
            happened("message.response", &["c", "b"]),
            happened("message.delivered", &["a"]),
            // Another door's word of the same name.
            event("agent-builder", "agent.deployed", json!({"agent_id": "a"})),
            happened("agent.deployed", &[]),
        ],
    )
    .await;
    let got = all.wait(3).await;
    let types: Vec<_> = got.iter().map(|got| got.json()["type"].clone()).collect();
    assert_eq!(types, ["message.response", "message.response", "agent.deployed"]);
    let one = some.wait(1).await.remove(0);
    assert_eq!(one.header("authorization"), "Basic dTpw");
    assert_eq!(one.json()["data"], json!({"conversation_id": "conv-1", "message": {"content": "hello"}}));
    assert_eq!(one.header("webhook-id"), one.json()["id"].as_str().unwrap());
    assert!(one.header("user-agent").starts_with("caxton/"));
    assert_eq!(some.got().len(), 1);
}

#[tokio::test]
async fn who_is_gone_is_disabled() {
    let rig = start(&[]).await;
    let inbox = Receiver::always(Answer::Status(410)).await;
    let body = json!({"url": inbox.url("/"), "events": ["message.response"]});
    let made = chat(&rig).post(PATH, &body).await.data(201);
    publish(&rig.service, vec![happened("message.response", &[])]).await;
    super::until(&rig, "SELECT id AS value FROM webhooks WHERE NOT active", &[made["id"].as_str().unwrap()]).await;
    let path = format!("{PATH}/{}", made["id"].as_str().unwrap());
    assert_eq!(chat(&rig).get(&path).await.data(200)["status"], "disabled");
}
