use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;

use super::{
    Command, Dependents, ErrorMessage, Event, Leases, Outcome, Refusal, Report, State, Taken, Task, WORKER_LOST, step,
};
use crate::domain::{retry::Policy, trust::Attempt};

const COMPLETED: Report<'_> = Report::Completed { progress: None };
const RUNNING: Report<'_> = Report::Running { progress: None };
const FAILED: Report<'_> = Report::Failed { error: Some("disk full"), retryable: None, progress: None };

/// As it was just submitted.
pub(super) fn new_task(max_retries: i32, timeout_seconds: i32) -> Task<u8> {
    Task {
        state: State::Pending,
        attempt: 0,
        retry_count: 0,
        max_retries,
        retry_policy: Policy::Exponential,
        timeout_seconds,
        blocked: false,
        worker: None,
        taken: Taken::No,
        progress: None,
        next_retry_at: None,
        lease_expires_at: None,
        assigned_at: None,
        started_at: None,
        completed_at: None,
        cancelled_at: None,
    }
}

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
}

fn try_at(task: &Task<u8>, seconds: i64, command: Command<'_, u8>) -> Result<Option<Outcome<u8>>, Refusal> {
    step(task, command, at(seconds), &Leases::default())
}

fn done(task: &Task<u8>, seconds: i64, command: Command<'_, u8>) -> Outcome<u8> {
    try_at(task, seconds, command).unwrap().unwrap()
}

