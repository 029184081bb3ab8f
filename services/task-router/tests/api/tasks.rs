//! Submitting, reading, cancelling, priorities.

use serde_json::{Value, json};

use crate::rig::{Rig, over, task};

#[tokio::test]
async fn a_task_is_kept_as_it_was_submitted() {
    let rig = Rig::start().await;
    let more = json!({
        "input_data": {"z": 1, "a": {"deep": [1.5, null, "grün"]}}, "priority": 7, "timeout_seconds": 9, "max_retries": 1,
        "routing_strategy": "trust_weighted", "retry_policy": "linear", "client_ref": "mine", "metadata": {"k": "v"},
    });
    let made = rig.admin().post("/ains/tasks", &task("a:v1", more.clone())).await.ains(201);
    assert_eq!(
        (&made["status"], &made["priority"], &made["is_blocked"]),
        (&json!("PENDING"), &json!(7), &json!(false))
    );
    assert_eq!((&made["depends_on"], &made["client_ref"]), (&json!([]), &json!("mine")));
    let id = made["task_id"].as_str().unwrap();
    let shown = rig.task(id).await;
    for (name, value) in task("a:v1", more).as_object().unwrap() {
        assert_eq!(&shown[name], value, "{name}");
    }
    assert_eq!((&shown["attempt"], &shown["retry_count"], &shown["result_data"]), (&json!(0), &json!(0), &Value::Null));
    assert_eq!(shown["created_at"], made["created_at"]);
    assert_eq!(rig.events(&format!("task:{id}")), ["task.created"]);
    let payload = rig.texts("SELECT payload::text AS value FROM outbox WHERE kind = 'task.created'");
    let payload: Value = serde_json::from_str(&payload[0]).unwrap();
    assert_eq!(
        (&payload["client_id"], &payload["agent_id"], &payload["status"]),
        (&json!("acme"), &Value::Null, &json!("PENDING"))
    );
}

#[tokio::test]
async fn what_is_left_out_has_a_default() {
    let rig = Rig::start().await;
    let id = rig.submit("a:v1", json!({})).await;
    let shown = rig.task(&id).await;
    for (name, value) in [
        ("priority", json!(5)),
        ("timeout_seconds", json!(300)),
        ("max_retries", json!(3)),
        ("depends_on", json!([])),
        ("routing_strategy", json!("round_robin")),
        ("retry_policy", json!("exponential")),
        ("metadata", json!({})),
        ("is_blocked", json!(false)),
        ("client_ref", Value::Null),
        ("chain_id", Value::Null),
        ("progress", Value::Null),
    ] {
        assert_eq!(shown[name], value, "{name}");
    }
}

