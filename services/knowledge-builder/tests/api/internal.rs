//! What only our own services may ask.

use serde_json::json;

use crate::rig::{Rig, each, report};

#[tokio::test]
async fn agent_builder_brings_a_concept_and_the_texts_of_a_role_model() {
    let rig = Rig::start().await;
    rig.document("Stored", "Ada Lovelace met somebody.").await;
    let client = rig.service.client().service("agent-builder");
    let body = json!({
        "identifier": "Ada Lovelace", "entity_type": "Person", "deepening_cycles": 0, "sources": ["taxonomy"],
        "role_model_texts": ["She wrote the first program for the engine."],
        "concept": {"uri": "urn:imago:occupation:1", "label": "mathematician", "description": "Mathematicians study numbers."},
    });
    let answer = client.post("/api/v1/knowledge?include=embeddings", &body).await;
    let made = answer.data(201);
    assert!(answer.meta().get("warnings").is_none());
    assert_eq!(each(&made["knowledge_items"], "source"), ["Role model", "ESCO"]);
    let concept = &made["knowledge_items"][1];
    assert_eq!(concept["text"], "Mathematicians study numbers.");
    assert_eq!(
        (&concept["metadata"]["url"], &concept["metadata"]["title"]),
        (&json!("urn:imago:occupation:1"), &json!("mathematician"))
    );
    assert_eq!((&concept["entity"]["trust_score"], &concept["entity"]["name"]), (&json!(0.9), &json!("Ada Lovelace")));
    assert_eq!(concept["embedding"].as_array().unwrap().len(), 384);
    assert_eq!(
        (&report(&made, "taxonomy")["status"], &report(&made, "documents")["status"]),
        (&json!("ok"), &json!("ok"))
    );
    assert_eq!(made["created_by"], "agent-builder");
    // Stored documents are looked through when they are asked for.
    let mut body = body;
    body["sources"] = json!(["documents"]);
    let made = client.post("/api/v1/knowledge", &body).await.data(201);
    assert_eq!(each(&made["knowledge_items"], "source"), ["Role model", "Stored"]);
    assert_eq!(report(&made, "taxonomy")["reason"], "not_requested");
}

#[tokio::test]
async fn texts_are_turned_into_vectors_for_services_only() {
    let rig = Rig::start().await;
    let path = "/internal/v1/embeddings";
    let body = json!({"texts": ["one", "two"]});
    let made = rig.service.client().service("chat").post(path, &body).await.data(200);
    assert_eq!((&made["model"], made["vectors"].as_array().unwrap().len()), (&json!("lexical-384"), 2));
    rig.admin.post(path, &body).await.error(404, "NOT_FOUND_ERROR.ENDPOINT_NOT_FOUND");
    let many = rig.service.client().service("chat").post(path, &json!({"texts": vec!["x"; 513]})).await;
    many.error(422, "VALIDATION_ERROR.INVALID_RANGE");
}
