//! Sets that are generated.

use serde_json::{Value, json};
use test_support::assert_no_operation_is_open;
use uuid::Uuid;

use crate::rig::{Rig, names, skill, texts};

#[actix_web::test]
async fn every_operation_asks_who_calls() {
    let rig = Rig::start().await;
    assert_no_operation_is_open(&rig.service, &[]).await;
}

#[actix_web::test]
async fn the_legacy_door_may_be_left_open() {
    let rig = Rig::with_settings(&[("AUTH_OPEN_DOORS", "legacy")]).await;
    assert_no_operation_is_open(&rig.service, &["POST /skills"]).await;
}

#[actix_web::test]
async fn a_set_has_the_essential_skills_of_the_occupation() {
    let rig = Rig::start().await;
    let answer = rig.client().post("/api/v1/skills", &json!({"occupation": " Mathematician "})).await;
    let set = answer.data(201);
    let count = set["skills"].as_array().unwrap().len();
    assert!(count >= 8 && set["total_skills"] == count, "{count}");
    assert_eq!(set["occupation"], "Mathematician");
    assert_eq!(set["occupation_match"]["method"], "preferred_label");
    assert_eq!(set["occupation_match"]["label"], "mathematician");
    assert_eq!(set["occupation_match"]["score"], 1.0);
    assert!(set["occupation_match"]["taxonomy"].as_str().unwrap().starts_with("Imago starter starter-"));
    assert_eq!(set["rounds"], json!([{"round": 0, "added": count}]));
    assert_eq!((&set["mode"], &set["memory_persisted"]), (&json!("balanced"), &json!(true)));
    assert_eq!((&set["cycles_run"], &set["stopped_early"]), (&json!(0), &json!(false)));
    assert_eq!(set["created_by"], "test-admin");
    let statuses: Vec<_> = set["sources"].as_array().unwrap().iter().map(|one| &one["status"]).collect();
    assert_eq!(statuses, ["ok", "skipped", "skipped"]);
    for one in set["skills"].as_array().unwrap() {
        assert_eq!((&one["confidence"], &one["source"], &one["round"]), (&json!(0.95), &json!("starter"), &json!(0)));
        assert!(one["esco_uri"].as_str().unwrap().starts_with("urn:imago:skill:"));
        assert!(one["skill"].as_str().unwrap().starts_with("skill: "));
        assert!(one.get("embedding").is_none());
    }
    assert_eq!(rig.events(), ["skills.generated"]);
}

#[actix_web::test]
async fn a_set_reads_back_as_it_was_made() {
    let rig = Rig::start().await;
    let client = rig.client();
    let made = client.post("/api/v1/skills", &json!({"occupation": "Tester", "deepening_cycles": 2})).await.data(201);
    let path = format!("/api/v1/skills/{}", made["skill_id"].as_str().unwrap());
    assert_eq!(client.get(&path).await.data(200), made);
    let full = client.get(&format!("{path}?include=embeddings")).await.data(200);
    for one in full["skills"].as_array().unwrap() {
        assert_eq!(one["embedding"].as_array().unwrap().len(), 384);
        assert_eq!(one["embedding_model"], "lexical-384");
    }
    let made = client.post("/api/v1/skills?include=embeddings", &json!({"occupation": "Tester"})).await.data(201);
    assert_eq!(made["skills"][0]["embedding"].as_array().unwrap().len(), 384);
}

#[actix_web::test]
async fn each_cycle_widens_the_set() {
    let rig = Rig::start().await;
    let mut before: Vec<String> = Vec::new();
    for cycles in 0..4 {
        let body = json!({"occupation": "Mathematician", "deepening_cycles": cycles});
        let set = rig.client().post("/api/v1/skills", &body).await.data(201);
        let now = names(&set);
        assert!(before.iter().all(|name| now.contains(name)) && now.len() > before.len());
        assert_eq!(set["cycles_run"], cycles);
        let rounds: Vec<_> =
            set["skills"].as_array().unwrap().iter().map(|one| one["round"].as_i64().unwrap()).collect();
        assert!(rounds.is_sorted() && rounds.last() == Some(&i64::from(cycles)));
        before = now;
    }
}

