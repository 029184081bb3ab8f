//! `GET /api/v1/knowledge/entities/{entity_id}`

use serde_json::json;

use crate::rig::{Rig, each, escaped};

#[tokio::test]
async fn an_entity_is_found_however_it_is_spelt() {
    let rig = Rig::start().await;
    let one = rig.note("Mike Ross", "Person", "Sang.").await;
    for spelling in ["mike_ross", "Mike Ross", "MIKE ROSS", "Mike_Ross"] {
        let found = rig.admin.get(&format!("/api/v1/knowledge/entities/{}", escaped(spelling))).await.data(200);
        assert_eq!(found, one, "{spelling}");
    }
    let with_underscore = rig.note("snake_case", "Thing", "Hissed.").await;
    assert_eq!(rig.admin.get("/api/v1/knowledge/entities/snake_case").await.data(200), with_underscore);
}

#[tokio::test]
async fn several_records_are_an_array_by_id() {
    let rig = Rig::start().await;
    rig.note("Mike", "Person", "Sang.").await;
    rig.note("mike", "Artist", "Painted.").await;
    let found = rig.admin.get("/api/v1/knowledge/entities/mike").await.data(200);
    assert_eq!(each(&found, "knowledge_id"), ["artist:mike", "person:mike"]);
    assert_eq!(found[0]["knowledge_items"][0]["text"], "Painted.");
}

#[tokio::test]
async fn an_unknown_entity_is_not_found() {
    let rig = Rig::start().await;
    rig.gather(json!({"identifier": "Mike Ross", "sources": []})).await;
    let error = rig.admin.get("/api/v1/knowledge/entities/no_mike").await;
    let error = error.error(404, "NOT_FOUND_ERROR.RESOURCE_NOT_FOUND");
    assert_eq!(error["message"], "No knowledge found for entity 'no_mike'");
}
