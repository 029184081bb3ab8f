//! The transitions.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Command, Event, Leases, Outcome, Refusal, Report, State, Taken, Task, WORKER_LOST, dependency_error};
use crate::domain::{retry, trust::Attempt};

/// What `command` does to `task` at `now`. `None` when it is already as it would become: there is nothing to write, and no
/// reason to complain.
///
/// # Errors
/// When the command does not fit the task.
pub fn step<W: Copy + PartialEq>(
    task: &Task<W>,
    command: Command<'_, W>,
    now: DateTime<Utc>,
    leases: &Leases,
) -> Result<Option<Outcome<W>>, Refusal> {
    match command {
        Command::Assign { worker } => give(task, worker, Taken::No, now, leases).map(Some),
        Command::Claim { worker, lease_seconds } => claim(task, worker, lease_seconds, now, leases).map(Some),
        Command::AcceptPush { attempt } => accept(task, attempt, now, leases),
        Command::RefusePush { attempt, retry_after } => refuse(task, attempt, retry_after, now, leases).map(Some),
        Command::WorkerInactive => untaken(task).map(|()| Some(Outcome::new(task, waiting(task)))),
        Command::Report { worker, attempt, report } => reported(task, (worker, attempt), report, now, leases),
        Command::Renew { worker } => {
            held_by(task, worker)?;
            if task.state.is_end() { Err(Refusal::Ended(task.state)) } else { Ok(renewed(task, None, now, leases)) }
        }
        Command::Expire => expire(task, now).map(Some),
        Command::Cancel => cancel(task, now).map(Some),
        Command::Unblock => match task.state {
            State::Pending if task.blocked => Ok(Some(Outcome::new(task, Task { blocked: false, ..*task }))),
            state if state.is_end() => Err(Refusal::Ended(state)),
            _ => Ok(None),
        },
        Command::DependencyFailed { id } => dependency_failed(task, id, now).map(Some),
    }
}

fn give<W: Copy + PartialEq>(
    task: &Task<W>,
    worker: W,
    taken: Taken,
    now: DateTime<Utc>,
    leases: &Leases,
) -> Result<Outcome<W>, Refusal> {
    task.readiness(now)?;
    let mut next = Task {
        state: State::Assigned,
        attempt: task.attempt + 1,
        worker: Some(worker),
        taken,
        assigned_at: Some(now),
        next_retry_at: None,
        ..*task
    };
    next.lease_expires_at = next.lease(now, leases);
    Ok(Outcome::new(task, next).announcing(Event::Assigned))
}

fn claim<W: Copy + PartialEq>(
    task: &Task<W>,
    worker: W,
    lease_seconds: Option<i32>,
    now: DateTime<Utc>,
    leases: &Leases,
) -> Result<Outcome<W>, Refusal> {
    let taken = Taken::Claimed { lease_seconds };
    if task.state != State::Assigned {
        return give(task, worker, taken, now, leases);
    }
    held_by(task, worker)?;
    untaken(task)?;
    let mut next = Task { taken, ..*task };
    next.lease_expires_at = next.lease(now, leases);
    Ok(Outcome::new(task, next))
}

fn accept<W: Copy + PartialEq>(
    task: &Task<W>,
    attempt: i32,
    now: DateTime<Utc>,
    leases: &Leases,
) -> Result<Option<Outcome<W>>, Refusal> {
    held_in(task, attempt)?;
    if untaken(task).is_err() {
        // Its report or its claim was faster than its answer.
        return Ok(None);
    }
    let mut next = Task { taken: Taken::Pushed { at: now }, ..*task };
    next.lease_expires_at = next.lease(now, leases);
    Ok(Some(Outcome::new(task, next)))
}

