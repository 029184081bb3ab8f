//! What workers say about their tasks.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::rig::{Rig, over};

async fn held(rig: &Rig, more: Value) -> String {
    let id = rig.submit("a:v1", more).await;
    assert_eq!(rig.claim_one("w").await["task_id"], id.as_str());
    id
}

#[tokio::test]
async fn a_task_lives_from_assignment_to_completion() {
    let rig = Rig::start().await;
    rig.worker("w", &["a:v1"]).await;
    let id = held(&rig, json!({})).await;
    let running = rig.report(&id, json!({"status": "RUNNING", "agent_id": "w", "attempt": 1})).await;
    assert_eq!((&running["status"], running["started_at"].is_string()), (&json!("RUNNING"), true));
    assert_eq!(rig.report(&id, json!({"status": "RUNNING", "progress": 50})).await["progress"], 50.0);
    let done = rig.report(&id, json!({"status": "COMPLETED", "result_data": {"sum": [1, "two"]}})).await;
    assert_eq!(
        (&done["status"], &done["result_data"], &done["error_message"]),
        (&json!("COMPLETED"), &json!({"sum": [1, "two"]}), &Value::Null)
    );
    assert!(done["execution_time_seconds"].as_f64().unwrap() >= 0.0 && done["lease_expires_at"].is_null());
    let worker = rig.agent("w").await;
    assert_eq!(
        (&worker["current_load"], &worker["total_tasks_completed"], &worker["trust_score"]),
        (&json!(0), &json!(1), &json!(0.55))
    );
    assert_eq!(rig.events(&format!("task:{id}")), ["task.created", "task.assigned", "task.started", "task.completed"]);
    let payload = rig.texts("SELECT payload::text AS value FROM outbox WHERE kind = 'task.completed'");
    let payload: Value = serde_json::from_str(&payload[0]).unwrap();
    assert_eq!(
        (&payload["agent_id"], &payload["result_data"], &payload["status"]),
        (&json!("w"), &json!({"sum": [1, "two"]}), &json!("COMPLETED"))
    );
    rig.assert_sound();
}

#[tokio::test]
async fn a_task_that_is_completed_without_starting_started_when_it_was_assigned() {
    let rig = Rig::start().await;
    rig.worker("w", &["a:v1"]).await;
    let id = held(&rig, json!({})).await;
    let done = rig.report(&id, json!({"status": "COMPLETED"})).await;
    assert_eq!((&done["started_at"], &done["result_data"]), (&done["assigned_at"], &Value::Null));
}

#[tokio::test]
async fn the_same_end_again_changes_nothing_and_another_is_refused() {
    let rig = Rig::start().await;
    rig.worker("w", &["a:v1"]).await;
    let id = held(&rig, json!({})).await;
    let done = rig.report(&id, json!({"status": "COMPLETED", "result_data": 1})).await;
    assert_eq!(rig.report(&id, json!({"status": "COMPLETED", "result_data": 2})).await, done);
    let path = format!("/ains/tasks/{id}");
    let error = rig.admin().patch(&path, &json!({"status": "FAILED"})).await.ains_error(409, "TASK_STATE_CONFLICT");
    assert_eq!((&error["details"]["status"], &error["details"]["attempt"]), (&json!("COMPLETED"), &json!(1)));
    assert_eq!(rig.agent("w").await["total_tasks_completed"], 1);
    assert_eq!(rig.texts("SELECT reason AS value FROM trust_records").len(), 1);
}

#[tokio::test]
async fn of_simultaneous_ends_one_wins() {
    let rig = Rig::start().await;
    rig.worker("w", &["a:v1"]).await;
    for _ in 0..5 {
        let id = held(&rig, json!({"max_retries": 0})).await;
        let client = rig.admin();
        let path = format!("/ains/tasks/{id}");
        let bodies = ["COMPLETED", "FAILED", "COMPLETED", "FAILED"].map(|status| json!({"status": status}));
        let answers = join_all(bodies.iter().map(|body| client.patch(&path, body))).await;
        let end = rig.task(&id).await["status"].clone();
        for (answer, body) in answers.iter().zip(&bodies) {
            if body["status"] == end {
                answer.ains(200);
            } else {
                answer.ains_error(409, "TASK_STATE_CONFLICT");
            }
        }
    }
    rig.assert_sound();
}

