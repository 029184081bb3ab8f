//! The task router over HTTP, on a real database.

#![cfg(test)]

mod aitp;
mod batch;
mod claim;
mod deadlines;
mod dependencies;
mod push;
mod replicas;
mod report;
mod rig;
mod routing;
mod tasks;
mod trust;
mod workers;

use rig::Rig;
use serde_json::json;
use test_support::assert_no_operation_is_open;

#[tokio::test]
async fn nothing_but_the_version_is_open() {
    let rig = Rig::start().await;
    assert_no_operation_is_open(&rig.service, &["GET /ains/version"]).await;
}

#[tokio::test]
async fn it_says_what_it_speaks() {
    let rig = Rig::start().await;
    let answer = rig.service.client().get("/ains/version").await;
    let version = answer.ains(200);
    assert_eq!((&version["version"], &version["api_version"]), (&json!("1.0.0"), &json!("v1")));
    assert_eq!((&version["status"], &version["deprecations"]), (&json!("stable"), &json!([])));
    assert_eq!(answer.header("api-version"), "1.0.0");
}

#[tokio::test]
async fn it_says_how_it_is() {
    let rig = Rig::start().await;
    let health = rig.service.client().get("/health").await.data(200);
    assert_eq!(health, json!({"status": "healthy", "service": "taskrouter", "version": "v1"}));
}

#[tokio::test]
async fn what_is_counted_is_there_before_it_happens() {
    let rig = Rig::start().await;
    let metrics = rig.service.client().get("/metrics").await.text;
    for name in [
        "ains_tasks_created_total",
        "ains_tasks_completed_total",
        "ains_tasks_failed_total{reason=\"dependency\"}",
        "ains_task_retries_total",
        "ains_task_timeouts_total",
        "ains_task_duration_seconds_count",
        "ains_tasks_in_queue{priority=\"10\"}",
        "ains_agents_total",
        "ains_agents_active",
        "ains_push_requests_total{outcome=\"refused\"}",
    ] {
        assert!(metrics.contains(name), "{name}");
    }
}
