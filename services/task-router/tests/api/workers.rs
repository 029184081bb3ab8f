//! Registering, reading, changing, switching off.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::rig::{Rig, over, worker};

#[tokio::test]
async fn a_worker_is_registered_with_its_capacity_beside_its_metadata() {
    let rig = Rig::start().await;
    let body = over(worker("w", &["b:v1", "a:v1"]), json!({"metadata": {"region": "eu", "max_concurrent_tasks": 3}}));
    let made = rig.register(&rig.admin(), body).await;
    assert_eq!((&made["trust_score"], &made["status"]), (&json!(0.5), &json!("active")));
    assert_eq!((&made["tags"], &made["metadata"]), (&json!(["b:v1", "a:v1"]), &json!({"region": "eu"})));
    assert_eq!((&made["max_concurrent_tasks"], &made["signature_verified"]), (&json!(3), &json!(false)));
    let secret = made["delivery_secret"].as_str().unwrap();
    assert_eq!(secret.len(), 64);
    let shown = rig.agent("w").await;
    assert_eq!(
        (&shown["health"], &shown["source"], &shown["current_load"]),
        (&json!("healthy"), &json!("external"), &json!(0))
    );
    assert_eq!((&shown["success_rate"], &shown["avg_completion_time_seconds"]), (&json!(0.0), &Value::Null));
    assert!(shown.get("delivery_secret").is_none() && shown["last_seen_at"].is_string());
    assert_eq!(rig.events("agent:w"), ["agent.registered"]);
    let stored = rig.texts("SELECT workers::text AS value FROM workers").join("");
    assert!(!stored.contains(secret), "the secret is stored sealed");
}

#[tokio::test]
async fn of_simultaneous_registrations_one_succeeds() {
    let rig = Rig::start().await;
    let client = rig.admin();
    let body = worker("w", &["a:v1"]);
    let answers = join_all((0..8).map(|_| client.post("/ains/agents", &body))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        answer.ains_error(409, "AGENT_ALREADY_EXISTS");
    }
}

#[tokio::test]
async fn input_is_checked_field_by_field() {
    let rig = Rig::start().await;
    let long = |length: usize| "x".repeat(length);
    for (change, field) in [
        (json!({"agent_id": "a b"}), "agent_id"),
        (json!({"agent_id": "leaderboard"}), "agent_id"),
        (json!({"agent_id": long(129)}), "agent_id"),
        (json!({"display_name": long(256)}), "display_name"),
        (json!({"public_key": long(8193)}), "public_key"),
        (json!({"endpoint": "ftp://a.example"}), "endpoint"),
        (json!({"endpoint": "http://169.254.169.254/"}), "endpoint"),
        (json!({"endpoint": format!("https://a.example/{}", long(512))}), "endpoint"),
        (json!({"signature": ""}), "signature"),
        (json!({"tags": []}), "tags"),
        (json!({"tags": "a:v1"}), "tags"),
        (json!({"tags": ["a:v1", "nothing"]}), "tags[1]"),
        (json!({"tags": ["a:v1", "b:v1", "a:v1"]}), "tags[2]"),
        (json!({"metadata": []}), "metadata"),
        (json!({"metadata": {"x": long(17_000)}}), "metadata"),
        (json!({"metadata": {"max_concurrent_tasks": 0}}), "metadata.max_concurrent_tasks"),
        (json!({"metadata": {"max_concurrent_tasks": "9"}}), "metadata.max_concurrent_tasks"),
        (json!({"delivery": "pigeon"}), "delivery"),
        (json!({"delivery_secret": "short"}), "delivery_secret"),
    ] {
        let answer = rig.admin().post("/ains/agents", &over(worker("w", &["a:v1"]), change.clone())).await;
        let error = answer.ains_error(400, "INVALID_FIELD_VALUE");
        assert_eq!(error["details"]["field"], field, "{change}");
    }
    for field in ["agent_id", "display_name", "public_key", "endpoint", "signature", "tags"] {
        let answer = rig.admin().post("/ains/agents", &over(worker("w", &["a:v1"]), json!({field: null}))).await;
        assert_eq!(answer.ains_error(400, "MISSING_REQUIRED_FIELD")["details"]["field"], field);
    }
    assert!(rig.texts("SELECT agent_id AS value FROM workers").is_empty());
}

#[tokio::test]
async fn a_key_that_can_be_read_must_have_signed() {
    let rig = Rig::start().await;
    let key = "aa".repeat(32);
    let answer = rig.admin().post("/ains/agents", &over(worker("w", &["a:v1"]), json!({"public_key": key}))).await;
    assert_eq!(answer.ains_error(400, "INVALID_FIELD_VALUE")["details"]["field"], "signature");
    let strict = Rig::with(&[("AINS_SIGNATURE_MODE", "required")]).await;
    let answer = strict.admin().post("/ains/agents", &worker("w", &["a:v1"])).await;
    assert_eq!(answer.ains_error(400, "INVALID_FIELD_VALUE")["details"]["field"], "public_key");
    let off = Rig::with(&[("AINS_SIGNATURE_MODE", "off")]).await;
    off.register(&off.admin(), over(worker("w", &["a:v1"]), json!({"public_key": key}))).await;
}

