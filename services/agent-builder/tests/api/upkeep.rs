//! Health, readiness, metrics, and the document that describes the API.

use std::collections::BTreeSet;

use serde_json::json;
use test_support::assert_no_operation_is_open;

use crate::{
    Rig,
    builders::{Act, MATCH},
};

#[tokio::test]
async fn dependencies_are_told_of_by_name_and_address() {
    let rig = Rig::new().await;
    let answer = rig.service.client().get("/health/detailed").await;
    let health = answer.data(200);
    assert_eq!((&health["service"], &health["status"]), (&json!("agentbuilder"), &json!("healthy")));
    let dependencies = &health["dependencies"];
    for name in ["skillbuilder", "knowledgebuilder"] {
        assert_eq!(dependencies[name], json!({"status": "healthy", "url": rig.builders.url}));
    }
    assert_eq!(dependencies["controlplane"]["status"], "unreachable", "and dispensable");
    assert_eq!(dependencies["database"], json!({"status": "healthy"}));
}

#[tokio::test]
async fn a_builder_that_is_ill_or_away_degrades_the_service() {
    let rig = Rig::with(&[("KNOWLEDGE_BUILDER_URL", "http://someone:secret@127.0.0.1:9/base/")]).await;
    rig.builders.set("/health", Act::Status(503));
    let answer = rig.service.client().get("/health/detailed").await;
    let health = answer.data(503);
    assert_eq!(health["status"], "degraded");
    assert_eq!(health["dependencies"]["skillbuilder"]["status"], "unhealthy");
    let knowledge = json!({"status": "unreachable", "url": "http://127.0.0.1:9/base"});
    assert_eq!(health["dependencies"]["knowledgebuilder"], knowledge);
    assert_eq!(rig.service.client().get("/health").await.data(200)["service"], "agentbuilder");
}

#[tokio::test]
async fn a_service_is_ready_when_database_and_migrations_are() {
    let rig = Rig::new().await;
    let ready = rig.service.client().get("/ready").await.data(200);
    assert_eq!(ready["status"], "ready");
    assert_eq!(
        (&ready["checks"]["database"]["ok"], &ready["checks"]["migrations"]["ok"]),
        (&json!(true), &json!(true))
    );
}

#[tokio::test]
async fn what_is_counted_has_the_published_names() {
    let rig = Rig::new().await;
    let metrics = || async { rig.service.client().get("/metrics").await.text };
    for name in [
        "agentbuilder_agents_created_total",
        "agentbuilder_agent_creation_duration_seconds_bucket{",
        "agentbuilder_agent_creation_duration_seconds_sum",
        "agentbuilder_agent_creation_duration_seconds_count",
        "agentbuilder_builds_total{outcome=\"completed\"}",
        "agentbuilder_builds_total{outcome=\"failed\"}",
        "agentbuilder_builds_total{outcome=\"cancelled\"}",
        "agentbuilder_builds_total{outcome=\"lost\"}",
    ] {
        assert!(metrics().await.lines().any(|line| line.starts_with(name)), "{name} is there from the start");
    }
    // Other tests of this process count, too.
    let value = |text: &str, name: &str| -> f64 {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        line.rsplit_once(' ').unwrap().1.parse().unwrap()
    };
    let before = metrics().await;
    rig.agent("ada").await;
    let _failed = {
        rig.builders.set(MATCH, Act::Status(422));
        rig.admin().post("/api/v1/agents", &crate::body("b")).await
    };
    let after = metrics().await;
    for name in [
        "agentbuilder_agents_created_total ",
        "agentbuilder_agent_creation_duration_seconds_count",
        "agentbuilder_builds_total{outcome=\"completed\"}",
        "agentbuilder_builds_total{outcome=\"failed\"}",
    ] {
        assert!(value(&after, name) > value(&before, name), "{name}");
    }
}

#[tokio::test]
async fn no_operation_is_open() {
    let rig = Rig::new().await;
    assert_no_operation_is_open(&rig.service, &[]).await;
}

#[tokio::test]
async fn the_document_lists_every_operation_of_the_contract() {
    let rig = Rig::new().await;
    let document = rig.service.client().get("/api/v1/openapi.json").await.body;
    let paths = document["paths"].as_object().unwrap();
    let operations: BTreeSet<String> = paths
        .iter()
        .flat_map(|(path, methods)| methods.as_object().unwrap().keys().map(move |method| format!("{method} {path}")))
        .collect();
    let expected = [
        "delete /api/v1/agents/{agent_id}",
        "get /api/v1/agents",
        "get /api/v1/agents/{agent_id}",
        "get /api/v1/agents/{agent_id}/capabilities",
        "patch /api/v1/agents/{agent_id}",
        "post /api/v1/agents",
        "post /api/v1/agents/{agent_id}/build",
        "post /build",
        "put /api/v1/agents/{agent_id}",
    ];
    assert_eq!(operations.iter().map(String::as_str).collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn a_method_that_a_path_has_not_is_told_which_it_has() {
    let rig = Rig::new().await;
    let answer = rig.admin().delete("/api/v1/agents").await;
    answer.error(405, "VALIDATION_ERROR.METHOD_NOT_ALLOWED");
    assert_eq!(answer.header("allow"), "GET, POST");
}
