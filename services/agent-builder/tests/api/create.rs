//! `POST /api/v1/agents`, when all goes well.

use serde_json::json;
use tokio::task::JoinSet;

use crate::{
    Rig, body,
    builders::{Act, EMBED, GENERATE, KNOWLEDGE, MATCH},
    spawn_post, until_build,
};

#[tokio::test]
async fn a_created_agent_is_complete_and_found_under_its_location() {
    let rig = Rig::new().await;
    let new = json!({
        "agent_id": "ada",
        "role_model": {"name": "  Ada Lovelace ", "occupation": " Mathematician", "era": "Victorian", "capabilities": ["Prove Theorems!"]},
        "metadata": {"team": 7},
    });
    let answer = rig.admin().post("/api/v1/agents", &new).await;
    let agent = answer.data(201);
    assert_eq!(answer.header("location"), "/api/v1/agents/ada");
    assert_eq!(answer.header("preference-applied"), "");
    assert_eq!(agent["role_model"]["name"], "Ada Lovelace");
    assert_eq!(agent["role_model"]["occupation"], "Mathematician");
    assert_eq!(agent["role_model"]["era"], "Victorian");
    assert_eq!((&agent["status"], &agent["mode"]), (&json!("completed"), &json!("balanced")));
    assert_eq!((&agent["metadata"], &agent["deepening_cycles"]), (&json!({"team": 7}), &json!(0)));
    assert_eq!(agent["occupation_match"]["label"], "mathematician");
    assert_eq!(agent["sources"].as_array().unwrap().len(), 8);
    assert_eq!(agent["created_by"], "test-admin");
    assert!(agent["completed_at"].is_string());
    let tags = ["agent.ada:v1", "prove-theorems:v1", "mathematician:v1", "mathematics-0:v1"];
    assert_eq!(agent["capabilities"], json!(tags), "a skill of low confidence is no tag");
    let build = &agent["build"];
    assert_eq!(
        (&build["status"], &build["stage"], &build["progress"]),
        (&json!("completed"), &json!("done"), &json!(100))
    );
    assert_eq!((&build["attempts"], &build["error"]), (&json!(1), &json!(null)));
    assert!(build["started_at"].is_string() && build["finished_at"].is_string());
    assert_eq!(rig.admin().get("/api/v1/agents/ada").await.data(200), agent);
}

#[tokio::test]
async fn the_builders_are_asked_in_turn_with_what_the_one_before_found() {
    let rig = Rig::new().await;
    let new = json!({
        "agent_id": "ada",
        "role_model": {"name": "Ada", "occupation": "Mathematician", "bio": "Wrote the first program.", "era": "Victorian"},
        "deepening_cycles": 2, "mode": "essential", "sources": ["wikipedia", "documents"],
        "documents": [{"title": "Notes", "text": "A note."}, {"document_id": "doc_1"}],
    });
    let request_id = "0190c0de-0000-7000-8000-00000000abcd";
    let client = rig.admin().header("x-request-id", request_id);
    client.post("/api/v1/agents", &new).await.data(201);
    let matching = &rig.builders.asked(MATCH)[0];
    assert_eq!(matching.body, json!({"occupation": "Mathematician"}));
    assert!(matching.has_token && matching.request_id == request_id);
    let asked = &rig.builders.asked(KNOWLEDGE)[0];
    assert_eq!(asked.query, "include=embeddings");
    let expected = json!({
        "identifier": "Ada", "entity_type": "Person", "deepening_cycles": 2, "sources": ["documents", "wikipedia"],
        "documents": [{"title": "Notes", "text": "A note."}, {"document_id": "doc_1"}],
        "role_model_texts": ["Wrote the first program."],
        "concept": {
            "uri": "http://data.example/occupation/mathematician", "label": "mathematician",
            "description": "Mathematicians study numbers.",
        },
    });
    assert_eq!(asked.body, expected);
    let asked = &rig.builders.asked(GENERATE)[0].body;
    assert_eq!(
        (&asked["occupation"], &asked["mode"], &asked["deepening_cycles"]),
        (&json!("Mathematician"), &json!("essential"), &json!(2))
    );
    assert_eq!(asked["occupation_match"]["method"], "preferred_label");
    let corpus = "A note.\n\na file\n\nWrote the first program.\n\nMathematicians study numbers.";
    assert_eq!(asked["corpus_text"], corpus);
}

