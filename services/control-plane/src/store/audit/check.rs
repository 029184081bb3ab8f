//! What verification asks beside the rows themselves.

use diesel::{
    PgConnection, QueryResult, QueryableByName, RunQueryDsl as _, sql_query,
    sql_types::{BigInt, Binary, Nullable},
};

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = Nullable<BigInt>)]
    number: Option<i64>,
}

/// Makes the transaction a view of one moment that changes nothing.
pub(crate) fn freeze(conn: &mut PgConnection) -> QueryResult<()> {
    sql_query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY").execute(conn).map(drop)
}

/// How many rows there are beyond `start`.
pub(crate) fn count_after(conn: &mut PgConnection, start: i64) -> QueryResult<i64> {
    let query = sql_query("SELECT count(*) AS number FROM audit_log WHERE seq > $1").bind::<BigInt, _>(start);
    Ok(query.get_result::<Number>(conn)?.number.unwrap_or_default())
}

/// A row that should be gone, or never was: at `start` or before.
pub(crate) fn any_before(conn: &mut PgConnection, start: i64) -> QueryResult<Option<i64>> {
    let query = sql_query("SELECT min(seq) AS number FROM audit_log WHERE seq <= $1").bind::<BigInt, _>(start);
    Ok(query.get_result::<Number>(conn)?.number)
}

/// The row that was chained to a hash.
pub(crate) fn chained_to(conn: &mut PgConnection, hash: &[u8]) -> QueryResult<Option<i64>> {
    let query = sql_query("SELECT min(seq) AS number FROM audit_log WHERE prev_hash = $1").bind::<Binary, _>(hash);
    Ok(query.get_result::<Number>(conn)?.number)
}
