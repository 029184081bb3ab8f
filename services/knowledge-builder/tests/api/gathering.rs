//! `POST /api/v1/knowledge`: what is gathered, and what stays.

use serde_json::{Value, json};

use crate::rig::{Rig, SOURCES, each, report};

#[tokio::test]
async fn a_document_of_the_request_becomes_a_whole_record() {
    let rig = Rig::start().await;
    let text = "Quentin Vale discovered a comet over Lisbon in 1887.";
    let made = rig
        .gather(json!({
            "identifier": " Quentin Vale ", "entity_type": "Person",
            "documents": [{"title": "Gazette", "text": text, "url": "https://example.org/gazette"}],
        }))
        .await;
    assert_eq!(made["knowledge_id"], "person:quentin_vale");
    assert_eq!((&made["identifier"], &made["entity_type"]), (&json!("Quentin Vale"), &json!("Person")));
    assert_eq!((&made["total_items"], &made["memory_persisted"]), (&json!(1), &json!(true)));
    assert_eq!(
        (&made["deepening_cycles"], &made["cycles_run"], &made["stopped_early"]),
        (&json!(0), &json!(0), &json!(false))
    );
    assert_eq!(made["rounds"], json!([{"round": 0, "identifiers": ["Quentin Vale"], "items": 1}]));
    assert_eq!(made["created_by"], "test-admin");
    let item = &made["knowledge_items"][0];
    assert_eq!((&item["text"], &item["entity"]["text"]), (&json!(text), &json!(text)));
    assert_eq!(item["source"], "Gazette");
    assert_eq!(item["entity"]["id"], "person:quentin_vale");
    assert_eq!((&item["entity"]["name"], &item["entity"]["type"]), (&json!("Quentin Vale"), &json!("Person")));
    assert_eq!(item["resolved"]["schema_type"], "schema:Person");
    assert_eq!(item["resolved"]["schema_uri"], "https://schema.org/Person");
    assert_eq!(item["confidence"], 0.74);
    let metadata = json!({
        "source_id": null, "url": "https://example.org/gazette", "title": "Gazette", "document_id": null,
        "passage": null, "round": 0, "language": null,
    });
    assert_eq!(item["metadata"], metadata);
    assert!(item.get("embedding").is_none());
    assert_eq!(
        made["entity"],
        json!({"id": "person:quentin_vale", "name": "Quentin Vale", "type": "Person", "text": text})
    );
    assert_eq!(made["text"], text);
    assert_eq!((&made["source"], &made["confidence"]), (&item["source"], &item["confidence"]));
    assert_eq!(made["timestamp"], item["timestamp"]);
    assert_eq!(rig.admin.get("/api/v1/knowledge/person:quentin_vale").await.data(200), made);
}

#[tokio::test]
async fn ids_follow_from_type_and_identifier() {
    let rig = Rig::start().await;
    for (identifier, kind, expected) in [
        ("A/B?w", json!("Thing"), "thing:a_b_w"),
        ("NASA w", json!(null), "entity:nasa_w"),
        ("Dr  Who w", json!("Creative Work"), "creative_work:dr_who_w"),
    ] {
        let made = rig.gather(json!({"identifier": identifier, "entity_type": kind, "sources": []})).await;
        assert_eq!(made["knowledge_id"], expected);
        assert_eq!((&made["knowledge_items"], &made["text"]), (&json!([]), &json!("")));
        assert_eq!(
            (&made["source"], &made["confidence"], &made["timestamp"]),
            (&Value::Null, &Value::Null, &Value::Null)
        );
    }
}

