//! What must hold when processes die.

use rustix::process::{Signal, kill_process, test_kill_process};

use crate::stack::{Stack, eventually};

#[test]
fn a_build_survives_the_death_of_the_whole_process() {
    let mut stack = Stack::start();
    let ids: Vec<String> = (0..8).map(|number| format!("agent-{number}")).collect();
    for id in &ids {
        assert_eq!(stack.begin_agent(id)["status"], "pending");
    }
    stack.kill();
    stack.up();
    for id in &ids {
        let agent = stack.finished_agent(id);
        assert_eq!(agent["status"], "completed", "{agent}");
        assert_eq!(agent["build"]["progress"], 100);
        assert!(agent["generated_skills"].as_array().unwrap().len() > 20);
    }
    // What was committed before the death and not handed over, and what was handed over twice, is in the log once.
    for kind in ["agent.created", "agent.ready"] {
        let mut told = eventually("every event is in the log", || {
            let (_, answer) = stack.get(&format!("/api/v1/observability/events?event_type={kind}&limit=100"));
            let events = answer["data"].as_array()?.iter();
            let ids: Vec<String> =
                events.map(|event| event["agent_id"].as_str().unwrap_or_default().to_owned()).collect();
            ids.iter().filter(|id| id.starts_with("agent-")).count().ge(&8).then_some(ids)
        });
        told.retain(|id| id.starts_with("agent-"));
        told.sort();
        assert_eq!(told, ids, "{kind}");
    }
}

#[test]
fn a_build_survives_the_death_of_postgres() {
    let stack = Stack::start();
    let first = stack.postmaster();
    let ids: Vec<String> = (0..8).map(|number| format!("agent-{number}")).collect();
    for id in &ids {
        stack.begin_agent(id);
    }
    kill_process(first, Signal::KILL).unwrap();
    for id in &ids {
        let agent = stack.finished_agent(id);
        assert_eq!(agent["status"], "completed", "{agent}");
    }
    assert_ne!(stack.postmaster(), first);
}

#[test]
fn stopping_leaves_no_process_behind() {
    for signal in [Signal::INT, Signal::TERM] {
        let mut stack = Stack::start();
        let postmaster = stack.postmaster();
        assert!(stack.stop(signal).success(), "{}", stack.log());
        assert!(test_kill_process(postmaster).is_err(), "Postgres still runs");
        assert!(!stack.imago(&["env"]).status.success(), "a stopped stack has no addresses");
    }
}

#[test]
fn a_postgres_that_outlived_its_stack_does_not_block_the_next_start() {
    let mut stack = Stack::start();
    stack.begin_agent("before");
    stack.finished_agent("before");
    stack.kill();
    stack.up();
    let found = eventually("the agent is found", || {
        let (status, answer) = stack.get("/api/v1/agents/before");
        (status == 200).then_some(answer)
    });
    assert_eq!(found["data"]["status"], "completed");
}