#[tokio::test]
async fn reports_are_refused_in_the_order_of_the_checks() {
    let rig = Rig::start().await;
    rig.worker("w", &["a:v1"]).await;
    rig.worker("other", &["b:v1"]).await;
    let waiting = rig.submit("c:v1", json!({})).await;
    let id = held(&rig, json!({})).await;
    let patch = |id: &str, body: Value| {
        let (client, path) = (rig.admin(), format!("/ains/tasks/{id}"));
        async move { client.patch(&path, &body).await }
    };
    patch(&id, json!({})).await.ains_error(400, "MISSING_REQUIRED_FIELD");
    for body in [
        json!({"status": "PENDING"}),
        json!({"status": "RUNNING", "progress": 101}),
        json!({"status": "FAILED", "error_message": "x".repeat(10_001)}),
        json!({"status": "COMPLETED", "result_data": "x".repeat(1 << 20)}),
        json!({"status": "FAILED", "retryable": "no"}),
    ] {
        patch(&id, body).await.ains_error(400, "INVALID_FIELD_VALUE");
    }
    patch("task_none", json!({"status": "RUNNING"})).await.ains_error(404, "TASK_NOT_FOUND");
    let error =
        patch(&id, json!({"status": "RUNNING", "agent_id": "other"})).await.ains_error(403, "INSUFFICIENT_PERMISSIONS");
    assert_eq!(error["message"], "Agent not assigned to this task");
    patch(&id, json!({"status": "RUNNING", "attempt": 7})).await.ains_error(409, "TASK_STATE_CONFLICT");
    patch(&waiting, json!({"status": "RUNNING"})).await.ains_error(409, "TASK_STATE_CONFLICT");
    patch(&waiting, json!({"status": "RUNNING", "agent_id": "w"})).await.ains_error(409, "TASK_STATE_CONFLICT");
    let path = format!("/ains/tasks/{id}");
    rig.client("stranger")
        .patch(&path, &json!({"status": "COMPLETED"}))
        .await
        .ains_error(403, "INSUFFICIENT_PERMISSIONS");
    assert_eq!(rig.task(&id).await["status"], "ASSIGNED");
}

#[tokio::test]
async fn a_report_has_other_spellings() {
    let rig = Rig::start().await;
    rig.worker("w", &["a:v1"]).await;
    for (method, suffix) in [("PATCH", ""), ("PUT", ""), ("PATCH", "/status"), ("PUT", "/status")] {
        let id = held(&rig, json!({})).await;
        let path = format!("/ains/tasks/{id}{suffix}");
        let body = json!({"status": "RUNNING"});
        rig.admin().send(method, &format!("{path}?agent_id=w"), Some(&body)).await.ains(200);
        rig.admin().send(method, &format!("{path}?agent_id=x"), Some(&body)).await.ains_error(404, "AGENT_NOT_FOUND");
        let by_header = rig.admin().header("x-agent-id", "w");
        assert_eq!(
            by_header.send(method, &path, Some(&json!({"status": "COMPLETED"}))).await.ains(200)["status"],
            "COMPLETED"
        );
    }
}

#[tokio::test]
async fn a_failed_attempt_is_followed_by_another_after_its_pause() {
    let rig = Rig::start().await;
    rig.worker("w", &["a:v1"]).await;
    let id = held(&rig, json!({"max_retries": 1})).await;
    rig.report(&id, json!({"status": "RUNNING", "progress": 10})).await;
    let back = rig.report(&id, json!({"status": "FAILED", "error_message": "connection reset"})).await;
    assert_eq!((&back["status"], &back["retry_count"], &back["attempt"]), (&json!("PENDING"), &json!(1), &json!(1)));
    assert_eq!(back["error_message"], "connection reset");
    for cleared in ["assigned_agent_id", "assigned_at", "started_at", "progress", "lease_expires_at"] {
        assert!(back[cleared].is_null(), "{cleared}");
    }
    let due = api_types::time::parse(back["next_retry_at"].as_str().unwrap()).unwrap();
    assert!(rig.claim("w", json!({})).await.is_empty());
    let again = rig.claim_one("w").await;
    assert_eq!((&again["task_id"], &again["attempt"]), (&json!(id), &json!(2)));
    let late = (chrono::Utc::now() - due).num_milliseconds();
    assert!((0..3_000).contains(&late), "{late} ms after it was due");
    let end = rig.report(&id, json!({"status": "FAILED", "error_message": "connection reset"})).await;
    assert_eq!((&end["status"], end["completed_at"].is_string()), (&json!("FAILED"), true));
    let worker = rig.agent("w").await;
    assert_eq!((&worker["total_tasks_failed"], &worker["trust_score"]), (&json!(1), &json!(0.4)));
    let kinds = ["created", "assigned", "started", "retry", "assigned", "failed"].map(|kind| format!("task.{kind}"));
    assert_eq!(rig.events(&format!("task:{id}")), kinds);
    rig.assert_sound();
}

#[tokio::test]
async fn some_failures_are_final() {
    let rig = Rig::start().await;
    rig.worker("w", &["a:v1"]).await;
    for more in
        [json!({"error_message": "Invalid input provided"}), json!({"error_message": "boom", "retryable": false})]
    {
        let id = held(&rig, json!({})).await;
        let end = rig.report(&id, over(json!({"status": "FAILED"}), more)).await;
        assert_eq!((&end["status"], &end["retry_count"]), (&json!("FAILED"), &json!(0)));
    }
}

#[tokio::test]
async fn a_cancelled_task_stays_so() {
    let rig = Rig::start().await;
    rig.worker("w", &["a:v1"]).await;
    let id = held(&rig, json!({})).await;
    rig.report(&id, json!({"status": "RUNNING"})).await;
    rig.admin().post(&format!("/ains/tasks/{id}/cancel"), &json!({})).await.ains(200);
    rig.admin()
        .patch(&format!("/ains/tasks/{id}"), &json!({"status": "COMPLETED"}))
        .await
        .ains_error(409, "TASK_STATE_CONFLICT");
    let worker = rig.agent("w").await;
    assert_eq!((&worker["current_load"], &worker["trust_score"]), (&json!(0), &json!(0.5)));
    rig.assert_sound();
}

