//! What becomes of an agent when its build does not go well.

use std::sync::Arc;

use agent_builder::Deps;
use api_core::{platform::Platform, settings::Settings};
use serde_json::{Value, json};
use test_support::{FakeKeys, TestService};

use crate::{
    Rig, body,
    builders::{Act, EMBED, GENERATE, KNOWLEDGE, MATCH, error},
    spawn_post, until, until_build,
};

/// The answer to a caller who waits while this happens, after which nothing is stored.
async fn fails_waiting(rig: &Rig, code: &str, field: &str) -> Value {
    let answer = rig.admin().post("/api/v1/agents", &body("ada")).await;
    let status = if code.starts_with("VALIDATION") { 422 } else { 502 };
    let error = answer.error(status, code);
    assert_eq!(answer.fields(), [field]);
    rig.admin().get("/api/v1/agents/ada").await.error(404, "NOT_FOUND_ERROR.RESOURCE_NOT_FOUND");
    assert_eq!(rig.count("agents"), 0);
    let retry_after = (status == 502).then_some(30);
    assert_eq!(error["retry_after"], json!(retry_after));
    assert_eq!(answer.header("retry-after"), if status == 502 { "30" } else { "" });
    error
}

#[tokio::test]
async fn a_builder_that_answers_5xx_is_asked_three_times() {
    for (route, field) in [(MATCH, "skillbuilder"), (KNOWLEDGE, "knowledgebuilder"), (GENERATE, "skillbuilder")] {
        let rig = Rig::new().await;
        rig.builders.set(route, Act::Status(503));
        let error = fails_waiting(&rig, "UPSTREAM_ERROR.SERVICE_UNAVAILABLE", field).await;
        assert_eq!(error["message"], "Failed to connect to builder service");
        assert_eq!(rig.builders.asked(route).len(), 3);
        assert_eq!(rig.count("outbox WHERE kind = 'agent.failed' AND NOT (payload ->> 'stored')::bool"), 1);
        // The id is free again.
        rig.builders.good(route);
        rig.agent("ada").await;
    }
}

#[tokio::test]
async fn a_builder_that_recovers_in_time_does_not_fail_the_build() {
    let rig = Rig::new().await;
    rig.builders.set(GENERATE, Act::StatusFor(500, 2));
    rig.agent("ada").await;
    assert_eq!(rig.builders.asked(GENERATE).len(), 3);
}

#[tokio::test]
async fn a_builder_that_is_not_there_is_to_blame() {
    for (setting, field) in [("SKILL_BUILDER_URL", "skillbuilder"), ("KNOWLEDGE_BUILDER_URL", "knowledgebuilder")] {
        let rig = Rig::with(&[(setting, "http://127.0.0.1:9")]).await;
        let error = fails_waiting(&rig, "UPSTREAM_ERROR.SERVICE_UNAVAILABLE", field).await;
        assert!(!error.to_string().contains("127.0.0.1"), "no address is told");
    }
}

#[tokio::test]
async fn a_builder_that_is_too_slow_times_out() {
    let rig = Rig::with(&[("WORKER_TIMEOUT", "5")]).await;
    rig.builders.set(KNOWLEDGE, Act::Hold);
    let client = rig.admin().header("prefer", "respond-async");
    client.post("/api/v1/agents", &body("ada")).await.data(202);
    let agent = until_build(&rig.admin(), "ada", "failed").await;
    let error = json!({"code": "UPSTREAM_ERROR.SERVICE_TIMEOUT", "message": "Builder service timed out"});
    assert_eq!((&agent["status"], &agent["build"]["error"]), (&json!("failed"), &error));
}

