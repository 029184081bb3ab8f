//! `PATCH`, `PUT` and `POST …/build`.

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    Rig, body,
    builders::{Act, EMBED, GENERATE, KNOWLEDGE, MATCH},
    until,
};

#[tokio::test]
async fn a_patch_merges_the_role_model_key_by_key() {
    let rig = Rig::new().await;
    let mut new = body("ada");
    new["role_model"]["style"] = json!("calm");
    new["role_model"]["capabilities"] = json!(["old"]);
    let agent = rig.admin().post("/api/v1/agents", &new).await.data(201);
    let patch = json!({"role_model": {"name": " C D ", "style": null, "capabilities": ["new"]}});
    let after = rig.admin().patch("/api/v1/agents/ada", &patch).await.data(200);
    assert_eq!(after["role_model"], json!({"name": "C D", "occupation": "Mathematician", "capabilities": ["new"]}));
    assert_eq!(after["generated_skills"], agent["generated_skills"]);
    assert_eq!((&after["created_at"], &after["completed_at"]), (&agent["created_at"], &agent["completed_at"]));
    assert!(after["updated_at"].as_str() > agent["updated_at"].as_str());
    assert_eq!(after["capabilities"][1], "new:v1");
    assert_eq!(rig.admin().get("/api/v1/agents/ada").await.data(200), after);
    assert_eq!(rig.count("agents WHERE name = 'C D'"), 1);
    let event =
        "outbox WHERE kind = 'agent.updated' AND payload = '{\"agent_id\": \"ada\", \"fields\": [\"role_model\"]}'";
    assert_eq!(rig.count(event), 1);
}

#[tokio::test]
async fn a_patch_only_stores() {
    let rig = Rig::new().await;
    let agent = rig.agent("ada").await;
    let asked = rig.builders.asked(MATCH).len();
    let patch = json!({"deepening_cycles": 8, "metadata": {"a": 1}, "status": "failed"});
    let answer = rig.admin().patch("/api/v1/agents/ada", &patch).await;
    let after = answer.data(200);
    assert_eq!((&after["deepening_cycles"], &after["metadata"]), (&json!(8), &json!({"a": 1})));
    assert_eq!((&after["status"], &after["build"]), (&agent["status"], &agent["build"]));
    assert_eq!(answer.meta()["warnings"], json!(["Unknown field 'status' was ignored"]));
    assert_eq!(rig.builders.asked(MATCH).len(), asked);
    assert!(rig.builders.asked(EMBED).is_empty());
}