#[tokio::test]
async fn no_match_and_no_knowledge_do_not_fail_a_build() {
    let rig = Rig::new().await;
    let new = json!({"agent_id": "a", "role_model": {"name": "A", "occupation": "Nothing known"}, "sources": []});
    let agent = rig.admin().post("/api/v1/agents", &new).await.data(201);
    assert_eq!((&agent["occupation_match"], &agent["generated_knowledge"]), (&json!(null), &json!([])));
    assert_eq!(rig.builders.asked(KNOWLEDGE)[0].body["sources"], json!([]));
    let asked = &rig.builders.asked(GENERATE)[0].body;
    assert!(asked.get("corpus_text").is_none() && asked.get("occupation_match").is_none());
}

#[tokio::test]
async fn vectors_are_shown_only_when_asked_for() {
    let rig = Rig::new().await;
    let path = "/api/v1/agents?include=embeddings";
    let shown = rig.admin().post(path, &body("ada")).await.data(201);
    let hidden = rig.admin().get("/api/v1/agents/ada").await.data(200);
    for (list, id) in [("generated_skills", "skill_id"), ("generated_knowledge", "knowledge_id")] {
        let (shown, hidden) = (shown[list].as_array().unwrap(), hidden[list].as_array().unwrap());
        assert!(!shown.is_empty() && shown.len() == hidden.len());
        for (shown, hidden) in shown.iter().zip(hidden) {
            assert_eq!(shown["embedding"].as_array().unwrap().len(), 384);
            assert_eq!(shown["embedding"][3], json!(0.003));
            assert_eq!(shown["embedding_model"], "test-model");
            assert!(hidden.get("embedding").is_none() && hidden.get("embedding_model").is_none());
            let mut bare = shown.clone();
            bare.as_object_mut().unwrap().retain(|key, _| !key.starts_with("embedding"));
            assert_eq!(&bare, hidden, "{id}");
        }
    }
    let one = rig.admin().get("/api/v1/agents/ada/capabilities?include=embeddings").await.data(200);
    assert_eq!(one["skills"][0]["embedding"].as_array().unwrap().len(), 384);
    let listed = rig.admin().get("/api/v1/agents?include=embeddings").await.data(200);
    assert_eq!(listed[0], shown);
}

#[tokio::test]
async fn a_taken_id_is_refused_before_anybody_is_asked() {
    let rig = Rig::new().await;
    let agent = rig.agent("ada").await;
    let before = rig.builders.asked(MATCH).len();
    let new = json!({"agent_id": "ada", "role_model": {"name": "Other", "occupation": "Tester"}});
    let answer = rig.admin().post("/api/v1/agents", &new).await;
    let error = answer.error(409, "CONFLICT_ERROR.DUPLICATE_RESOURCE");
    assert_eq!(error["message"], "Agent with id 'ada' already exists");
    let suggestions = ["Use a different agent_id", "Update existing agent with PATCH /api/v1/agents/ada"];
    assert_eq!(error["suggestions"], json!(suggestions));
    assert_eq!(rig.builders.asked(MATCH).len(), before);
    assert_eq!(rig.admin().get("/api/v1/agents/ada").await.data(200), agent);
}

#[tokio::test]
async fn of_simultaneous_creates_of_one_id_exactly_one_succeeds() {
    let rig = Rig::new().await;
    let mut creates = JoinSet::new();
    for _ in 0..32 {
        let client = rig.admin();
        creates.spawn(async move { client.post("/api/v1/agents", &body("ada")).await });
    }
    let answers = creates.join_all().await;
    let created = answers.iter().filter(|answer| answer.status == 201).count();
    let refused = answers.iter().filter(|answer| answer.status == 409).count();
    assert_eq!((created, refused), (1, 31));
    assert_eq!(rig.builders.asked(MATCH).len(), 1);
    assert_eq!(rig.count("jobs"), 1);
}