#[tokio::test]
async fn input_is_checked_field_by_field() {
    let rig = Rig::start().await;
    for (change, code, field) in [
        (json!({"client_id": ""}), "INVALID_FIELD_VALUE", "client_id"),
        (json!({"client_id": "x".repeat(65)}), "INVALID_FIELD_VALUE", "client_id"),
        (json!({"task_type": "x".repeat(101)}), "INVALID_FIELD_VALUE", "task_type"),
        (json!({"capability_required": "nothing"}), "INVALID_FIELD_VALUE", "capability_required"),
        (json!({"input_data": [1]}), "INVALID_FIELD_VALUE", "input_data"),
        (json!({"input_data": {"x": "x".repeat(263_000)}}), "INVALID_FIELD_VALUE", "input_data"),
        (json!({"priority": 0}), "INVALID_PRIORITY", "priority"),
        (json!({"priority": 7.5}), "INVALID_PRIORITY", "priority"),
        (json!({"timeout_seconds": 3601}), "INVALID_TIMEOUT", "timeout_seconds"),
        (json!({"max_retries": 11}), "MAX_RETRIES_EXCEEDED", "max_retries"),
        (json!({"max_retries": -1}), "INVALID_FIELD_VALUE", "max_retries"),
        (json!({"max_retries": "3"}), "INVALID_FIELD_VALUE", "max_retries"),
        (json!({"depends_on": "task_x"}), "INVALID_FIELD_VALUE", "depends_on"),
        (json!({"depends_on": vec!["task_x"; 51]}), "INVALID_FIELD_VALUE", "depends_on"),
        (json!({"depends_on": ["task_x"]}), "DEPENDENCY_NOT_FOUND", "depends_on"),
        (json!({"depends_on": ["ref:x"]}), "DEPENDENCY_NOT_FOUND", "depends_on"),
        (json!({"routing_strategy": "bogus"}), "INVALID_ROUTING_STRATEGY", "routing_strategy"),
        (json!({"retry_policy": "hopeful"}), "INVALID_FIELD_VALUE", "retry_policy"),
        (json!({"client_ref": ""}), "INVALID_FIELD_VALUE", "client_ref"),
        (json!({"metadata": 3}), "INVALID_FIELD_VALUE", "metadata"),
    ] {
        let answer = rig.admin().post("/ains/tasks", &task("a:v1", change.clone())).await;
        let error = answer.ains_error(400, code);
        assert_eq!(error["details"]["field"], field, "{field}");
    }
    for field in ["client_id", "task_type", "capability_required", "input_data"] {
        let answer = rig.admin().post("/ains/tasks", &task("a:v1", json!({field: null}))).await;
        assert_eq!(answer.ains_error(400, "MISSING_REQUIRED_FIELD")["details"]["field"], field);
    }
    let answer = rig.admin().post("/ains/tasks", &json!({"client_id": "c", "priority": 0, "max_retries": 99})).await;
    let error = answer.ains_error(400, "MISSING_REQUIRED_FIELD");
    let found: Vec<(&str, &str)> = error["details"]["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|problem| (problem["field"].as_str().unwrap(), problem["code"].as_str().unwrap()))
        .collect();
    let missing = "MISSING_REQUIRED_FIELD";
    let expected = [
        ("task_type", missing),
        ("capability_required", missing),
        ("input_data", missing),
        ("priority", "INVALID_PRIORITY"),
        ("max_retries", "MAX_RETRIES_EXCEEDED"),
    ];
    assert_eq!(found, expected);
    assert!(rig.texts("SELECT task_id::text AS value FROM tasks").is_empty());
}

#[tokio::test]
async fn the_same_request_again_makes_no_second_task() {
    let rig = Rig::start().await;
    let client = rig.admin().header("idempotency-key", "once");
    let first = client.post("/ains/tasks", &task("a:v1", json!({}))).await;
    let again = client.post("/ains/tasks", &task("a:v1", json!({}))).await;
    assert_eq!((first.ains(201), again.header("idempotent-replayed")), (again.ains(201), "true"));
    client.post("/ains/tasks", &task("a:v1", json!({"priority": 9}))).await.ains_error(422, "IDEMPOTENCY_CONFLICT");
    assert_eq!(rig.texts("SELECT task_id::text AS value FROM tasks").len(), 1);
}

#[tokio::test]
async fn clients_see_their_own_tasks_and_those_of_their_workers() {
    let rig = Rig::start().await;
    let (one, two) = (rig.client("one"), rig.client("two"));
    rig.register(&two, crate::rig::worker("w", &["a:v1"])).await;
    one.post("/ains/tasks", &task("a:v1", json!({"client_id": "two"})))
        .await
        .ains_error(403, "INSUFFICIENT_PERMISSIONS");
    let ids = [("one", "a:v1"), ("one", "b:v1"), ("two", "b:v1")].map(|(client, tag)| (client, tag));
    let mut made = Vec::new();
    for (client, tag) in ids {
        let body = task(tag, json!({"client_id": client}));
        let answer = rig.client(client).post("/ains/tasks", &body).await.ains(201);
        made.push(answer["task_id"].as_str().unwrap().to_owned());
    }
    rig.reach(&made[0], &["ASSIGNED"]).await;
    let seen = |client: test_support::Client| async move {
        let page = client.get("/ains/tasks?sort=created_at").await.ains(200);
        page["results"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["task_id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(seen(one.clone()).await, made[..2]);
    assert_eq!(seen(two.clone()).await, [made[0].clone(), made[2].clone()]);
    one.get(&format!("/ains/tasks/{}", made[2])).await.ains_error(404, "TASK_NOT_FOUND");
    two.get(&format!("/ains/tasks/{}", made[0])).await.ains(200);
    two.post(&format!("/ains/tasks/{}/cancel", made[0]), &json!({})).await.ains_error(403, "INSUFFICIENT_PERMISSIONS");
    two.post(&format!("/ains/tasks/{}/cancel", made[1]), &json!({})).await.ains_error(404, "TASK_NOT_FOUND");
    let hidden = task("a:v1", json!({"client_id": "one", "depends_on": [made[2]]}));
    let error = one.post("/ains/tasks", &hidden).await.ains_error(400, "DEPENDENCY_NOT_FOUND");
    assert_eq!(error["details"]["missing"], json!([made[2]]));
}

#[tokio::test]
async fn lists_are_filtered_sorted_and_windowed() {
    let rig = Rig::start().await;
    let mut ids = Vec::new();
    for (tag, priority) in [("a:v1", 3), ("b:v1", 9), ("a:v1", 5)] {
        let more =
            json!({"priority": priority, "client_ref": format!("r{priority}"), "task_type": format!("t{priority}")});
        ids.push(rig.submit(tag, more).await);
    }
    rig.admin().post(&format!("/ains/tasks/{}/cancel", ids[0]), &json!({})).await.ains(200);
    let places = |query: String| {
        let (client, ids) = (rig.admin(), ids.clone());
        async move {
            let page = client.get(&format!("/ains/tasks?{query}")).await.ains(200);
            let place = |row: &Value| ids.iter().position(|id| row["task_id"] == id.as_str()).unwrap();
            page["results"].as_array().unwrap().iter().map(place).collect::<Vec<_>>()
        }
    };
    for (query, expected) in [
        ("", vec![2, 1, 0]),
        ("sort=created_at", vec![0, 1, 2]),
        ("sort=-priority", vec![1, 2, 0]),
        ("status=PENDING", vec![2, 1]),
        ("status=PENDING,CANCELLED&sort=created_at", vec![0, 1, 2]),
        ("capability_required=a:v1", vec![2, 0]),
        ("task_type=t9", vec![1]),
        ("client_ref=r5", vec![2]),
        ("client_id=nobody", vec![]),
        ("chain_id=nothing", vec![]),
        ("created_before=2020-01-01", vec![]),
        ("created_after=2020-01-01&limit=1&offset=1", vec![1]),
        ("assigned_agent_id=w", vec![]),
    ] {
        assert_eq!(places(query.to_owned()).await, expected, "{query}");
    }
    let page = rig.admin().get("/ains/tasks?limit=2").await.ains(200);
    assert_eq!(page["pagination"], json!({"total": 3, "limit": 2, "offset": 0, "has_more": true, "next_offset": 2}));
    for (query, field) in [
        ("status=ODD", "status"),
        ("limit=101", "limit"),
        ("sort=name", "sort"),
        ("created_after=soon", "created_after"),
    ] {
        let answer = rig.admin().get(&format!("/ains/tasks?{query}")).await;
        assert_eq!(answer.ains_error(400, "INVALID_FIELD_VALUE")["details"]["field"], field);
    }
}

#[tokio::test]
async fn a_task_is_cancelled_once() {
    let rig = Rig::start().await;
    let id = rig.submit("a:v1", json!({})).await;
    let path = format!("/ains/tasks/{id}/cancel");
    let gone = rig.admin().post(&path, &json!({"reason": "changed"})).await.ains(200);
    assert_eq!((&gone["status"], &gone["reason"]), (&json!("CANCELLED"), &json!("changed")));
    let shown = rig.task(&id).await;
    assert_eq!((&shown["cancellation_reason"], &shown["cancelled_at"]), (&json!("changed"), &gone["cancelled_at"]));
    assert_eq!(shown["completed_at"], shown["cancelled_at"]);
    assert_eq!(
        rig.admin().post(&path, &json!({})).await.ains_error(409, "TASK_NOT_CANCELLABLE")["details"]["status"],
        "CANCELLED"
    );
    assert_eq!(rig.events(&format!("task:{id}")), ["task.created", "task.cancelled"]);
    let other = rig.submit("a:v1", json!({})).await;
    let request = rig.admin().request("POST", &format!("/ains/tasks/{other}/cancel"));
    assert_eq!(rig.admin().answer(request).await.ains(200)["reason"], "Cancelled by request");
}

#[tokio::test]
async fn priorities_change_only_while_a_task_waits() {
    let rig = Rig::start().await;
    let id = rig.submit("a:v1", json!({"priority": 7})).await;
    let path = format!("/ains/tasks/{id}/priority");
    let changed = rig.admin().patch(&path, &json!({"priority": 9})).await.ains(200);
    assert_eq!((&changed["priority"], &changed["previous_priority"]), (&json!(9), &json!(7)));
    rig.admin().patch(&path, &json!({"priority": 0})).await.ains_error(400, "INVALID_PRIORITY");
    rig.admin().patch(&path, &json!({})).await.ains_error(400, "MISSING_REQUIRED_FIELD");
    rig.worker("w", &["a:v1"]).await;
    rig.reach(&id, &["ASSIGNED"]).await;
    let error = rig.admin().patch(&path, &json!({"priority": 3})).await.ains_error(409, "TASK_STATE_CONFLICT");
    assert_eq!((&error["details"]["status"], &error["details"]["attempt"]), (&json!("ASSIGNED"), &json!(1)));
}

#[tokio::test]
async fn when_too_many_wait_no_more_are_taken() {
    let rig = Rig::with(&[("AINS_MAX_PENDING_TASKS", "2")]).await;
    for _ in 0..2 {
        rig.submit("a:v1", json!({})).await;
    }
    let answer = rig.admin().post("/ains/tasks", &task("a:v1", json!({}))).await;
    answer.ains_error(503, "INSUFFICIENT_CAPACITY");
    assert_eq!(answer.header("retry-after"), "5");
    let batch = json!({"tasks": [task("a:v1", json!({}))]});
    rig.admin().post("/ains/tasks/batch", &batch).await.ains_error(503, "INSUFFICIENT_CAPACITY");
}

#[tokio::test]
async fn the_start_is_estimated_by_what_stands_before() {
    let rig = Rig::start().await;
    let seconds = |made: &Value| {
        let time = |name: &str| api_types::time::parse(made[name].as_str().unwrap()).unwrap();
        (time("estimated_start_time") - time("created_at")).num_milliseconds() as f64 / 1_000.0
    };
    for expected in [60.0, 120.0] {
        let made = rig.admin().post("/ains/tasks", &task("a:v1", json!({}))).await.ains(201);
        assert!((seconds(&made) - expected).abs() < 5.0, "{made}");
    }
    let ahead = rig.admin().post("/ains/tasks", &over(task("a:v1", json!({})), json!({"priority": 9}))).await.ains(201);
    assert!((seconds(&ahead) - 60.0).abs() < 5.0, "{ahead}");
    rig.worker("w", &["b:v1"]).await;
    let free = rig.admin().post("/ains/tasks", &task("b:v1", json!({}))).await.ains(201);
    assert!(seconds(&free) < 5.0, "{free}");
}
