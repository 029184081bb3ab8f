//! Who looks after deadlines.

use api_core::sql::sql;
use diesel::{QueryResult, QueryableByName, RunQueryDsl as _, sql_types::Bool};

use super::Conn;

/// Whether this transaction alone looks after deadlines. It ends with the transaction, and so with the process.
pub(crate) fn begin(conn: &mut Conn) -> QueryResult<bool> {
    #[derive(QueryableByName)]
    struct Found {
        #[diesel(sql_type = Bool)]
        value: bool,
    }
    let found: Found =
        sql("SELECT pg_try_advisory_xact_lock(hashtextextended('reap ' || current_schema(), 0)) AS value")
            .get_result(conn)?;
    Ok(found.value)
}
