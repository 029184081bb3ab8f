//! How far a worker is trusted: what each attempt does to its score, and what is told about it (AINS contract, section 3).
//!
//! Scores are whole ten-thousandths, so that sums and limits are exact.

use chrono::TimeDelta;

/// What stands in a reason when the worker gave none.
pub const NO_ERROR_GIVEN: &str = "no error message";
/// The weight of the newest execution time in the running average.
const NEW_WEIGHT: f64 = 0.3;

/// A trust score in ten-thousandths, from 0 to [`Score::MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Score(i32);

impl Score {
    pub const MIN: Self = Self(0);
    pub const MAX: Self = Self(10_000);
    /// What a new worker starts with.
    pub const START: Self = Self(5_000);

    /// From stored ten-thousandths; what lies outside is moved to the nearer end.
    #[must_use]
    pub fn new(ten_thousandths: i32) -> Self {
        Self(ten_thousandths.clamp(0, 10_000))
    }

    /// Ten-thousandths, as they are stored.
    #[must_use]
    pub const fn ten_thousandths(self) -> i32 {
        self.0
    }

    /// As it is told: a decimal of at most four places.
    #[must_use]
    pub fn decimal(self) -> f64 {
        f64::from(self.0) / 10_000.0
    }

    #[must_use]
    pub const fn level(self) -> &'static str {
        match self.0 {
            9_000.. => "excellent",
            7_000.. => "high",
            5_000.. => "medium",
            3_000.. => "low",
            _ => "very_low",
        }
    }

    /// What becomes of the score when `delta` is added.
    #[must_use]
    pub fn changed_by(self, delta: Delta) -> Change {
        Change { before: self, after: Self::new(self.0.saturating_add(delta.0)) }
    }
}

/// A change that is asked for, in ten-thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Delta(i32);

impl Delta {
    #[must_use]
    pub const fn new(ten_thousandths: i32) -> Self {
        Self(ten_thousandths)
    }

    /// The nearest ten-thousandth to a decimal of −1 to 1; what lies outside is moved to the nearer end.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "at most ten thousand either way, and NaN becomes zero")]
    pub fn of_decimal(decimal: f64) -> Self {
        Self((decimal.clamp(-1.0, 1.0) * 10_000.0).round() as i32)
    }

    /// Ten-thousandths, as they are stored.
    #[must_use]
    pub const fn ten_thousandths(self) -> i32 {
        self.0
    }

    /// As it is told: a decimal of at most four places.
    #[must_use]
    pub fn decimal(self) -> f64 {
        f64::from(self.0) / 10_000.0
    }
}

/// A score before and after one change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    pub before: Score,
    pub after: Score,
}

impl Change {
    /// What really changed: less than what was asked for where an end of the scale is reached.
    #[must_use]
    pub const fn effective(self) -> Delta {
        Delta(self.after.0 - self.before.0)
    }
}

/// How an attempt of a worker ended, as far as trust goes. Attempts that were never taken, and cancelled ones, are none of these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt {
    Completed {
        took: TimeDelta,
        /// The task's `timeout_seconds`.
        limit_seconds: i32,
    },
    Failed {
        error: Option<String>,
        /// Whether the task ended with it.
        ended: bool,
    },
    TimedOut {
        limit_seconds: i32,
        /// Whether the task ended with it.
        ended: bool,
    },
}

impl Attempt {
    fn is_fast(took: TimeDelta, limit_seconds: i32) -> bool {
        took * 2 < TimeDelta::seconds(i64::from(limit_seconds))
    }

    #[must_use]
    pub fn delta(&self) -> Delta {
        Delta(match self {
            Self::Completed { took, limit_seconds } if Self::is_fast(*took, *limit_seconds) => 500,
            Self::Completed { .. } => 200,
            Self::Failed { .. } => -500,
            Self::TimedOut { .. } => -300,
        })
    }

