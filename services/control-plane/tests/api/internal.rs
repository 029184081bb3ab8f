//! What our own services ask for.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use test_support::Client;

use crate::{
    audit::ACCESS,
    keys::{PATH, make},
    rig::Rig,
};

const LOOKUP: &str = "/internal/v1/keys/lookup";
const EVENTS: &str = "/internal/v1/events";
const ENDED: &str = "/internal/v1/sessions/ended";

fn digest(secret: &str) -> String {
    hex::encode(Sha256::digest(secret))
}

pub(crate) fn service(rig: &Rig) -> Client {
    rig.service.client().service("skill-builder")
}

fn event(number: u32, kind: &str) -> Value {
    let at = format!("{}T12:00:00.000Z", chrono::Utc::now().date_naive());
    json!({
        "id": format!("00000000-0000-7000-8000-{number:012}"), "kind": kind, "aggregate": "agent:ada", "service": "agent-builder",
        "actor": "k_1", "request_id": null, "at": at, "payload": {"n": number},
    })
}

#[tokio::test]
async fn internal_routes_do_not_exist_for_anybody_but_services() {
    let rig = Rig::start(&[]).await;
    for path in [LOOKUP, EVENTS, ENDED, ACCESS] {
        for client in [rig.service.client(), rig.admin(), rig.service.client().admin()] {
            client.post(path, &json!({})).await.error(404, "NOT_FOUND_ERROR.ENDPOINT_NOT_FOUND");
        }
        service(&rig).post(path, &json!({})).await.error(422, "VALIDATION_ERROR.INVALID_FORMAT");
    }
    let document = rig.service.client().get("/api/v1/openapi.json").await;
    assert!(!document.text.contains("/internal"));
}

#[tokio::test]
async fn a_service_is_told_of_a_key() {
    let rig = Rig::start(&[]).await;
    let body = json!({"name": "n", "permissions": ["agents:read"], "client_id": "acme", "rate_limit_per_minute": 5});
    let (_, key) = make(&rig.admin(), body).await;
    let secret = digest(key["secret"].as_str().unwrap());
    let lookup = json!({"id": key["id"], "secret_sha256": secret});
    let record = service(&rig).post(LOOKUP, &lookup).await.data(200);
    assert_eq!((&record["id"], &record["secret_sha256"]), (&key["id"], &json!(secret)));
    assert_eq!((&record["permissions"], &record["client_id"]), (&json!(["agents:read"]), &json!("acme")));
    assert_eq!((&record["rate_limit_per_minute"], &record["rate_limit_per_hour"]), (&json!(5), &Value::Null));
    // Without an id, keys of the other form are found, and only those.
    let lookup = json!({"secret_sha256": secret});
    assert_eq!(service(&rig).post(LOOKUP, &lookup).await.data(200), Value::Null);
    let (token, made) = crate::ains_keys::make_ains(&rig.admin(), json!({"client_id": "c", "name": "n"})).await;
    let lookup = json!({"secret_sha256": digest(&token)});
    let record = service(&rig).post(LOOKUP, &lookup).await.data(200);
    assert_eq!((&record["id"], &record["form"]), (&made["key_id"], &json!("ains")));
    let by_id = json!({"id": made["key_id"], "secret_sha256": digest(&token)});
    assert_eq!(service(&rig).post(LOOKUP, &by_id).await.data(200), Value::Null);
    let unknown = json!({"id": "k_nobody", "secret_sha256": secret});
    assert_eq!(service(&rig).post(LOOKUP, &unknown).await.data(200), Value::Null);
}

#[tokio::test]
async fn a_use_is_noted_with_the_right_secret_and_about_once_a_minute() {
    let rig = Rig::start(&[]).await;
    let (_, key) = make(&rig.admin(), json!({"name": "n"})).await;
    let (id, secret) = (key["id"].as_str().unwrap(), key["secret"].as_str().unwrap());
    let (right, wrong) =
        (json!({"id": id, "secret_sha256": digest(secret)}), json!({"id": id, "secret_sha256": digest("x")}));
    let shown = async || rig.admin().get(&format!("{PATH}/{id}")).await.data(200)["last_used_at"].clone();
    service(&rig).post(LOOKUP, &wrong).await.data(200);
    assert_eq!(shown().await, Value::Null);
    service(&rig).post(LOOKUP, &right).await.data(200);
    assert!(shown().await.is_string());

    let set = |ago: &str| {
        rig.execute(&format!(
            "UPDATE keys SET last_used_at = date_trunc('second', now()) - interval '{ago}' WHERE id = '{id}'"
        ));
    };
    set("50 seconds");
    let before = shown().await;
    service(&rig).post(LOOKUP, &right).await.data(200);
    assert_eq!(shown().await, before);
    set("60 seconds");
    let before = shown().await;
    service(&rig).post(LOOKUP, &right).await.data(200);
    assert_ne!(shown().await, before);

    set("60 seconds");
    rig.execute(&format!("UPDATE keys SET revoked_at = now() WHERE id = '{id}'"));
    let before = shown().await;
    service(&rig).post(LOOKUP, &right).await.data(200);
    assert_eq!(shown().await, before);
}

#[tokio::test]
async fn an_event_that_arrives_twice_is_one_event() {
    let rig = Rig::start(&[]).await;
    let post = async |events: Value| service(&rig).post(EVENTS, &json!({"events": events})).await.data(200);
    assert_eq!(post(json!([event(2, "agent.created"), event(1, "agent.ready")])).await, json!({"accepted": 2}));
    let changed = event(1, "agent.failed");
    let again =
        post(json!([event(2, "agent.created"), changed, event(3, "agent.deleted"), event(3, "agent.deleted")])).await;
    assert_eq!(again, json!({"accepted": 1}));
    let kinds = rig.texts("SELECT kind AS value FROM events WHERE aggregate = 'agent:ada' ORDER BY seq");
    assert_eq!(kinds, ["agent.created", "agent.ready", "agent.deleted"]);
    assert_eq!(post(json!([])).await, json!({"accepted": 0}));
}

#[tokio::test]
async fn a_batch_has_an_end() {
    let rig = Rig::start(&[]).await;
    let many: Vec<Value> = (0..1001).map(|number| event(number, "agent.ready")).collect();
    let answer = service(&rig).post(EVENTS, &json!({"events": many})).await;
    answer.error(422, "VALIDATION_ERROR.INVALID_RANGE");
    service(&rig).post(EVENTS, &json!({"events": many[..1000]})).await.data(200);
}

#[tokio::test]
async fn its_own_events_arrive_without_a_way_around() {
    let rig = Rig::start(&[]).await;
    let (_, key) = make(&rig.admin(), json!({"name": "n"})).await;
    let id = key["id"].as_str().unwrap();
    rig.admin().delete(&format!("{PATH}/{id}")).await.data(200);
    let sql = format!(
        "SELECT concat_ws(' ', kind, service, actor, payload->>'name') AS value FROM events \
         WHERE aggregate = 'key:{id}' ORDER BY seq"
    );
    let expected = ["key.created control-plane admin-key n", "key.revoked control-plane admin-key n"];
    let deadline = Instant::now() + Duration::from_secs(10);
    while rig.texts(&sql) != expected {
        assert!(Instant::now() < deadline, "{:?}", rig.texts(&sql));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(rig.texts("SELECT kind AS value FROM outbox"), [""; 0]);
    let first = rig.texts(
        "SELECT concat_ws(' ', kind, coalesce(actor, 'nobody')) AS value FROM events WHERE aggregate = 'key:admin-key'",
    );
    assert_eq!(first, ["key.created nobody"]);
}
