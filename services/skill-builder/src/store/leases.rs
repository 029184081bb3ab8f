//! Work that one process at a time does for all.

use std::time::Duration;

use diesel::{
    PgConnection, QueryResult, RunQueryDsl as _, sql_query,
    sql_types::{Double, Text, Uuid as SqlUuid},
};
use uuid::Uuid;

/// Takes or keeps the lease `name` for `time`; false while somebody else has it.
pub(crate) fn hold(conn: &mut PgConnection, name: &str, holder: Uuid, time: Duration) -> QueryResult<bool> {
    let rows = sql_query(
        "INSERT INTO leases (name, holder, until) VALUES ($1, $2, now() + make_interval(secs => $3)) \
         ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until \
         WHERE leases.holder = excluded.holder OR leases.until < now()",
    )
    .bind::<Text, _>(name)
    .bind::<SqlUuid, _>(holder)
    .bind::<Double, _>(time.as_secs_f64())
    .execute(conn)?;
    Ok(rows == 1)
}

/// Gives the lease back.
pub(crate) fn release(conn: &mut PgConnection, name: &str, holder: Uuid) -> QueryResult<()> {
    let statement = sql_query("DELETE FROM leases WHERE name = $1 AND holder = $2");
    statement.bind::<Text, _>(name).bind::<SqlUuid, _>(holder).execute(conn).map(drop)
}
