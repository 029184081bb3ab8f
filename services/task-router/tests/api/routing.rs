//! Who gets what.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::rig::{Rig, over, worker};

async fn assigned(rig: &Rig, tag: &str, strategy: &str) -> String {
    let id = rig.submit(tag, json!({"routing_strategy": strategy})).await;
    rig.reach(&id, &["ASSIGNED"]).await["assigned_agent_id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn workers_take_turns() {
    let rig = Rig::start().await;
    for id in ["c", "a", "b"] {
        rig.worker(id, &["a:v1"]).await;
    }
    let mut chosen = Vec::new();
    for _ in 0..6 {
        chosen.push(assigned(&rig, "a:v1", "round_robin").await);
    }
    assert_eq!(chosen, ["c", "a", "b", "c", "a", "b"]);
}

#[tokio::test]
async fn the_least_loaded_the_most_trusted_and_the_fastest_are_chosen() {
    let rig = Rig::start().await;
    rig.worker("busy", &["a:v1", "busy:v1"]).await;
    rig.worker("free", &["a:v1"]).await;
    for _ in 0..3 {
        assigned(&rig, "busy:v1", "round_robin").await;
    }
    for _ in 0..2 {
        assert_eq!(assigned(&rig, "a:v1", "least_loaded").await, "free");
    }
    rig.admin().post("/ains/agents/busy/trust/adjust", &json!({"delta": 0.2, "reason": "x"})).await.ains(200);
    assert_eq!(assigned(&rig, "a:v1", "trust_weighted").await, "busy");
    rig.execute("UPDATE workers SET avg_seconds = CASE agent_id WHEN 'busy' THEN 2.0 ELSE 1.0 END");
    assert_eq!(assigned(&rig, "a:v1", "fastest_response").await, "free");
    rig.assert_sound();
}

#[tokio::test]
async fn nobody_gets_more_than_there_is_room_for_and_a_full_worker_holds_up_nobody() {
    let rig = Rig::start().await;
    let small = json!({"metadata": {"max_concurrent_tasks": 2}});
    rig.register(&rig.admin(), over(worker("w", &["a:v1"]), small)).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(rig.submit("a:v1", json!({})).await);
    }
    for id in &ids[..2] {
        rig.reach(id, &["ASSIGNED"]).await;
    }
    assert_eq!(rig.task(&ids[2]).await["status"], "PENDING");
    rig.worker("v", &["b:v1"]).await;
    assert_eq!(assigned(&rig, "b:v1", "round_robin").await, "v");
    rig.claim("w", json!({})).await;
    rig.report(&ids[0], json!({"status": "COMPLETED"})).await;
    rig.reach(&ids[2], &["ASSIGNED"]).await;
    rig.assert_sound();
}

#[tokio::test]
async fn the_degraded_serve_only_for_want_of_the_healthy() {
    let rig = Rig::start().await;
    rig.worker("ill", &["a:v1"]).await;
    rig.register(&rig.admin(), over(worker("well", &["a:v1"]), json!({"metadata": {"max_concurrent_tasks": 1}}))).await;
    rig.admin().post("/ains/agents/ill/heartbeat", &json!({"status": "DEGRADED"})).await.ains(200);
    assert_eq!(assigned(&rig, "a:v1", "round_robin").await, "well");
    assert_eq!(assigned(&rig, "a:v1", "round_robin").await, "ill");
}

#[tokio::test]
async fn who_failed_at_a_task_gets_it_again_only_for_want_of_others() {
    let rig = Rig::start().await;
    rig.worker("first", &["a:v1"]).await;
    let id = rig.submit("a:v1", json!({"routing_strategy": "trust_weighted"})).await;
    rig.claim_one("first").await;
    rig.worker("second", &["a:v1"]).await;
    rig.admin().post("/ains/agents/first/trust/adjust", &json!({"delta": 0.4, "reason": "x"})).await.ains(200);
    rig.report(&id, json!({"status": "FAILED"})).await;
    let again = rig.reach(&id, &["ASSIGNED"]).await;
    assert_eq!((&again["assigned_agent_id"], &again["attempt"]), (&json!("second"), &json!(2)));
}

