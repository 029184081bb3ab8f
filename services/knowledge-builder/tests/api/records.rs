//! Reading, listing, changing and deleting records.

use serde_json::{Value, json};

use crate::rig::{Rig, each, report};

#[tokio::test]
async fn unknown_records_are_not_found() {
    let rig = Rig::start().await;
    let path = "/api/v1/knowledge/person:nobody";
    for answer in [
        rig.admin.get(path).await,
        rig.admin.patch(path, &json!({"identifier": "x"})).await,
        rig.admin.delete(path).await,
    ] {
        let error = answer.error(404, "NOT_FOUND_ERROR.RESOURCE_NOT_FOUND");
        assert_eq!(error["message"], "Knowledge 'person:nobody' not found");
    }
}

#[tokio::test]
async fn lists_filter_sort_and_show_whole_records() {
    let rig = Rig::start().await;
    for (name, cycles) in [("b", 0), ("a", 2), ("c", 1)] {
        rig.gather(json!({"identifier": format!("{name} one"), "entity_type": "Kind", "deepening_cycles": cycles, "sources": []})).await;
    }
    rig.note("d two", "Other", "A text.").await;
    let list = async |query: &str| rig.admin.get(&format!("/api/v1/knowledge?{query}")).await.data(200);
    let cycles = list("filter[entity_type]=Kind&sort=-deepening_cycles").await;
    assert_eq!(each(&cycles, "identifier"), ["a one", "c one", "b one"]);
    assert_eq!(
        each(&list("filter[entity_type]=Kind&sort=entity_type,-identifier").await, "identifier"),
        ["c one", "b one", "a one"]
    );
    assert_eq!(each(&list("").await, "identifier"), ["b one", "a one", "c one", "d two"]);
    assert_eq!(each(&list("filter[total_items][gte]=1").await, "identifier"), ["d two"]);
    assert_eq!(each(&list("filter[knowledge_id]=kind:a_one").await, "identifier"), ["a one"]);
    assert_eq!(each(&list("filter[identifier][contains]=TWO").await, "identifier"), ["d two"]);
    let full = list("filter[identifier]=d two").await;
    assert_eq!(full[0], rig.admin.get("/api/v1/knowledge/other:d_two").await.data(200));
    let time = full[0]["created_at"].as_str().unwrap();
    assert_eq!(each(&list(&format!("filter[created_at]={time}")).await, "identifier"), ["d two"]);
    let page = rig.admin.get("/api/v1/knowledge?per_page=3&page=2").await;
    assert_eq!(each(&page.data(200), "identifier"), ["d two"]);
    assert_eq!(page.meta()["pagination"]["total"], 4);
    for unknown in ["filter[text]=x", "sort=created_by", "filter[identifier][like]=x"] {
        rig.admin.get(&format!("/api/v1/knowledge?{unknown}")).await.error(422, "VALIDATION_ERROR.INVALID_FORMAT");
    }
}

#[tokio::test]
async fn a_patch_changes_what_it_names() {
    let rig = Rig::start().await;
    let made = rig.note("Bob", "Person", "Old.").await;
    let path = "/api/v1/knowledge/person:bob";
    let body = json!({"identifier": "Renamed", "knowledge_items": [{"text": "New."}, "Newer."], "deepening_cycles": 4});
    let data = rig.admin.patch(path, &body).await.data(200);
    assert_eq!((&data["knowledge_id"], &data["identifier"]), (&json!("person:bob"), &json!("Renamed")));
    assert_eq!(each(&data["knowledge_items"], "text"), ["New.", "Newer."]);
    assert_eq!(
        (&data["total_items"], &data["deepening_cycles"], &data["text"]),
        (&json!(2), &json!(4), &json!("New.\n\nNewer."))
    );
    assert_eq!((&data["run_id"], &data["created_at"]), (&made["run_id"], &made["created_at"]));
    assert!(made["updated_at"].as_str() < data["updated_at"].as_str());
    assert_eq!(rig.admin.get(path).await.data(200), data);
    // A new name and type are those of the items, too; what they say stays.
    let data = rig.admin.patch(path, &json!({"identifier": "Rob", "entity_type": "place"})).await.data(200);
    let item = &data["knowledge_items"][0];
    assert_eq!((&item["entity"]["name"], &item["entity"]["type"]), (&json!("Rob"), &json!("Place")));
    assert_eq!(
        (&item["resolved"]["schema_type"], &data["knowledge_id"]),
        (&json!("schema:Place"), &json!("person:bob"))
    );
    assert_eq!(each(&data["knowledge_items"], "text"), ["New.", "Newer."]);
}