#[actix_web::test]
async fn an_alternative_label_costs_a_little_confidence() {
    let rig = Rig::start().await;
    let set = rig.client().post("/api/v1/skills", &json!({"occupation": "Tester"})).await.data(201);
    assert_eq!(set["occupation_match"]["method"], "alternative_label");
    assert_eq!(set["occupation_match"]["label"], "software tester");
    assert_eq!(set["skills"][0]["confidence"], 0.9);
}

#[actix_web::test]
async fn the_essential_mode_stops_after_the_first_round() {
    let rig = Rig::start().await;
    let body = json!({"occupation": "Mathematician", "deepening_cycles": 3, "mode": "essential"});
    let set = rig.client().post("/api/v1/skills", &body).await.data(201);
    assert_eq!((&set["stopped_early"], &set["cycles_run"]), (&json!(true), &json!(0)));
    assert_eq!((&set["mode"], &set["deepening_cycles"]), (&json!("essential"), &json!(3)));
}

#[actix_web::test]
async fn an_occupation_may_be_named_by_its_uri() {
    let rig = Rig::start().await;
    let client = rig.client();
    let uri = "https://imago.example/occupation/mathematician";
    let body = json!({"occupation": "Whatever I call it", "occupation_uri": uri});
    let set = client.post("/api/v1/skills", &body).await.data(201);
    assert_eq!((&set["occupation_match"]["method"], &set["occupation_match"]["score"]), (&json!("uri"), &json!(1.0)));
    assert_eq!(set["occupation"], "Whatever I call it");
    let unknown = json!({"occupation": "x", "occupation_uri": "http://example.org/none"});
    let answer = client.post("/api/v1/skills", &unknown).await;
    answer.error(422, "VALIDATION_ERROR.INVALID_FORMAT");
    assert_eq!(answer.fields(), ["occupation_uri"]);
}

#[actix_web::test]
async fn a_text_adds_what_it_names() {
    let rig = Rig::start().await;
    let text =
        "She is an expert in underwater basket weaving.\nMathematical modelling, and again mathematical modelling.";
    let body = json!({"occupation": "Mathematician", "corpus_text": text, "deepening_cycles": 1});
    let set = rig.client().post("/api/v1/skills", &body).await.data(201);
    let weaving = skill(&set, "underwater basket weaving");
    assert_eq!((&weaving["source"], &weaving["category"]), (&json!("corpus"), &json!("Domain")));
    assert_eq!((&weaving["confidence"], &weaving["evidence"]), (&json!(0.6), &json!(["corpus:1"])));
    let corpus = &set["sources"][1];
    assert_eq!((&corpus["source"], &corpus["status"]), (&json!("corpus"), &json!("ok")));
    let mut ids = texts(&set, "skill_id");
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), set["skills"].as_array().unwrap().len());
}

#[actix_web::test]
async fn a_mention_is_the_skill_of_the_taxonomy() {
    let rig = Rig::start().await;
    let body = json!({"occupation": "Mathematician", "corpus_text": "In the evening she read about thermodynamics.", "mode": "corpus"});
    let set = rig.client().post("/api/v1/skills", &body).await.data(201);
    assert_eq!(names(&set), ["thermodynamics"]);
    assert_eq!(set["skills"][0]["esco_uri"], "urn:imago:skill:thermodynamics");
    assert_eq!(set["skills"][0]["evidence"], json!(["urn:imago:skill:thermodynamics", "corpus:1"]));
}

#[actix_web::test]
async fn without_a_match_the_text_alone_counts() {
    let rig = Rig::start().await;
    let body = json!({"occupation": "xqzzv wvvqk", "corpus_text": "She is an expert in ikebana and kite design.", "deepening_cycles": 2});
    let set = rig.client().post("/api/v1/skills", &body).await.data(201);
    assert_eq!(set["occupation_match"], Value::Null);
    assert_eq!(names(&set), ["ikebana", "kite design"]);
    assert_eq!((&set["sources"][0]["status"], &set["sources"][0]["reason"]), (&json!("skipped"), &json!("no_match")));
}

