//! Which task waits for which.

use api_core::sql::sql;
use diesel::{
    QueryResult, QueryableByName, RunQueryDsl as _,
    sql_types::{Array, Bool, Integer, Text, Uuid as SqlUuid},
};
use uuid::Uuid;

use super::{
    Conn,
    tasks::{Head, head_columns},
};

/// A task that others depend on.
#[derive(Debug, Clone, QueryableByName)]
pub(crate) struct Parent {
    #[diesel(sql_type = SqlUuid)]
    pub(crate) task_id: Uuid,
    #[diesel(sql_type = Text)]
    pub(crate) state: String,
}

/// Tasks that new ones are to depend on, held until the transaction ends: none of them ends meanwhile.
pub(crate) fn hold(conn: &mut Conn, ids: &[Uuid]) -> QueryResult<Vec<Parent>> {
    sql("SELECT task_id, state::text AS state FROM tasks WHERE task_id = ANY($1) ORDER BY task_id FOR SHARE")
        .bind::<Array<SqlUuid>, _>(ids)
        .load(conn)
}

pub(crate) fn states(conn: &mut Conn, ids: &[Uuid]) -> QueryResult<Vec<Parent>> {
    sql("SELECT task_id, state::text AS state FROM tasks WHERE task_id = ANY($1)")
        .bind::<Array<SqlUuid>, _>(ids)
        .load(conn)
}

/// A task that waits for another.
#[derive(Debug, Clone, QueryableByName)]
pub(crate) struct Child {
    #[diesel(sql_type = SqlUuid)]
    pub(crate) task_id: Uuid,
    #[diesel(sql_type = Text)]
    pub(crate) task_type: String,
    #[diesel(sql_type = Text)]
    pub(crate) state: String,
    #[diesel(sql_type = Bool)]
    pub(crate) is_blocked: bool,
}

/// The tasks that depend on a task, in the order of their making.
pub(crate) fn children(conn: &mut Conn, id: Uuid) -> QueryResult<Vec<Child>> {
    sql("SELECT t.task_id, t.task_type, t.state::text AS state, t.blocked_by > 0 AS is_blocked \
         FROM task_dependencies AS d JOIN tasks AS t ON t.task_id = d.task_id WHERE d.depends_on = $1 ORDER BY t.task_id")
    .bind::<SqlUuid, _>(id)
    .load(conn)
}

/// The pending tasks that depend on any of these, locked until the transaction ends.
///
/// To be asked in a statement of its own after those tasks were written: whoever submits a task that depends on them holds
/// them, so all such tasks are seen here.
pub(crate) fn lock_children(conn: &mut Conn, of: &[Uuid]) -> QueryResult<Vec<Head>> {
    sql(concat!(
        "SELECT ",
        head_columns!(),
        " FROM tasks AS t WHERE t.state = 'PENDING' AND t.task_id IN \
         (SELECT task_id FROM task_dependencies WHERE depends_on = ANY($1)) ORDER BY t.task_id FOR NO KEY UPDATE"
    ))
    .bind::<Array<SqlUuid>, _>(of)
    .load(conn)
}

/// Takes completed tasks off what their dependents wait for; the capabilities of those that wait for nothing any more.
pub(crate) fn unblock(conn: &mut Conn, completed: &[Uuid]) -> QueryResult<Vec<String>> {
    #[derive(QueryableByName)]
    struct Found {
        #[diesel(sql_type = Text)]
        capability_required: String,
        #[diesel(sql_type = Integer)]
        blocked_by: i32,
    }
    let found: Vec<Found> = sql(
        "WITH less AS (SELECT task_id, count(*)::int AS count FROM task_dependencies WHERE depends_on = ANY($1) GROUP BY task_id), \
         held AS (SELECT t.task_id FROM tasks AS t JOIN less USING (task_id) ORDER BY t.task_id FOR NO KEY UPDATE OF t) \
         UPDATE tasks AS t SET blocked_by = t.blocked_by - less.count FROM less JOIN held USING (task_id) \
         WHERE t.task_id = less.task_id RETURNING t.capability_required, t.blocked_by",
    )
    .bind::<Array<SqlUuid>, _>(completed)
    .load(conn)?;
    Ok(found.into_iter().filter(|row| row.blocked_by == 0).map(|row| row.capability_required).collect())
}
