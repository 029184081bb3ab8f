//! Tasks as they are stored.

mod insert;
mod list;
mod write;

pub(crate) use insert::{NewRow, insert};
pub(crate) use list::{Filter, Sort, page};
pub(crate) use write::{Change, write};

use chrono::{DateTime, Utc};
use diesel::{
    OptionalExtension as _, QueryResult, QueryableByName, RunQueryDsl as _,
    sql_types::{Array, Double, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use uuid::Uuid;

use super::{Conn, raw::RawJson};
use crate::domain::{
    retry::Policy,
    state::{State, Taken, Task},
};
use api_core::sql::sql;

/// What of a task moves, and what is told of it: everything but the data.
#[derive(Debug, Clone, QueryableByName)]
pub(crate) struct Head {
    #[diesel(sql_type = SqlUuid)]
    pub(crate) task_id: Uuid,
    #[diesel(sql_type = Timestamptz)]
    pub(crate) created_at: DateTime<Utc>,
    #[diesel(sql_type = Timestamptz)]
    pub(crate) updated_at: DateTime<Utc>,
    #[diesel(sql_type = Text)]
    pub(crate) state: String,
    #[diesel(sql_type = Text)]
    pub(crate) taken: String,
    #[diesel(sql_type = Integer)]
    pub(crate) attempt: i32,
    #[diesel(sql_type = Integer)]
    pub(crate) retry_count: i32,
    #[diesel(sql_type = Integer)]
    pub(crate) blocked_by: i32,
    #[diesel(sql_type = Integer)]
    pub(crate) priority: i32,
    #[diesel(sql_type = Nullable<Integer>)]
    pub(crate) lease_seconds: Option<i32>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub(crate) next_retry_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub(crate) lease_expires_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub(crate) assigned_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub(crate) accepted_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub(crate) started_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub(crate) completed_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub(crate) cancelled_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Double>)]
    pub(crate) progress: Option<f64>,
    #[diesel(sql_type = Nullable<Text>)]
    pub(crate) assigned_agent_id: Option<String>,
    #[diesel(sql_type = Integer)]
    pub(crate) timeout_seconds: i32,
    #[diesel(sql_type = Integer)]
    pub(crate) max_retries: i32,
    #[diesel(sql_type = Text)]
    pub(crate) capability_required: String,
    #[diesel(sql_type = Text)]
    pub(crate) client_id: String,
    #[diesel(sql_type = Text)]
    pub(crate) task_type: String,
    #[diesel(sql_type = Text)]
    pub(crate) routing_strategy: String,
    #[diesel(sql_type = Text)]
    pub(crate) retry_policy: String,
    #[diesel(sql_type = Array<SqlUuid>)]
    pub(crate) depends_on: Vec<Uuid>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub(crate) chain_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub(crate) template_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub(crate) schedule_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<Text>)]
    pub(crate) client_ref: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub(crate) cancellation_reason: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub(crate) error_message: Option<String>,
}

/// The columns of a [`Head`], of the table `t`.
macro_rules! head_columns {
    () => {
        "t.task_id, t.created_at, t.updated_at, t.state::text AS state, t.taken::text AS taken, t.attempt, t.retry_count, \
         t.blocked_by, t.priority, t.lease_seconds, t.next_retry_at, t.lease_expires_at, t.assigned_at, t.accepted_at, \
         t.started_at, t.completed_at, t.cancelled_at, t.progress, t.assigned_agent_id, t.timeout_seconds, t.max_retries, \
         t.capability_required, t.client_id, t.task_type, t.routing_strategy, t.retry_policy, t.depends_on, t.chain_id, \
         t.template_id, t.schedule_id, t.client_ref, t.cancellation_reason, t.error_message"
    };
}
/// The columns of a [`Row`], of the table `t`.
macro_rules! row_columns {
    () => {
        concat!(crate::store::tasks::head_columns!(), ", t.metadata, t.input_data, t.result_data")
    };
}
pub(crate) use {head_columns, row_columns};