fn says(worker: u8, report: Report<'_>) -> Command<'_, u8> {
    Command::Report { worker, attempt: None, report }
}

/// Assigned to worker 1 at second 0.
fn assigned(max_retries: i32) -> Task<u8> {
    done(&new_task(max_retries, 100), 0, Command::Assign { worker: 1 }).task
}

fn claimed(lease_seconds: Option<i32>) -> Task<u8> {
    done(&new_task(1, 100), 0, Command::Claim { worker: 1, lease_seconds }).task
}

fn error_of(outcome: &Outcome<u8>) -> Option<&str> {
    match &outcome.error_message {
        ErrorMessage::Becomes(message) => message.as_deref(),
        ErrorMessage::Keep => panic!("the message stays"),
    }
}

#[test]
fn assigning_begins_an_attempt_with_a_lease() {
    let outcome = done(&new_task(3, 100), 7, Command::Assign { worker: 1 });
    let task = outcome.task;
    assert_eq!((task.state, task.attempt, task.worker, task.taken), (State::Assigned, 1, Some(1), Taken::No));
    assert_eq!((task.assigned_at, task.lease_expires_at), (Some(at(7)), Some(at(37))));
    assert_eq!((outcome.events, outcome.loaded, outcome.unloaded), (vec![Event::Assigned], Some(1), None));
    assert_eq!((outcome.trust, outcome.dependents), (None, None));
}

#[test]
fn what_cannot_run_is_given_to_nobody() {
    let blocked = Task { blocked: true, ..new_task(3, 100) };
    let later = Task { next_retry_at: Some(at(10)), ..new_task(3, 100) };
    for command in [Command::Assign { worker: 1 }, Command::Claim { worker: 1, lease_seconds: None }] {
        assert_eq!(try_at(&blocked, 0, command), Err(Refusal::Blocked));
        assert_eq!(try_at(&later, 9, command), Err(Refusal::NotDue));
        assert_eq!(done(&later, 10, command).task.next_retry_at, None);
    }
    assert_eq!(try_at(&assigned(0), 1, Command::Assign { worker: 2 }), Err(Refusal::Taken));
    assert_eq!(try_at(&assigned(0), 1, Command::Claim { worker: 2, lease_seconds: None }), Err(Refusal::OtherWorker));
}

#[test]
fn a_worker_claims_what_was_assigned_to_it_without_a_new_attempt() {
    let outcome = done(&assigned(0), 20, Command::Claim { worker: 1, lease_seconds: Some(60) });
    let task = outcome.task;
    assert_eq!((task.attempt, task.assigned_at, task.lease_expires_at), (1, Some(at(0)), Some(at(80))));
    assert_eq!((outcome.events.len(), outcome.loaded, outcome.unloaded), (0, None, None));
    assert_eq!(try_at(&task, 21, Command::Claim { worker: 1, lease_seconds: None }), Err(Refusal::Taken));
}

#[test]
fn an_accepted_push_has_the_whole_time_limit() {
    let task = done(&assigned(0), 20, Command::AcceptPush { attempt: 1 }).task;
    assert_eq!((task.state, task.lease_expires_at), (State::Assigned, Some(at(120))));
    assert_eq!(try_at(&task, 50, Command::Renew { worker: 1 }), Ok(None), "a heartbeat does not lengthen it");
    let outcome = done(&task, 120, Command::Expire);
    assert_eq!((outcome.task.state, outcome.events), (State::TimedOut, vec![Event::TimedOut]));
    let outcome = done(&task, 30, says(1, COMPLETED));
    assert_eq!(outcome.task.started_at, Some(at(20)), "it ran since it was accepted");
}

#[test]
fn an_answer_that_its_worker_overtook_changes_nothing() {
    let running = done(&assigned(0), 1, says(1, RUNNING)).task;
    assert_eq!(try_at(&running, 2, Command::AcceptPush { attempt: 1 }), Ok(None));
    assert_eq!(try_at(&running, 2, Command::RefusePush { attempt: 1, retry_after: None }), Err(Refusal::Taken));
    for command in [Command::AcceptPush { attempt: 2 }, Command::RefusePush { attempt: 2, retry_after: None }] {
        assert_eq!(try_at(&running, 2, command), Err(Refusal::OtherAttempt));
    }
}

#[test]
fn a_refused_push_costs_neither_a_retry_nor_trust() {
    for (asked, until) in [(None, 31), (Some(5), 31), (Some(200), 201), (Some(9_999), 301)] {
        let retry_after = asked.map(TimeDelta::seconds);
        let outcome = done(&assigned(3), 1, Command::RefusePush { attempt: 1, retry_after });
        assert_eq!((outcome.task.state, outcome.task.retry_count), (State::Pending, 0));
        assert_eq!(outcome.excluded_until, Some(at(until)));
        assert_eq!((outcome.concerns, outcome.unloaded), (Some(1), Some(1)));
        assert_eq!((outcome.trust.clone(), outcome.failed_worker()), (None, None));
        assert!(outcome.events.is_empty());
        assert_eq!(outcome.error_message, ErrorMessage::Keep);
    }
}

#[test]
fn what_nobody_took_goes_back_when_its_lease_ends_or_its_worker_leaves() {
    for (second, command) in [(30, Command::Expire), (3, Command::WorkerInactive)] {
        let outcome = done(&assigned(0), second, command);
        assert_eq!((outcome.task.state, outcome.task.worker, outcome.task.attempt), (State::Pending, None, 1));
        assert_eq!((outcome.trust, outcome.excluded_until, outcome.task.next_retry_at), (None, None, None));
    }
    assert_eq!(try_at(&assigned(0), 29, Command::Expire), Err(Refusal::LeaseRuns));
    assert_eq!(try_at(&claimed(None), 3, Command::WorkerInactive), Err(Refusal::Taken));
}

#[test]
fn a_claim_that_nobody_reports_on_is_a_failed_attempt() {
    assert_eq!(claimed(None).lease_expires_at, Some(at(30)));
    let outcome = done(&claimed(Some(5)), 5, Command::Expire);
    assert_eq!((outcome.task.state, outcome.task.retry_count), (State::Pending, 1));
    assert_eq!((error_of(&outcome), outcome.events.as_slice()), (Some(WORKER_LOST), &[Event::Retry][..]));
    let last = Task { retry_count: 1, ..claimed(Some(5)) };
    let outcome = done(&last, 5, Command::Expire);
    assert_eq!((outcome.task.state, outcome.task.worker), (State::Failed, Some(1)));
    assert_eq!(outcome.trust, Some(Attempt::Failed { error: Some(WORKER_LOST.to_owned()), ended: true }));
}

#[test]
fn a_running_task_has_its_limit_and_a_named_lease_if_that_is_shorter() {
    let plain = done(&assigned(0), 10, says(1, RUNNING)).task;
    assert_eq!(plain.lease_expires_at, Some(at(110)));
    let unnamed = done(&claimed(None), 10, says(1, RUNNING)).task;
    assert_eq!(unnamed.lease_expires_at, Some(at(110)));
    let named = done(&claimed(Some(40)), 10, says(1, RUNNING)).task;
    assert_eq!(named.lease_expires_at, Some(at(50)));
    assert_eq!(done(&named, 30, Command::Renew { worker: 1 }).task.lease_expires_at, Some(at(70)));
    assert_eq!(done(&named, 90, says(1, RUNNING)).task.lease_expires_at, Some(at(110)), "never beyond the limit");
    let lost = done(&named, 5_000, Command::Expire);
    assert_eq!(error_of(&lost), Some(WORKER_LOST), "the lease ended before the limit, however late it is noticed");
    let late = done(&named, 90, Command::Renew { worker: 1 }).task;
    let timed_out = done(&late, 110, Command::Expire);
    assert_eq!(error_of(&timed_out), Some("Task timed out after 100 seconds"));
    assert_eq!(timed_out.events, [Event::TimedOut, Event::Retry]);
}

#[test]
fn a_retry_forgets_the_attempt_and_waits() {
    let running = done(&assigned(2), 1, says(1, Report::Running { progress: Some(40.0) })).task;
    assert_eq!(running.progress, Some(40.0));
    let outcome = done(&running, 5, says(1, FAILED));
    let task = outcome.task;
    let expected = Task { attempt: 1, retry_count: 1, next_retry_at: Some(at(6)), ..new_task(2, 100) };
    assert_eq!(task, expected);
    assert_eq!((outcome.events.as_slice(), error_of(&outcome)), (&[Event::Retry][..], Some("disk full")));
    assert_eq!((outcome.concerns, outcome.failed_worker(), outcome.unloaded), (Some(1), Some(1), Some(1)));
    assert_eq!(outcome.trust, Some(Attempt::Failed { error: Some("disk full".to_owned()), ended: false }));
    assert_eq!(outcome.dependents, None);
    assert_eq!(try_at(&task, 6, says(1, FAILED)), Err(Refusal::Unassigned), "said again");
}

#[test]
fn a_failure_ends_the_task_when_retrying_is_over_or_useless() {
    let hopeless = Report::Failed { error: Some("File Not Found"), retryable: Some(true), progress: None };
    let unwanted = Report::Failed { error: None, retryable: Some(false), progress: None };
    for (task, report) in [(assigned(0), FAILED), (assigned(3), hopeless), (assigned(3), unwanted)] {
        let outcome = done(&task, 9, says(1, report));
        let task = outcome.task;
        assert_eq!((task.state, task.retry_count, task.completed_at), (State::Failed, 0, Some(at(9))));
        assert_eq!((task.worker, task.lease_expires_at, task.next_retry_at), (Some(1), None, None));
        assert_eq!((outcome.events, outcome.dependents), (vec![Event::Failed], Some(Dependents::Fail)));
    }
}

#[test]
fn completing_stores_the_result_and_clears_the_error() {
    let outcome = done(&assigned(0), 9, says(1, COMPLETED));
    let task = outcome.task;
    assert_eq!((task.started_at, task.completed_at), (Some(at(0)), Some(at(9))));
    assert_eq!(task.execution_time(), Some(TimeDelta::seconds(9)));
    assert!(outcome.stores_result);
    assert_eq!(error_of(&outcome), None);
    assert_eq!((outcome.events.as_slice(), outcome.dependents), (&[Event::Completed][..], Some(Dependents::Unblock)));
    assert_eq!(outcome.trust, Some(Attempt::Completed { took: TimeDelta::seconds(9), limit_seconds: 100 }));
}

#[test]
fn reports_are_judged_in_the_order_of_the_contract() {
    let task = assigned(0);
    let of_attempt = |worker, attempt| Command::Report { worker, attempt: Some(attempt), report: COMPLETED };
    assert_eq!(try_at(&new_task(0, 100), 1, of_attempt(1, 0)), Err(Refusal::Unassigned));
    assert_eq!(try_at(&task, 1, of_attempt(2, 9)), Err(Refusal::OtherWorker));
    assert_eq!(try_at(&task, 1, of_attempt(1, 9)), Err(Refusal::OtherAttempt));
    let ended = done(&task, 1, of_attempt(1, 1)).task;
    assert_eq!(try_at(&ended, 2, of_attempt(1, 1)), Ok(None), "the same end again");
    assert_eq!(try_at(&ended, 2, says(1, FAILED)), Err(Refusal::Ended(State::Completed)));
    assert_eq!(try_at(&ended, 2, says(1, RUNNING)), Err(Refusal::Ended(State::Completed)));
    assert_eq!(try_at(&ended, 2, says(2, COMPLETED)), Err(Refusal::OtherWorker));
}

#[test]
fn every_open_task_can_be_cancelled_and_no_ended_one() {
    let running = done(&assigned(0), 1, says(1, RUNNING)).task;
    let blocked = Task { blocked: true, ..new_task(3, 100) };
    for (task, worker) in [(new_task(0, 100), None), (blocked, None), (assigned(0), Some(1)), (running, Some(1))] {
        let outcome = done(&task, 4, Command::Cancel);
        let cancelled = outcome.task;
        assert_eq!((cancelled.state, cancelled.cancelled_at), (State::Cancelled, Some(at(4))));
        assert_eq!((cancelled.completed_at, cancelled.worker), (Some(at(4)), worker));
        assert_eq!((outcome.unloaded, outcome.trust), (worker, None));
        assert_eq!((outcome.events, outcome.dependents), (vec![Event::Cancelled], Some(Dependents::Fail)));
        assert_eq!(try_at(&cancelled, 5, Command::Cancel), Err(Refusal::Ended(State::Cancelled)));
        if worker.is_some() {
            assert_eq!(try_at(&cancelled, 5, Command::Renew { worker: 1 }), Err(Refusal::Ended(State::Cancelled)));
            assert_eq!(try_at(&cancelled, 5, says(1, COMPLETED)), Err(Refusal::Ended(State::Cancelled)));
        }
    }
}

#[test]
fn dependencies_unblock_or_fail_what_waits() {
    let blocked = Task { blocked: true, ..new_task(3, 100) };
    let free = done(&blocked, 1, Command::Unblock).task;
    assert!(free.is_ready(at(1)) && !blocked.is_ready(at(1)));
    assert_eq!(try_at(&free, 1, Command::Unblock), Ok(None));
    let outcome = done(&blocked, 2, Command::DependencyFailed { id: "task_7" });
    assert_eq!((outcome.task.state, outcome.task.attempt, outcome.concerns), (State::Failed, 0, None));
    assert_eq!((error_of(&outcome), outcome.trust.clone()), (Some("Dependency task task_7 failed"), None));
    assert_eq!((outcome.events, outcome.dependents), (vec![Event::Failed], Some(Dependents::Fail)));
}

#[test]
fn names_are_those_of_the_contract() {
    for state in State::ALL {
        assert_eq!(State::parse(state.as_str()), Some(state));
    }
    assert_eq!(State::parse("ACTIVE"), None);
    assert_eq!((State::TimedOut.as_str(), Event::TimedOut.as_str()), ("TIMEOUT", "task.timeout"));
}

fn reports() -> impl Strategy<Value = Report<'static>> {
    let errors = prop::sample::select(vec![None, Some("oops"), Some("validation error")]);
    let progress = prop::option::of(prop::sample::select(vec![0.0, 50.0, 100.0]));
    prop_oneof![
        progress.clone().prop_map(|progress| Report::Running { progress }),
        progress.clone().prop_map(|progress| Report::Completed { progress }),
        (errors, prop::option::of(any::<bool>()), progress).prop_map(|(error, retryable, progress)| Report::Failed {
            error,
            retryable,
            progress
        }),
    ]
}