#[tokio::test]
async fn every_source_is_reported() {
    let rig = Rig::start().await;
    let made = rig.gather(json!({"identifier": "Nobody", "sources": ["taxonomy", "documents", "documents"]})).await;
    assert_eq!(each(&made["sources"], "source"), SOURCES);
    assert_eq!(report(&made, "documents")["status"], "empty");
    assert_eq!(report(&made, "taxonomy")["reason"], "not_applicable");
    for source in &SOURCES[2..] {
        assert_eq!(report(&made, source)["reason"], "not_requested");
    }
    let made = rig.gather(json!({"identifier": "Nobody", "sources": null})).await;
    let reasons: Vec<_> = SOURCES[2..].iter().map(|source| report(&made, source)["reason"].clone()).collect();
    assert_eq!(reasons, ["disabled"; 6]);
}

#[tokio::test]
async fn texts_of_clients_accumulate_as_given() {
    let rig = Rig::start().await;
    let mut last = Value::Null;
    let texts = ["Expert in wet-on-wet oil painting", "  Hosted a\ttelevision show "];
    for (text, source, confidence) in [(texts[0], "Custom Database", 1.0), (texts[1], "Almanac", 0.4)] {
        let body = json!({"identifier": "Bob", "entity_type": "Skill", "text": text, "source": source, "confidence": confidence});
        last = rig.admin.post("/api/v1/knowledge", &body).await.data(201);
    }
    let items = last["knowledge_items"].as_array().unwrap();
    let seen: Vec<_> = items.iter().map(|item| (&item["text"], &item["source"], &item["confidence"])).collect();
    let expected = [
        (&json!(texts[0]), &json!("Custom Database"), &json!(1.0)),
        (&json!(texts[1]), &json!("Almanac"), &json!(0.4)),
    ];
    assert_eq!(seen, expected);
    assert_eq!(last["text"], texts.join("\n\n"));
    assert!(SOURCES.iter().all(|source| report(&last, source)["reason"] == "not_requested"));
    assert_eq!(items[0]["resolved"]["schema_type"], "schema:Thing");
    assert_eq!(items[0]["entity"]["type"], "Skill");
}

#[tokio::test]
async fn a_text_is_a_users_and_certain_unless_it_says_otherwise() {
    let rig = Rig::start().await;
    let made = rig.note("Bob", "Person", "Painted.").await;
    let item = &made["knowledge_items"][0];
    assert_eq!(
        (&item["source"], &item["confidence"], &item["entity"]["trust_score"]),
        (&json!("User"), &json!(1.0), &json!(1.0))
    );
    // Given again, it is the same item with what is new about it.
    let again = json!({"identifier": "Bob", "entity_type": "Person", "text": "Painted.", "confidence": 0.5});
    let made = rig.admin.post("/api/v1/knowledge", &again).await.data(201);
    assert_eq!((&made["total_items"], &made["knowledge_items"][0]["confidence"]), (&json!(1), &json!(0.5)));
}

#[tokio::test]
async fn given_items_stay_and_found_ones_are_replaced() {
    let rig = Rig::start().await;
    let bring = |text: &str| json!({"identifier": "Bob", "documents": [{"title": "Book", "text": text}]});
    rig.gather(bring("Bob sang.")).await;
    rig.note("Bob", "Other", "unrelated").await;
    let noted =
        rig.admin.post("/api/v1/knowledge", &json!({"identifier": "Bob", "text": "Bob danced."})).await.data(201);
    assert_eq!(each(&noted["knowledge_items"], "text"), ["Bob danced.", "Bob sang."]);
    let made = rig.gather(bring("Bob slept.")).await;
    assert_eq!(each(&made["knowledge_items"], "text"), ["Bob danced.", "Bob slept."]);
    // A found text that a client gives becomes the client's; one that a client gave is not found again.
    let noted =
        rig.admin.post("/api/v1/knowledge", &json!({"identifier": "Bob", "text": "Bob slept."})).await.data(201);
    assert_eq!(each(&noted["knowledge_items"], "source"), ["User", "User"]);
    let made = rig.gather(bring("Bob slept.")).await;
    assert_eq!(made["total_items"], 2);
    assert_eq!((&report(&made, "documents")["status"], &made["rounds"][0]["items"]), (&json!("ok"), &json!(1)));
}

