//! The spelling of older workers.

use serde_json::json;

use crate::rig::{Rig, task};

#[tokio::test]
async fn a_running_task_is_active() {
    let rig = Rig::start().await;
    rig.worker("w", &["a:v1"]).await;
    let made = rig.admin().post("/aitp/tasks", &task("a:v1", json!({"client_ref": "r"}))).await.ains(201);
    let id = made["task_id"].as_str().unwrap();
    rig.reach(id, &["ASSIGNED"]).await;
    let rows = rig.admin().get("/aitp/tasks?assigned_agent_id=w&status=ASSIGNED").await.ains(200);
    assert_eq!(
        (&rows["tasks"][0]["task_id"], &rows["total"], &rows["limit"], &rows["offset"]),
        (&json!(id), &json!(1), &json!(20), &json!(0))
    );
    let path = format!("/aitp/tasks/{id}");
    let running = rig.admin().put(&format!("{path}/status?agent_id=w"), &json!({"status": "ACTIVE"})).await.ains(200);
    assert_eq!(
        (&running["task_id"], &running["status"], &running["retry_count"]),
        (&json!(id), &json!("ACTIVE"), &json!(0))
    );
    assert!(running["updated_at"].is_string());
    assert_eq!(rig.admin().get(&path).await.ains(200)["status"], "ACTIVE");
    assert_eq!(rig.task(id).await["status"], "RUNNING");
    assert_eq!(rig.admin().get("/aitp/tasks?client_id=acme&status=ACTIVE").await.ains(200)["total"], 1);
    rig.admin().get("/aitp/tasks?status=RUNNING").await.ains_error(400, "INVALID_FIELD_VALUE");
    rig.admin().get("/ains/tasks?status=ACTIVE").await.ains_error(400, "INVALID_FIELD_VALUE");
    rig.admin()
        .put(&format!("{path}/status"), &json!({"status": "RUNNING"}))
        .await
        .ains_error(400, "INVALID_FIELD_VALUE");
    let gone = rig.admin().delete(&format!("{path}?reason=old%20way")).await.ains(200);
    assert_eq!((&gone["status"], &gone["reason"]), (&json!("CANCELLED"), &json!("old way")));
    rig.admin().get("/aitp/tasks/task_none").await.ains_error(404, "TASK_NOT_FOUND");
}
