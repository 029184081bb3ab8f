//! What the rules decided, written down.

use api_core::sql::sql;
use chrono::{DateTime, Utc};
use diesel::{
    QueryResult, RunQueryDsl as _,
    sql_types::{Array, Bool, Double, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};

use super::{super::Conn, Head};
use crate::domain::state::{State, Taken, Task};

/// A task that changes, from the row that was read to what it is from now on.
#[derive(Debug, Clone)]
pub(crate) struct Change<'a> {
    pub(crate) was: &'a Head,
    pub(crate) next: Task<&'a str>,
    /// What `error_message` becomes; `None` leaves it.
    pub(crate) error: Option<Option<String>>,
    /// What `result_data` becomes (JSON); `None` leaves it.
    pub(crate) result: Option<Option<&'a str>>,
    pub(crate) cancellation_reason: Option<&'a str>,
}

impl Change<'_> {
    pub(crate) fn error_message(&self) -> Option<&str> {
        match &self.error {
            Some(error) => error.as_deref(),
            None => self.was.error_message.as_deref(),
        }
    }

    fn taken(&self) -> &'static str {
        match self.next.taken {
            Taken::No => "no",
            Taken::Pushed { .. } => "pushed",
            Taken::Claimed { .. } => "claimed",
        }
    }

    fn accepted_at(&self) -> Option<DateTime<Utc>> {
        match self.next.taken {
            Taken::Pushed { at } => Some(at),
            Taken::No | Taken::Claimed { .. } => None,
        }
    }

    fn lease_seconds(&self) -> Option<i32> {
        match self.next.taken {
            Taken::Claimed { lease_seconds } => lease_seconds,
            Taken::No | Taken::Pushed { .. } => None,
        }
    }

    fn is_parked(&self) -> bool {
        self.next.state == State::Pending && self.next.next_retry_at.is_some()
    }
}

const WRITE: &str = "UPDATE tasks AS t SET updated_at = $1, state = n.state::task_state, taken = n.taken::task_taken, \
    attempt = n.attempt, retry_count = n.retry_count, is_parked = n.is_parked, lease_seconds = n.lease_seconds, \
    next_retry_at = n.next_retry_at, lease_expires_at = n.lease_expires_at, assigned_at = n.assigned_at, \
    accepted_at = n.accepted_at, started_at = n.started_at, completed_at = n.completed_at, cancelled_at = n.cancelled_at, \
    progress = n.progress, assigned_agent_id = n.agent_id, \
    error_message = CASE WHEN n.has_error THEN n.error ELSE t.error_message END, \
    result_data = CASE WHEN n.has_result THEN n.result ELSE t.result_data END, \
    cancellation_reason = coalesce(n.reason, t.cancellation_reason) \
    FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24) \
    AS n(task_id, was_state, was_attempt, state, taken, attempt, retry_count, is_parked, lease_seconds, next_retry_at, \
    lease_expires_at, assigned_at, accepted_at, started_at, completed_at, cancelled_at, progress, agent_id, has_error, error, \
    has_result, result, reason) \
    WHERE t.task_id = n.task_id AND t.state = n.was_state::task_state AND t.attempt = n.was_attempt";

/// Writes changes of rows that the transaction holds. How many rows still were as they had been read: all, or something is
/// badly wrong.
pub(crate) fn write(conn: &mut Conn, changes: &[Change<'_>], now: DateTime<Utc>) -> QueryResult<usize> {
    fn each<'a, 'b, T>(changes: &'a [Change<'b>], column: impl Fn(&'a Change<'b>) -> T) -> Vec<T> {
        changes.iter().map(column).collect()
    }
    sql(WRITE)
        .bind::<Timestamptz, _>(now)
        .bind::<Array<SqlUuid>, _>(each(changes, |change| change.was.task_id))
        .bind::<Array<Text>, _>(each(changes, |change| change.was.state.as_str()))
        .bind::<Array<Integer>, _>(each(changes, |change| change.was.attempt))
        .bind::<Array<Text>, _>(each(changes, |change| change.next.state.as_str()))
        .bind::<Array<Text>, _>(each(changes, Change::taken))
        .bind::<Array<Integer>, _>(each(changes, |change| change.next.attempt))
        .bind::<Array<Integer>, _>(each(changes, |change| change.next.retry_count))
        .bind::<Array<Bool>, _>(each(changes, Change::is_parked))
        .bind::<Array<Nullable<Integer>>, _>(each(changes, Change::lease_seconds))
        .bind::<Array<Nullable<Timestamptz>>, _>(each(changes, |change| change.next.next_retry_at))
        .bind::<Array<Nullable<Timestamptz>>, _>(each(changes, |change| change.next.lease_expires_at))
        .bind::<Array<Nullable<Timestamptz>>, _>(each(changes, |change| change.next.assigned_at))
        .bind::<Array<Nullable<Timestamptz>>, _>(each(changes, Change::accepted_at))
        .bind::<Array<Nullable<Timestamptz>>, _>(each(changes, |change| change.next.started_at))
        .bind::<Array<Nullable<Timestamptz>>, _>(each(changes, |change| change.next.completed_at))
        .bind::<Array<Nullable<Timestamptz>>, _>(each(changes, |change| change.next.cancelled_at))
        .bind::<Array<Nullable<Double>>, _>(each(changes, |change| change.next.progress))
        .bind::<Array<Nullable<Text>>, _>(each(changes, |change| change.next.worker))
        .bind::<Array<Bool>, _>(each(changes, |change| change.error.is_some()))
        .bind::<Array<Nullable<Text>>, _>(each(changes, |change| {
            change.error.as_ref().and_then(|error| error.as_deref())
        }))
        .bind::<Array<Bool>, _>(each(changes, |change| change.result.is_some()))
        .bind::<Array<Nullable<Text>>, _>(each(changes, |change| change.result.flatten()))
        .bind::<Array<Nullable<Text>>, _>(each(changes, |change| change.cancellation_reason))
        .execute(conn)
}