#[tokio::test]
async fn answers_that_make_no_sense_fail_the_build() {
    let cases = [
        (MATCH, Act::Text("<html>welcome</html>"), "skillbuilder"),
        (
            KNOWLEDGE,
            Act::Text(r#"{"success": true, "data": {"knowledge_items": "many"}, "meta": {}}"#),
            "knowledgebuilder",
        ),
        (GENERATE, Act::ShortVectors, "skillbuilder"),
        (KNOWLEDGE, Act::ShortVectors, "knowledgebuilder"),
        (
            MATCH,
            Act::Refuse { status: 401, error: error("AUTHENTICATION_ERROR.INVALID_TOKEN", "no", &[]) },
            "skillbuilder",
        ),
    ];
    let rig = Rig::new().await;
    for (route, act, field) in cases {
        rig.builders.set(route, act);
        let error = fails_waiting(&rig, "UPSTREAM_ERROR.SERVICE_UNAVAILABLE", field).await;
        assert_eq!(error["message"], "Failed to connect to builder service");
        rig.builders.good(route);
    }
}

#[tokio::test]
async fn a_refusal_of_a_builder_is_passed_on_as_the_occupations() {
    let rig = Rig::new().await;
    let message = "No occupation matches 'x' and there is nothing else to derive skills from";
    let refusal = error("VALIDATION_ERROR.NO_OCCUPATION_MATCH", message, &["statistician", "actuary"]);
    rig.builders.set(GENERATE, Act::Refuse { status: 422, error: refusal });
    let found = fails_waiting(&rig, "VALIDATION_ERROR.NO_OCCUPATION_MATCH", "role_model.occupation").await;
    assert_eq!((&found["message"], &found["suggestions"]), (&json!(message), &json!(["statistician", "actuary"])));
    assert_eq!(found["details"][0]["code"], "NO_OCCUPATION_MATCH");
    assert_eq!(rig.builders.asked(GENERATE).len(), 1);
    rig.builders.good(GENERATE);
    let refusal = error("VALIDATION_ERROR.INVALID_FORMAT", "There is no such document", &[]);
    rig.builders.set(KNOWLEDGE, Act::Refuse { status: 422, error: refusal });
    fails_waiting(&rig, "VALIDATION_ERROR.INVALID_FORMAT", "role_model.occupation").await;
}

#[tokio::test]
async fn without_anybody_waiting_the_agent_stays_and_says_why() {
    let rig = Rig::new().await;
    rig.builders.set(MATCH, Act::Status(500));
    let client = rig.admin().header("prefer", "respond-async");
    client.post("/api/v1/agents", &body("ada")).await.data(202);
    let agent = until_build(&rig.admin(), "ada", "failed").await;
    assert_eq!((&agent["status"], &agent["completed_at"]), (&json!("failed"), &json!(null)));
    assert_eq!(agent["build"]["error"]["code"], "UPSTREAM_ERROR.SERVICE_UNAVAILABLE");
    assert_eq!((&agent["build"]["stage"], &agent["capabilities"]), (&json!("match"), &json!([])));
    assert_eq!(rig.count("outbox WHERE kind = 'agent.failed' AND (payload ->> 'stored')::bool"), 1);
    // The id is taken until the agent is deleted or built again.
    rig.admin().post("/api/v1/agents", &body("ada")).await.error(409, "CONFLICT_ERROR.DUPLICATE_RESOURCE");
    rig.admin().post("/api/v1/agents/ada/build", &json!({})).await.error(502, "UPSTREAM_ERROR.SERVICE_UNAVAILABLE");
    assert_eq!(rig.admin().get("/api/v1/agents/ada").await.data(200)["status"], "failed");
    rig.builders.good(MATCH);
    let agent = rig.admin().post("/api/v1/agents/ada/build", &json!({})).await.data(200);
    assert_eq!((&agent["status"], &agent["build"]["error"]), (&json!("completed"), &json!(null)));
    assert!(agent["completed_at"].is_string());
}

/// Posts and hangs up as soon as the builders are at work.
async fn disconnect_while(rig: &Rig, route: &str) {
    let post = spawn_post(&rig.admin(), "/api/v1/agents", body("ada"));
    until("the build is at work", || async { (!rig.builders.asked(route).is_empty()).then_some(()) }).await;
    post.abort();
    until("nobody waits", || async { (rig.count("builds WHERE waiting_until IS NULL") == 1).then_some(()) }).await;
}

#[tokio::test]
async fn a_build_goes_on_when_its_caller_disconnects() {
    let rig = Rig::new().await;
    rig.builders.set(KNOWLEDGE, Act::Hold);
    disconnect_while(&rig, KNOWLEDGE).await;
    rig.builders.release();
    let agent = until_build(&rig.admin(), "ada", "completed").await;
    assert_eq!(agent["status"], "completed");
    assert_eq!(agent["created_by"], "test-admin");
}

#[tokio::test]
async fn a_build_that_fails_after_its_caller_has_gone_leaves_a_failed_agent() {
    let rig = Rig::new().await;
    rig.builders.set(KNOWLEDGE, Act::HoldThenStatus(500));
    disconnect_while(&rig, KNOWLEDGE).await;
    rig.builders.release();
    let agent = until_build(&rig.admin(), "ada", "failed").await;
    assert_eq!(agent["status"], "failed");
    assert_eq!(agent["build"]["error"]["message"], "Failed to connect to builder service");
}

#[tokio::test]
async fn deleting_an_agent_cancels_its_build_and_drops_the_result() {
    let rig = Rig::new().await;
    rig.builders.set(KNOWLEDGE, Act::Hold);
    let post = spawn_post(&rig.admin(), "/api/v1/agents", body("ada"));
    until("the build is at work", || async { (!rig.builders.asked(KNOWLEDGE).is_empty()).then_some(()) }).await;
    let deleted = rig.admin().delete("/api/v1/agents/ada").await.data(200);
    assert_eq!(deleted, json!({"deleted": true, "agent_id": "ada"}));
    post.await.unwrap().error(409, "CONFLICT_ERROR.RESOURCE_CONFLICT");
    rig.admin().delete("/api/v1/agents/ada").await.error(404, "NOT_FOUND_ERROR.RESOURCE_NOT_FOUND");
    assert_eq!(rig.count("jobs WHERE state = 'cancelled'"), 1);
    // The id is free at once, and the old build does not touch the new agent.
    rig.builders.good(KNOWLEDGE);
    let mut new = body("ada");
    new["role_model"]["name"] = json!("Ada Byron");
    rig.admin().post("/api/v1/agents", &new).await.data(201);
    rig.builders.release();
    let agent = rig.admin().get("/api/v1/agents/ada").await.data(200);
    assert_eq!((&agent["role_model"]["name"], &agent["build"]["attempts"]), (&json!("Ada Byron"), &json!(1)));
    assert_eq!(rig.count("jobs WHERE state = 'done'"), 1);
}

#[tokio::test]
async fn a_rebuild_that_fails_leaves_the_agent_as_it_was() {
    let rig = Rig::new().await;
    let before = rig.agent("ada").await;
    rig.builders.set(GENERATE, Act::Status(500));
    let answer = rig.admin().post("/api/v1/agents/ada/build", &json!({"deepening_cycles": 3, "mode": "corpus"})).await;
    answer.error(502, "UPSTREAM_ERROR.SERVICE_UNAVAILABLE");
    assert_eq!(answer.fields(), ["skillbuilder"]);
    let mut after = rig.admin().get("/api/v1/agents/ada").await.data(200);
    assert_eq!(after["build"]["status"], "failed");
    assert_eq!(after["build"]["error"]["code"], "UPSTREAM_ERROR.SERVICE_UNAVAILABLE");
    after["build"] = before["build"].clone();
    assert_eq!(after, before);
}

#[tokio::test]
async fn nothing_written_is_stored_without_its_vectors() {
    let rig = Rig::new().await;
    let before = rig.agent("ada").await;
    rig.builders.set(EMBED, Act::Status(500));
    for (patch, field) in [
        (json!({"generated_skills": ["Juggling"]}), "skillbuilder"),
        (json!({"generated_knowledge": ["Balls fall."]}), "knowledgebuilder"),
    ] {
        let answer = rig.admin().patch("/api/v1/agents/ada", &patch).await;
        answer.error(502, "UPSTREAM_ERROR.SERVICE_UNAVAILABLE");
        assert_eq!(answer.fields(), [field]);
    }
    assert_eq!(rig.admin().get("/api/v1/agents/ada").await.data(200), before);
}

#[tokio::test]
async fn without_a_database_requests_are_told_to_come_back() {
    let settings = Settings::from_pairs([]).unwrap();
    let platform = Platform::with_key_source(settings, FakeKeys::new()).unwrap();
    let database_url = "postgres://nobody@127.0.0.1:9/none?connect_timeout=1".to_owned();
    let deps = Deps { platform: Arc::clone(&platform), database_url };
    let service = TestService::launch(&platform, || agent_builder::start(deps));
    let client = service.client().admin();
    for answer in [client.get("/api/v1/agents/ada").await, client.post("/api/v1/agents", &body("ada")).await] {
        let error = answer.error(503, "SERVICE_ERROR.SERVICE_UNAVAILABLE");
        assert_eq!((&error["retry_after"], answer.header("retry-after")), (&json!(1), "1"));
        assert!(!answer.text.contains("127.0.0.1"), "no address is told");
    }
    assert_eq!(client.get("/ready").await.status, 503);
    assert_eq!(client.get("/health").await.status, 200);
}