#[tokio::test]
async fn lists_are_filtered_and_windowed() {
    let rig = Rig::start().await;
    for (id, tags) in [("a", ["x:v1", "y:v1"]), ("b", ["x:v1", "z:v1"]), ("c", ["y:v1", "z:v1"])] {
        rig.worker(id, &tags).await;
    }
    rig.admin().post("/ains/agents/b/trust/adjust", &json!({"delta": 0.2, "reason": "good"})).await.ains(200);
    rig.admin().delete("/ains/agents/c").await.ains(200);
    let list = |query: &'static str| {
        let client = rig.admin();
        async move {
            let page = client.get(&format!("/ains/agents{query}")).await.ains(200);
            let ids = page["agents"].as_array().unwrap().iter().map(|row| row["agent_id"].as_str().unwrap().to_owned());
            (ids.collect::<Vec<_>>(), page["total"].clone(), page["has_more"].clone())
        }
    };
    assert_eq!(list("").await, (vec!["a".into(), "b".into(), "c".into()], json!(3), json!(false)));
    assert_eq!(list("?tag=x:v1&limit=1").await, (vec!["a".into()], json!(2), json!(true)));
    assert_eq!(list("?tag=x:v1&limit=1&offset=1").await, (vec!["b".into()], json!(2), json!(false)));
    assert_eq!(list("?trust_min=0.7").await.0, ["b"]);
    assert_eq!(list("?status=inactive").await.0, ["c"]);
    assert!(list("?tag=x:v").await.0.is_empty());
    for (query, field) in
        [("limit=0", "limit"), ("offset=-1", "offset"), ("trust_min=2", "trust_min"), ("status=odd", "status")]
    {
        let answer = rig.admin().get(&format!("/ains/agents?{query}")).await;
        assert_eq!(answer.ains_error(400, "INVALID_FIELD_VALUE")["details"]["field"], field);
    }
}

#[tokio::test]
async fn what_a_change_leaves_out_stays() {
    let rig = Rig::start().await;
    rig.register(&rig.admin(), over(worker("w", &["a:v1"]), json!({"metadata": {"max_concurrent_tasks": 3}}))).await;
    let changed = rig.admin().patch("/ains/agents/w", &json!({"tags": ["b:v1"], "metadata": {"k": 1}})).await.ains(200);
    assert_eq!(
        (&changed["tags"], &changed["metadata"], &changed["max_concurrent_tasks"]),
        (&json!(["b:v1"]), &json!({"k": 1}), &json!(3))
    );
    assert_eq!(changed["display_name"], "A worker");
    assert_eq!(
        rig.admin().patch("/ains/agents/w", &json!({})).await.ains_error(400, "MISSING_REQUIRED_FIELD")["details"]["field"],
        "body"
    );
    rig.admin().patch("/ains/agents/nobody", &json!({"display_name": "x"})).await.ains_error(404, "AGENT_NOT_FOUND");
    let task = rig.submit("b:v1", json!({})).await;
    assert_eq!(rig.claim_one("w").await["task_id"], task.as_str());
    assert_eq!(rig.events("agent:w"), ["agent.registered", "agent.updated"]);
}

#[tokio::test]
async fn a_worker_is_its_clients_alone_and_seen_by_all() {
    let rig = Rig::start().await;
    rig.register(&rig.client("owner"), worker("w", &["a:v1"])).await;
    let stranger = rig.client("stranger");
    assert_eq!(stranger.get("/ains/agents/w").await.ains(200)["agent_id"], "w");
    for answer in [
        stranger.patch("/ains/agents/w", &json!({"display_name": "mine"})).await,
        stranger.delete("/ains/agents/w").await,
        stranger.post("/ains/agents/w/heartbeat", &json!({})).await,
        stranger.post("/ains/tasks/claim", &json!({"agent_id": "w"})).await,
        stranger
            .post(
                "/ains/tasks/report",
                &json!({"agent_id": "w", "reports": [{"task_id": "task_x", "status": "FAILED"}]}),
            )
            .await,
    ] {
        answer.ains_error(403, "INSUFFICIENT_PERMISSIONS");
    }
    rig.client("owner").delete("/ains/agents/w").await.ains(200);
    stranger.post("/ains/agents", &worker("w", &["a:v1"])).await.ains_error(409, "AGENT_ALREADY_EXISTS");
}

