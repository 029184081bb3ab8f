//! Simultaneous requests for one entity.

use futures_util::future::join_all;
use serde_json::json;

use crate::rig::{Rig, each};

#[tokio::test]
async fn simultaneous_texts_all_stay() {
    let rig = Rig::start().await;
    let give = (0..8).map(|n| {
        let body = json!({"identifier": "Bob", "text": format!("Remark {n}.")});
        let client = rig.admin.clone();
        async move { client.post("/api/v1/knowledge", &body).await.data(201) }
    });
    join_all(give).await;
    let record = rig.admin.get("/api/v1/knowledge/entity:bob").await.data(200);
    let mut texts = each(&record["knowledge_items"], "text");
    texts.sort_unstable();
    assert_eq!(texts, (0..8).map(|n| format!("Remark {n}.")).collect::<Vec<_>>());
    assert_eq!(record["total_items"], 8);
}

#[tokio::test]
async fn simultaneous_runs_in_two_processes_go_one_after_the_other() {
    let rig = Rig::start().await;
    let other = rig.another().await;
    let clients = [rig.admin.clone(), other.client().admin()];
    let runs = (0..6).map(|n| {
        let documents = json!([{"title": format!("T{n}"), "text": format!("Bob sang song {n}.")}]);
        let body = json!({"identifier": "Bob", "sources": [], "documents": documents});
        let client = clients[n % 2].clone();
        async move { client.post("/api/v1/knowledge", &body).await.data(201) }
    });
    let made = join_all(runs).await;
    for record in &made {
        assert_eq!(record["total_items"], 1, "each run replaces what the one before found");
    }
    let mut updates: Vec<_> = made.iter().map(|record| record["updated_at"].as_str().unwrap()).collect();
    updates.sort_unstable();
    updates.dedup();
    assert_eq!(updates.len(), 6);
    let record = rig.admin.get("/api/v1/knowledge/entity:bob").await.data(200);
    assert_eq!(record["updated_at"].as_str(), updates.last().copied());
}