#[actix_web::test]
async fn with_nothing_to_derive_from_nothing_is_stored() {
    let rig = Rig::with_vectors().await;
    let client = rig.client();
    for body in [
        json!({"occupation": "xqzzv wvvqk"}),
        json!({"occupation": "xqzzv wvvqk", "corpus_text": "Nothing."}),
        json!({"occupation": "?!"}),
    ] {
        let answer = client.post("/api/v1/skills", &body).await;
        let error = answer.error(422, "VALIDATION_ERROR.NO_OCCUPATION_MATCH");
        assert_eq!(answer.fields(), ["occupation"]);
        let text = body["occupation"].as_str().unwrap();
        let expected = format!("No occupation matches '{text}' and there is nothing else to derive skills from");
        assert_eq!(error["message"], expected);
        assert!(error["suggestions"].as_array().unwrap().len() > 1, "{error}");
    }
    assert_eq!(client.get("/api/v1/skills").await.meta()["pagination"]["total"], 0);
    assert!(rig.events().is_empty());
}

#[actix_web::test]
async fn problems_of_the_body_are_named() {
    let rig = Rig::start().await;
    for (body, field, reason) in [
        (json!({}), "occupation", "REQUIRED_FIELD"),
        (json!({"occupation": " "}), "occupation", "INVALID_RANGE"),
        (json!({"occupation": "o".repeat(201)}), "occupation", "INVALID_RANGE"),
        (json!({"occupation": 7}), "occupation", "INVALID_TYPE"),
        (json!({"occupation": "Tester", "deepening_cycles": 12}), "deepening_cycles", "INVALID_RANGE"),
        (json!({"occupation": "Tester", "deepening_cycles": "many"}), "deepening_cycles", "INVALID_TYPE"),
        (json!({"occupation": "Tester", "corpus_text": ["a"]}), "corpus_text", "INVALID_TYPE"),
        (json!({"occupation": "Tester", "corpus_text": "x".repeat(1_000_001)}), "corpus_text", "INVALID_RANGE"),
        (json!({"occupation": "Tester", "mode": "corpus"}), "corpus_text", "REQUIRED_FIELD"),
        (json!({"occupation": "Tester", "mode": "none"}), "mode", "INVALID_FORMAT"),
        (json!({"occupation": "Tester", "mode": 1}), "mode", "INVALID_TYPE"),
        (json!({"occupation": "Tester", "occupation_uri": 1}), "occupation_uri", "INVALID_TYPE"),
    ] {
        let answer = rig.client().post("/api/v1/skills", &body).await;
        answer.error(422, &format!("VALIDATION_ERROR.{reason}"));
        assert_eq!(answer.fields(), [field]);
    }
    let many = json!({"occupation": "", "deepening_cycles": -1, "mode": "corpus", "occupation_uri": ""});
    let answer = rig.client().post("/api/v1/skills", &many).await;
    assert_eq!(answer.fields(), ["occupation", "deepening_cycles", "corpus_text", "occupation_uri"]);
}

#[actix_web::test]
async fn unknown_fields_are_ignored_with_a_warning() {
    let rig = Rig::start().await;
    let answer = rig.client().post("/api/v1/skills", &json!({"occupation": "Tester", "apiKeys": {}})).await;
    assert_eq!(answer.meta()["warnings"], json!(["Unknown field 'apiKeys' was ignored"]));
}

#[actix_web::test]
async fn the_same_idempotency_key_makes_one_set() {
    let rig = Rig::start().await;
    let client = rig.client().header("Idempotency-Key", "one");
    let body = json!({"occupation": "Tester"});
    let first = client.post("/api/v1/skills", &body).await;
    let again = client.post("/api/v1/skills", &body).await;
    assert_eq!((again.status, again.text.as_str()), (201, first.text.as_str()));
    let other = client.post("/api/v1/skills", &json!({"occupation": "Author"})).await;
    other.error(422, "VALIDATION_ERROR.IDEMPOTENCY_CONFLICT");
    assert_eq!(rig.client().get("/api/v1/skills").await.meta()["pagination"]["total"], 1);
}

