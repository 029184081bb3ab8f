//! The table: one function for each thing that can happen to a job. All times are the database's.

use std::time::Duration;

use api_core::db::{self, Unavailable};
use chrono::{DateTime, Utc};
use diesel::{
    ExpressionMethods as _, PgConnection, QueryDsl as _, QueryResult, QueryableByName, RunQueryDsl as _,
    dsl::now,
    sql_query,
    sql_types::{BigInt, Double, Integer, Jsonb, Text, Timestamptz, Uuid as SqlUuid},
};
use serde_json::Value;
use uuid::Uuid;

/// Leases looked at in one go.
const RECLAIM_MAX: i32 = 100;
/// Rows cleared away in one go.
const PURGE_MAX: i32 = 1000;

diesel::table! {
    jobs (id) {
        id -> BigInt,
        kind -> Text,
        key -> Text,
        payload -> Jsonb,
        state -> Text,
        attempts -> Integer,
        losses -> Integer,
        lease_id -> Nullable<Uuid>,
        lease_until -> Nullable<Timestamptz>,
        error -> Nullable<Text>,
        created_at -> Timestamptz,
        ended_at -> Nullable<Timestamptz>,
    }
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Ready,
    Running,
    Done,
    Failed,
    Cancelled,
    /// Claimed too often by runners that were never heard of again.
    Lost,
}

impl State {
    /// As the table has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Lost => "lost",
        }
    }
}

/// Why a job could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somebody else has the job now, or it was cancelled: whatever was done for it must be dropped.
    #[error("the lease is lost")]
    LeaseLost,
    #[error("a statement failed")]
    Query(#[from] diesel::result::Error),
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl From<db::Error> for Error {
    fn from(error: db::Error) -> Self {
        match error {
            db::Error::Query(error) => Self::Query(error),
            db::Error::Unavailable(error) => Self::Unavailable(error),
        }
    }
}

/// A job to be done.
#[derive(Debug, Clone)]
pub struct NewJob<'a> {
    /// Which handler does it.
    pub kind: &'a str,
    /// What it is about.
    pub key: &'a str,
    pub payload: Value,
}

/// The right to end a job, until it is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    pub job: i64,
    pub attempt: i32,
    id: Uuid,
}

/// A claimed job.
#[derive(Debug, Clone)]
pub struct Job {
    pub kind: String,
    pub key: String,
    pub payload: Value,
    pub lease: Lease,
    pub created_at: DateTime<Utc>,
}

/// A job that ended because its runners died.
#[derive(Debug, Clone)]
pub struct LostJob {
    pub id: i64,
    pub key: String,
    pub payload: Value,
    pub attempts: i32,
}

#[derive(QueryableByName)]
struct Claimed {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Text)]
    key: String,
    #[diesel(sql_type = Jsonb)]
    payload: Value,
    #[diesel(sql_type = Integer)]
    attempts: i32,
    #[diesel(sql_type = SqlUuid)]
    lease_id: Uuid,
    #[diesel(sql_type = Timestamptz)]
    created_at: DateTime<Utc>,
}

#[derive(QueryableByName)]
struct Reclaimed {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Text)]
    key: String,
    #[diesel(sql_type = Jsonb)]
    payload: Value,
    #[diesel(sql_type = Integer)]
    attempts: i32,
    #[diesel(sql_type = Text)]
    state: String,
}

impl From<Claimed> for Job {
    fn from(row: Claimed) -> Self {
        Self {
            lease: Lease { job: row.id, attempt: row.attempts, id: row.lease_id },
            kind: row.kind,
            key: row.key,
            payload: row.payload,
            created_at: row.created_at,
        }
    }
}

/// Writes a job down, to be called in the transaction of what it is about. Returns its id.
///
/// # Errors
/// Those of the database.
pub fn enqueue(conn: &mut PgConnection, new: &NewJob<'_>) -> QueryResult<i64> {
    diesel::insert_into(jobs::table)
        .values((jobs::kind.eq(new.kind), jobs::key.eq(new.key), jobs::payload.eq(&new.payload)))
        .returning(jobs::id)
        .get_result(conn)
}

/// Takes up to `limit` jobs that nobody has, oldest first. Two callers never get the same one.
///
/// # Errors
/// Those of the database.
pub fn claim(conn: &mut PgConnection, kind: &str, limit: usize, lease: Duration) -> QueryResult<Vec<Job>> {
    // MATERIALIZED, or the planner may run the subquery, and with it the LIMIT, more than once.
    let rows = sql_query(
        "WITH free AS MATERIALIZED (
             SELECT id FROM jobs WHERE kind = $1 AND state = 'ready' ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED
         )
         UPDATE jobs SET state = 'running', attempts = attempts + 1, lease_id = gen_random_uuid(),
                lease_until = clock_timestamp() + make_interval(secs => $3)
         FROM free WHERE jobs.id = free.id
         RETURNING jobs.id, kind, key, payload, attempts, lease_id, created_at",
    )
    .bind::<Text, _>(kind)
    .bind::<BigInt, _>(i64::try_from(limit).unwrap_or(i64::MAX))
    .bind::<Double, _>(lease.as_secs_f64())
    .load::<Claimed>(conn)?;
    Ok(rows.into_iter().map(Job::from).collect())
}

/// Renews the lease.
///
/// # Errors
/// [`Error::LeaseLost`]; those of the database.
pub fn heartbeat(conn: &mut PgConnection, lease: &Lease, length: Duration) -> Result<(), Error> {
    let renewed = sql_query(
        "UPDATE jobs SET lease_until = clock_timestamp() + make_interval(secs => $4)
         WHERE id = $1 AND state = 'running' AND lease_id = $2 AND attempts = $3",
    )
    .bind::<BigInt, _>(lease.job)
    .bind::<SqlUuid, _>(lease.id)
    .bind::<Integer, _>(lease.attempt)
    .bind::<Double, _>(length.as_secs_f64())
    .execute(conn)?;
    held(renewed)
}

