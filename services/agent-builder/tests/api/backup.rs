//! Agents to a file and back.

use agent_builder::backup::{RestoreError, backup, restore};
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use crate::{
    Rig, body,
    builders::{Act, MATCH},
    until_build,
};

async fn saved(rig: &Rig) -> (usize, String) {
    let url = rig.db.url();
    let save = move || {
        let mut file = Vec::new();
        let count = backup(&url, &mut file).unwrap();
        (count, String::from_utf8(file).unwrap())
    };
    spawn_blocking(save).await.unwrap()
}

async fn restored(rig: &Rig, file: String) -> Result<usize, RestoreError> {
    let url = rig.db.url();
    spawn_blocking(move || restore(&url, file.as_bytes())).await.unwrap()
}

#[tokio::test]
async fn a_backup_brings_everything_back() {
    let rig = Rig::new().await;
    rig.agent("ada").await;
    rig.admin()
        .patch("/api/v1/agents/ada", &json!({"generated_knowledge": ["By hand."], "metadata": {"a": [1.5, "é"]}}))
        .await
        .data(200);
    let mut others = Vec::new();
    for number in 0..12 {
        others.push(rig.agent(&format!("b{number:02}")).await);
    }
    let before = rig.admin().get("/api/v1/agents?include=embeddings&sort=agent_id").await.data(200);
    let (count, file) = saved(&rig).await;
    assert_eq!(count, 13);
    let parsed: Value = serde_json::from_str(&file).unwrap();
    assert_eq!((&parsed["version"], &parsed["agents"]), (&json!("1.0"), &before));
    assert!(parsed["timestamp"].as_str().unwrap().ends_with('Z'));
    assert_eq!(file, format!("{}\n", reordered(&file)), "indented by two");
    rig.admin().delete("/api/v1/agents/ada").await.data(200);
    rig.admin()
        .patch("/api/v1/agents/b00", &json!({"role_model": {"name": "Changed"}, "generated_skills": []}))
        .await
        .data(200);
    rig.agent("new").await;
    assert_eq!(restored(&rig, file.clone()).await.unwrap(), 13);
    let after =
        rig.admin().get("/api/v1/agents?include=embeddings&sort=agent_id&filter[agent_id][ne]=new").await.data(200);
    assert_eq!(after, before);
    rig.admin().get("/api/v1/agents/new").await.data(200);
    assert_eq!(rig.count("agent_knowledge WHERE agent_id = 'ada' AND is_written"), 1);
    assert_eq!(rig.count("outbox WHERE actor = 'restore' AND kind = 'agent.ready'"), 1);
    // And once more, to the same end.
    assert_eq!(restored(&rig, file).await.unwrap(), 13);
    let again =
        rig.admin().get("/api/v1/agents?include=embeddings&sort=agent_id&filter[agent_id][ne]=new").await.data(200);
    assert_eq!(again, before);
}

/// The file's layout, made anew with the keys in the order of the file.
fn reordered(file: &str) -> String {
    #[derive(serde::Serialize, serde::Deserialize)]
    struct File {
        timestamp: String,
        version: String,
        agents: Vec<Value>,
    }
    serde_json::to_string_pretty(&serde_json::from_str::<File>(file).unwrap()).unwrap()
}

#[tokio::test]
async fn what_a_file_does_not_say_stays() {
    let rig = Rig::new().await;
    let before = rig.agent("ada").await;
    let file =
        json!({"version": "1.0", "timestamp": "x", "agents": [{"agent_id": "ada", "metadata": {"b": 2}, "hobby": 1}]});
    assert_eq!(restored(&rig, file.to_string()).await.unwrap(), 1);
    let mut after = rig.admin().get("/api/v1/agents/ada").await.data(200);
    assert_eq!(after["metadata"], json!({"b": 2}));
    after["metadata"] = before["metadata"].clone();
    after["updated_at"] = before["updated_at"].clone();
    assert_eq!(after, before);
}

#[tokio::test]
async fn an_agent_can_be_restored_from_little() {
    let rig = Rig::new().await;
    let agent =
        json!({"agent_id": "x", "role_model": {"name": "X", "occupation": null}, "generated_skills": ["Juggling"]});
    restored(&rig, json!({"version": "1.0", "agents": [agent]}).to_string()).await.unwrap();
    let agent = rig.admin().get("/api/v1/agents/x?include=embeddings").await.data(200);
    assert_eq!((&agent["status"], &agent["generated_skills"][0]["name"]), (&json!("completed"), &json!("Juggling")));
    assert_eq!(agent["capabilities"], json!(["agent.x:v1", "juggling:v1"]));
    assert!(agent["build"]["build_id"].is_string() && agent["completed_at"].is_string());
}

#[tokio::test]
async fn what_was_pending_comes_back_failed() {
    let rig = Rig::new().await;
    rig.builders.set(MATCH, Act::Hold);
    rig.admin().header("prefer", "respond-async").post("/api/v1/agents", &body("ada")).await.data(202);
    until_build(&rig.admin(), "ada", "running").await;
    let (_, file) = saved(&rig).await;
    restored(&rig, file).await.unwrap();
    let agent = rig.admin().get("/api/v1/agents/ada").await.data(200);
    assert_eq!(agent["status"], "failed");
    assert_eq!(rig.count("jobs WHERE state = 'cancelled'"), 1);
    rig.builders.release();
    rig.builders.good(MATCH);
    rig.admin().post("/api/v1/agents/ada/build", &json!({})).await.data(200);
}

#[tokio::test]
async fn a_file_of_another_format_changes_nothing() {
    let rig = Rig::new().await;
    let before = rig.agent("ada").await;
    let change = json!({"agent_id": "ada", "metadata": {"changed": true}});
    for (agents, fault) in [
        (json!([change, {"agent_id": "no role model"}]), "agents[1].agent_id is not an id"),
        (json!([change, {"agent_id": "unknown"}]), "'unknown' is new here and has no role_model"),
        (json!([change, 7]), "agents[1] is not an object"),
        (
            json!([change, {"agent_id": "b", "role_model": {"name": "B"}, "generated_skills": [{"x": 1}]}]),
            "agents[1].generated_skills[0]",
        ),
    ] {
        let file = json!({"agents": agents, "version": "1.0"}).to_string();
        let error = restored(&rig, file).await.unwrap_err();
        assert!(matches!(error, RestoreError::Format(_)) && error.to_string().contains(fault), "{error}");
    }
    let error = restored(&rig, json!({"agents": [change], "version": "9"}).to_string()).await.unwrap_err();
    assert!(error.to_string().contains("version"), "{error}");
    assert_eq!(rig.admin().get("/api/v1/agents/ada").await.data(200), before);
}

#[tokio::test]
async fn without_agents_there_is_still_a_backup() {
    let rig = Rig::new().await;
    let (count, file) = saved(&rig).await;
    assert_eq!(count, 0);
    assert_eq!(restored(&rig, file).await.unwrap(), 0);
}
