//! Assignments that are still to be told to their workers.

use chrono::{DateTime, Utc};
use diesel::{
    QueryResult, QueryableByName, RunQueryDsl as _,
    sql_types::{Array, Integer, Text, Timestamptz, Uuid as SqlUuid},
};
use uuid::Uuid;

use super::Conn;
use api_core::sql::sql;

/// An assignment to be told.
#[derive(Debug, Clone, QueryableByName)]
pub(crate) struct Push {
    #[diesel(sql_type = SqlUuid)]
    pub(crate) task_id: Uuid,
    #[diesel(sql_type = Integer)]
    pub(crate) attempt: i32,
    #[diesel(sql_type = Text)]
    pub(crate) agent_id: String,
}

/// Notes assignments that are to be told from now on.
pub(crate) fn insert(conn: &mut Conn, pushes: &[Push], now: DateTime<Utc>) -> QueryResult<()> {
    if pushes.is_empty() {
        return Ok(());
    }
    sql("INSERT INTO pushes AS p (task_id, attempt, agent_id, due_at) SELECT n.*, $1 FROM unnest($2, $3, $4) AS n \
         ON CONFLICT (task_id) DO UPDATE SET attempt = excluded.attempt, agent_id = excluded.agent_id, due_at = excluded.due_at")
    .bind::<Timestamptz, _>(now)
    .bind::<Array<SqlUuid>, _>(pushes.iter().map(|push| push.task_id).collect::<Vec<_>>())
    .bind::<Array<Integer>, _>(pushes.iter().map(|push| push.attempt).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(pushes.iter().map(|push| push.agent_id.as_str()).collect::<Vec<_>>())
    .execute(conn)
    .map(drop)
}

/// Takes due ones; each comes back at `again` unless its outcome is known by then. Of those of workers in `busy`, none.
pub(crate) fn take(
    conn: &mut Conn,
    (now, again): (DateTime<Utc>, DateTime<Utc>),
    limit: i32,
    busy: &[String],
) -> QueryResult<Vec<Push>> {
    sql("UPDATE pushes AS p SET due_at = $2 FROM (SELECT task_id FROM pushes WHERE due_at <= $1 AND agent_id <> ALL($4) \
         ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED) AS due WHERE p.task_id = due.task_id \
         RETURNING p.task_id, p.attempt, p.agent_id")
    .bind::<Timestamptz, _>(now)
    .bind::<Timestamptz, _>(again)
    .bind::<Integer, _>(limit)
    .bind::<Array<Text>, _>(busy)
    .load(conn)
}

/// The outcome of a push of that attempt is known.
pub(crate) fn delete(conn: &mut Conn, task_id: Uuid, attempt: i32) -> QueryResult<()> {
    sql("DELETE FROM pushes WHERE task_id = $1 AND attempt = $2")
        .bind::<SqlUuid, _>(task_id)
        .bind::<Integer, _>(attempt)
        .execute(conn)
        .map(drop)
}

/// Tasks that no worker has to be told of any more.
pub(crate) fn forget(conn: &mut Conn, ids: &[Uuid]) -> QueryResult<()> {
    if ids.is_empty() {
        return Ok(());
    }
    sql("DELETE FROM pushes WHERE task_id = ANY($1)").bind::<Array<SqlUuid>, _>(ids).execute(conn).map(drop)
}