fn refuse<W: Copy + PartialEq>(
    task: &Task<W>,
    attempt: i32,
    retry_after: Option<TimeDelta>,
    now: DateTime<Utc>,
    leases: &Leases,
) -> Result<Outcome<W>, Refusal> {
    held_in(task, attempt)?;
    untaken(task)?;
    let asked = retry_after.unwrap_or_default().min(leases.refused_max);
    let mut outcome = Outcome::new(task, waiting(task));
    outcome.excluded_until = Some(now + asked.max(leases.refused));
    Ok(outcome)
}

/// The checks of section 5.4 in their order, but for the caller's right to speak for the worker.
fn reported<W: Copy + PartialEq>(
    task: &Task<W>,
    (worker, attempt): (W, Option<i32>),
    report: Report<'_>,
    now: DateTime<Utc>,
    leases: &Leases,
) -> Result<Option<Outcome<W>>, Refusal> {
    held_by(task, worker)?;
    if attempt.is_some_and(|attempt| attempt != task.attempt) {
        return Err(Refusal::OtherAttempt);
    }
    if task.state.is_end() {
        return if report.end() == Some(task.state) { Ok(None) } else { Err(Refusal::Ended(task.state)) };
    }
    let task = &Task { progress: report.progress().or(task.progress), ..*task };
    Ok(match report {
        Report::Running { .. } if task.state == State::Running => {
            return Ok(renewed(task, report.progress(), now, leases));
        }
        Report::Running { .. } => {
            let mut next = Task { state: State::Running, started_at: Some(now), ..*task };
            next.lease_expires_at = next.lease(now, leases);
            Some(Outcome::new(task, next).announcing(Event::Started))
        }
        Report::Completed { .. } => Some(completed(task, now)),
        Report::Failed { error, retryable, .. } => {
            let again = retry::is_retryable(retryable, error);
            Some(failed(task, now, Failure::Reported { error: error.map(str::to_owned), again }))
        }
    })
}

/// `progress` is what was just reported: writing it down is a change, even if it is the same as before.
fn renewed<W: Copy + PartialEq>(
    task: &Task<W>,
    progress: Option<f64>,
    now: DateTime<Utc>,
    leases: &Leases,
) -> Option<Outcome<W>> {
    let next = Task { lease_expires_at: task.lease(now, leases), ..*task };
    (next != *task || progress.is_some()).then(|| Outcome::new(task, next))
}

fn completed<W: Copy + PartialEq>(task: &Task<W>, now: DateTime<Utc>) -> Outcome<W> {
    let accepted_at = match task.taken {
        Taken::Pushed { at } => Some(at),
        Taken::No | Taken::Claimed { .. } => task.assigned_at,
    };
    let next = Task { started_at: task.started_at.or(accepted_at), ..ended(task, State::Completed, now) };
    let took = next.execution_time().unwrap_or_default();
    let mut outcome = Outcome::new(task, next).announcing(Event::Completed).with_error(None);
    outcome.trust = Some(Attempt::Completed { took, limit_seconds: task.timeout_seconds });
    outcome
}

/// How an attempt came to nothing.
enum Failure {
    Reported { error: Option<String>, again: bool },
    WorkerLost,
    TimedOut,
}

fn failed<W: Copy + PartialEq>(task: &Task<W>, now: DateTime<Utc>, failure: Failure) -> Outcome<W> {
    let timed_out = matches!(failure, Failure::TimedOut);
    let (error, again) = match failure {
        Failure::Reported { error, again } => (error, again),
        Failure::WorkerLost => (Some(WORKER_LOST.to_owned()), true),
        Failure::TimedOut => (Some(format!("Task timed out after {} seconds", task.timeout_seconds)), true),
    };
    let retries = again && task.retry_count < task.max_retries;
    let next = if retries {
        let retry_count = task.retry_count + 1;
        Task { retry_count, next_retry_at: Some(now + task.retry_policy.pause(retry_count)), ..waiting(task) }
    } else {
        ended(task, if timed_out { State::TimedOut } else { State::Failed }, now)
    };
    let mut outcome = Outcome::new(task, next).with_error(error.clone());
    outcome.events = match (timed_out, retries) {
        (true, true) => vec![Event::TimedOut, Event::Retry],
        (true, false) => vec![Event::TimedOut],
        (false, true) => vec![Event::Retry],
        (false, false) => vec![Event::Failed],
    };
    let (limit_seconds, ended) = (task.timeout_seconds, !retries);
    outcome.trust =
        Some(if timed_out { Attempt::TimedOut { limit_seconds, ended } } else { Attempt::Failed { error, ended } });
    outcome
}

