//! The taxonomy, its occupations, and the modes.

use serde_json::{Value, json};

use crate::rig::Rig;

async fn best(rig: &Rig, text: &str) -> Value {
    let rows = rig.client().get(&format!("/api/v1/skills/occupations?q={text}")).await.data(200);
    rows[0].clone()
}

#[actix_web::test]
async fn the_starter_taxonomy_tells_of_itself() {
    let rig = Rig::start().await;
    let told = rig.client().get("/api/v1/skills/taxonomy").await.data(200);
    assert_eq!(
        (&told["name"], &told["language"], &told["builtin"]),
        (&json!("Imago starter"), &json!("en"), &json!(true))
    );
    assert_eq!((&told["imported_at"], &told["attribution"]), (&Value::Null, &Value::Null));
    let count = |key: &str| told[key].as_i64().unwrap();
    assert!(count("occupations") >= 60 && count("skills") > count("occupations"));
    assert!(count("relations") > count("skills") && count("skill_groups") == 0);
}

#[actix_web::test]
async fn labels_find_their_occupation_whatever_their_spelling() {
    let rig = Rig::start().await;
    for (text, label, method, score) in [
        ("Mathematician", "mathematician", "preferred_label", 1.0),
        ("%20%20HIGHER-education%20%20%20lecturer%20", "higher education lecturer", "preferred_label", 1.0),
        ("Artist", "drawing artist", "alternative_label", 0.95),
        ("software%20engineer", "software developer", "alternative_label", 0.95),
        ("Author", "writer", "alternative_label", 0.95),
        ("Professor", "higher education lecturer", "alternative_label", 0.95),
    ] {
        let found = best(&rig, text).await;
        assert_eq!(
            (&found["label"], &found["method"], &found["score"]),
            (&json!(label), &json!(method), &json!(score))
        );
        assert!(found["essential_skills"].as_i64().unwrap() >= 8 && found["optional_skills"].as_i64().unwrap() >= 4);
        assert!(!found["description"].as_str().unwrap().is_empty() && found["code"].as_str().unwrap().len() == 4);
    }
}

#[actix_web::test]
async fn what_is_no_label_is_found_by_similarity() {
    let rig = Rig::with_vectors().await;
    let found = best(&rig, "Developer").await;
    assert_eq!(found["method"], "embedding");
    assert!(found["label"].as_str().unwrap().contains("developer"), "{found}");
    let set =
        rig.client().post("/api/v1/skills", &json!({"occupation": "computer software developers"})).await.data(201);
    let matched = &set["occupation_match"];
    assert_eq!((&matched["method"], &matched["label"]), (&json!("embedding"), &json!("software developer")));
    let score = matched["score"].as_f64().unwrap();
    let highest = set["skills"][0]["confidence"].as_f64().unwrap();
    assert!((highest - (score * 95.0).round() / 100.0).abs() < 0.006, "{score} {highest}");
    let alternatives = matched["alternatives"].as_array().unwrap();
    assert_eq!(alternatives.len(), 5);
}

#[actix_web::test]
async fn occupations_come_best_first_and_as_many_as_asked_for() {
    let rig = Rig::with_vectors().await;
    for (query, count) in [("q=Mathematician", 5), ("q=Mathematician&limit=3", 3), ("q=zz&limit=20", 20)] {
        let rows = rig.client().get(&format!("/api/v1/skills/occupations?{query}")).await.data(200);
        let scores: Vec<_> = rows.as_array().unwrap().iter().map(|row| row["score"].as_f64().unwrap()).collect();
        assert_eq!(scores.len(), count);
        assert!(scores.is_sorted_by(|a, b| a >= b), "{scores:?}");
    }
}

#[actix_web::test]
async fn a_look_at_occupations_needs_a_good_question() {
    let rig = Rig::start().await;
    for (query, field, reason) in [
        ("", "q", "REQUIRED_FIELD"),
        ("q=", "q", "INVALID_RANGE"),
        ("q=%20", "q", "INVALID_RANGE"),
        ("q=a%00b", "q", "INVALID_FORMAT"),
        ("q=%00", "q", "INVALID_FORMAT"),
        ("q=x&limit=0", "limit", "INVALID_RANGE"),
        ("q=x&limit=21", "limit", "INVALID_RANGE"),
        ("q=x&limit=-1", "limit", "INVALID_RANGE"),
        ("q=x&limit=99999999999999999999", "limit", "INVALID_RANGE"),
        ("q=x&limit=few", "limit", "INVALID_TYPE"),
        ("q=x&limit=3%00", "limit", "INVALID_TYPE"),
    ] {
        let answer = rig.client().get(&format!("/api/v1/skills/occupations?{query}")).await;
        answer.error(422, &format!("VALIDATION_ERROR.{reason}"));
        assert_eq!(answer.fields(), [field], "{query}");
    }
    let long = rig.client().get(&format!("/api/v1/skills/occupations?q={}", "x".repeat(201))).await;
    long.error(422, "VALIDATION_ERROR.INVALID_RANGE");
}

#[actix_web::test]
async fn modes_are_listed_and_read() {
    let rig = Rig::start().await;
    let client = rig.client();
    let answer = client.get("/api/v1/skills/modes").await;
    let rows = answer.data(200);
    let ids: Vec<_> = rows.as_array().unwrap().iter().map(|row| row["mode_id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["balanced", "taxonomy", "essential", "corpus"]);
    assert_eq!(answer.meta()["pagination"]["total"], 4);
    assert_eq!(client.get("/api/v1/skills/modes/essential").await.data(200), rows[2]);
    let error = client.get("/api/v1/skills/modes/none").await.error(404, "NOT_FOUND_ERROR.RESOURCE_NOT_FOUND");
    assert_eq!(error["message"], "Mode 'none' not found");
    let page = client.get("/api/v1/skills/modes?per_page=3&page=2").await;
    assert_eq!(page.data(200), json!([rows[3]]));
    assert_eq!(client.get("/api/v1/skills/modes?page=9").await.data(200), json!([]));
    client.post("/api/v1/skills/modes", &json!({})).await.error(405, "VALIDATION_ERROR.METHOD_NOT_ALLOWED");
}

#[actix_web::test]
async fn health_names_what_the_service_leans_on() {
    let rig = Rig::with_vectors().await;
    let answer = rig.service.client().get("/health/detailed").await;
    let told = answer.data(200);
    assert_eq!((&told["service"], &told["status"]), (&json!("skillbuilder"), &json!("healthy")));
    let on = &told["dependencies"];
    for name in ["database", "embedding", "taxonomy", "model"] {
        assert_eq!(on[name]["status"], "healthy", "{name}");
    }
    assert_eq!(on["embedding"]["model"], "lexical-384");
    assert_eq!(on["model"]["provider"], "built-in");
    assert_eq!(on["controlplane"]["status"], "unreachable", "which is no reason to be degraded");
    let ready = rig.service.client().get("/ready").await;
    assert!(ready.text.contains("lexical fallback"), "{}", ready.text);
}
