//! What may happen to a task, and what comes of it (AINS contract, sections 4.4, 4.5 and 5.1 to 5.4).
//!
//! [`step`] takes a task as it was read, a command and the time. It gives the task as it must be written, together with
//! everything that belongs into the same transaction, or the reason why nothing may happen. An [`Outcome`] counts only while
//! the stored task still has the [`Guard`] of the one it was computed from: storage holds the row meanwhile, or compares.

use chrono::{DateTime, TimeDelta, Utc};

use super::{retry::Policy, trust::Attempt};

pub use step::step;

mod step;

/// What a task whose worker was not heard of in time is told to have failed of.
pub const WORKER_LOST: &str = "Worker lost";

/// Where a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    Pending,
    Assigned,
    Running,
    Completed,
    Failed,
    Cancelled,
    TimedOut,
}

impl State {
    pub const ALL: [Self; 7] =
        [Self::Pending, Self::Assigned, Self::Running, Self::Completed, Self::Failed, Self::Cancelled, Self::TimedOut];

    /// As it is stored and told.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Assigned => "ASSIGNED",
            Self::Running => "RUNNING",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
            Self::Cancelled => "CANCELLED",
            Self::TimedOut => "TIMEOUT",
        }
    }

    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// Whether nothing changes any more.
    #[must_use]
    pub const fn is_end(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled | Self::TimedOut)
    }

    /// Whether a worker has the task: it counts to that worker's load.
    #[must_use]
    pub const fn is_held(self) -> bool {
        matches!(self, Self::Assigned | Self::Running)
    }
}

/// How the worker has taken the attempt that was given to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Taken {
    /// Not yet, or nobody has the task.
    #[default]
    No,
    /// It accepted the push.
    Pushed { at: DateTime<Utc> },
    /// It claimed the task, and named a lease of so many seconds or none.
    Claimed { lease_seconds: Option<i32> },
}

/// A task, as far as its state is concerned. `W` names a worker.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Task<W> {
    pub state: State,
    /// How often it has been assigned.
    pub attempt: i32,
    pub retry_count: i32,
    pub max_retries: i32,
    pub retry_policy: Policy,
    pub timeout_seconds: i32,
    /// Whether a dependency has not completed.
    pub blocked: bool,
    /// Who has it, or had it when it ended.
    pub worker: Option<W>,
    pub taken: Taken,
    /// Percent.
    pub progress: Option<f64>,
    pub next_retry_at: Option<DateTime<Utc>>,
    pub lease_expires_at: Option<DateTime<Utc>>,
    pub assigned_at: Option<DateTime<Utc>>,
    pub started_at: Option<DateTime<Utc>>,
    pub completed_at: Option<DateTime<Utc>>,
    pub cancelled_at: Option<DateTime<Utc>>,
}

/// What of a task an outcome depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Guard {
    pub state: State,
    pub attempt: i32,
    pub taken: Taken,
    pub lease_expires_at: Option<DateTime<Utc>>,
}

impl<W: Copy + PartialEq> Task<W> {
    #[must_use]
    pub const fn guard(&self) -> Guard {
        let Self { state, attempt, taken, lease_expires_at, .. } = *self;
        Guard { state, attempt, taken, lease_expires_at }
    }

    /// The worker whose load the task counts to.
    #[must_use]
    pub fn holder(&self) -> Option<W> {
        self.worker.filter(|_| self.state.is_held())
    }

    /// Whether it may be given to a worker now.
    #[must_use]
    pub fn is_ready(&self, now: DateTime<Utc>) -> bool {
        self.readiness(now).is_ok()
    }

    fn readiness(&self, now: DateTime<Utc>) -> Result<(), Refusal> {
        match self.state {
            State::Pending if self.blocked => Err(Refusal::Blocked),
            State::Pending if self.next_retry_at.is_some_and(|at| at > now) => Err(Refusal::NotDue),
            State::Pending => Ok(()),
            state if state.is_end() => Err(Refusal::Ended(state)),
            _ => Err(Refusal::Taken),
        }
    }

