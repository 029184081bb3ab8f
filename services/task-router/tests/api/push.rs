//! Assignments told to their workers' endpoints.

use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::rig::{Endpoint, Rig, over, worker};

async fn pushed(rig: &Rig, id: &str, endpoint: &Endpoint, more: Value) -> Value {
    let body = over(worker(id, &["a:v1"]), json!({"endpoint": endpoint.url, "delivery": "push"}));
    rig.register(&rig.admin(), over(body, more)).await
}

async fn accepting() -> Endpoint {
    Endpoint::answering(200, json!({"status": "accepted"}), "").await
}

#[tokio::test]
async fn a_push_is_signed_and_tells_the_task() {
    let rig = Rig::start().await;
    let endpoint = accepting().await;
    let secret = "a delivery secret of some length";
    let made = pushed(&rig, "w", &endpoint, json!({"delivery_secret": secret})).await;
    assert_eq!(made["delivery_secret"], secret);
    let id = rig.submit("a:v1", json!({"input_data": {"text": "grüße"}, "priority": 8, "metadata": {"m": 1}})).await;
    let push = endpoint.wait(1).await[0].clone();
    let told: Value = serde_json::from_str(&push.body).unwrap();
    for (name, value) in [
        ("task_id", json!(id)),
        ("task_type", json!("test")),
        ("capability_required", json!("a:v1")),
        ("input_data", json!({"text": "grüße"})),
        ("priority", json!(8)),
        ("timeout_seconds", json!(300)),
        ("attempt", json!(1)),
        ("retry_count", json!(0)),
        ("max_retries", json!(3)),
        ("client_id", json!("acme")),
        ("chain_id", Value::Null),
        ("metadata", json!({"m": 1})),
    ] {
        assert_eq!(told[name], value, "{name}");
    }
    assert_eq!(told.as_object().unwrap().len(), 15);
    let header = |name: &str| push.headers[name].as_str().unwrap().to_owned();
    assert_eq!((header("x-ains-task-id"), header("x-ains-attempt")), (id.clone(), "1".to_owned()));
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("{}.{}", header("x-ains-timestamp"), push.body).as_bytes());
    assert_eq!(header("x-ains-signature"), hex::encode(mac.finalize().into_bytes()));
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let shown = rig.task(&id).await;
        let lease = api_types::time::parse(shown["lease_expires_at"].as_str().unwrap()).unwrap();
        if (lease - chrono::Utc::now()).num_seconds() > 200 {
            assert_eq!(shown["status"], "ASSIGNED", "accepted: it has its whole time limit");
            break;
        }
        assert!(Instant::now() < deadline, "{shown}");
    }
    let done = rig.report(&id, json!({"status": "COMPLETED"})).await;
    assert!(done["started_at"].as_str() >= done["assigned_at"].as_str());
    assert_eq!(endpoint.received().len(), 1);
    rig.assert_sound();
}

#[tokio::test]
async fn an_answer_can_be_the_end() {
    let rig = Rig::start().await;
    let endpoint = Endpoint::answering(200, json!({"status": "completed", "result_data": {"sum": 3}}), "").await;
    pushed(&rig, "w", &endpoint, json!({})).await;
    let id = rig.submit("a:v1", json!({})).await;
    let done = rig.reach(&id, &["COMPLETED"]).await;
    assert_eq!((&done["result_data"], &done["attempt"]), (&json!({"sum": 3}), &json!(1)));
    rig.admin().delete("/ains/agents/w").await.ains(200);

    let endpoint =
        Endpoint::answering(200, json!({"status": "failed", "error_message": "no", "retryable": false}), "").await;
    pushed(&rig, "v", &endpoint, json!({})).await;
    let failed = rig.submit("a:v1", json!({})).await;
    assert_eq!(rig.reach(&failed, &["FAILED"]).await["error_message"], "no");
    assert_eq!(rig.agent("v").await["trust_score"], 0.45);
    rig.assert_sound();
}