#[tokio::test]
async fn a_worker_that_is_switched_off_gives_back_what_it_has_not_taken_and_may_come_back() {
    let rig = Rig::start().await;
    rig.worker("w", &["a:v1"]).await;
    let (taken, offered) = (rig.submit("a:v1", json!({"priority": 9})).await, rig.submit("a:v1", json!({})).await);
    assert_eq!(rig.claim_one("w").await["task_id"], taken.as_str());
    rig.reach(&offered, &["ASSIGNED"]).await;
    let gone = rig.admin().delete("/ains/agents/w").await.ains(200);
    assert_eq!((&gone["status"], &gone["message"]), (&json!("inactive"), &json!("Agent deactivated successfully")));
    assert_eq!(rig.admin().delete("/ains/agents/w").await.ains(200), gone);
    assert_eq!(rig.task(&offered).await["status"], "PENDING");
    assert_eq!(rig.agent("w").await["inactive_reason"], "operator");
    rig.admin().post("/ains/tasks/claim", &json!({"agent_id": "w"})).await.ains_error(409, "AGENT_INACTIVE");
    rig.report(&taken, json!({"status": "COMPLETED"})).await;
    assert_eq!(rig.admin().post("/ains/agents/w/heartbeat", &json!({})).await.ains(200)["agent_status"], "inactive");

    let again = rig.register(&rig.admin(), over(worker("w", &["a:v1"]), json!({"display_name": "Back"}))).await;
    assert_eq!((&again["display_name"], &again["trust_score"]), (&json!("Back"), &json!(0.55)));
    assert_eq!(rig.agent("w").await["total_tasks_completed"], 1);
    rig.reach(&offered, &["ASSIGNED"]).await;
    assert_eq!(rig.events("agent:w"), ["agent.registered", "agent.deactivated", "agent.registered"]);
    rig.assert_sound();
}

#[tokio::test]
async fn a_heartbeat_tells_how_a_worker_is_and_what_became_of_its_tasks() {
    let rig = Rig::start().await;
    rig.worker("w", &["a:v1"]).await;
    let beat = |body: Value| {
        let client = rig.admin();
        async move { client.post("/ains/agents/w/heartbeat", &body).await.ains(200) }
    };
    let (held, cancelled) = (rig.submit("a:v1", json!({})).await, rig.submit("a:v1", json!({})).await);
    while rig.agent("w").await["current_load"] != 2 {}
    assert_eq!(rig.claim("w", json!({"max_tasks": 2})).await.len(), 2);
    let lease = rig.task(&held).await["lease_expires_at"].clone();
    rig.admin().post(&format!("/ains/tasks/{cancelled}/cancel"), &json!({})).await.ains(200);
    let answer = beat(json!({"status": "DEGRADED", "task_ids": [held, cancelled, "task_none"], "metrics": {"cpu": 1}, "uptime_ms": 5})).await;
    assert_eq!((&answer["acknowledged"], &answer["next_heartbeat_in"]), (&json!(true), &json!(300)));
    assert_eq!((&answer["agent_health_status"], &answer["agent_status"]), (&json!("DEGRADED"), &json!("active")));
    assert_eq!((&answer["renewed_task_ids"], &answer["cancelled_task_ids"]), (&json!([held]), &json!([cancelled])));
    assert_eq!(answer["lost_task_ids"], json!(["task_none"]));
    assert!(rig.task(&held).await["lease_expires_at"].as_str() > lease.as_str());
    assert_eq!(rig.agent("w").await["health"], "degraded");
    assert_eq!(beat(json!({"status": "OFFLINE"})).await["agent_status"], "inactive");
    assert_eq!(rig.agent("w").await["inactive_reason"], "offline");
    assert_eq!(beat(json!({})).await["agent_status"], "active");
    assert_eq!(rig.agent("w").await["health"], "healthy");
    rig.admin()
        .post("/ains/agents/w/heartbeat", &json!({"status": "SLEEPY"}))
        .await
        .ains_error(400, "INVALID_FIELD_VALUE");
    rig.admin().post("/ains/agents/nobody/heartbeat", &json!({})).await.ains_error(404, "AGENT_NOT_FOUND");
    rig.assert_sound();
}

#[tokio::test]
async fn our_own_services_are_told_whose_a_worker_is() {
    let rig = Rig::start().await;
    rig.register(&rig.client("owner"), worker("w", &["a:v1"])).await;
    let path = "/internal/v1/workers/w";
    let told = rig.service.client().service("control-plane").get(path).await.data(200);
    assert_eq!(told, json!({"agent_id": "w", "client_id": "owner"}));
    assert_eq!(rig.service.client().service("control-plane").get("/internal/v1/workers/x").await.status, 404);
    assert_eq!(rig.admin().get(path).await.status, 404);
}