    /// Between start and end; none before both are known. Never negative, whatever the clock did.
    #[must_use]
    pub fn execution_time(&self) -> Option<TimeDelta> {
        Some((self.completed_at? - self.started_at?).max(TimeDelta::zero()))
    }

    fn limit(&self) -> TimeDelta {
        TimeDelta::seconds(i64::from(self.timeout_seconds))
    }

    /// Until when the worker must be heard of, if it is heard of now.
    fn lease(&self, now: DateTime<Utc>, leases: &Leases) -> Option<DateTime<Utc>> {
        let of_claim = |seconds: i32| now + TimeDelta::seconds(i64::from(seconds));
        match (self.state, self.taken) {
            (State::Assigned, Taken::No) => Some(now + leases.assignment),
            (State::Assigned, Taken::Pushed { at }) => Some(at + self.limit()),
            (State::Assigned, Taken::Claimed { lease_seconds }) => {
                Some(lease_seconds.map_or(now + leases.claim, of_claim))
            }
            (State::Running, Taken::Claimed { lease_seconds: Some(seconds) }) => {
                Some(self.deadline()?.min(of_claim(seconds)))
            }
            (State::Running, _) => self.deadline(),
            _ => None,
        }
    }

    fn deadline(&self) -> Option<DateTime<Utc>> {
        Some(self.started_at? + self.limit())
    }
}

/// How long a worker may stay silent.
#[derive(Debug, Clone, Copy)]
pub struct Leases {
    /// To take what was assigned to it (`AINS_ASSIGNMENT_LEASE_SECONDS`).
    pub assignment: TimeDelta,
    /// To report on what it claimed without naming a lease.
    pub claim: TimeDelta,
    /// How long a worker that refused a task is not asked for it again, if it does not say itself.
    pub refused: TimeDelta,
    /// The longest such time that it may ask for.
    pub refused_max: TimeDelta,
}

impl Default for Leases {
    fn default() -> Self {
        let seconds = TimeDelta::seconds;
        Self { assignment: seconds(30), claim: seconds(30), refused: seconds(30), refused_max: seconds(300) }
    }
}

/// What a worker says about its attempt.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Report<'a> {
    Running { progress: Option<f64> },
    Completed { progress: Option<f64> },
    Failed { error: Option<&'a str>, retryable: Option<bool>, progress: Option<f64> },
}

impl Report<'_> {
    /// The end it would bring about if no retry follows.
    const fn end(&self) -> Option<State> {
        match self {
            Self::Running { .. } => None,
            Self::Completed { .. } => Some(State::Completed),
            Self::Failed { .. } => Some(State::Failed),
        }
    }

    const fn progress(&self) -> Option<f64> {
        match *self {
            Self::Running { progress } | Self::Completed { progress } | Self::Failed { progress, .. } => progress,
        }
    }
}

/// What is to happen to a task.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Command<'a, W> {
    /// Routing chose this worker.
    Assign {
        worker: W,
    },
    /// The worker takes it: a waiting task, or one that is assigned to it and not yet taken.
    Claim {
        worker: W,
        lease_seconds: Option<i32>,
    },
    /// The worker answered the push of this attempt with a yes.
    AcceptPush {
        attempt: i32,
    },
    /// … with a no, or could not be reached; `Retry-After` if it sent one.
    RefusePush {
        attempt: i32,
        retry_after: Option<TimeDelta>,
    },
    /// The worker that it is assigned to became inactive.
    WorkerInactive,
    /// `worker` is who reports; `attempt` is compared when given.
    Report {
        worker: W,
        attempt: Option<i32>,
        report: Report<'a>,
    },
    /// The worker's heartbeat names the task.
    Renew {
        worker: W,
    },
    /// Its lease is over.
    Expire,
    Cancel,
    /// The last dependency that was missing has completed.
    Unblock,
    /// A dependency, of this id, ended without completing.
    DependencyFailed {
        id: &'a str,
    },
}