    /// The `event_type` of the record.
    #[must_use]
    pub const fn event_type(&self) -> &'static str {
        match self {
            Self::Completed { .. } => "task_completed",
            Self::Failed { .. } => "task_failed",
            Self::TimedOut { .. } => "task_timeout",
        }
    }

    /// The `reason` of the record.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Self::Completed { took, limit_seconds } if Self::is_fast(*took, *limit_seconds) => {
                "Task completed successfully in less than half of its time limit".to_owned()
            }
            Self::Completed { .. } => "Task completed successfully within expected time".to_owned(),
            Self::Failed { error, .. } => format!("Task failed: {}", error.as_deref().unwrap_or(NO_ERROR_GIVEN)),
            Self::TimedOut { limit_seconds, .. } => format!("Task timed out after {limit_seconds} seconds"),
        }
    }
}

/// The `event_type` of a change that somebody made by hand.
pub const MANUAL_ADJUSTMENT: &str = "manual_adjustment";

/// What is kept of a worker's record.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Standing {
    pub score: Score,
    pub completed: i64,
    pub failed: i64,
    /// Running average of execution times in seconds; none before the first completed task.
    pub average_seconds: Option<f64>,
}

impl Standing {
    /// Of a new worker.
    pub const NEW: Self = Self { score: Score::START, completed: 0, failed: 0, average_seconds: None };

    /// What an ended attempt makes of it.
    #[must_use]
    pub fn after(&self, attempt: &Attempt) -> (Self, Change) {
        let change = self.score.changed_by(attempt.delta());
        let mut next = Self { score: change.after, ..*self };
        match attempt {
            Attempt::Completed { took, .. } => {
                next.completed += 1;
                next.average_seconds = Some(running_average(self.average_seconds, seconds(*took)));
            }
            Attempt::Failed { ended, .. } | Attempt::TimedOut { ended, .. } => next.failed += i64::from(*ended),
        }
        (next, change)
    }

    /// Completed ÷ (completed + failed) in thousandths, half up; 0 without any.
    #[must_use]
    pub const fn success_thousandths(&self) -> i64 {
        let all = self.completed + self.failed;
        if all == 0 { 0 } else { (2_000 * self.completed + all) / (2 * all) }
    }

    /// The same as it is told: a decimal of three places.
    #[must_use]
    pub fn success_rate(&self) -> f64 {
        thousandths(self.success_thousandths())
    }

    /// 5 × (0.7 × `success_rate` + 0.3 × `trust_score`), one decimal, half up. Exact: a worker without tasks has 0.75, and so 0.8.
    #[must_use]
    pub fn rating(&self) -> f64 {
        let sum = 70 * self.success_thousandths() + 3 * i64::from(self.score.0);
        tenths((sum + 1_000) / 2_000)
    }
}

/// The first value, then 0.7 × old + 0.3 × new. Seconds in and out.
#[must_use]
pub fn running_average(old: Option<f64>, new: f64) -> f64 {
    old.map_or(new, |old| (1.0 - NEW_WEIGHT) * old + NEW_WEIGHT * new)
}

/// Where the score goes, from the last ten changes of the last seven days (which the caller selects).
#[must_use]
pub fn trend(changes: impl IntoIterator<Item = Delta>) -> &'static str {
    match changes.into_iter().map(|change| i64::from(change.0)).sum::<i64>() {
        101.. => "increasing",
        ..=-101 => "decreasing",
        _ => "stable",
    }
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of an attempt are far below 2^53")]
fn seconds(took: TimeDelta) -> f64 {
    took.num_milliseconds() as f64 / 1_000.0
}

#[expect(clippy::cast_precision_loss, reason = "at most a thousand")]
fn thousandths(count: i64) -> f64 {
    count as f64 / 1_000.0
}

#[expect(clippy::cast_precision_loss, reason = "at most fifty")]
fn tenths(count: i64) -> f64 {
    count as f64 / 10.0
}

#[cfg(test)]
mod tests;