fn expire<W: Copy + PartialEq>(task: &Task<W>, now: DateTime<Utc>) -> Result<Outcome<W>, Refusal> {
    held(task)?;
    let lease = task.lease_expires_at.filter(|lease| *lease <= now).ok_or(Refusal::LeaseRuns)?;
    Ok(match (task.state, task.taken) {
        (State::Assigned, Taken::No) => Outcome::new(task, waiting(task)),
        (State::Assigned, Taken::Claimed { .. }) => failed(task, now, Failure::WorkerLost),
        // A named lease that ended before the time limit: however late this is noticed, the worker was lost first.
        (State::Running, Taken::Claimed { .. }) if task.deadline().is_some_and(|deadline| lease < deadline) => {
            failed(task, now, Failure::WorkerLost)
        }
        _ => failed(task, now, Failure::TimedOut),
    })
}

fn cancel<W: Copy + PartialEq>(task: &Task<W>, now: DateTime<Utc>) -> Result<Outcome<W>, Refusal> {
    if task.state.is_end() {
        return Err(Refusal::Ended(task.state));
    }
    let next = Task { cancelled_at: Some(now), ..ended(task, State::Cancelled, now) };
    Ok(Outcome::new(task, next).announcing(Event::Cancelled))
}

fn dependency_failed<W: Copy + PartialEq>(task: &Task<W>, id: &str, now: DateTime<Utc>) -> Result<Outcome<W>, Refusal> {
    match task.state {
        State::Pending => {
            let next = ended(task, State::Failed, now);
            Ok(Outcome::new(task, next).announcing(Event::Failed).with_error(Some(dependency_error(id))))
        }
        state if state.is_end() => Err(Refusal::Ended(state)),
        _ => Err(Refusal::Taken),
    }
}

/// Back among those that wait: nothing is left of the attempt but its number.
fn waiting<W: Copy>(task: &Task<W>) -> Task<W> {
    Task {
        state: State::Pending,
        worker: None,
        taken: Taken::No,
        progress: None,
        assigned_at: None,
        started_at: None,
        lease_expires_at: None,
        ..*task
    }
}

fn ended<W: Copy>(task: &Task<W>, state: State, now: DateTime<Utc>) -> Task<W> {
    Task { state, completed_at: Some(now), lease_expires_at: None, next_retry_at: None, ..*task }
}

fn held<W: Copy + PartialEq>(task: &Task<W>) -> Result<(), Refusal> {
    match task.state {
        State::Pending => Err(Refusal::Unassigned),
        state if state.is_end() => Err(Refusal::Ended(state)),
        _ => Ok(()),
    }
}

/// By that worker, now or when it ended.
fn held_by<W: Copy + PartialEq>(task: &Task<W>, worker: W) -> Result<(), Refusal> {
    match task.worker {
        None => Err(Refusal::Unassigned),
        Some(holder) if holder == worker => Ok(()),
        Some(_) => Err(Refusal::OtherWorker),
    }
}

fn held_in<W: Copy + PartialEq>(task: &Task<W>, attempt: i32) -> Result<(), Refusal> {
    if attempt == task.attempt { held(task) } else { Err(Refusal::OtherAttempt) }
}

fn untaken<W: Copy + PartialEq>(task: &Task<W>) -> Result<(), Refusal> {
    held(task)?;
    if (task.state, task.taken) == (State::Assigned, Taken::No) { Ok(()) } else { Err(Refusal::Taken) }
}