#[tokio::test]
async fn scores_follow_a_patched_name_and_type() {
    let rig = Rig::start().await;
    let documents = json!([{"title": "Gazette", "text": "Quentin Vale discovered a comet over Lisbon in 1887."}]);
    rig.gather(json!({"identifier": "Quentin Vale", "entity_type": "Person", "documents": documents})).await;
    rig.note("Quentin Vale", "Person", "Quentin Vale.").await;
    let path = "/api/v1/knowledge/person:quentin_vale";
    let scores = |record: &Value| {
        let of = |item: &Value| {
            json!([item["entity"]["quality_score"], item["entity"]["completeness_score"], item["confidence"]])
        };
        record["knowledge_items"].as_array().unwrap().iter().map(of).collect::<Vec<_>>()
    };
    let made = rig.admin.get(path).await.data(200);
    assert_eq!(scores(&made), [json!([0.61, 0.2, 1.0]), json!([0.65, 0.2, 0.74])]);
    let patched = rig.admin.patch(path, &json!({"identifier": "Someone", "entity_type": "Thing"})).await.data(200);
    assert_eq!(scores(&patched), [json!([0.31, 0.6, 1.0]), json!([0.35, 0.68, 0.61])]);
    let back = json!({"identifier": "Quentin Vale", "entity_type": "Person"});
    assert_eq!(scores(&rig.admin.patch(path, &back).await.data(200)), scores(&made));
}

#[tokio::test]
async fn items_written_by_clients_keep_what_they_say() {
    let rig = Rig::start().await;
    rig.note("Bob", "Person", "Old.").await;
    let path = "/api/v1/knowledge/person:bob";
    let item = json!({
        "entity": {"text": "Short and stout.", "name": "Teapot", "type": "Thing"}, "source": "Song", "confidence": 0.25,
        "timestamp": "2020-01-01T00:00:00Z", "attributes": {"birthDate": "1900"}, "metadata": {"url": "https://example.org", "shelf": 4},
    });
    let written = rig.admin.patch(path, &json!({"knowledge_items": [item]})).await.data(200);
    let item = &written["knowledge_items"][0];
    assert_eq!(
        (&item["text"], &item["source"], &item["confidence"]),
        (&json!("Short and stout."), &json!("Song"), &json!(0.25))
    );
    assert_eq!((&item["entity"]["name"], &item["entity"]["type"]), (&json!("Teapot"), &json!("Thing")));
    assert_eq!(
        (&item["timestamp"], &item["attributes"]),
        (&json!("2020-01-01T00:00:00.000Z"), &json!({"birthDate": "1900"}))
    );
    assert_eq!((&item["metadata"]["shelf"], &item["metadata"]["title"]), (&json!(4), &Value::Null));
    // What was read can be written back.
    let body = json!({"knowledge_items": written["knowledge_items"]});
    let again = rig.admin.patch(path, &body).await.data(200);
    assert_eq!(again["knowledge_items"], written["knowledge_items"]);
    // And it is a client's: a new run leaves it.
    let documents = json!([{"title": "Book", "text": "Bob found."}]);
    let made = rig.gather(json!({"identifier": "Bob", "entity_type": "Person", "documents": documents})).await;
    assert_eq!(each(&made["knowledge_items"], "text"), ["Short and stout.", "Bob found."]);
}