#[tokio::test]
async fn many_reports_are_judged_one_by_one_and_the_next_tasks_come_with_the_answer() {
    let rig = Rig::start().await;
    let capacity = json!({"metadata": {"max_concurrent_tasks": 3}});
    rig.register(&rig.admin(), over(crate::rig::worker("w", &["a:v1"]), capacity)).await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(rig.submit("a:v1", json!({})).await);
    }
    let mut held: Vec<String> = Vec::new();
    while held.len() < 3 {
        let claimed = rig.claim("w", json!({"max_tasks": 3, "wait_seconds": 5})).await;
        held.extend(claimed.iter().map(|task| task["task_id"].as_str().unwrap().to_owned()));
    }
    let free = ids.iter().find(|id| !held.contains(id)).unwrap();
    let none = format!("task_{}", "0".repeat(32));
    let reports = json!([
        {"task_id": held[0], "status": "RUNNING", "attempt": 1},
        {"task_id": held[0], "status": "COMPLETED", "attempt": 1, "result_data": {"n": 0}},
        {"task_id": held[0], "status": "FAILED"},
        {"task_id": held[1], "status": "FAILED", "error_message": "invalid input"},
        {"task_id": free, "status": "COMPLETED"},
        {"task_id": held[2], "status": "COMPLETED", "attempt": 7},
        {"task_id": held[2], "status": "PENDING"},
        {"task_id": none, "status": "COMPLETED"},
        {"task_id": "nonsense", "status": "COMPLETED"},
    ]);
    let body = json!({"agent_id": "w", "reports": reports, "claim": {"max_tasks": 3, "wait_seconds": 10}});
    let answer = rig.admin().post("/ains/tasks/report", &body).await.ains(200);
    let results = answer["results"].as_array().unwrap();
    let told: Vec<(bool, &str)> = results
        .iter()
        .map(|result| (result["accepted"].as_bool().unwrap(), result["error"]["code"].as_str().unwrap_or("")))
        .collect();
    let conflict = (false, "TASK_STATE_CONFLICT");
    assert_eq!(told[..4], [(true, ""), (true, ""), conflict, (true, "")]);
    assert!([conflict, (false, "INSUFFICIENT_PERMISSIONS")].contains(&told[4]), "{told:?}");
    assert_eq!(
        told[5..],
        [conflict, (false, "INVALID_FIELD_VALUE"), (false, "TASK_NOT_FOUND"), (false, "TASK_NOT_FOUND")]
    );
    assert_eq!((&answer["accepted"], &answer["rejected"]), (&json!(3), &json!(6)));
    assert_eq!((&results[1]["status"], &results[2]["status"]), (&json!("COMPLETED"), &json!("COMPLETED")));
    assert_eq!(rig.task(&held[0]).await["result_data"], json!({"n": 0}));
    assert_eq!(rig.task(&held[1]).await["status"], "FAILED");
    assert_eq!(rig.task(&held[2]).await["status"], "ASSIGNED");
    let next = answer["tasks"].as_array().unwrap();
    assert_eq!(answer["claimed"], next.len());
    assert_eq!(next.len(), 2);
    let kinds = ["created", "assigned", "started", "completed"].map(|kind| format!("task.{kind}"));
    assert_eq!(rig.events(&format!("task:{}", held[0])), kinds);
    rig.assert_sound();
}

#[tokio::test]
async fn reports_that_cannot_be_read_at_all_are_refused_together() {
    let rig = Rig::start().await;
    rig.worker("w", &["a:v1"]).await;
    let one = json!({"task_id": format!("task_{}", "0".repeat(32)), "status": "COMPLETED"});
    for (body, status, code) in [
        (json!({"reports": []}), 400, "MISSING_REQUIRED_FIELD"),
        (json!({"agent_id": "w"}), 400, "MISSING_REQUIRED_FIELD"),
        (json!({"agent_id": "w", "reports": []}), 400, "INVALID_FIELD_VALUE"),
        (json!({"agent_id": "w", "reports": [3]}), 400, "INVALID_FIELD_VALUE"),
        (json!({"agent_id": "w", "reports": [{"status": "FAILED"}]}), 400, "MISSING_REQUIRED_FIELD"),
        (json!({"agent_id": "w", "reports": vec![one.clone(); 101]}), 400, "BATCH_SIZE_EXCEEDED"),
        (json!({"agent_id": "w", "reports": [one.clone()], "claim": {"max_tasks": 0}}), 400, "INVALID_FIELD_VALUE"),
        (json!({"agent_id": "x", "reports": [one.clone()]}), 404, "AGENT_NOT_FOUND"),
    ] {
        rig.admin().post("/ains/tasks/report", &body).await.ains_error(status, code);
    }
}
