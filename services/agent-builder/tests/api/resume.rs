//! Builds whose processes die.

use diesel::connection::SimpleConnection as _;
use serde_json::json;
use test_support::TestService;

use crate::{
    Rig, body,
    builders::{Act, GENERATE, KNOWLEDGE, MATCH},
    spawn_post, until, until_build,
};

/// As if the process that has the job had died a while ago.
const DIED: &str = "UPDATE jobs SET state = 'running', lease_id = gen_random_uuid(), \
     lease_until = now() - interval '1 second', attempts = greatest(attempts, 1), ended_at = NULL";

/// Makes an agent whose build stands at `route` in a process that then stops, and goes on as if it had died.
async fn died_at(rig: &Rig, route: &'static str) {
    rig.builders.set(route, Act::Hold);
    let client = rig.admin().header("prefer", "respond-async");
    client.post("/api/v1/agents", &body("ada")).await.data(202);
    until("the build is at work", || async { (!rig.builders.asked(route).is_empty()).then_some(()) }).await;
}

async fn resumed(rig: Rig, route: &'static str) -> (Rig, TestService) {
    let Rig { builders, service, db, settings } = rig;
    // Stops as a process does that was asked to, and gives the job back; then it is made to look as if it had not.
    drop(service);
    db.connect().batch_execute(DIED).unwrap();
    builders.good(route);
    let service = crate::start(&db, &settings).await;
    let other = crate::start(&db, &settings).await;
    (Rig { builders, service, db, settings }, other)
}

#[tokio::test]
async fn another_process_goes_on_at_the_stage_reached() {
    for (route, stage, asked_before) in [(KNOWLEDGE, "knowledge", 1), (GENERATE, "skills", 2)] {
        let rig = Rig::new().await;
        died_at(&rig, route).await;
        assert_eq!(rig.admin().get("/api/v1/agents/ada").await.data(200)["build"]["stage"], stage);
        let (rig, _other) = resumed(rig, route).await;
        let agent = until_build(&rig.admin(), "ada", "completed").await;
        assert_eq!(agent["build"]["attempts"], 2);
        assert_eq!(agent["status"], "completed");
        assert_eq!(agent["created_by"], "test-admin");
        assert!(!agent["generated_skills"].as_array().unwrap().is_empty());
        let finished = [MATCH, KNOWLEDGE].into_iter().take(asked_before);
        for route in finished {
            assert_eq!(rig.builders.asked(route).len(), 1, "{route} is not asked again");
        }
    }
}

#[tokio::test]
async fn a_process_that_stops_hands_its_builds_back_and_that_is_no_loss() {
    let rig = Rig::new().await;
    died_at(&rig, KNOWLEDGE).await;
    let Rig { builders, service, db, settings } = rig;
    drop(service);
    let rig = Rig { service: crate::start(&db, &settings).await, builders, db, settings };
    rig.builders.release();
    until_build(&rig.admin(), "ada", "completed").await;
    assert_eq!(rig.count("jobs WHERE losses = 0 AND attempts = 2"), 1);
}

#[tokio::test]
async fn a_build_whose_processes_die_three_times_fails() {
    let rig = Rig::new().await;
    died_at(&rig, MATCH).await;
    rig.conn().batch_execute(&format!("{DIED}, losses = 2")).unwrap();
    let agent = until_build(&rig.admin(), "ada", "failed").await;
    assert_eq!(agent["status"], "failed");
    let error = json!({"code": "SERVICE_ERROR.INTERNAL_ERROR", "message": "Internal server error"});
    assert_eq!(agent["build"]["error"], error);
    assert_eq!(rig.count("jobs WHERE state = 'lost'"), 1);
}

#[tokio::test]
async fn a_process_that_lost_its_lease_stores_nothing() {
    let rig = Rig::with(&[("MAX_WORKERS", "1")]).await;
    died_at(&rig, GENERATE).await;
    // Somebody else has it now, and is still at it.
    let taken = "UPDATE jobs SET lease_id = gen_random_uuid(), attempts = 2, lease_until = now() + interval '1 hour'";
    rig.conn().batch_execute(taken).unwrap();
    rig.builders.release();
    // The one worker takes the next build only when it is done with the first.
    rig.agent("bob").await;
    let agent = rig.admin().get("/api/v1/agents/ada").await.data(200);
    assert_eq!((&agent["status"], &agent["build"]["stage"]), (&json!("pending"), &json!("skills")));
    assert_eq!(rig.count("agent_skills WHERE agent_id = 'ada'"), 0);
    assert_eq!(rig.count("jobs WHERE key = 'ada' AND state = 'running' AND attempts = 2"), 1);
}

#[tokio::test]
async fn a_caller_is_told_to_come_back_when_the_process_stops_before_the_build_ends() {
    let rig = Rig::new().await;
    rig.builders.set(MATCH, Act::Hold);
    let post = spawn_post(&rig.admin(), "/api/v1/agents", body("ada"));
    until("the build is at work", || async { (!rig.builders.asked(MATCH).is_empty()).then_some(()) }).await;
    let Rig { builders, service, db, settings } = rig;
    tokio::task::spawn_blocking(move || drop(service)).await.unwrap();
    let answer = post.await.unwrap();
    assert_eq!(
        (answer.data(202)["status"].as_str(), answer.header("location")),
        (Some("pending"), "/api/v1/agents/ada")
    );
    builders.good(MATCH);
    let rig = Rig { service: crate::start(&db, &settings).await, builders, db, settings };
    assert_eq!(until_build(&rig.admin(), "ada", "completed").await["status"], "completed");
}

#[tokio::test]
async fn a_waiter_hears_of_a_build_in_another_process() {
    let rig = Rig::with(&[("MAX_WORKERS", "1")]).await;
    rig.builders.set(MATCH, Act::Hold);
    let first = spawn_post(&rig.admin(), "/api/v1/agents", body("first"));
    until("the worker is busy", || async { (!rig.builders.asked(MATCH).is_empty()).then_some(()) }).await;
    rig.builders.good(MATCH);
    // This process has no worker free; the other one has.
    let other = rig.another().await;
    let answer = rig.admin().post("/api/v1/agents", &body("second")).await;
    answer.data(201);
    rig.builders.set(MATCH, Act::Status(422));
    let refused = rig.admin().post("/api/v1/agents", &body("third")).await;
    refused.error(502, "UPSTREAM_ERROR.SERVICE_UNAVAILABLE");
    rig.admin().get("/api/v1/agents/third").await.error(404, "NOT_FOUND_ERROR.RESOURCE_NOT_FOUND");
    rig.builders.release();
    first.await.unwrap().data(201);
    drop(other);
}