#[tokio::test]
async fn a_patch_replaces_skills_and_knowledge() {
    let rig = Rig::new().await;
    rig.agent("ada").await;
    let patch = json!({
        "generated_skills": [
            {"name": "Juggling", "description": "Three balls"}, "Unicycling", {"skill": "skill: Clowning\nconfidence: 0.4\n"},
        ],
        "generated_knowledge": [{"text": "Balls fall."}, "Wheels turn.", {"knowledge_items": [{"entity": {"text": "Noses are red."}}]}],
    });
    let after = rig.admin().patch("/api/v1/agents/ada?include=embeddings", &patch).await.data(200);
    let of = |list: &str, key: &str| -> Vec<Value> {
        after[list].as_array().unwrap().iter().map(|one| one[key].clone()).collect()
    };
    assert_eq!(of("generated_skills", "name"), ["Juggling", "Unicycling", "Clowning"]);
    assert_eq!(of("generated_skills", "source"), ["user", "user", "user"]);
    assert_eq!(of("generated_knowledge", "text"), ["Balls fall.", "Wheels turn.", "Noses are red."]);
    assert_eq!(after["generated_knowledge"][0]["entity"]["id"], "person:ada_lovelace");
    assert!(of("generated_skills", "embedding").iter().all(|vector| vector.as_array().unwrap().len() == 384));
    let tags = ["agent.ada:v1", "mathematician:v1", "juggling:v1", "unicycling:v1"];
    assert_eq!(after["capabilities"], json!(tags));
    let asked = rig.builders.asked(EMBED);
    assert_eq!(asked[0].body["texts"], json!(["Juggling: Three balls", "Unicycling", "Clowning"]));
    assert_eq!(asked[1].body["texts"], json!(["Balls fall.", "Wheels turn.", "Noses are red."]));
    // A skill set stands for its skills.
    let patch = json!({"generated_skills": {"skills": ["Miming"], "total_skills": 1}});
    let after = rig.admin().patch("/api/v1/agents/ada", &patch).await.data(200);
    assert_eq!(after["generated_skills"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn long_lists_are_embedded_in_parts_and_have_an_end() {
    let rig = Rig::new().await;
    rig.agent("ada").await;
    let skills: Vec<String> = (0..1100).map(|number| format!("skill {number}")).collect();
    let after = rig.admin().patch("/api/v1/agents/ada", &json!({"generated_skills": skills})).await.data(200);
    assert_eq!(after["generated_skills"].as_array().unwrap().len(), 1100);
    assert_eq!(after["capabilities"].as_array().unwrap().len(), 200);
    let parts: Vec<usize> =
        rig.builders.asked(EMBED).iter().map(|a| a.body["texts"].as_array().unwrap().len()).collect();
    assert_eq!(parts, [512, 512, 76]);
    let too_many = vec!["s"; 5001];
    let answer = rig.admin().patch("/api/v1/agents/ada", &json!({"generated_skills": too_many})).await;
    answer.error(422, "VALIDATION_ERROR.INVALID_RANGE");
    let records = json!([{"knowledge_items": vec!["a"; 2501]}, {"knowledge_items": vec!["b"; 2500]}]);
    let answer = rig.admin().patch("/api/v1/agents/ada", &json!({"generated_knowledge": records})).await;
    answer.error(422, "VALIDATION_ERROR.INVALID_RANGE");
    assert_eq!(answer.fields(), ["generated_knowledge"]);
}

#[tokio::test]
async fn a_bad_patch_is_refused_whole() {
    let rig = Rig::new().await;
    let agent = rig.agent("ada").await;
    for (patch, field, reason) in [
        (json!({}), "body", "REQUIRED_FIELD"),
        (json!({"status": "failed"}), "body", "REQUIRED_FIELD"),
        (json!({"deepening_cycles": null}), "body", "REQUIRED_FIELD"),
        (json!({"role_model": "x"}), "role_model", "INVALID_TYPE"),
        (json!({"role_model": {"name": ""}}), "role_model.name", "INVALID_RANGE"),
        (json!({"role_model": {"name": null}}), "role_model.name", "REQUIRED_FIELD"),
        (json!({"role_model": {"occupation": 5}}), "role_model.occupation", "INVALID_TYPE"),
        (json!({"role_model": {"capabilities": [1]}}), "role_model.capabilities[0]", "INVALID_TYPE"),
        (json!({"role_model": {"name": "New"}, "deepening_cycles": 15}), "deepening_cycles", "INVALID_RANGE"),
        (json!({"generated_skills": "x"}), "generated_skills", "INVALID_TYPE"),
        (json!({"generated_skills": [1]}), "generated_skills[0]", "INVALID_TYPE"),
        (json!({"generated_skills": ["ok", {}]}), "generated_skills[1]", "INVALID_TYPE"),
        (json!({"generated_skills": {"skills": [[]]}}), "generated_skills.skills[0]", "INVALID_TYPE"),
        (
            json!({"generated_skills": [{"name": "x", "confidence": 2}]}),
            "generated_skills[0].confidence",
            "INVALID_RANGE",
        ),
        (json!({"generated_knowledge": {}}), "generated_knowledge", "INVALID_TYPE"),
        (json!({"generated_knowledge": [{"source": "x"}]}), "generated_knowledge[0]", "INVALID_TYPE"),
        (json!({"metadata": 1}), "metadata", "INVALID_TYPE"),
        (json!({"metadata": {"x": "y".repeat(16384)}}), "metadata", "INVALID_RANGE"),
    ] {
        let answer = rig.admin().patch("/api/v1/agents/ada", &patch).await;
        answer.error(422, &format!("VALIDATION_ERROR.{reason}"));
        assert_eq!(answer.fields(), [field], "{patch}");
    }
    assert_eq!(rig.admin().get("/api/v1/agents/ada").await.data(200), agent);
}

#[tokio::test]
async fn a_merged_role_model_has_a_limit_too() {
    let rig = Rig::new().await;
    rig.agent("ada").await;
    let half = "x".repeat(40_000);
    rig.admin().patch("/api/v1/agents/ada", &json!({"role_model": {"a": half}})).await.data(200);
    let answer = rig.admin().patch("/api/v1/agents/ada", &json!({"role_model": {"b": half}})).await;
    answer.error(422, "VALIDATION_ERROR.INVALID_RANGE");
    assert_eq!(answer.fields(), ["role_model"]);
}

#[tokio::test]
async fn simultaneous_patches_of_different_keys_all_survive() {
    let rig = Rig::new().await;
    rig.agent("ada").await;
    let mut patches = JoinSet::new();
    for number in 0..16 {
        let client = rig.admin();
        let patch = json!({"role_model": {format!("key{number}"): number}});
        patches.spawn(async move { client.patch("/api/v1/agents/ada", &patch).await.status });
    }
    assert!(patches.join_all().await.into_iter().all(|status| status == 200));
    let agent = rig.admin().get("/api/v1/agents/ada").await.data(200);
    for number in 0..16 {
        assert_eq!(agent["role_model"][format!("key{number}")], number);
    }
}

#[tokio::test]
async fn a_put_replaces_what_was_given_and_keeps_what_was_made() {
    let rig = Rig::new().await;
    let mut new = body("ada");
    new["metadata"] = json!({"a": 1});
    new["mode"] = json!("essential");
    let agent = rig.admin().post("/api/v1/agents", &new).await.data(201);
    let role_model = json!({"name": "Bob Ross", "occupation": "Painter and Instructor"});
    let put = json!({"role_model": role_model, "deepening_cycles": 7, "documents": [{"text": "Happy trees."}], "sources": []});
    let after = rig.admin().put("/api/v1/agents/ada", &put).await.data(200);
    assert_eq!((&after["role_model"], &after["deepening_cycles"]), (&role_model, &json!(7)));
    assert_eq!((&after["metadata"], &after["mode"]), (&json!({}), &json!("balanced")));
    assert_eq!((&after["status"], &after["build"]), (&agent["status"], &agent["build"]));
    assert_eq!(after["generated_skills"], agent["generated_skills"]);
    assert_eq!(after["generated_knowledge"], agent["generated_knowledge"]);
    assert_eq!(after["created_at"], agent["created_at"]);
    assert!(after["updated_at"].as_str() > agent["updated_at"].as_str());
    assert_eq!(after["capabilities"][1], "painter-and-instructor:v1");
    // The next build starts from what was put.
    rig.admin().post("/api/v1/agents/ada/build", &json!({})).await.data(200);
    let asked = &rig.builders.asked(KNOWLEDGE)[1].body;
    assert_eq!((&asked["identifier"], &asked["sources"]), (&json!("Bob Ross"), &json!([])));
    assert_eq!(asked["documents"], json!([{"text": "Happy trees."}]));
}

#[tokio::test]
async fn a_put_of_an_unknown_id_makes_the_agent() {
    let rig = Rig::new().await;
    let put = json!({"role_model": {"name": "A B", "occupation": "Mathematician"}, "agent_id": "other"});
    let answer = rig.admin().put("/api/v1/agents/ada", &put).await;
    let agent = answer.data(200);
    assert_eq!((&agent["agent_id"], &agent["status"]), (&json!("ada"), &json!("completed")));
    assert_eq!(answer.meta()["warnings"], json!(["Unknown field 'agent_id' was ignored"]));
    let later = rig.admin().header("prefer", "respond-async");
    assert_eq!(later.put("/api/v1/agents/bob", &put).await.data(202)["status"], "pending");
    rig.builders.set(GENERATE, Act::Status(422));
    rig.admin().put("/api/v1/agents/eve", &put).await.error(502, "UPSTREAM_ERROR.SERVICE_UNAVAILABLE");
    rig.admin().get("/api/v1/agents/eve").await.error(404, "NOT_FOUND_ERROR.RESOURCE_NOT_FOUND");
}

#[tokio::test]
async fn a_bad_put_is_refused() {
    let rig = Rig::new().await;
    rig.agent("ada").await;
    for (put, field) in [
        (json!({}), "role_model"),
        (json!({"deepening_cycles": 3}), "role_model"),
        (json!({"role_model": {"name": "A"}}), "role_model.occupation"),
    ] {
        let answer = rig.admin().put("/api/v1/agents/ada", &put).await;
        answer.error(422, "VALIDATION_ERROR.REQUIRED_FIELD");
        assert_eq!(answer.fields(), [field]);
    }
}

#[tokio::test]
async fn a_rebuild_takes_what_is_given_and_stores_it() {
    let rig = Rig::new().await;
    let agent = rig.agent("ada").await;
    let given =
        json!({"deepening_cycles": 2, "mode": "taxonomy", "sources": ["documents"], "documents": [{"text": "New."}]});
    let after = rig.admin().post("/api/v1/agents/ada/build", &given).await.data(200);
    assert_eq!((&after["deepening_cycles"], &after["mode"]), (&json!(2), &json!("taxonomy")));
    assert_eq!(after["generated_skills"].as_array().unwrap().len(), 4);
    assert_ne!(after["build"]["build_id"], agent["build"]["build_id"]);
    assert_eq!((&after["created_at"], &after["completed_at"]), (&agent["created_at"], &agent["completed_at"]));
    assert_eq!(rig.count("outbox WHERE kind = 'agent.updated'"), 1);
    // Without a body, what is stored.
    let answer = rig.admin().send("POST", "/api/v1/agents/ada/build", None).await;
    assert_eq!(answer.data(200)["deepening_cycles"], 2);
    let asked = &rig.builders.asked(KNOWLEDGE)[2].body;
    assert_eq!((&asked["sources"], &asked["documents"]), (&json!(["documents"]), &json!([{"text": "New."}])));
    let later = rig.admin().header("prefer", "respond-async");
    let answer = later.post("/api/v1/agents/ada/build", &json!({})).await;
    assert_eq!(
        (answer.data(202)["status"].as_str(), answer.header("preference-applied")),
        (Some("completed"), "respond-async")
    );
}

#[tokio::test]
async fn a_rebuild_keeps_what_clients_wrote() {
    let rig = Rig::new().await;
    let agent = rig.agent("ada").await;
    let found = agent["generated_knowledge"][0].clone();
    let patch = json!({
        "generated_skills": ["Juggling", {"name": "Old", "source": "model"}, {"name": "mathematics 0", "description": "By hand."}],
        "generated_knowledge": [found, "Written by hand, and with care."],
    });
    rig.admin().patch("/api/v1/agents/ada", &patch).await.data(200);
    let after = rig
        .admin()
        .post("/api/v1/agents/ada/build", &json!({"documents": [{"title": "D", "text": "Doc."}]}))
        .await
        .data(200);
    let list = |list: &str, key: &str| -> Vec<String> {
        after[list].as_array().unwrap().iter().map(|one| one[key].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(list("generated_skills", "name"), ["reading texts", "Juggling", "mathematics 0"]);
    assert_eq!(after["generated_skills"][2]["description"], "By hand.");
    let texts = ["Doc.", "Mathematicians study numbers.", "Written by hand, and with care."];
    assert_eq!(list("generated_knowledge", "text"), texts);
    assert!(rig.builders.asked(GENERATE)[1].body["corpus_text"].as_str().unwrap().ends_with("with care."));
    assert_eq!(rig.count("agent_knowledge WHERE is_written AND embedding IS NOT NULL"), 1);
    assert_eq!(rig.count("agent_skills WHERE embedding IS NULL"), 0);
}

#[tokio::test]
async fn nothing_can_be_changed_while_a_build_runs() {
    let rig = Rig::new().await;
    rig.agent("ada").await;
    rig.builders.set(MATCH, Act::Hold);
    let later = rig.admin().header("prefer", "respond-async");
    later.post("/api/v1/agents/ada/build", &json!({})).await.data(202);
    let client = rig.admin();
    let put = json!({"role_model": {"name": "A", "occupation": "B"}});
    for answer in [
        client.patch("/api/v1/agents/ada", &json!({"deepening_cycles": 1})).await,
        client.patch("/api/v1/agents/ada", &json!({"generated_skills": ["x"]})).await,
        client.put("/api/v1/agents/ada", &put).await,
        client.post("/api/v1/agents/ada/build", &json!({})).await,
    ] {
        answer.error(409, "CONFLICT_ERROR.RESOURCE_CONFLICT");
    }
    rig.builders.release();
    until("the build is over", || async {
        let status = client.patch("/api/v1/agents/ada", &json!({"deepening_cycles": 1})).await.status;
        (status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_bad_rebuild_is_refused() {
    let rig = Rig::new().await;
    rig.agent("ada").await;
    let answer = rig.admin().post("/api/v1/agents/ada/build", &json!({"mode": "x", "deepening_cycles": 12})).await;
    answer.error(422, "VALIDATION_ERROR.INVALID_RANGE");
    assert_eq!(answer.fields(), ["deepening_cycles", "mode"]);
}

#[tokio::test]
async fn the_same_rebuild_twice_is_done_once() {
    let rig = Rig::new().await;
    rig.agent("ada").await;
    let client = rig.admin().header("idempotency-key", "k");
    let first = client.post("/api/v1/agents/ada/build", &json!({})).await.data(200);
    let again = client.post("/api/v1/agents/ada/build", &json!({})).await;
    assert_eq!((again.data(200), again.header("idempotent-replayed")), (first, "true"));
    assert_eq!(rig.builders.asked(MATCH).len(), 2);
}