fn commands() -> impl Strategy<Value = Command<'static, u8>> {
    let lease = prop::option::of(5..100_i32);
    prop_oneof![
        4 => (0..3_u8).prop_map(|worker| Command::Assign { worker }),
        4 => (0..3_u8, lease).prop_map(|(worker, lease_seconds)| Command::Claim { worker, lease_seconds }),
        3 => (0..6_i32).prop_map(|attempt| Command::AcceptPush { attempt }),
        2 => (0..6_i32, prop::option::of(0..400_i64)).prop_map(|(attempt, seconds)| Command::RefusePush {
            attempt,
            retry_after: seconds.map(TimeDelta::seconds),
        }),
        1 => Just(Command::WorkerInactive),
        6 => (0..3_u8, prop::option::of(0..6_i32), reports())
            .prop_map(|(worker, attempt, report)| Command::Report { worker, attempt, report }),
        2 => (0..3_u8).prop_map(|worker| Command::Renew { worker }),
        3 => Just(Command::Expire),
        1 => Just(Command::Cancel),
        1 => Just(Command::Unblock),
        1 => Just(Command::DependencyFailed { id: "task_x" }),
    ]
}

/// What must hold of every single change.
fn check(before: &Task<u8>, command: Command<'_, u8>, outcome: &Outcome<u8>) -> Result<(), TestCaseError> {
    let after = &outcome.task;
    prop_assert!(!before.state.is_end(), "an end was left");
    prop_assert!(after.attempt >= before.attempt && after.retry_count >= before.retry_count);
    prop_assert_eq!(after.attempt > before.attempt, outcome.events.contains(&Event::Assigned));
    prop_assert_eq!(after.retry_count > before.retry_count, outcome.events.contains(&Event::Retry));
    prop_assert!(after.retry_count <= after.max_retries);
    prop_assert_eq!(after.lease_expires_at.is_some(), after.state.is_held());
    prop_assert_eq!(after.completed_at.is_some(), after.state.is_end());
    prop_assert_eq!(after.cancelled_at.is_some(), after.state == State::Cancelled);
    prop_assert_eq!(outcome.dependents.is_some(), after.state.is_end());
    prop_assert_eq!(outcome.stores_result, after.state == State::Completed);
    let ends = [Event::Completed, Event::Failed, Event::Cancelled];
    let told = outcome.events.iter().any(|event| ends.contains(event)) || after.state == State::TimedOut;
    prop_assert_eq!(told, after.state.is_end());
    if after.state == State::Pending {
        let expected =
            Task { attempt: after.attempt, retry_count: after.retry_count, ..new_task(after.max_retries, 50) };
        let plain = Task { next_retry_at: None, blocked: false, ..*after };
        prop_assert_eq!(plain, expected, "something of the attempt is left");
    }
    if after.state == State::Completed {
        let reported = matches!(command, Command::Report { report: Report::Completed { .. }, .. });
        prop_assert!(reported, "completed by something else");
        prop_assert!(after.started_at.is_some());
    }
    if before.blocked {
        prop_assert!(!after.state.is_held() && after.state != State::Completed, "it ran before what it depends on");
    }
    prop_assert_eq!(
        (outcome.unloaded, outcome.loaded),
        match (before.holder(), after.holder()) {
            (old, new) if old == new => (None, None),
            change => change,
        }
    );
    if let Command::Report { worker, attempt, .. } = command {
        prop_assert_eq!(before.worker, Some(worker));
        prop_assert!(attempt.is_none_or(|attempt| attempt == before.attempt));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_of_commands_leaves_a_task_that_makes_sense(
        (max_retries, blocked) in (0..4_i32, any::<bool>()),
        script in prop::collection::vec((commands(), -20..60_i64), 0..80),
    ) {
        let mut task = Task { blocked, ..new_task(max_retries, 50) };
        let (mut now, mut ends, mut trusted) = (1_000, 0, 0);
        for (command, passed) in script {
            // The clock may step back.
            now += passed;
            match try_at(&task, now, command) {
                Ok(Some(outcome)) => {
                    check(&task, command, &outcome)?;
                    prop_assert_eq!(try_at(&task, now, command), Ok(Some(outcome.clone())), "the same again");
                    ends += i32::from(outcome.task.state.is_end());
                    trusted += i32::from(outcome.trust.is_some());
                    task = outcome.task;
                }
                Ok(None) => {}
                Err(Refusal::Ended(state)) => prop_assert!(state.is_end() && state == task.state),
                Err(_) => {}
            }
        }
        prop_assert_eq!(ends, i32::from(task.state.is_end()));
        prop_assert!(trusted <= task.attempt, "an attempt counted twice");
    }
}
