//! Tasks that wait for others.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::rig::{Rig, task};

#[tokio::test]
async fn the_last_dependency_that_completes_lets_a_task_go() {
    let rig = Rig::start().await;
    rig.worker("w", &["a:v1"]).await;
    let first = rig.submit("a:v1", json!({})).await;
    let second = rig.submit("b:v1", json!({})).await;
    let last = rig.submit("a:v1", json!({"depends_on": [first, second, first]})).await;
    assert_eq!(rig.claim_one("w").await["task_id"], first.as_str());
    rig.report(&first, json!({"status": "COMPLETED"})).await;
    let path = format!("/ains/tasks/{last}/dependencies");
    let waits = rig.admin().get(&path).await.ains(200);
    assert_eq!(
        waits,
        json!({
            "task_id": last, "depends_on": [first, second], "is_blocked": true, "ready_to_run": false,
            "dependencies_status": {first.clone(): "COMPLETED", second.clone(): "PENDING"}, "blocking_tasks": [second],
        })
    );
    assert!(rig.claim("w", json!({})).await.is_empty());
    let back = rig.admin().get(&format!("/ains/tasks/{second}/dependents")).await.ains(200);
    let child = json!({"task_id": last, "task_type": "test", "status": "PENDING", "is_blocked": true});
    assert_eq!((&back["dependent_tasks"], &back["dependent_count"]), (&json!([child]), &json!(1)));
    rig.worker("v", &["b:v1"]).await;
    rig.claim_one("v").await;
    rig.report(&second, json!({"status": "COMPLETED"})).await;
    assert_eq!(rig.claim_one("w").await["task_id"], last.as_str());
    assert_eq!(rig.admin().get(&path).await.ains(200)["blocking_tasks"], json!([]));
    rig.assert_sound();
}

#[tokio::test]
async fn what_depends_on_a_task_that_failed_fails_with_it() {
    let rig = Rig::start().await;
    let first = rig.submit("a:v1", json!({})).await;
    let second = rig.submit("a:v1", json!({"depends_on": [first]})).await;
    let third = rig.submit("a:v1", json!({"depends_on": [second]})).await;
    rig.admin().post(&format!("/ains/tasks/{first}/cancel"), &json!({})).await.ains(200);
    for (id, cause) in [(&second, &first), (&third, &second)] {
        let shown = rig.task(id).await;
        assert_eq!(shown["status"], "FAILED");
        assert_eq!(shown["error_message"], format!("Dependency task {cause} failed"));
        assert_eq!(rig.events(&format!("task:{id}")), ["task.created", "task.failed"]);
    }
    let late = rig.admin().post("/ains/tasks", &task("a:v1", json!({"depends_on": [third]}))).await.ains(201);
    assert_eq!(late["status"], "FAILED");
    assert!(rig.task(late["task_id"].as_str().unwrap()).await["completed_at"].is_string());
}

#[tokio::test]
async fn a_completed_dependency_is_none() {
    let rig = Rig::start().await;
    rig.worker("w", &["a:v1"]).await;
    let first = rig.submit("a:v1", json!({})).await;
    rig.claim_one("w").await;
    rig.report(&first, json!({"status": "COMPLETED"})).await;
    let made = rig.admin().post("/ains/tasks", &task("a:v1", json!({"depends_on": [first]}))).await.ains(201);
    assert_eq!((&made["is_blocked"], &made["depends_on"]), (&json!(false), &json!([first])));
    let missing = rig.admin().get("/ains/tasks/task_x/dependencies").await;
    missing.ains_error(404, "TASK_NOT_FOUND");
    rig.admin().get("/ains/tasks/task_x/dependents").await.ains_error(404, "TASK_NOT_FOUND");
}

/// Whoever submits against a task that is just completing is neither forgotten nor let go too early.
#[tokio::test]
async fn submitting_while_the_dependency_ends_loses_nothing() {
    let rig = Rig::start().await;
    rig.worker("w", &["a:v1"]).await;
    for _ in 0..10 {
        let parent = rig.submit("a:v1", json!({})).await;
        while rig.claim_one("w").await["task_id"] != parent.as_str() {}
        let body = task("b:v1", json!({"depends_on": [parent]}));
        let client = rig.admin();
        let submitting = join_all((0..4).map(|_| client.post("/ains/tasks", &body)));
        let (made, _) = tokio::join!(submitting, rig.report(&parent, json!({"status": "COMPLETED"})));
        for answer in made {
            let id = answer.ains(201)["task_id"].as_str().unwrap().to_owned();
            assert_eq!(rig.task(&id).await["is_blocked"], Value::Bool(false), "{id}");
        }
    }
    rig.assert_sound();
}