/// Why a command changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the task has ended: {}", .0.as_str())]
    Ended(State),
    #[error("a dependency of the task has not completed")]
    Blocked,
    #[error("the next attempt at the task is not due yet")]
    NotDue,
    /// Waiting is over: a worker has it, or has taken what was assigned to it.
    #[error("a worker has the task")]
    Taken,
    #[error("the task is not assigned to a worker")]
    Unassigned,
    /// The one refusal that is not about the state: it answers 403.
    #[error("Agent not assigned to this task")]
    OtherWorker,
    #[error("this attempt at the task is over")]
    OtherAttempt,
    #[error("the lease of the task runs on")]
    LeaseRuns,
}

/// What is announced (AINS contract, section 7.2). Creation is announced by whoever stores the task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    Assigned,
    Started,
    Completed,
    Failed,
    Cancelled,
    TimedOut,
    Retry,
}

impl Event {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Assigned => "task.assigned",
            Self::Started => "task.started",
            Self::Completed => "task.completed",
            Self::Failed => "task.failed",
            Self::Cancelled => "task.cancelled",
            Self::TimedOut => "task.timeout",
            Self::Retry => "task.retry",
        }
    }
}

/// What becomes of `error_message`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ErrorMessage {
    #[default]
    Keep,
    Becomes(Option<String>),
}

/// What an end does to the tasks that wait for this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dependents {
    /// They have one dependency less to wait for.
    Unblock,
    /// They fail, those that wait for them too.
    Fail,
}

/// What a command brings about; all of it goes into one transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome<W> {
    /// The task from now on.
    pub task: Task<W>,
    pub error_message: ErrorMessage,
    /// Whether the reported `result_data` is stored (null when absent).
    pub stores_result: bool,
    /// In this order; all are about [`Outcome::concerns`].
    pub events: Vec<Event>,
    /// The worker concerned: on retries that of the attempt which ended.
    pub concerns: Option<W>,
    /// Who has one task more.
    pub loaded: Option<W>,
    /// Who has one task less.
    pub unloaded: Option<W>,
    /// What it does to the trust in [`Outcome::concerns`].
    pub trust: Option<Attempt>,
    /// Until when [`Outcome::concerns`] is not asked again for this task.
    pub excluded_until: Option<DateTime<Utc>>,
    pub dependents: Option<Dependents>,
}

impl<W: Copy + PartialEq> Outcome<W> {
    /// From `before` to `task`; the loads follow from the two.
    fn new(before: &Task<W>, task: Task<W>) -> Self {
        let (held, holds) = (before.holder(), task.holder());
        Self {
            concerns: task.worker.or(before.worker),
            loaded: holds.filter(|_| holds != held),
            unloaded: held.filter(|_| holds != held),
            dependents: match task.state {
                State::Completed => Some(Dependents::Unblock),
                state if state.is_end() => Some(Dependents::Fail),
                _ => None,
            },
            stores_result: task.state == State::Completed,
            task,
            error_message: ErrorMessage::Keep,
            events: Vec::new(),
            trust: None,
            excluded_until: None,
        }
    }

    /// Who is asked for this task again only when there is nobody else: its attempt has just failed.
    #[must_use]
    pub fn failed_worker(&self) -> Option<W> {
        self.concerns.filter(|_| matches!(self.trust, Some(Attempt::Failed { .. } | Attempt::TimedOut { .. })))
    }

    fn announcing(mut self, event: Event) -> Self {
        self.events.push(event);
        self
    }

    fn with_error(mut self, message: Option<String>) -> Self {
        self.error_message = ErrorMessage::Becomes(message);
        self
    }
}

/// What a task fails of when the task `id` that it depends on ended without completing.
#[must_use]
pub fn dependency_error(id: &str) -> String {
    format!("Dependency task {id} failed")
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