#[tokio::test]
async fn a_run_that_asks_nobody_finds_nothing_and_a_text_alone_is_no_run() {
    let rig = Rig::start().await;
    rig.document("One", "In spring Quill Vane taught Quip Voss to sail.").await;
    rig.document("Two", "Years later Quip Voss lent a telescope to Quest Vyne.").await;
    let found = rig.gather(json!({"identifier": "Quill Vane", "deepening_cycles": 5})).await;
    assert_eq!((&found["cycles_run"], &found["stopped_early"]), (&json!(1), &json!(true)));
    let text = json!({"identifier": "Quill Vane", "text": "Quill Vane danced."});
    let noted = rig.admin.post("/api/v1/knowledge", &text).await.data(201);
    assert_eq!(each(&noted["knowledge_items"], "source"), ["User", "One", "Two"]);
    for fact in ["rounds", "sources", "deepening_cycles", "cycles_run", "stopped_early", "run_id"] {
        assert_eq!(noted[fact], found[fact], "{fact}");
    }
    assert!(found["updated_at"].as_str() < noted["updated_at"].as_str());
    let text = json!({"identifier": "Quill Vane", "text": "Quill Vane slept.", "sources": []});
    let emptied = rig.admin.post("/api/v1/knowledge", &text).await.data(201);
    assert_eq!(each(&emptied["knowledge_items"], "text"), ["Quill Vane danced.", "Quill Vane slept."]);
    assert_eq!(emptied["rounds"], json!([{"round": 0, "identifiers": ["Quill Vane"], "items": 0}]));
    assert!(SOURCES.iter().all(|source| report(&emptied, source)["reason"] == "not_requested"));
    rig.gather(json!({"identifier": "Quill Vane"})).await;
    let emptied = rig.gather(json!({"identifier": "Quill Vane", "sources": []})).await;
    assert_eq!(each(&emptied["knowledge_items"], "source"), ["User", "User"]);
}

#[tokio::test]
async fn a_found_text_that_a_client_gave_leads_on() {
    let rig = Rig::start().await;
    let text = "In spring Quill Vane taught Quip Voss to sail.";
    rig.document("One", text).await;
    rig.document("Two", "Years later Quip Voss lent a telescope.").await;
    let body = json!({"identifier": "Quill Vane", "text": text, "sources": ["documents"], "deepening_cycles": 1});
    let made = rig.gather(body).await;
    assert_eq!(each(&made["knowledge_items"], "source"), ["User", "Two"]);
    assert_eq!((&made["cycles_run"], &made["stopped_early"]), (&json!(1), &json!(false)));
    assert_eq!(report(&made, "documents")["items"], 2);
}

#[tokio::test]
async fn posting_again_makes_no_duplicates() {
    let rig = Rig::start().await;
    let body = json!({"identifier": "Bob", "documents": [{"title": "T", "text": "Bob sings."}, {"title": "U", "text": "Bob sings."}]});
    let (first, again) = (rig.gather(body.clone()).await, rig.gather(body).await);
    assert_eq!(each(&first["knowledge_items"], "source"), ["T"]);
    assert_eq!(each(&first["knowledge_items"], "knowledge_id"), each(&again["knowledge_items"], "knowledge_id"));
    assert_eq!(first["created_at"], again["created_at"]);
    assert!(first["updated_at"].as_str() < again["updated_at"].as_str());
    assert_ne!(first["run_id"], again["run_id"]);
}

