//! Webhooks: what their doors answer, and what their receivers get.

mod ains;
mod caxton;
mod deliver;
mod faults;
mod native;
mod receiver;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use test_support::{Answer as Reply, Client, TestService};
use uuid::Uuid;

use crate::rig::Rig;

const AINS: &str = "/ains/webhooks";
const CREATE: &str = "/api/v1/integration/webhook";
const NATIVE: &str = "/api/v1/integration/webhooks";

/// What these tests need of the settings: receivers on this machine, and retries without much delay.
const QUICK: &[(&str, &str)] = &[
    ("EGRESS_ALLOW_PRIVATE", "true"),
    ("AINS_WEBHOOK_BACKOFF_SECONDS", "0.2,0.2,0.2"),
    ("CAXTON_WEBHOOK_BACKOFF", "0.2,0.2,0.2"),
];

async fn start(settings: &[(&str, &str)]) -> Rig {
    Rig::start(&[QUICK, settings].concat()).await
}

/// An event as a service hands it over.
fn event(service: &str, kind: &str, payload: Value) -> Value {
    let mut event = json!({
        "id": Uuid::now_v7(), "kind": kind, "aggregate": format!("test:{}", Uuid::now_v7()), "service": service,
        "actor": "somebody", "client_id": payload.get("client_id"), "request_id": null,
        "at": api_types::time::format(chrono::Utc::now()),
    });
    event["payload"] = payload;
    event
}

fn task(kind: &str, client: &str, number: usize) -> Value {
    let payload = json!({
        "task_id": format!("task_{number}"), "client_id": client, "agent_id": "worker-1", "status": "PENDING",
        "result_data": {"n": number},
    });
    event("task-router", kind, payload)
}

/// Hands events over as the services' outboxes do.
async fn publish(service: &TestService, events: Vec<Value>) {
    let client = service.client().service("task-router");
    client.post("/internal/v1/events", &json!({"events": events})).await.data(200);
}

/// Makes a webhook at the AINS door.
async fn make_ains(client: &Client, url: &str, more: Value) -> Value {
    let mut body = json!({"client_id": "acme", "url": url, "events": ["task.created", "task.completed"]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    client.post(AINS, &body).await.ains(201)
}

/// Makes a webhook at the native door.
async fn make_native(client: &Client, url: &str, more: Value) -> Value {
    let mut body = json!({"url": url, "events": ["tool.*"], "secret": "a-long-secret-1"});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    client.post(CREATE, &body).await.data(201)
}

/// The deliveries of an AINS webhook, once they are as wanted.
async fn deliveries(client: &Client, hook: &Value, wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let path = format!("{AINS}/{}/deliveries", hook["webhook_id"].as_str().unwrap());
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let answer = client.get(&path).await.ains(200);
        let rows = answer["deliveries"].as_array().unwrap().clone();
        if wanted(&rows) {
            return rows;
        }
        assert!(Instant::now() < deadline, "{rows:#?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn all_are(status: &'static str) -> impl Fn(&[Value]) -> bool {
    move |rows| !rows.is_empty() && rows.iter().all(|row| row["status"] == status)
}

/// Waits until a query with one column `value` finds exactly this.
async fn until(rig: &Rig, sql: &str, expected: &[&str]) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while rig.texts(sql) != expected {
        assert!(Instant::now() < deadline, "{sql}: {:?}", rig.texts(sql));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[track_caller]
fn is_absent(answer: &Reply) {
    answer.ains_error(404, "RESOURCE_NOT_FOUND");
}
