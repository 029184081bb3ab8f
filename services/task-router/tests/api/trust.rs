//! Trust: scores, history, adjustments, the leaderboard.

use serde_json::{Value, json};

use crate::rig::Rig;

async fn adjust(rig: &Rig, id: &str, delta: f64, reason: &str) -> Value {
    let path = format!("/ains/agents/{id}/trust/adjust");
    rig.admin().post(&path, &json!({"delta": delta, "reason": reason})).await.ains(200)
}

async fn history(rig: &Rig, query: &str) -> Value {
    rig.admin().get(&format!("/ains/agents/w/trust/history{query}")).await.ains(200)
}

#[tokio::test]
async fn a_new_worker_is_trusted_half() {
    let rig = Rig::start().await;
    rig.worker("w", &["a:v1"]).await;
    let trust = rig.admin().get("/ains/agents/w/trust").await.ains(200);
    assert_eq!(
        trust,
        json!({
            "agent_id": "w", "trust_score": 0.5, "trust_level": "medium", "total_tasks_completed": 0,
            "total_tasks_failed": 0, "success_rate": 0.0, "avg_completion_time_seconds": null, "reliability_rating": 0.8,
            "last_task_completed_at": null, "trust_trend": "stable",
        })
    );
    rig.admin().get("/ains/agents/nobody/trust").await.ains_error(404, "AGENT_NOT_FOUND");
}

#[tokio::test]
async fn an_adjustment_is_clamped_and_kept() {
    let rig = Rig::start().await;
    rig.worker("w", &["a:v1"]).await;
    adjust(&rig, "w", 0.35, "good").await;
    let down = adjust(&rig, "w", -0.9, "bad").await;
    assert_eq!((&down["trust_score_before"], &down["trust_score_after"]), (&json!(0.85), &json!(0.0)));
    assert_eq!((&down["delta"], &down["effective_delta"]), (&json!(-0.9), &json!(-0.85)));
    assert_eq!(down["adjusted_by"], "test-admin");
    let found = history(&rig, "").await;
    let deltas: Vec<&Value> = found["records"].as_array().unwrap().iter().map(|row| &row["trust_delta"]).collect();
    assert_eq!(deltas, [&json!(-0.85), &json!(0.35)]);
    assert_eq!((&found["total_records"], &found["records"][0]["event_type"]), (&json!(2), &json!("manual_adjustment")));
    let page = history(&rig, "?limit=1&offset=1").await;
    assert_eq!((&page["total_records"], &page["records"][0]["reason"]), (&json!(2), &json!("good")));
    let past = history(&rig, "?end_date=2020-01-01").await;
    assert_eq!((&past["total_records"], &past["date_range"]["end"]), (&json!(0), &json!("2020-01-01T23:59:59.999Z")));
    assert_eq!(rig.admin().get("/ains/agents/w/trust").await.ains(200)["trust_level"], "very_low");
    assert_eq!(rig.events("agent:w"), ["agent.registered", "agent.trust_adjusted", "agent.trust_adjusted"]);
    rig.assert_sound();
}

#[tokio::test]
async fn an_adjustment_needs_a_right_and_a_reason() {
    let rig = Rig::start().await;
    rig.worker("w", &["a:v1"]).await;
    let path = "/ains/agents/w/trust/adjust";
    for (body, code, field) in [
        (json!({"reason": "x"}), "MISSING_REQUIRED_FIELD", "delta"),
        (json!({"delta": 0.1}), "MISSING_REQUIRED_FIELD", "reason"),
        (json!({"delta": 1.5, "reason": "x"}), "INVALID_FIELD_VALUE", "delta"),
        (json!({"delta": 0, "reason": "x"}), "INVALID_FIELD_VALUE", "delta"),
        (json!({"delta": 0.1, "reason": "x".repeat(501)}), "INVALID_FIELD_VALUE", "reason"),
    ] {
        assert_eq!(rig.admin().post(path, &body).await.ains_error(400, code)["details"]["field"], field, "{body}");
    }
    let error = rig.client("owner").post(path, &json!({"delta": 0.1, "reason": "x"})).await;
    assert_eq!(error.ains_error(403, "INSUFFICIENT_PERMISSIONS")["details"]["required_scope"], "trust:admin");
}

#[tokio::test]
async fn attempts_change_trust_by_how_they_end() {
    let rig = Rig::start().await;
    rig.worker("w", &["a:v1"]).await;
    for (end, more) in [
        (json!({"status": "COMPLETED"}), json!({})),
        (json!({"status": "FAILED", "error_message": "boom", "retryable": false}), json!({})),
        (json!({"status": "FAILED"}), json!({"max_retries": 0})),
    ] {
        rig.submit("a:v1", more).await;
        let id = rig.claim_one("w").await["task_id"].as_str().unwrap().to_owned();
        rig.report(&id, end).await;
    }
    let found = history(&rig, "").await;
    let rows: Vec<(f64, &str)> = found["records"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["trust_delta"].as_f64().unwrap(), row["reason"].as_str().unwrap()))
        .collect();
    let fast = "Task completed successfully in less than half of its time limit";
    assert_eq!(rows[2], (0.05, fast));
    assert_eq!(rows[1], (-0.05, "Task failed: boom"));
    assert_eq!(rows[0].0, -0.05);
    let worker = rig.agent("w").await;
    assert_eq!((&worker["total_tasks_completed"], &worker["total_tasks_failed"]), (&json!(1), &json!(2)));
    assert_eq!((&worker["success_rate"], &worker["trust_score"]), (&json!(0.333), &json!(0.45)));
    rig.assert_sound();
}

#[tokio::test]
async fn the_most_trusted_lead() {
    let rig = Rig::start().await;
    for id in ["a", "b", "c", "d"] {
        rig.worker(id, &["a:v1"]).await;
    }
    adjust(&rig, "b", 0.2, "x").await;
    adjust(&rig, "d", 0.5, "x").await;
    rig.admin().delete("/ains/agents/d").await.ains(200);
    let board = rig.admin().get("/ains/agents/leaderboard?limit=2").await.ains(200);
    let rows: Vec<(i64, &str)> = board["leaderboard"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["rank"].as_i64().unwrap(), row["agent_id"].as_str().unwrap()))
        .collect();
    assert_eq!(rows, [(1, "b"), (2, "a")]);
    let none = rig.admin().get("/ains/agents/leaderboard?min_tasks=1").await.ains(200);
    assert_eq!(none["leaderboard"], json!([]));
    rig.admin().get("/ains/agents/leaderboard?limit=101").await.ains_error(400, "INVALID_FIELD_VALUE");
}
