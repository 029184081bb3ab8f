//! When a task will probably start and a chain end (AINS contract, sections 4.1 and 6.1).

use chrono::{DateTime, TimeDelta, Utc};

/// How long a task is expected to take of whose type none has completed yet.
pub const UNKNOWN: TimeDelta = TimeDelta::seconds(60);
/// How many of the newest completed tasks of a type the expectation comes from.
pub const SAMPLE: i64 = 100;
/// No estimate is later than this from now.
const FAR: TimeDelta = TimeDelta::days(3_650);

/// How long a task will probably take: the mean of the last [`SAMPLE`] completed ones of its type, in seconds.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "bounded before, and NaN becomes zero")]
pub fn expected(mean_seconds: Option<f64>) -> TimeDelta {
    let millis = |seconds: f64| (seconds * 1_000.0).round().clamp(0.0, 1e12) as i64;
    mean_seconds.map_or(UNKNOWN, |seconds| TimeDelta::milliseconds(millis(seconds)))
}

/// A dependency that has not ended.
#[derive(Debug, Clone, Copy)]
pub struct Unfinished {
    pub expected: TimeDelta,
    /// When it started; none while it waits.
    pub started_at: Option<DateTime<Utc>>,
}

impl Unfinished {
    fn rest(&self, now: DateTime<Utc>) -> TimeDelta {
        let elapsed = self.started_at.map_or(TimeDelta::zero(), |start| (now - start).max(TimeDelta::zero()));
        (self.expected - elapsed).max(TimeDelta::zero())
    }
}

/// What a task finds that wants to be done.
#[derive(Debug, Clone, Copy)]
pub struct Queue {
    /// Whether a worker with the capability can take it at once.
    pub has_free_worker: bool,
    /// Waiting tasks of the capability with at least its priority, itself included.
    pub waiting: i64,
    /// How many tasks the active workers with the capability take at once, all together.
    pub capacity: i64,
}

impl Queue {
    /// How many times all workers must have finished before it is its turn.
    fn rounds(&self) -> i64 {
        if self.has_free_worker {
            return 0;
        }
        let (waiting, capacity) = (self.waiting.max(1), self.capacity.max(1));
        waiting / capacity + i64::from(waiting % capacity != 0)
    }
}

/// The `estimated_start_time`: now, the longest rest among the dependencies, and the time in the queue.
#[must_use]
pub fn start(
    now: DateTime<Utc>,
    dependencies: impl IntoIterator<Item = Unfinished>,
    queue: Queue,
    expected: TimeDelta,
) -> DateTime<Utc> {
    let longest = dependencies.into_iter().map(|one| one.rest(now)).max().unwrap_or_default();
    let millis = expected.num_milliseconds().saturating_mul(queue.rounds());
    after(now, longest.num_milliseconds().saturating_add(millis))
}

/// The `estimated_completion` of a chain: now, and what each of its steps is expected to take.
#[must_use]
pub fn completion(now: DateTime<Utc>, steps: impl IntoIterator<Item = TimeDelta>) -> DateTime<Utc> {
    after(now, steps.into_iter().map(|step| step.num_milliseconds()).fold(0, i64::saturating_add))
}

fn after(now: DateTime<Utc>, millis: i64) -> DateTime<Utc> {
    now + TimeDelta::milliseconds(millis.min(FAR.num_milliseconds()))
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta, Utc};

    use super::{Queue, UNKNOWN, Unfinished, completion, expected, start};

    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;
    const FREE: Queue = Queue { has_free_worker: true, waiting: 9, capacity: 1 };

    fn seconds(queue: Queue, dependencies: &[Unfinished]) -> i64 {
        (start(NOW, dependencies.iter().copied(), queue, TimeDelta::seconds(10)) - NOW).num_seconds()
    }

    #[test]
    fn with_a_free_worker_it_starts_now() {
        assert_eq!(seconds(FREE, &[]), 0);
    }

    #[test]
    fn else_it_waits_for_the_rounds_before_it() {
        let of = |waiting, capacity| seconds(Queue { has_free_worker: false, waiting, capacity }, &[]);
        assert_eq!([of(1, 4), of(4, 4), of(5, 4), of(3, 0), of(0, 1)], [10, 10, 20, 30, 10]);
        assert_eq!(of(i64::MAX, 1), 3_650 * 86_400, "always a time");
    }

    #[test]
    fn the_longest_rest_of_a_dependency_counts() {
        let waits = Unfinished { expected: TimeDelta::seconds(30), started_at: None };
        let runs = |ago| Unfinished { started_at: Some(NOW - TimeDelta::seconds(ago)), ..waits };
        assert_eq!(seconds(FREE, &[runs(25), waits, runs(10)]), 30);
        assert_eq!(seconds(FREE, &[runs(25), runs(10)]), 20);
        assert_eq!((seconds(FREE, &[runs(99)]), seconds(FREE, &[runs(-99)])), (0, 30));
    }

    #[test]
    fn a_chain_takes_as_long_as_its_steps() {
        assert_eq!(completion(NOW, [UNKNOWN, expected(Some(2.5))]) - NOW, TimeDelta::milliseconds(62_500));
        assert_eq!((expected(None), expected(Some(f64::NAN))), (UNKNOWN, TimeDelta::zero()));
    }
}
