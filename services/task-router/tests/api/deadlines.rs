//! What time does. Deadlines are looked after from ten seconds after the start on.

use serde_json::{Value, json};

use crate::rig::Rig;

#[tokio::test]
async fn an_attempt_that_runs_out_of_time_ends_or_is_followed_by_another() {
    let rig = Rig::start().await;
    rig.worker("w", &["a:v1"]).await;
    let last = rig.submit("a:v1", json!({"timeout_seconds": 1, "max_retries": 0})).await;
    rig.claim_one("w").await;
    rig.report(&last, json!({"status": "RUNNING"})).await;
    let retried = rig.submit("a:v1", json!({"timeout_seconds": 1, "max_retries": 1, "retry_policy": "fixed"})).await;
    rig.claim_one("w").await;
    rig.report(&retried, json!({"status": "RUNNING"})).await;
    let end = rig.reach(&last, &["TIMEOUT"]).await;
    assert_eq!((end["completed_at"].is_string(), &end["assigned_agent_id"]), (true, &json!("w")));
    assert_eq!(rig.events(&format!("task:{last}"))[3..], ["task.timeout"]);
    let back = rig.reach(&retried, &["PENDING"]).await;
    assert_eq!((&back["retry_count"], back["next_retry_at"].is_string()), (&json!(1), true));
    assert_eq!(rig.events(&format!("task:{retried}"))[3..], ["task.timeout", "task.retry"]);
    rig.admin()
        .patch(&format!("/ains/tasks/{last}"), &json!({"status": "COMPLETED"}))
        .await
        .ains_error(409, "TASK_STATE_CONFLICT");
    let history = rig.admin().get("/ains/agents/w/trust/history").await.ains(200);
    let rows = history["records"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    for row in rows {
        assert_eq!((&row["event_type"], &row["trust_delta"]), (&json!("task_timeout"), &json!(-0.03)));
        assert_eq!(row["reason"], "Task timed out after 1 seconds");
    }
    assert_eq!(rig.agent("w").await["total_tasks_failed"], 1);
    rig.assert_sound();
}

#[tokio::test]
async fn a_lost_worker_loses_no_task() {
    let rig = Rig::start().await;
    rig.worker("w", &["a:v1"]).await;
    let id = rig.submit("a:v1", json!({})).await;
    rig.claim("w", json!({"lease_seconds": 5, "wait_seconds": 20})).await;
    let back = rig.reach(&id, &["PENDING"]).await;
    assert_eq!((&back["retry_count"], &back["error_message"]), (&json!(1), &json!("Worker lost")));
    let late = rig
        .admin()
        .patch(&format!("/ains/tasks/{id}"), &json!({"status": "COMPLETED", "agent_id": "w", "attempt": 1}))
        .await;
    late.ains_error(409, "TASK_STATE_CONFLICT");
    let again = rig.claim_one("w").await;
    assert_eq!((&again["task_id"], &again["attempt"]), (&json!(id), &json!(2)));
    assert_eq!(rig.agent("w").await["trust_score"], 0.45);
    rig.assert_sound();
}

#[tokio::test]
async fn what_is_not_taken_goes_back_without_blame() {
    let rig = Rig::with(&[("AINS_ASSIGNMENT_LEASE_SECONDS", "1")]).await;
    rig.worker("w", &["a:v1"]).await;
    let id = rig.submit("a:v1", json!({})).await;
    rig.reach(&id, &["ASSIGNED"]).await;
    let shown = loop {
        let shown = rig.task(&id).await;
        if shown["attempt"].as_i64().unwrap() > 1 {
            break shown;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    assert_eq!((&shown["retry_count"], &shown["error_message"]), (&json!(0), &Value::Null));
    assert_eq!(rig.agent("w").await["trust_score"], 0.5);
    let kinds = rig.events(&format!("task:{id}"));
    assert!(kinds.iter().all(|kind| kind == "task.created" || kind == "task.assigned"), "{kinds:?}");
}

#[tokio::test]
async fn a_worker_that_falls_silent_is_stale_until_it_is_heard_of() {
    let rig = Rig::with(&[("AINS_HEARTBEAT_STALE_SECONDS", "1")]).await;
    rig.worker("silent", &["a:v1"]).await;
    rig.worker("quiet", &["b:v1"]).await;
    rig.admin().post("/ains/agents/silent/heartbeat", &json!({})).await.ains(200);
    let id = rig.submit("a:v1", json!({})).await;
    rig.reach(&id, &["ASSIGNED"]).await;
    while rig.agent("silent").await["inactive_reason"] != "stale" {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(rig.task(&id).await["status"], "PENDING");
    assert_eq!(rig.agent("quiet").await["status"], "active", "it never sent a heartbeat");
    assert_eq!(rig.claim_one("silent").await["task_id"], id.as_str());
    assert_eq!(rig.agent("silent").await["status"], "active");
    rig.assert_sound();
}