#[tokio::test]
async fn a_patch_is_checked_and_all_or_nothing() {
    let rig = Rig::start().await;
    let made = rig.note("Bob", "Person", "Old.").await;
    let path = "/api/v1/knowledge/person:bob";
    for (body, fields, reason) in [
        (json!({}), vec!["body"], "REQUIRED_FIELD"),
        (json!({"identifier": null, "other": 1}), vec!["body"], "REQUIRED_FIELD"),
        (json!({"knowledge_items": "x"}), vec!["knowledge_items"], "INVALID_TYPE"),
        (json!({"knowledge_items": vec!["x"; 5001]}), vec!["knowledge_items"], "INVALID_RANGE"),
        (
            json!({"knowledge_items": ["fine", 3, {"text": ""}]}),
            vec!["knowledge_items[1]", "knowledge_items[2].text"],
            "INVALID_TYPE",
        ),
        (json!({"identifier": "New", "deepening_cycles": 99}), vec!["deepening_cycles"], "INVALID_RANGE"),
        (json!({"entity_type": "a/b"}), vec!["entity_type"], "INVALID_FORMAT"),
    ] {
        let answer = rig.admin.patch(path, &body).await;
        answer.error(422, &format!("VALIDATION_ERROR.{reason}"));
        assert_eq!(answer.fields(), fields);
    }
    let error =
        rig.admin.patch(path, &json!({"knowledge_items": "x"})).await.error(422, "VALIDATION_ERROR.INVALID_TYPE");
    assert_eq!(error["message"], "knowledge_items must be a list");
    assert_eq!(rig.admin.get(path).await.data(200), made);
}

#[tokio::test]
async fn a_put_creates_and_replaces() {
    let rig = Rig::start().await;
    let path = "/api/v1/knowledge/thing:teapot";
    let items = json!([{"entity": {"text": "Short and stout."}}]);
    let body = json!({"identifier": "Teapot", "entity_type": "Thing", "knowledge_items": items, "deepening_cycles": 3});
    let made = rig.admin.put(path, &body).await.data(200);
    assert_eq!((&made["knowledge_id"], &made["deepening_cycles"]), (&json!("thing:teapot"), &json!(3)));
    assert_eq!(each(&made["knowledge_items"], "text"), ["Short and stout."]);
    assert_eq!(made["rounds"], json!([{"round": 0, "identifiers": ["Teapot"], "items": 1}]));
    assert_eq!(report(&made, "documents")["reason"], "not_requested");
    let data = rig.admin.put(path, &json!({"identifier": "Kettle"})).await.data(200);
    assert_eq!(
        (&data["identifier"], &data["entity_type"], &data["deepening_cycles"]),
        (&json!("Kettle"), &Value::Null, &json!(0))
    );
    assert_eq!((&data["knowledge_items"], &data["created_at"]), (&json!([]), &made["created_at"]));
    for (path, body, fields) in [
        ("/api/v1/knowledge/notypename", json!({"identifier": "x"}), vec!["knowledge_id"]),
        ("/api/v1/knowledge/thing:Upper", json!({}), vec!["knowledge_id", "identifier"]),
        (path, json!({"identifier": "x", "knowledge_items": {}}), vec!["knowledge_items"]),
    ] {
        let answer = rig.admin.put(path, &body).await;
        assert_eq!((answer.status, answer.fields()), (422, fields.into_iter().map(str::to_owned).collect()));
    }
}

#[tokio::test]
async fn a_deleted_record_is_gone_with_its_items() {
    let rig = Rig::start().await;
    rig.note("Bob", "Person", "A quaint remark.").await;
    let path = "/api/v1/knowledge/person:bob";
    assert_eq!(rig.admin.delete(path).await.data(200), json!({"deleted": true, "knowledge_id": "person:bob"}));
    rig.admin.get(path).await.error(404, "NOT_FOUND_ERROR.RESOURCE_NOT_FOUND");
    rig.admin.delete(path).await.error(404, "NOT_FOUND_ERROR.RESOURCE_NOT_FOUND");
    let found = rig.admin.post("/api/v1/knowledge/search", &json!({"query": "quaint"})).await.data(200);
    assert_eq!(found["results"], json!([]));
}