#[tokio::test]
async fn deepening_follows_entities_through_stored_documents() {
    let rig = Rig::start().await;
    rig.document("One", "In spring Quill Vane taught Quip Voss to sail.").await;
    rig.document("Two", "Years later Quip Voss lent a telescope to Quest Vyne.").await;
    rig.document("Three", "At last Quest Vyne mapped the northern coast.").await;
    let mut earlier: Vec<String> = Vec::new();
    for (cycles, titles) in [(0, vec!["One"]), (1, vec!["One", "Two"]), (2, vec!["One", "Two", "Three"])] {
        let made =
            rig.gather(json!({"identifier": "Quill Vane", "entity_type": "Person", "deepening_cycles": cycles})).await;
        assert_eq!(each(&made["knowledge_items"], "source"), titles);
        assert_eq!((&made["cycles_run"], &made["stopped_early"]), (&json!(cycles), &json!(false)));
        let ids: Vec<String> = each(&made["knowledge_items"], "knowledge_id").into_iter().map(str::to_owned).collect();
        assert!(ids.starts_with(&earlier));
        earlier = ids;
        if cycles == 2 {
            let rounds = made["rounds"].as_array().unwrap();
            let asked: Vec<_> = rounds.iter().map(|round| round["identifiers"].clone()).collect();
            assert_eq!(asked, [json!(["Quill Vane"]), json!(["Quip Voss"]), json!(["Quest Vyne"])]);
            let last = &made["knowledge_items"][2];
            assert_eq!(
                (&last["entity"]["name"], &last["entity"]["id"]),
                (&json!("Quest Vyne"), &json!("person:quill_vane"))
            );
            assert_eq!(last["metadata"]["round"], 2);
            assert!(last["metadata"]["document_id"].as_str().unwrap().starts_with("doc_"));
            assert!(last["confidence"].as_f64() < made["knowledge_items"][0]["confidence"].as_f64());
        }
    }
    let made = rig.gather(json!({"identifier": "Quill Vane", "entity_type": "Person", "deepening_cycles": 9})).await;
    assert_eq!((&made["cycles_run"], &made["stopped_early"]), (&json!(2), &json!(true)));
}

#[tokio::test]
async fn stored_documents_are_found_by_whole_phrases() {
    let rig = Rig::start().await;
    for (title, text) in [
        ("case", "Here ADA\nLovelace is named."),
        ("punctuation", "A note (Ada Lovelace)."),
        ("longer", "Ada Lovelaces are many."),
        ("apart", "Ada and Lovelace."),
        ("path", "See notes/Ada Lovelace/index."),
        ("signs", "Written in C++, not in C."),
    ] {
        rig.document(title, text).await;
    }
    let made = rig.gather(json!({"identifier": "ada lovelace"})).await;
    assert_eq!(each(&made["knowledge_items"], "source"), ["case", "punctuation", "path"]);
    let made = rig.gather(json!({"identifier": "C++"})).await;
    assert_eq!(each(&made["knowledge_items"], "source"), ["signs"]);
    let made = rig.gather(json!({"identifier": "…"})).await;
    assert_eq!(made["total_items"], 0);
}

#[tokio::test]
async fn at_most_twenty_passages_are_taken_for_an_identifier() {
    let rig = Rig::start().await;
    let paragraph = |n: u32| format!("Paragraph {n} names Bob Ross {}.", "word ".repeat(150).trim_end());
    let text = (0..30).map(paragraph).collect::<Vec<_>>().join("\n\n");
    let stored = rig.document("Book", &text).await;
    assert_eq!(stored["passages"], 30);
    let made = rig.gather(json!({"identifier": "Bob Ross"})).await;
    assert_eq!((&made["total_items"], &made["knowledge_items"][19]["metadata"]["passage"]), (&json!(20), &json!(19)));
    // Of the request's own documents all passages are taken.
    let made =
        rig.gather(json!({"identifier": "Bob Ross", "documents": [{"document_id": stored["document_id"]}]})).await;
    assert_eq!(made["total_items"], 30);
    assert_eq!(made["knowledge_items"][0]["metadata"]["document_id"], stored["document_id"]);
}

