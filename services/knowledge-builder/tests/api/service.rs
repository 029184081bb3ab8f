//! What holds for the service as a whole.

use diesel::{
    QueryableByName, RunQueryDsl as _, sql_query,
    sql_types::{Jsonb, Text},
};
use serde_json::{Value, json};
use test_support::assert_no_operation_is_open;

use crate::rig::Rig;

#[tokio::test]
async fn no_operation_is_open() {
    let rig = Rig::start().await;
    assert_no_operation_is_open(&rig.service, &[]).await;
}

#[tokio::test]
async fn readers_may_not_write() {
    let rig = Rig::start().await;
    let reader = rig.service.client().bearer(&test_support::jwt("r", &[], &["knowledge:read"]));
    reader.get("/api/v1/knowledge").await.data(200);
    reader.post("/api/v1/knowledge/search", &json!({"query": "x"})).await.data(200);
    for answer in [
        reader.post("/api/v1/knowledge", &json!({"identifier": "x"})).await,
        reader.put("/api/v1/knowledge/thing:x", &json!({"identifier": "x"})).await,
        reader.delete("/api/v1/knowledge/thing:x").await,
        reader.post("/api/v1/knowledge/documents", &json!({"text": "x"})).await,
        reader.delete("/api/v1/knowledge/documents/x").await,
    ] {
        let error = answer.error(403, "AUTHORIZATION_ERROR.INSUFFICIENT_PERMISSIONS");
        assert_eq!(error["message"], "Permission 'knowledge:write' required");
    }
}

#[tokio::test]
async fn the_deprecated_endpoint_answers_in_both_shapes() {
    let rig = Rig::start().await;
    let body =
        json!({"identifier": "Bob", "entity_type": "Person", "text": "Remembered.", "apiKeys": {"A": "secret-c"}});
    let answer = rig.admin.header("idempotency-key", "k1").post("/knowledge", &body).await;
    let data = answer.data(201);
    assert_eq!(answer.body["knowledge_items"], data["knowledge_items"]);
    assert_eq!(answer.body["identifier"], "Bob");
    assert_eq!(data["knowledge_items"][0]["embedding"].as_array().unwrap().len(), 384);
    let meta = answer.meta();
    assert_eq!(
        (&meta["deprecated"], &meta["deprecation_notice"]),
        (&json!(true), &json!("Use POST /api/v1/knowledge instead"))
    );
    assert_eq!(meta["warnings"], json!(["Field 'apiKeys' was ignored"]));
    assert_eq!(answer.header("deprecation"), "true");
    assert!(!answer.text.contains("secret-c"));
    rig.service.client().post("/knowledge", &body).await.error(401, "AUTHENTICATION_ERROR.MISSING_AUTHORIZATION");
}

#[derive(QueryableByName)]
struct Event {
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Jsonb)]
    payload: Value,
}

#[tokio::test]
async fn changes_are_told_without_their_texts() {
    let rig = Rig::start().await;
    rig.note("Bob", "Person", "A whispered remark.").await;
    let path = "/api/v1/knowledge/person:bob";
    rig.admin.patch(path, &json!({"deepening_cycles": 1})).await.data(200);
    rig.admin
        .put(path, &json!({"identifier": "Bob", "knowledge_items": ["Another whispered remark."]}))
        .await
        .data(200);
    rig.admin.delete(path).await.data(200);
    let stored = rig.document("Title", "A whispered document.").await;
    rig.document_again("Title", "A whispered document.").await;
    let document = format!("/api/v1/knowledge/documents/{}", stored["document_id"].as_str().unwrap());
    rig.admin.delete(&document).await.data(200);
    let mut conn = rig.db.connect();
    let events: Vec<Event> = sql_query("SELECT kind, payload FROM outbox ORDER BY seq").load(&mut conn).unwrap();
    let kinds: Vec<&str> = events.iter().map(|event| event.kind.as_str()).collect();
    let expected = [
        "knowledge.generated",
        "knowledge.updated",
        "knowledge.updated",
        "knowledge.deleted",
        "document.created",
        "document.deleted",
    ];
    assert_eq!(kinds, expected);
    assert_eq!(events[0].payload["items"], 1);
    assert!(events.iter().all(|event| !event.payload.to_string().contains("whispered")));
}

#[tokio::test]
async fn the_service_says_how_it_is() {
    let rig = Rig::start().await;
    let ready = rig.service.client().get("/ready").await;
    assert!(ready.text.contains("lexical fallback"), "{}", ready.text);
    let health = rig.service.client().get("/health/detailed").await;
    let dependencies = health.body.pointer("/data/dependencies").or(health.body.get("dependencies")).unwrap();
    assert_eq!(dependencies["embedding"], json!({"status": "healthy", "model": "lexical-384"}));
    assert_eq!(dependencies["database"]["status"], "healthy");
    assert!(dependencies["controlplane"]["status"].is_string());
    rig.gather(json!({"identifier": "x", "sources": []})).await;
    let metrics = rig.service.client().get("/metrics").await;
    assert!(metrics.text.contains("knowledgebuilder_records_created_total"), "{}", metrics.text);
}
