//! What is counted (AINS contract, section 9).

use std::sync::LazyLock;

use api_core::metrics::{Counters, Durations, Gauges};

use crate::engine::After;

static CREATED: LazyLock<Counters> =
    LazyLock::new(|| Counters::new("ains_tasks_created_total", "Tasks submitted", &[]));
static COMPLETED: LazyLock<Counters> =
    LazyLock::new(|| Counters::new("ains_tasks_completed_total", "Tasks completed", &[]));
static FAILED: LazyLock<Counters> =
    LazyLock::new(|| Counters::new("ains_tasks_failed_total", "Tasks that ended otherwise, by how", &["reason"]));
static RETRIES: LazyLock<Counters> =
    LazyLock::new(|| Counters::new("ains_task_retries_total", "Failed attempts that are followed by another", &[]));
static TIMEOUTS: LazyLock<Counters> =
    LazyLock::new(|| Counters::new("ains_task_timeouts_total", "Attempts that ran out of time", &[]));
static DURATION: LazyLock<Durations> =
    LazyLock::new(|| Durations::new("ains_task_duration_seconds", "Time from start to completion", &[]));
static IN_QUEUE: LazyLock<Gauges> =
    LazyLock::new(|| Gauges::new("ains_tasks_in_queue", "Tasks that wait for a worker", &["priority"]));
static AGENTS: LazyLock<Gauges> = LazyLock::new(|| Gauges::new("ains_agents_total", "Workers registered", &[]));
static ACTIVE: LazyLock<Gauges> =
    LazyLock::new(|| Gauges::new("ains_agents_active", "Workers that may get tasks", &[]));
/// Pushes, by what came of them.
pub(crate) static PUSHES: LazyLock<Counters> =
    LazyLock::new(|| Counters::new("ains_push_requests_total", "Pushes, by what came of them", &["outcome"]));

/// What can come of a push.
pub(crate) const PUSH_OUTCOMES: [&str; 6] = ["accepted", "completed", "failed", "rejected", "refused", "unreachable"];
const ENDS: [&str; 4] = ["failed", "timeout", "cancelled", "dependency"];

/// Makes every series exist before anything is counted.
pub(crate) fn touch() {
    count(&After::default());
    DURATION.touch(&[]);
    for outcome in PUSH_OUTCOMES {
        PUSHES.add(&[outcome], 0);
    }
    queues(&[], (0, 0));
}

/// Counts what a transaction did.
pub(crate) fn count(after: &After) {
    CREATED.add(&[], after.created);
    COMPLETED.add(&[], u64::try_from(after.completed.len()).unwrap_or_default());
    for (reason, count) in ENDS.into_iter().zip([after.failed, after.timed_out, after.cancelled, after.failed_early]) {
        FAILED.add(&[reason], count);
    }
    RETRIES.add(&[], after.retries);
    TIMEOUTS.add(&[], after.timeouts);
    for duration in &after.completed {
        DURATION.observe(&[], *duration);
    }
}

/// How many tasks wait by priority; workers, and how many of them are active.
pub(crate) fn queues(waiting: &[(i32, i64)], (workers, active): (i64, i64)) {
    for priority in 1..=10 {
        let count = waiting.iter().find(|(one, _)| *one == priority).map_or(0, |(_, count)| *count);
        IN_QUEUE.set(&[&priority.to_string()], number(count));
    }
    AGENTS.set(&[], number(workers));
    ACTIVE.set(&[], number(active));
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn number(count: i64) -> f64 {
    count as f64
}