#[tokio::test]
async fn documents_of_the_request_are_read_and_not_stored() {
    let rig = Rig::start().await;
    let page = "PGgxPkhlYWQ8L2gxPjxwPkJvZHkgdGV4dC48L3A+";
    let made = rig
        .gather(json!({"identifier": "Bob", "sources": [], "documents": [
            {"content_base64": page, "media_type": "text/html"},
            {"title": "Notes", "text": "# Not *marked* up", "media_type": "text/markdown"},
        ]}))
        .await;
    assert_eq!(each(&made["knowledge_items"], "text"), ["Head\n\nBody text.", "Not marked up"]);
    assert_eq!(each(&made["knowledge_items"], "source"), ["Untitled document", "Notes"]);
    assert_eq!(report(&made, "documents")["status"], "ok");
    let listed = rig.admin.get("/api/v1/knowledge/documents").await;
    assert_eq!(listed.meta()["pagination"]["total"], 0);
}

#[tokio::test]
async fn documents_of_others_are_absent_for_users() {
    let rig = Rig::start().await;
    let stored = rig.document("Secret", "Bob Ross painted.").await;
    let user = rig.user("u1");
    let own = json!({"title": "Own", "text": "Bob Ross slept."});
    user.post("/api/v1/knowledge/documents", &own).await.data(201);
    let body = json!({"identifier": "Bob Ross", "sources": ["documents"]});
    let made = user.post("/api/v1/knowledge", &body).await.data(201);
    assert_eq!(each(&made["knowledge_items"], "source"), ["Own"]);
    let body = json!({"identifier": "Bob Ross", "documents": [{"document_id": stored["document_id"]}]});
    let answer = user.post("/api/v1/knowledge", &body).await;
    answer.error(422, "VALIDATION_ERROR.INVALID_FORMAT");
    assert_eq!(answer.fields(), ["documents[0].document_id"]);
}

#[tokio::test]
async fn embeddings_are_shown_when_asked_for() {
    let rig = Rig::start().await;
    let body = json!({"identifier": "Bob", "text": "A short remark."});
    let made = rig.admin.post("/api/v1/knowledge?include=embeddings", &body).await.data(201);
    let item = &made["knowledge_items"][0];
    assert_eq!(item["embedding"].as_array().unwrap().len(), 384);
    assert_eq!(item["embedding_model"], "lexical-384");
    for path in ["/api/v1/knowledge/entity:bob", "/api/v1/knowledge/entities/bob"] {
        assert!(rig.admin.get(path).await.data(200)["knowledge_items"][0].get("embedding").is_none());
        let full = rig.admin.get(&format!("{path}?include=embeddings")).await.data(200);
        assert_eq!(full["knowledge_items"][0], *item);
    }
    let rows = rig.admin.get("/api/v1/knowledge?include=embeddings").await.data(200);
    assert_eq!(rows[0]["knowledge_items"][0], *item);
}

