//! `POST /api/v1/knowledge/search`

use serde_json::{Value, json};

use crate::rig::{Rig, each};

async fn search(rig: &Rig, body: Value) -> Value {
    rig.admin.post("/api/v1/knowledge/search", &body).await.data(200)
}

#[tokio::test]
async fn the_best_item_stands_first() {
    let rig = Rig::start().await;
    rig.note("hit", "Craft", "Painting with a quixotic brush on wet canvas.").await;
    rig.note("miss", "Craft", "Compilers translate programs.").await;
    rig.note("elsewhere", "Other", "A quixotic brush in another hand.").await;
    let found = search(&rig, json!({"query": "quixotic brush", "entity_type": "CRAFT", "limit": 5})).await;
    assert_eq!((&found["query"], &found["method"]), (&json!("quixotic brush"), &json!("hybrid")));
    assert_eq!(found["embedding_model"], "lexical-384");
    let results = found["results"].as_array().unwrap();
    assert_eq!(results[0]["knowledge_id"], "craft:hit");
    assert_eq!(results[0]["relevance_score"], 1.0);
    assert_eq!(results[0]["total_items"], 1);
    assert!(results.iter().all(|result| result["entity_type"] == "Craft"));
    let scores: Vec<f64> = results.iter().map(|result| result["relevance_score"].as_f64().unwrap()).collect();
    assert!(scores.is_sorted_by(|a, b| a >= b) && scores.iter().all(|score| *score > 0.0 && *score <= 1.0));
    let everywhere = search(&rig, json!({"query": "quixotic brush"})).await;
    assert_eq!(everywhere["total"], 3);
}

#[tokio::test]
async fn only_the_found_items_of_a_record_are_shown_best_first() {
    let rig = Rig::start().await;
    let texts: Vec<String> = (0..15).map(|n| format!("Remark {n} on quinces{}", " and more".repeat(n))).collect();
    let body = json!({"identifier": "Fruit", "knowledge_items": texts});
    rig.admin.put("/api/v1/knowledge/thing:fruit", &body).await.data(200);
    let found = search(&rig, json!({"query": "quince"})).await;
    let record = &found["results"][0];
    assert_eq!(record["knowledge_items"].as_array().unwrap().len(), 10);
    assert_eq!(record["total_items"], 15);
    assert!(record["knowledge_items"][0].get("embedding").is_none());
    let full =
        rig.admin.post("/api/v1/knowledge/search?include=embeddings", &json!({"query": "quince"})).await.data(200);
    assert_eq!(full["results"][0]["knowledge_items"][0]["embedding"].as_array().unwrap().len(), 384);
}

#[tokio::test]
async fn the_limit_counts_records() {
    let rig = Rig::start().await;
    for n in 0..5 {
        rig.note(&format!("n{n}"), "Kind", &format!("The {n}th zebra.")).await;
    }
    let found = search(&rig, json!({"query": "zebra", "limit": 2})).await;
    assert_eq!((found["results"].as_array().unwrap().len(), &found["total"]), (2, &json!(5)));
}

#[tokio::test]
async fn nothing_known_is_nothing_found() {
    let rig = Rig::start().await;
    let found = search(&rig, json!({"query": "the of and"})).await;
    assert_eq!((&found["results"], &found["total"]), (&json!([]), &json!(0)));
}

#[tokio::test]
async fn what_was_changed_is_found_as_it_is_now() {
    let rig = Rig::start().await;
    rig.note("Bob", "Person", "He kept axolotls.").await;
    rig.admin
        .patch("/api/v1/knowledge/person:bob", &json!({"knowledge_items": ["He kept pangolins."]}))
        .await
        .data(200);
    let found = search(&rig, json!({"query": "pangolins axolotls"})).await;
    assert_eq!(each(&found["results"][0]["knowledge_items"], "text"), ["He kept pangolins."]);
}

#[tokio::test]
async fn signs_in_a_query_do_no_harm() {
    let rig = Rig::start().await;
    rig.note("Bob", "Person", "He wrote C++ & SQL.").await;
    for query in ["'; DROP TABLE", "a & b | !c <-> (d", "\\", ":*", "%_", "https://a.b/c?d=e&f=g", "🦀"] {
        search(&rig, json!({"query": query})).await;
    }
}

#[tokio::test]
async fn input_is_checked() {
    let rig = Rig::start().await;
    for (body, field, reason) in [
        (json!({}), "query", "REQUIRED_FIELD"),
        (json!({"query": ""}), "query", "INVALID_RANGE"),
        (json!({"query": "x".repeat(1001)}), "query", "INVALID_RANGE"),
        (json!({"query": "x", "entity_type": 3}), "entity_type", "INVALID_TYPE"),
        (json!({"query": "x", "limit": 0}), "limit", "INVALID_RANGE"),
        (json!({"query": "x", "limit": 101}), "limit", "INVALID_RANGE"),
        (json!({"query": "x", "limit": "abc"}), "limit", "INVALID_TYPE"),
    ] {
        let answer = rig.admin.post("/api/v1/knowledge/search", &body).await;
        answer.error(422, &format!("VALIDATION_ERROR.{reason}"));
        assert_eq!(answer.fields(), [field]);
    }
}