/// Makes sure that the lease is still held, and that it is until the transaction ends.
///
/// # Errors
/// [`Error::LeaseLost`]; those of the database.
pub fn hold(conn: &mut PgConnection, lease: &Lease) -> Result<(), Error> {
    let rows = jobs::table
        .filter(jobs::id.eq(lease.job))
        .filter(jobs::lease_id.eq(lease.id))
        .filter(jobs::attempts.eq(lease.attempt))
        .filter(jobs::state.eq(State::Running.as_str()))
        .select(jobs::id)
        .for_update()
        .load::<i64>(conn)?;
    held(rows.len())
}

/// Ends the job as done; to be called in the transaction that stores its result.
///
/// # Errors
/// [`Error::LeaseLost`]; those of the database.
pub fn finish(conn: &mut PgConnection, lease: &Lease) -> Result<(), Error> {
    end(conn, lease, State::Done, None)
}

/// Ends the job as failed; to be called in the transaction that says so elsewhere. `error` is for operators.
///
/// # Errors
/// [`Error::LeaseLost`]; those of the database.
pub fn fail(conn: &mut PgConnection, lease: &Lease, error: &str) -> Result<(), Error> {
    end(conn, lease, State::Failed, Some(error))
}

fn end(conn: &mut PgConnection, lease: &Lease, state: State, error: Option<&str>) -> Result<(), Error> {
    let ended = diesel::update(jobs::table)
        .filter(jobs::id.eq(lease.job))
        .filter(jobs::lease_id.eq(lease.id))
        .filter(jobs::attempts.eq(lease.attempt))
        .filter(jobs::state.eq(State::Running.as_str()))
        .set((
            jobs::state.eq(state.as_str()),
            jobs::lease_id.eq(None::<Uuid>),
            jobs::lease_until.eq(None::<DateTime<Utc>>),
            jobs::error.eq(error),
            jobs::ended_at.eq(now),
        ))
        .execute(conn)?;
    held(ended)
}

/// Gives the job back for somebody else to claim; that is no loss.
///
/// # Errors
/// [`Error::LeaseLost`]; those of the database.
pub fn hand_back(conn: &mut PgConnection, lease: &Lease) -> Result<(), Error> {
    let given = diesel::update(jobs::table)
        .filter(jobs::id.eq(lease.job))
        .filter(jobs::lease_id.eq(lease.id))
        .filter(jobs::attempts.eq(lease.attempt))
        .filter(jobs::state.eq(State::Running.as_str()))
        .set((
            jobs::state.eq(State::Ready.as_str()),
            jobs::lease_id.eq(None::<Uuid>),
            jobs::lease_until.eq(None::<DateTime<Utc>>),
        ))
        .execute(conn)?;
    held(given)
}

fn held(rows: usize) -> Result<(), Error> {
    if rows == 1 { Ok(()) } else { Err(Error::LeaseLost) }
}

/// Cancels the jobs about `key` that have not ended. Whoever runs one loses its lease.
///
/// # Errors
/// Those of the database.
pub fn cancel(conn: &mut PgConnection, kind: &str, key: &str) -> QueryResult<usize> {
    let open = [State::Ready.as_str(), State::Running.as_str()];
    diesel::update(jobs::table)
        .filter(jobs::kind.eq(kind))
        .filter(jobs::key.eq(key))
        .filter(jobs::state.eq_any(open))
        .set((
            jobs::state.eq(State::Cancelled.as_str()),
            jobs::lease_id.eq(None::<Uuid>),
            jobs::lease_until.eq(None::<DateTime<Utc>>),
            jobs::ended_at.eq(now),
        ))
        .execute(conn)
}

/// Frees the jobs whose leases ran out. Those that this happened to `losses_max` times end as lost, and are returned.
///
/// # Errors
/// Those of the database.
pub fn reclaim(conn: &mut PgConnection, kind: &str, losses_max: i32) -> QueryResult<Vec<LostJob>> {
    let rows = sql_query(
        "WITH expired AS MATERIALIZED (
             SELECT id, losses + 1 >= $2 AS is_lost FROM jobs
             WHERE kind = $1 AND state = 'running' AND lease_until < clock_timestamp()
             LIMIT $3 FOR UPDATE SKIP LOCKED
         )
         UPDATE jobs SET losses = losses + 1, lease_id = NULL, lease_until = NULL,
                state = CASE WHEN is_lost THEN 'lost' ELSE 'ready' END,
                ended_at = CASE WHEN is_lost THEN now() END
         FROM expired WHERE jobs.id = expired.id
         RETURNING jobs.id, key, payload, attempts, state",
    )
    .bind::<Text, _>(kind)
    .bind::<Integer, _>(losses_max)
    .bind::<Integer, _>(RECLAIM_MAX)
    .load::<Reclaimed>(conn)?;
    let lost = rows.into_iter().filter(|row| row.state == State::Lost.as_str());
    Ok(lost.map(|row| LostJob { id: row.id, key: row.key, payload: row.payload, attempts: row.attempts }).collect())
}

/// Clears away jobs that ended longer ago than `age`; to be called now and then.
///
/// # Errors
/// Those of the database.
pub fn purge(conn: &mut PgConnection, age: Duration) -> QueryResult<usize> {
    sql_query(
        "DELETE FROM jobs WHERE id IN
         (SELECT id FROM jobs WHERE ended_at < now() - make_interval(secs => $1) LIMIT $2)",
    )
    .bind::<Double, _>(age.as_secs_f64())
    .bind::<Integer, _>(PURGE_MAX)
    .execute(conn)
}