#[tokio::test]
async fn a_task_that_nobody_may_take_holds_up_no_other() {
    let rig = Rig::start().await;
    let stuck = rig.submit("a:v1", json!({"priority": 10})).await;
    let uuid = stuck.strip_prefix("task_").unwrap();
    rig.execute(&format!("INSERT INTO task_refusals VALUES ('{uuid}', 'w', now() + interval '1 hour', false)"));
    rig.worker("w", &["a:v1"]).await;
    let other = rig.submit("a:v1", json!({"priority": 1})).await;
    rig.reach(&other, &["ASSIGNED"]).await;
    assert_eq!(rig.task(&stuck).await["status"], "PENDING");
}

#[tokio::test]
async fn a_test_says_who_would_be_chosen_and_changes_nothing() {
    let rig = Rig::start().await;
    rig.worker("low", &["a:v1"]).await;
    rig.worker("high", &["a:v1"]).await;
    rig.admin().post("/ains/agents/high/trust/adjust", &json!({"delta": 0.3, "reason": "x"})).await.ains(200);
    let test = |body: Value| {
        let client = rig.admin();
        async move { client.post("/ains/routing/test", &body).await }
    };
    let body = json!({"capability_required": "a:v1", "routing_strategy": "trust_weighted", "priority": 7});
    let answer = test(body).await.ains(200);
    assert_eq!(
        answer,
        json!({
            "selected_agent": {"agent_id": "high", "display_name": "A worker", "trust_score": 0.8, "current_load": 0, "avg_completion_time_seconds": null},
            "strategy_used": "trust_weighted", "selection_reason": "Highest trust score among available agents", "alternatives_considered": 1,
        })
    );
    for _ in 0..2 {
        assert_eq!(test(json!({"capability_required": "a:v1"})).await.ains(200)["selected_agent"]["agent_id"], "low");
    }
    test(json!({"capability_required": "b:v1"})).await.ains_error(503, "INSUFFICIENT_CAPACITY");
    test(json!({})).await.ains_error(400, "MISSING_REQUIRED_FIELD");
    test(json!({"capability_required": "a:v1", "routing_strategy": "x"}))
        .await
        .ains_error(400, "INVALID_ROUTING_STRATEGY");
    test(json!({"capability_required": "a:v1", "priority": 11})).await.ains_error(400, "INVALID_PRIORITY");
    let about = rig.admin().get("/ains/routing/strategies").await.ains(200);
    assert_eq!((about["strategies"].as_array().unwrap().len(), &about["default_strategy"]), (4, &json!("round_robin")));
}

#[tokio::test]
async fn a_backlog_is_given_out_at_once_and_each_task_once() {
    let rig = Rig::start().await;
    let tasks: Vec<Value> = (0..100).map(|_| crate::rig::task("a:v1", json!({}))).collect();
    for _ in 0..3 {
        rig.admin().post("/ains/tasks/batch", &json!({"tasks": tasks})).await.ains(201);
    }
    for id in ["p", "q"] {
        let body = over(worker(id, &["a:v1"]), json!({"metadata": {"max_concurrent_tasks": 1000}}));
        rig.register(&rig.admin(), body).await;
    }
    let deadline = Instant::now() + Duration::from_secs(20);
    while rig.texts("SELECT count(*)::text AS value FROM tasks WHERE state = 'ASSIGNED'") != ["300"] {
        assert!(Instant::now() < deadline);
    }
    let attempts: HashSet<String> = rig.texts("SELECT attempt::text AS value FROM tasks").into_iter().collect();
    assert_eq!(attempts, ["1".to_owned()].into());
    rig.assert_sound();
}