#[tokio::test]
async fn who_does_not_want_to_wait_is_answered_at_once() {
    let rig = Rig::new().await;
    rig.builders.set(KNOWLEDGE, Act::Hold);
    let client = rig.admin().header("prefer", "respond-async");
    let answer = client.post("/api/v1/agents", &body("ada")).await;
    let agent = answer.data(202);
    assert_eq!((&agent["status"], &agent["completed_at"]), (&json!("pending"), &json!(null)));
    assert_eq!((&agent["generated_skills"], &agent["capabilities"]), (&json!([]), &json!([])));
    assert_eq!(answer.header("location"), "/api/v1/agents/ada");
    assert_eq!(answer.header("preference-applied"), "respond-async");
    let running = until_build(&rig.admin(), "ada", "running").await;
    assert_eq!(running["status"], "pending");
    crate::until("the stage is noted", || async {
        let agent = rig.admin().get("/api/v1/agents/ada").await.data(200);
        (agent["build"]["stage"] == "knowledge" && agent["build"]["progress"] == 10).then_some(())
    })
    .await;
    rig.builders.release();
    let done = until_build(&rig.admin(), "ada", "completed").await;
    assert_eq!(done["status"], "completed");
}

#[tokio::test]
async fn a_build_that_outlives_the_wait_is_accepted_and_goes_on() {
    let rig = Rig::with(&[("AGENT_BUILD_WAIT_SECONDS", "1")]).await;
    rig.builders.set(MATCH, Act::Hold);
    let answer = rig.admin().post("/api/v1/agents", &body("ada")).await;
    assert_eq!(answer.data(202)["status"], "pending");
    assert_eq!(answer.header("location"), "/api/v1/agents/ada");
    assert_eq!(answer.header("preference-applied"), "");
    rig.builders.release();
    until_build(&rig.admin(), "ada", "completed").await;
}

#[tokio::test]
async fn the_same_request_twice_is_done_once() {
    let rig = Rig::new().await;
    let client = rig.admin().header("idempotency-key", "key-1");
    let first = client.post("/api/v1/agents", &body("ada")).await;
    let again = client.post("/api/v1/agents", &body("ada")).await;
    assert_eq!(again.data(201), first.data(201));
    assert_eq!((again.header("idempotent-replayed"), again.header("location")), ("true", "/api/v1/agents/ada"));
    assert_eq!(rig.builders.asked(MATCH).len(), 1);
    let mut other = body("ada");
    other["deepening_cycles"] = json!(1);
    client.post("/api/v1/agents", &other).await.error(422, "VALIDATION_ERROR.IDEMPOTENCY_CONFLICT");
}

#[tokio::test]
async fn a_failed_request_frees_its_key() {
    let rig = Rig::new().await;
    rig.builders.set(MATCH, Act::Status(422));
    let client = rig.admin().header("idempotency-key", "key-1");
    assert_eq!(client.post("/api/v1/agents", &body("ada")).await.status, 502);
    rig.builders.good(MATCH);
    client.post("/api/v1/agents", &body("ada")).await.data(201);
}

#[tokio::test]
async fn no_more_builds_run_at_once_than_there_are_workers() {
    let rig = Rig::with(&[("MAX_WORKERS", "2")]).await;
    rig.builders.set(MATCH, Act::Hold);
    let posts: Vec<_> = (0..4).map(|n| spawn_post(&rig.admin(), "/api/v1/agents", body(&format!("a{n}")))).collect();
    crate::until("all are queued", || async { (rig.count("builds") == 4).then_some(()) }).await;
    crate::until("two run", || async { (rig.builders.asked(MATCH).len() == 2).then_some(()) }).await;
    assert_eq!(rig.count("builds WHERE status = 'queued'"), 2);
    rig.builders.release();
    for post in posts {
        assert_eq!(post.await.unwrap().status, 201);
    }
}

#[tokio::test]
async fn an_agent_is_stored_in_rows_of_its_own_with_vectors_and_told_of() {
    let rig = Rig::new().await;
    let agent = rig.agent("ada").await;
    let skills = i64::try_from(agent["generated_skills"].as_array().unwrap().len()).unwrap();
    assert_eq!(rig.count("agent_skills WHERE embedding IS NOT NULL"), skills);
    assert_eq!(rig.count("agent_knowledge WHERE embedding IS NOT NULL AND NOT is_written"), 1);
    assert_eq!(
        rig.count("outbox WHERE kind = 'agent.created' AND aggregate = 'agent:ada' AND actor = 'test-admin'"),
        1
    );
    assert_eq!(rig.count("outbox WHERE kind = 'agent.ready' AND (payload ->> 'skills')::int > 0"), 1);
    assert_eq!(rig.count("outbox WHERE payload::text LIKE '%Lovelace%'"), 0);
    assert_eq!(rig.count("builds WHERE request IS NOT NULL OR partial IS NOT NULL"), 0);
    assert!(rig.builders.asked(EMBED).is_empty());
}
