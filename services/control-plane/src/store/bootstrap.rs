//! The one row that says how the first key is made.

use diesel::{ExpressionMethods as _, PgConnection, QueryDsl as _, QueryResult, RunQueryDsl as _};

use super::schema::bootstrap;

/// Locks the row until the transaction ends; returns the digest of the token that is good, if one is.
pub(crate) fn lock(conn: &mut PgConnection) -> QueryResult<Option<String>> {
    bootstrap::table.select(bootstrap::token_sha256).for_update().first(conn)
}

/// The digest of the token that is good, if one is.
pub(crate) fn find(conn: &mut PgConnection) -> QueryResult<Option<String>> {
    bootstrap::table.select(bootstrap::token_sha256).first(conn)
}

/// Makes a token good, or none.
pub(crate) fn set(conn: &mut PgConnection, token_sha256: Option<&str>) -> QueryResult<()> {
    diesel::update(bootstrap::table).set(bootstrap::token_sha256.eq(token_sha256)).execute(conn).map(drop)
}
