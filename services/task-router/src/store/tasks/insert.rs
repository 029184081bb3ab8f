//! New tasks.

use chrono::{DateTime, Utc};
use diesel::{
    QueryResult, RunQueryDsl as _,
    sql_types::{Array, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use uuid::Uuid;

use super::super::Conn;
use api_core::sql::sql;

/// A task to be stored.
#[derive(Debug, Clone)]
pub(crate) struct NewRow {
    pub(crate) task_id: Uuid,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) client_id: String,
    pub(crate) task_type: String,
    pub(crate) capability_required: String,
    /// JSON
    pub(crate) input_data: String,
    /// JSON
    pub(crate) metadata: String,
    pub(crate) priority: i32,
    pub(crate) timeout_seconds: i32,
    pub(crate) max_retries: i32,
    pub(crate) routing_strategy: String,
    pub(crate) retry_policy: String,
    pub(crate) depends_on: Vec<Uuid>,
    /// How many of those have not completed.
    pub(crate) blocked_by: i32,
    /// Why the task has failed before it began: a dependency had.
    pub(crate) failed: Option<String>,
    pub(crate) client_ref: Option<String>,
    pub(crate) chain_id: Option<Uuid>,
    pub(crate) template_id: Option<Uuid>,
    pub(crate) schedule_id: Option<Uuid>,
}

impl NewRow {
    pub(crate) fn state(&self) -> &'static str {
        if self.failed.is_some() { "FAILED" } else { "PENDING" }
    }
}

const INSERT: &str = "INSERT INTO tasks (task_id, created_at, updated_at, state, blocked_by, priority, completed_at, \
    timeout_seconds, max_retries, capability_required, client_id, task_type, routing_strategy, retry_policy, depends_on, \
    chain_id, template_id, schedule_id, client_ref, error_message, metadata, input_data) \
    SELECT n.task_id, n.created_at, n.created_at, n.state::task_state, n.blocked_by, n.priority, n.completed_at, \
    n.timeout_seconds, n.max_retries, n.capability, n.client_id, n.task_type, n.strategy, n.policy, n.depends_on::uuid[], \
    n.chain_id, n.template_id, n.schedule_id, n.client_ref, n.error_message, n.metadata, n.input_data \
    FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21) \
    AS n(task_id, created_at, state, blocked_by, priority, completed_at, timeout_seconds, max_retries, capability, client_id, \
    task_type, strategy, policy, depends_on, chain_id, template_id, schedule_id, client_ref, error_message, metadata, input_data)";

/// Stores tasks, and what they depend on.
pub(crate) fn insert(conn: &mut Conn, rows: &[NewRow]) -> QueryResult<()> {
    fn each<'a, T>(rows: &'a [NewRow], column: impl Fn(&'a NewRow) -> T) -> Vec<T> {
        rows.iter().map(column).collect()
    }
    sql(INSERT)
        .bind::<Array<SqlUuid>, _>(each(rows, |row| row.task_id))
        .bind::<Array<Timestamptz>, _>(each(rows, |row| row.created_at))
        .bind::<Array<Text>, _>(each(rows, NewRow::state))
        .bind::<Array<Integer>, _>(each(rows, |row| row.blocked_by))
        .bind::<Array<Integer>, _>(each(rows, |row| row.priority))
        .bind::<Array<Nullable<Timestamptz>>, _>(each(rows, |row| row.failed.as_ref().map(|_| row.created_at)))
        .bind::<Array<Integer>, _>(each(rows, |row| row.timeout_seconds))
        .bind::<Array<Integer>, _>(each(rows, |row| row.max_retries))
        .bind::<Array<Text>, _>(each(rows, |row| row.capability_required.as_str()))
        .bind::<Array<Text>, _>(each(rows, |row| row.client_id.as_str()))
        .bind::<Array<Text>, _>(each(rows, |row| row.task_type.as_str()))
        .bind::<Array<Text>, _>(each(rows, |row| row.routing_strategy.as_str()))
        .bind::<Array<Text>, _>(each(rows, |row| row.retry_policy.as_str()))
        .bind::<Array<Text>, _>(each(rows, |row| array(&row.depends_on)))
        .bind::<Array<Nullable<SqlUuid>>, _>(each(rows, |row| row.chain_id))
        .bind::<Array<Nullable<SqlUuid>>, _>(each(rows, |row| row.template_id))
        .bind::<Array<Nullable<SqlUuid>>, _>(each(rows, |row| row.schedule_id))
        .bind::<Array<Nullable<Text>>, _>(each(rows, |row| row.client_ref.as_deref()))
        .bind::<Array<Nullable<Text>>, _>(each(rows, |row| row.failed.as_deref()))
        .bind::<Array<Text>, _>(each(rows, |row| row.metadata.as_str()))
        .bind::<Array<Text>, _>(each(rows, |row| row.input_data.as_str()))
        .execute(conn)?;
    let pairs = || rows.iter().flat_map(|row| row.depends_on.iter().map(|parent| (*parent, row.task_id)));
    if pairs().next().is_some() {
        let (parents, children): (Vec<Uuid>, Vec<Uuid>) = pairs().unzip();
        sql("INSERT INTO task_dependencies (depends_on, task_id) SELECT * FROM unnest($1, $2)")
            .bind::<Array<SqlUuid>, _>(parents)
            .bind::<Array<SqlUuid>, _>(children)
            .execute(conn)?;
    }
    Ok(())
}

/// As Postgres writes an array: arrays of arrays cannot be unnested one level.
fn array(ids: &[Uuid]) -> String {
    let ids: Vec<String> = ids.iter().map(Uuid::to_string).collect();
    format!("{{{}}}", ids.join(","))
}
