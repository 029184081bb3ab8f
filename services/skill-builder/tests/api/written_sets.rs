//! Sets that clients write and change.

use futures_util::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::rig::{Rig, names};

async fn made(rig: &Rig) -> (String, Value) {
    let set = rig.client().post("/api/v1/skills", &json!({"occupation": "Tester"})).await.data(201);
    (format!("/api/v1/skills/{}", set["skill_id"].as_str().unwrap()), set)
}

#[actix_web::test]
async fn a_change_replaces_what_it_names_and_nothing_else() {
    let rig = Rig::start().await;
    let client = rig.client();
    let (path, set) = made(&rig).await;
    let changes = json!({
        "occupation": "Senior Tester",
        "skills": [{"skill": "skill: Fuzzing\ndescription: Throwing noise\n"}, "Patience", {"name": "Reading", "confidence": 0.5}],
        "deepening_cycles": 5
    });
    let changed = client.patch(&path, &changes).await.data(200);
    assert_eq!((&changed["occupation"], &changed["deepening_cycles"]), (&json!("Senior Tester"), &json!(5)));
    assert_eq!(changed["total_skills"], 3);
    assert_eq!(names(&changed), ["Fuzzing", "Patience", "Reading"]);
    assert_eq!(changed["skills"][0]["description"], "Throwing noise");
    assert_eq!((&changed["skills"][1]["source"], &changed["skills"][1]["confidence"]), (&json!("user"), &json!(1.0)));
    assert!(changed["updated_at"].as_str() > set["updated_at"].as_str());
    for key in ["skill_id", "run_id", "created_at", "rounds", "sources", "occupation_match", "mode"] {
        assert_eq!(changed[key], set[key], "{key}");
    }
    let read = client.get(&format!("{path}?include=embeddings")).await.data(200);
    assert_eq!(read["skills"][2]["embedding"].as_array().unwrap().len(), 384);
    let again = client.patch(&path, &json!({"deepening_cycles": 1})).await.data(200);
    assert_eq!(again["skills"], changed["skills"]);
    assert_eq!(rig.events(), ["skills.generated", "skills.updated", "skills.updated"]);
}

#[actix_web::test]
async fn a_set_that_was_read_can_be_sent_back() {
    let rig = Rig::start().await;
    let (path, set) = made(&rig).await;
    let changed = rig.client().patch(&path, &json!({"skills": set["skills"]})).await.data(200);
    assert_eq!(changed["skills"], set["skills"]);
}

#[actix_web::test]
async fn a_bad_change_changes_nothing() {
    let rig = Rig::start().await;
    let client = rig.client();
    let (path, set) = made(&rig).await;
    for (body, field, reason, message) in [
        (json!({}), "body", "REQUIRED_FIELD", None),
        (json!({"occupation": null}), "body", "REQUIRED_FIELD", None),
        (json!({"skills": "x"}), "skills", "INVALID_TYPE", Some("skills must be a list")),
        (json!({"skills": ["a", {"confidence": 1}]}), "skills[1]", "INVALID_TYPE", None),
        (json!({"skills": [{"name": ""}]}), "skills[0].name", "INVALID_RANGE", None),
        (json!({"skills": vec!["x"; 5001]}), "skills", "INVALID_RANGE", None),
        (json!({"occupation": ""}), "occupation", "INVALID_RANGE", None),
        (
            json!({"deepening_cycles": 12}),
            "deepening_cycles",
            "INVALID_RANGE",
            Some("deepening_cycles must be an integer between 0 and 11"),
        ),
        (json!({"occupation": "ok", "deepening_cycles": "1"}), "deepening_cycles", "INVALID_TYPE", None),
    ] {
        let answer = client.patch(&path, &body).await;
        let error = answer.error(422, &format!("VALIDATION_ERROR.{reason}"));
        assert_eq!(answer.fields(), [field]);
        assert!(message.is_none_or(|message| error["message"] == message), "{error}");
    }
    assert_eq!(client.get(&path).await.data(200), set);
}

#[actix_web::test]
async fn simultaneous_changes_of_different_fields_all_survive() {
    let rig = Rig::start().await;
    let client = rig.client();
    let (path, _) = made(&rig).await;
    let changes = [json!({"occupation": "New"}), json!({"skills": ["One"]}), json!({"deepening_cycles": 7})];
    let answers = join_all(changes.iter().map(|change| client.patch(&path, change))).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    let set = client.get(&path).await.data(200);
    assert_eq!((&set["occupation"], &set["deepening_cycles"]), (&json!("New"), &json!(7)));
    assert_eq!((names(&set), &set["total_skills"]), (vec!["One".to_owned()], &json!(1)));
}

#[actix_web::test]
async fn a_set_can_be_written_as_a_whole() {
    let rig = Rig::start().await;
    let client = rig.client();
    let id = Uuid::new_v4().to_string();
    let path = format!("/api/v1/skills/{id}");
    let new = client.put(&path, &json!({"occupation": "Clown", "skills": ["Juggling"]})).await.data(200);
    assert_eq!((&new["skill_id"], &new["total_skills"], &new["deepening_cycles"]), (&json!(id), &json!(1), &json!(0)));
    assert_eq!(client.get(&path).await.data(200), new);
    let other = client.put(&path, &json!({"occupation": "Mime", "skills": [], "deepening_cycles": 2})).await.data(200);
    assert_eq!((&other["occupation"], &other["skills"]), (&json!("Mime"), &json!([])));
    assert_eq!((&other["created_at"], &other["deepening_cycles"]), (&new["created_at"], &json!(2)));
    assert_eq!(client.get("/api/v1/skills").await.meta()["pagination"]["total"], 1);
}

#[actix_web::test]
async fn simultaneous_writers_of_a_new_set_leave_one() {
    let rig = Rig::start().await;
    let client = rig.client();
    let path = format!("/api/v1/skills/{}", Uuid::new_v4());
    let bodies: Vec<_> = (0..4).map(|n| json!({"occupation": format!("Clown {n}"), "skills": ["Juggling"]})).collect();
    let answers = join_all(bodies.iter().map(|body| client.put(&path, body))).await;
    assert_eq!(answers.iter().map(|answer| answer.status).collect::<Vec<_>>(), [200; 4]);
    assert_eq!(client.get(&path).await.data(200)["total_skills"], 1);
}

#[actix_web::test]
async fn what_is_missing_from_a_whole_set_is_named() {
    let rig = Rig::start().await;
    let client = rig.client();
    let answer = client.put(&format!("/api/v1/skills/{}", Uuid::new_v4()), &json!({})).await;
    answer.error(422, "VALIDATION_ERROR.REQUIRED_FIELD");
    assert_eq!(answer.fields(), ["occupation", "skills"]);
    let answer = client.put("/api/v1/skills/not-a-uuid", &json!({"occupation": "x", "skills": []})).await;
    answer.error(422, "VALIDATION_ERROR.INVALID_FORMAT");
    assert_eq!(answer.fields(), ["skill_id"]);
}

#[actix_web::test]
async fn a_deleted_set_is_gone() {
    let rig = Rig::start().await;
    let client = rig.client();
    let (path, set) = made(&rig).await;
    let deleted = client.delete(&path).await.data(200);
    assert_eq!(deleted, json!({"deleted": true, "skill_id": set["skill_id"]}));
    client.get(&path).await.error(404, "NOT_FOUND_ERROR.RESOURCE_NOT_FOUND");
    client.delete(&path).await.error(404, "NOT_FOUND_ERROR.RESOURCE_NOT_FOUND");
    assert_eq!(rig.events(), ["skills.generated", "skills.deleted"]);
}