#[tokio::test]
async fn a_refused_push_goes_to_another_worker() {
    let rig = Rig::start().await;
    let (busy, rejecting, free) = (
        Endpoint::answering(503, json!({}), "retry-after: 120\r\n").await,
        Endpoint::answering(200, json!({"status": "rejected"}), "").await,
        accepting().await,
    );
    pushed(&rig, "busy", &busy, json!({})).await;
    pushed(&rig, "rejecting", &rejecting, json!({})).await;
    pushed(&rig, "free", &free, json!({})).await;
    let id = rig.submit("a:v1", json!({})).await;
    free.wait(1).await;
    let shown = rig.reach(&id, &["ASSIGNED"]).await;
    assert_eq!(
        (&shown["assigned_agent_id"], &shown["attempt"], &shown["retry_count"]),
        (&json!("free"), &json!(3), &json!(0))
    );
    for (id, seconds) in [("busy", 100..=120), ("rejecting", 20..=30)] {
        let worker = rig.agent(id).await;
        assert_eq!((&worker["trust_score"], &worker["current_load"]), (&json!(0.5), &json!(0)));
        let sql = format!(
            "SELECT extract(epoch FROM excluded_until - now())::int::text AS value FROM task_refusals WHERE agent_id = '{id}'"
        );
        let left: i64 = rig.texts(&sql)[0].parse().unwrap();
        assert!(seconds.contains(&left), "{id} {left}");
    }
    rig.assert_sound();
}

#[tokio::test]
async fn a_worker_that_cannot_be_reached_loses_no_task() {
    let rig = Rig::start().await;
    let body = over(worker("gone", &["a:v1"]), json!({"delivery": "push", "endpoint": "http://127.0.0.1:1/"}));
    rig.register(&rig.admin(), body).await;
    let ids =
        [rig.submit("a:v1", json!({})).await, rig.submit("a:v1", json!({})).await, rig.submit("a:v1", json!({})).await];
    let deadline = Instant::now() + Duration::from_secs(20);
    while rig.agent("gone").await["health"] != "unreachable" {
        assert!(Instant::now() < deadline);
    }
    rig.worker("w", &["a:v1"]).await;
    let mut got = Vec::new();
    while got.len() < 3 {
        assert!(Instant::now() < deadline + Duration::from_secs(20));
        got.push(rig.claim_one("w").await["task_id"].as_str().unwrap().to_owned());
    }
    got.sort();
    assert_eq!(got, ids);
    rig.admin().post("/ains/agents/gone/heartbeat", &json!({})).await.ains(200);
    assert_eq!(rig.agent("gone").await["health"], "healthy");
    rig.assert_sound();
}

#[tokio::test]
async fn a_worker_that_comes_for_its_tasks_keeps_what_could_not_be_pushed() {
    let rig = Rig::start().await;
    let body = over(worker("w", &["a:v1"]), json!({"delivery": "auto", "endpoint": "http://127.0.0.1:1/"}));
    rig.register(&rig.admin(), body).await;
    assert!(rig.claim("w", json!({})).await.is_empty());
    let id = rig.submit("a:v1", json!({})).await;
    let deadline = Instant::now() + Duration::from_secs(20);
    while rig.texts("SELECT push_failures::text AS value FROM workers") != ["1"] {
        assert!(Instant::now() < deadline);
    }
    let shown = rig.task(&id).await;
    assert_eq!(
        (&shown["status"], &shown["assigned_agent_id"], &shown["attempt"]),
        (&json!("ASSIGNED"), &json!("w"), &json!(1))
    );
    assert_eq!(rig.claim_one("w").await["attempt"], 1);
}

#[tokio::test]
async fn a_push_without_an_outcome_is_sent_again_with_the_same_attempt() {
    let rig = Rig::start().await;
    let endpoint = accepting().await;
    pushed(&rig, "w", &endpoint, json!({})).await;
    let id = rig.submit("a:v1", json!({})).await;
    endpoint.wait(1).await;
    while !rig.texts("SELECT task_id::text AS value FROM pushes").is_empty() {}
    // As if the process had died before the answer came.
    rig.execute(
        "UPDATE tasks SET taken = 'no', accepted_at = NULL; \
         INSERT INTO pushes SELECT task_id, attempt, assigned_agent_id, now() FROM tasks",
    );
    let pushes = endpoint.wait(2).await;
    assert_eq!(pushes[0].headers["x-ains-attempt"], pushes[1].headers["x-ains-attempt"]);
    assert_eq!(pushes[1].headers["x-ains-task-id"], id.as_str());
}