#[tokio::test]
async fn input_is_checked() {
    let rig = Rig::start().await;
    let long = "x".repeat(201);
    for (body, fields, reason) in [
        (json!({}), vec!["identifier"], "REQUIRED_FIELD"),
        (json!({"identifier": " "}), vec!["identifier"], "INVALID_RANGE"),
        (json!({"identifier": long}), vec!["identifier"], "INVALID_RANGE"),
        (json!({"identifier": 3}), vec!["identifier"], "INVALID_TYPE"),
        (json!({"identifier": "x", "entity_type": "a/b"}), vec!["entity_type"], "INVALID_FORMAT"),
        (json!({"identifier": "x", "entity_type": "y".repeat(51)}), vec!["entity_type"], "INVALID_RANGE"),
        (json!({"identifier": "x", "deepening_cycles": 12}), vec!["deepening_cycles"], "INVALID_RANGE"),
        (json!({"identifier": "x", "deepening_cycles": "1"}), vec!["deepening_cycles"], "INVALID_TYPE"),
        (json!({"identifier": "x", "sources": "wikipedia"}), vec!["sources"], "INVALID_TYPE"),
        (json!({"identifier": "x", "sources": ["documents", "rumour"]}), vec!["sources[1]"], "INVALID_FORMAT"),
        (json!({"identifier": "x", "documents": vec![json!({"text": "t"}); 21]}), vec!["documents"], "INVALID_RANGE"),
        (json!({"identifier": "x", "documents": [{}]}), vec!["documents[0].text"], "REQUIRED_FIELD"),
        (json!({"identifier": "x", "documents": ["x"]}), vec!["documents[0]"], "INVALID_TYPE"),
        (json!({"identifier": "x", "documents": [{"text": " "}]}), vec!["documents[0].text"], "INVALID_FORMAT"),
        (
            json!({"identifier": "x", "documents": [{"document_id": "doc_none"}]}),
            vec!["documents[0].document_id"],
            "INVALID_FORMAT",
        ),
        (
            json!({"identifier": "x", "documents": [{"content_base64": "***", "media_type": "text/plain"}]}),
            vec!["documents[0].content_base64"],
            "INVALID_FORMAT",
        ),
        (json!({"identifier": "x", "text": ""}), vec!["text"], "INVALID_RANGE"),
        (json!({"identifier": "x", "text": "t".repeat(100_001)}), vec!["text"], "INVALID_RANGE"),
        (json!({"identifier": "x", "text": "t", "source": " "}), vec!["source"], "INVALID_RANGE"),
        (json!({"identifier": "x", "text": "t", "confidence": 1.5}), vec!["confidence"], "INVALID_RANGE"),
        (
            json!({"deepening_cycles": -1, "confidence": "high"}),
            vec!["identifier", "deepening_cycles", "confidence"],
            "REQUIRED_FIELD",
        ),
    ] {
        let answer = rig.admin.post("/api/v1/knowledge", &body).await;
        answer.error(422, &format!("VALIDATION_ERROR.{reason}"));
        assert_eq!(answer.fields(), fields, "{}", answer.text);
    }
    let cycles = rig.admin.post("/api/v1/knowledge", &json!({"identifier": "x", "deepening_cycles": 12})).await;
    let error = cycles.error(422, "VALIDATION_ERROR.INVALID_RANGE");
    assert_eq!(error["message"], "deepening_cycles must be an integer between 0 and 11");
    let picture = json!({"identifier": "x", "documents": [{"content_base64": "YQ==", "media_type": "image/png"}]});
    rig.admin.post("/api/v1/knowledge", &picture).await.error(415, "VALIDATION_ERROR.UNSUPPORTED_MEDIA_TYPE");
    let total = rig.admin.get("/api/v1/knowledge").await.meta()["pagination"]["total"].clone();
    assert_eq!(total, 0);
}

#[tokio::test]
async fn unknown_fields_are_ignored_with_a_warning() {
    let rig = Rig::start().await;
    let body = json!({"identifier": "x", "sources": [], "concept": {"uri": "u"}, "role_model_texts": ["t"]});
    let answer = rig.admin.post("/api/v1/knowledge", &body).await;
    assert_eq!(answer.data(201)["total_items"], 0);
    let warnings = answer.meta()["warnings"].clone();
    assert_eq!(
        warnings,
        json!(["Unknown field 'concept' was ignored", "Unknown field 'role_model_texts' was ignored"])
    );
}

#[tokio::test]
async fn an_idempotency_key_gathers_once() {
    let rig = Rig::start().await;
    let client = rig.admin.header("idempotency-key", "k1");
    let body = json!({"identifier": "Bob", "text": "Once."});
    let first = client.post("/api/v1/knowledge", &body).await;
    let again = client.post("/api/v1/knowledge", &body).await;
    assert_eq!(first.data(201), again.data(201));
    assert_eq!(again.header("idempotent-replayed"), "true");
    let other = client.post("/api/v1/knowledge", &json!({"identifier": "Bob", "text": "Twice."})).await;
    other.error(422, "VALIDATION_ERROR.IDEMPOTENCY_CONFLICT");
}
