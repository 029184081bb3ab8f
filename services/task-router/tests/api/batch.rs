//! Many tasks at once.

use serde_json::{Value, json};

use crate::rig::{Rig, over, task};

async fn submit(rig: &Rig, tasks: Vec<Value>) -> Value {
    rig.admin().post("/ains/tasks/batch", &json!({"tasks": tasks})).await.ains(201)
}

#[tokio::test]
async fn good_tasks_are_stored_and_bad_ones_told() {
    let rig = Rig::start().await;
    let good = task("a:v1", json!({}));
    let answer = submit(
        &rig,
        vec![good.clone(), over(good.clone(), json!({"priority": 99})), json!({"client_id": "c"}), json!(3), good],
    )
    .await;
    assert_eq!((&answer["submitted"], &answer["failed"]), (&json!(2), &json!(3)));
    let errors: Vec<(i64, &str)> = answer["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| (error["index"].as_i64().unwrap(), error["code"].as_str().unwrap()))
        .collect();
    assert_eq!(errors, [(1, "INVALID_PRIORITY"), (2, "MISSING_REQUIRED_FIELD"), (3, "INVALID_FIELD_VALUE")]);
    let indexes: Vec<&Value> = answer["tasks"].as_array().unwrap().iter().map(|row| &row["index"]).collect();
    assert_eq!(indexes, [&json!(0), &json!(4)]);
    let ids: Vec<&str> = answer["task_ids"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
    assert!(ids[0] < ids[1] && answer["submission_time_ms"].as_f64().unwrap() > 0.0);
    assert_eq!(rig.task(ids[1]).await["status"], "PENDING");
}

#[tokio::test]
async fn nothing_is_stored_of_a_batch_that_is_refused() {
    let rig = Rig::start().await;
    let good = task("a:v1", json!({}));
    let bad = over(good.clone(), json!({"priority": 99}));
    let named =
        |name: &str, depends_on: &[&str]| over(good.clone(), json!({"client_ref": name, "depends_on": depends_on}));
    let post = |body: Value| {
        let client = rig.admin();
        async move { client.post("/ains/tasks/batch", &body).await }
    };
    let error = post(json!({"tasks": [good, bad], "atomic": true})).await.ains_error(400, "INVALID_PRIORITY");
    assert_eq!(error["details"]["errors"][0]["index"], 1);
    post(json!({"tasks": [bad]})).await.ains_error(400, "INVALID_PRIORITY");
    let error = post(json!({"tasks": vec![good.clone(); 101]})).await.ains_error(400, "BATCH_SIZE_EXCEEDED");
    assert_eq!((&error["details"]["limit"], &error["details"]["size"]), (&json!(100), &json!(101)));
    post(json!({"tasks": []})).await.ains_error(400, "INVALID_FIELD_VALUE");
    post(json!({"tasks": "x"})).await.ains_error(400, "INVALID_FIELD_VALUE");
    post(json!({})).await.ains_error(400, "MISSING_REQUIRED_FIELD");
    let error = post(json!({"tasks": [named("a", &["ref:b"]), named("b", &["ref:a"])]})).await;
    let cycle = error.ains_error(400, "CIRCULAR_DEPENDENCY")["details"]["cycle"].clone();
    assert_eq!(cycle.as_array().unwrap().len(), 2);
    post(json!({"tasks": [named("a", &["ref:a"]), good]})).await.ains_error(400, "CIRCULAR_DEPENDENCY");
    let error = post(json!({"tasks": [named("a", &[]), named("a", &[])]})).await.ains_error(400, "INVALID_FIELD_VALUE");
    assert_eq!(error["details"]["field"], "tasks[1].client_ref");
    assert!(rig.texts("SELECT task_id::text AS value FROM tasks").is_empty());
    assert!(rig.texts("SELECT kind AS value FROM outbox").is_empty());
}

#[tokio::test]
async fn tasks_of_a_batch_depend_on_each_other_by_reference() {
    let rig = Rig::start().await;
    let good = task("a:v1", json!({}));
    let named =
        |name: &str, depends_on: Value| over(good.clone(), json!({"client_ref": name, "depends_on": depends_on}));
    let stored = rig.submit("a:v1", json!({})).await;
    let answer = submit(
        &rig,
        vec![
            named("load", json!(["ref:clean", stored, "ref:clean"])),
            named("clean", json!([])),
            named("lost", json!(["ref:nobody"])),
            named("follows", json!(["ref:lost"])),
            over(named("bad", json!([])), json!({"priority": 0})),
            named("too", json!(["ref:bad"])),
        ],
    )
    .await;
    let refs = &answer["refs"];
    let (load, clean) = (refs["load"].as_str().unwrap(), refs["clean"].as_str().unwrap());
    assert_eq!(refs.as_object().unwrap().len(), 2);
    assert_eq!(answer["task_ids"], json!([load, clean]));
    let shown = rig.task(load).await;
    assert_eq!((&shown["depends_on"], &shown["is_blocked"]), (&json!([clean, stored]), &json!(true)));
    let missing: Vec<&Value> =
        answer["errors"].as_array().unwrap().iter().map(|error| &error["details"]["missing"]).collect();
    assert_eq!(missing, [&json!(["ref:nobody"]), &json!(["ref:lost"]), &Value::Null, &json!(["ref:bad"])]);
    rig.assert_sound();
}

#[tokio::test]
async fn another_clients_task_is_refused_alone() {
    let rig = Rig::start().await;
    let own = task("a:v1", json!({"client_id": "one"}));
    let body = json!({"tasks": [own, task("a:v1", json!({"client_id": "two"}))]});
    let answer = rig.client("one").post("/ains/tasks/batch", &body).await.ains(201);
    assert_eq!((&answer["submitted"], &answer["errors"][0]["code"]), (&json!(1), &json!("INSUFFICIENT_PERMISSIONS")));
}