impl Head {
    /// The task as the rules see it.
    pub(crate) fn task(&self) -> Task<&str> {
        Task {
            // What the database holds was written by us; anything else is over and done with.
            state: State::parse(&self.state).unwrap_or(State::Failed),
            attempt: self.attempt,
            retry_count: self.retry_count,
            max_retries: self.max_retries,
            retry_policy: Policy::parse(&self.retry_policy).unwrap_or_default(),
            timeout_seconds: self.timeout_seconds,
            blocked: self.blocked_by > 0,
            worker: self.assigned_agent_id.as_deref(),
            taken: match (self.taken.as_str(), self.accepted_at) {
                ("pushed", Some(at)) => Taken::Pushed { at },
                ("claimed", _) => Taken::Claimed { lease_seconds: self.lease_seconds },
                _ => Taken::No,
            },
            progress: self.progress,
            next_retry_at: self.next_retry_at,
            lease_expires_at: self.lease_expires_at,
            assigned_at: self.assigned_at,
            started_at: self.started_at,
            completed_at: self.completed_at,
            cancelled_at: self.cancelled_at,
        }
    }
}

/// A whole task.
#[derive(Debug, Clone, QueryableByName)]
pub(crate) struct Row {
    #[diesel(embed)]
    pub(crate) head: Head,
    #[diesel(sql_type = Text)]
    pub(crate) metadata: RawJson,
    #[diesel(sql_type = Text)]
    pub(crate) input_data: RawJson,
    #[diesel(sql_type = Nullable<Text>)]
    pub(crate) result_data: Option<RawJson>,
}

/// Whose eyes look: `None` sees everything, a client its own tasks and those that its workers have.
pub(crate) type Eyes<'a> = Option<&'a str>;

/// A task that `eyes` may see.
pub(crate) fn find(conn: &mut Conn, id: Uuid, eyes: Eyes<'_>) -> QueryResult<Option<Row>> {
    sql(concat!(
        "SELECT ",
        row_columns!(),
        " FROM tasks AS t WHERE t.task_id = $1 AND ($2 IS NULL OR t.client_id = $2 OR EXISTS \
         (SELECT FROM workers WHERE agent_id = t.assigned_agent_id AND workers.client_id = $2))"
    ))
    .bind::<SqlUuid, _>(id)
    .bind::<Nullable<Text>, _>(eyes)
    .get_result(conn)
    .optional()
}

/// Several tasks, whoever looks.
pub(crate) fn rows(conn: &mut Conn, ids: &[Uuid]) -> QueryResult<Vec<Row>> {
    sql(concat!("SELECT ", row_columns!(), " FROM tasks AS t WHERE t.task_id = ANY($1)"))
        .bind::<Array<SqlUuid>, _>(ids)
        .load(conn)
}

/// The heads of tasks, without locking them.
pub(crate) fn heads(conn: &mut Conn, ids: &[Uuid]) -> QueryResult<Vec<Head>> {
    sql(concat!("SELECT ", head_columns!(), " FROM tasks AS t WHERE t.task_id = ANY($1)"))
        .bind::<Array<SqlUuid>, _>(ids)
        .load(conn)
}

/// The heads of tasks in the order of their ids, locked until the transaction ends.
pub(crate) fn lock(conn: &mut Conn, ids: &[Uuid]) -> QueryResult<Vec<Head>> {
    sql(concat!(
        "SELECT ",
        head_columns!(),
        " FROM tasks AS t WHERE t.task_id = ANY($1) ORDER BY t.task_id FOR NO KEY UPDATE"
    ))
    .bind::<Array<SqlUuid>, _>(ids)
    .load(conn)
}

#[derive(QueryableByName)]
struct Id {
    #[diesel(sql_type = SqlUuid)]
    task_id: Uuid,
}

fn ids(rows: Vec<Id>) -> Vec<Uuid> {
    rows.into_iter().map(|row| row.task_id).collect()
}