#[actix_web::test]
async fn the_deprecated_endpoint_answers_flat_and_with_embeddings() {
    let rig = Rig::start().await;
    let body = json!({"occupation": "Mathematician", "apiKeys": {"A": "secret-b"}});
    let answer = rig.client().post("/skills", &body).await;
    let data = answer.data(201);
    assert_eq!(answer.body["skills"], data["skills"]);
    assert_eq!(answer.body["total_skills"], data["total_skills"]);
    assert_eq!(answer.body["occupation"], "Mathematician");
    assert_eq!(answer.body["skills"][0]["embedding"].as_array().unwrap().len(), 384);
    assert_eq!(answer.meta()["deprecated"], true);
    assert_eq!(answer.meta()["deprecation_notice"], "Use POST /api/v1/skills instead");
    assert_eq!(answer.meta()["warnings"], json!(["Field 'apiKeys' was ignored"]));
    assert_eq!(answer.header("deprecation"), "true");
    assert!(!answer.text.contains("secret-b"));
}

#[actix_web::test]
async fn lists_filter_and_sort() {
    let rig = Rig::start().await;
    let client = rig.client();
    let mut ids = Vec::new();
    for cycles in [0, 1] {
        let body = json!({"occupation": "Tester", "deepening_cycles": cycles});
        ids.push(client.post("/api/v1/skills", &body).await.data(201)["skill_id"].as_str().unwrap().to_owned());
    }
    client.post("/api/v1/skills", &json!({"occupation": "Author"})).await.data(201);
    let both = ids.join(",");
    let found = async |query: &str| {
        let rows = client.get(&format!("/api/v1/skills?filter[skill_id][in]={both}&{query}")).await.data(200);
        let ids = rows.as_array().unwrap().iter().map(|row| row["skill_id"].as_str().unwrap().to_owned());
        ids.collect::<Vec<_>>()
    };
    assert_eq!(found("sort=-total_skills").await, [ids[1].clone(), ids[0].clone()]);
    assert_eq!(found("").await, ids, "by creation");
    assert_eq!(found("filter[deepening_cycles]=1").await, [ids[1].clone()]);
    assert_eq!(found("filter[occupation][contains]=TEST&filter[mode]=balanced&sort=-updated_at").await.len(), 2);
    assert_eq!(found("sort=occupation,-created_at").await, [ids[1].clone(), ids[0].clone()]);
    let page = client.get("/api/v1/skills?per_page=1&page=2&include=embeddings").await;
    assert_eq!(page.meta()["pagination"]["total"], 3);
    assert_eq!(page.data(200)[0]["skills"][0]["embedding"].as_array().unwrap().len(), 384);
    client.get("/api/v1/skills?filter[ghost]=1").await.error(422, "VALIDATION_ERROR.INVALID_FORMAT");
}

#[actix_web::test]
async fn what_is_not_there_is_not_found() {
    let rig = Rig::start().await;
    let client = rig.client();
    for id in [Uuid::nil().to_string(), "no-uuid".to_owned()] {
        let path = format!("/api/v1/skills/{id}");
        let changes = json!({"occupation": "x"});
        for answer in [client.get(&path).await, client.patch(&path, &changes).await, client.delete(&path).await] {
            let error = answer.error(404, "NOT_FOUND_ERROR.RESOURCE_NOT_FOUND");
            assert_eq!(error["message"], format!("Skill '{id}' not found"));
        }
    }
}

#[actix_web::test]
async fn scopes_are_asked_for() {
    let rig = Rig::start().await;
    let reader = rig.service.client().bearer(&test_support::jwt("reader", &[], &["skills:read"]));
    reader.get("/api/v1/skills").await.data(200);
    let answer = reader.post("/api/v1/skills", &json!({"occupation": "Tester"})).await;
    answer.error(403, "AUTHORIZATION_ERROR.INSUFFICIENT_PERMISSIONS");
}