/// Of `ids`, those of tasks that `eyes` may see, whatever became of them.
pub(crate) fn visible(conn: &mut Conn, ids_: &[Uuid], eyes: Eyes<'_>) -> QueryResult<Vec<Uuid>> {
    sql("SELECT t.task_id FROM tasks AS t WHERE t.task_id = ANY($1) AND ($2 IS NULL OR t.client_id = $2 OR EXISTS \
         (SELECT FROM workers WHERE agent_id = t.assigned_agent_id AND workers.client_id = $2))")
    .bind::<Array<SqlUuid>, _>(ids_)
    .bind::<Nullable<Text>, _>(eyes)
    .load(conn)
    .map(ids)
}

/// Tasks whose worker was not heard of in time, the longest overdue first.
pub(crate) fn expired(conn: &mut Conn, now: DateTime<Utc>, limit: i32) -> QueryResult<Vec<Head>> {
    sql(concat!(
        "SELECT ",
        head_columns!(),
        " FROM tasks AS t WHERE t.state IN ('ASSIGNED', 'RUNNING') AND t.lease_expires_at <= $1 \
         ORDER BY t.lease_expires_at LIMIT $2"
    ))
    .bind::<Timestamptz, _>(now)
    .bind::<Integer, _>(limit)
    .load(conn)
}

/// What is assigned to a worker and not taken by it.
pub(crate) fn offered_to(conn: &mut Conn, agent_id: &str) -> QueryResult<Vec<Head>> {
    sql(concat!(
        "SELECT ",
        head_columns!(),
        " FROM tasks AS t WHERE t.assigned_agent_id = $1 AND t.state = 'ASSIGNED' AND t.taken = 'no' \
         ORDER BY t.task_id FOR NO KEY UPDATE"
    ))
    .bind::<Text, _>(agent_id)
    .load(conn)
}

/// Lets those wait no longer whose retry is due; the capabilities that they need.
pub(crate) fn unpark(conn: &mut Conn, now: DateTime<Utc>, limit: i32) -> QueryResult<Vec<String>> {
    #[derive(QueryableByName)]
    struct Found {
        #[diesel(sql_type = Text)]
        capability_required: String,
    }
    let found: Vec<Found> = sql(
        "UPDATE tasks AS t SET is_parked = false FROM (SELECT task_id FROM tasks WHERE is_parked AND next_retry_at <= $1 \
         ORDER BY next_retry_at LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED) AS due \
         WHERE t.task_id = due.task_id RETURNING t.capability_required",
    )
    .bind::<Timestamptz, _>(now)
    .bind::<Integer, _>(limit)
    .load(conn)?;
    Ok(found.into_iter().map(|row| row.capability_required).collect())
}

/// When the next retry is due.
pub(crate) fn next_retry(conn: &mut Conn) -> QueryResult<Option<DateTime<Utc>>> {
    #[derive(QueryableByName)]
    struct Found {
        #[diesel(sql_type = Nullable<Timestamptz>)]
        at: Option<DateTime<Utc>>,
    }
    let found: Found = sql("SELECT min(next_retry_at) AS at FROM tasks WHERE is_parked").get_result(conn)?;
    Ok(found.at)
}

/// What the priority of a waiting task was, if it waits, and what it is now.
pub(crate) fn set_priority(conn: &mut Conn, id: Uuid, priority: i32, now: DateTime<Utc>) -> QueryResult<bool> {
    let changed = sql("UPDATE tasks SET priority = $2, updated_at = $3 WHERE task_id = $1 AND state = 'PENDING'")
        .bind::<SqlUuid, _>(id)
        .bind::<Integer, _>(priority)
        .bind::<Timestamptz, _>(now)
        .execute(conn)?;
    Ok(changed > 0)
}

/// How many tasks wait, by priority.
pub(crate) fn waiting_by_priority(conn: &mut Conn) -> QueryResult<Vec<(i32, i64)>> {
    #[derive(QueryableByName)]
    struct Found {
        #[diesel(sql_type = Integer)]
        priority: i32,
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        count: i64,
    }
    let found: Vec<Found> =
        sql("SELECT priority, count(*) AS count FROM tasks WHERE state = 'PENDING' GROUP BY priority").load(conn)?;
    Ok(found.into_iter().map(|row| (row.priority, row.count)).collect())
}
