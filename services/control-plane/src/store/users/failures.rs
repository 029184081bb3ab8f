//! The table `login_failures`.

use chrono::{DateTime, Utc};
use diesel::{
    ExpressionMethods as _, OptionalExtension as _, PgConnection, QueryDsl as _, QueryResult, QueryableByName,
    RunQueryDsl as _, sql_query,
    sql_types::{BigInt, Integer, Text, Timestamptz},
};

use super::schema::login_failures;
use crate::domain::users::throttle::{Failures, Pair};

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Integer)]
    failures: i32,
    #[diesel(sql_type = Timestamptz)]
    first_at: DateTime<Utc>,
}

impl From<Row> for Failures {
    fn from(Row { failures, first_at }: Row) -> Self {
        Self { count: failures, first_at }
    }
}

/// The failures of the pair, of which the first came after `since`.
pub(crate) fn find(conn: &mut PgConnection, pair: &Pair, since: DateTime<Utc>) -> QueryResult<Option<Failures>> {
    let found = login_failures::table
        .find((&pair.name_digest, &pair.address))
        .filter(login_failures::first_at.gt(since))
        .select((login_failures::failures, login_failures::first_at))
        .first(conn)
        .optional()?;
    Ok(found.map(|(count, first_at)| Failures { count, first_at }))
}

/// Counts one more; those of which the first came before `since` count no longer.
pub(crate) fn add(
    conn: &mut PgConnection,
    pair: &Pair,
    since: DateTime<Utc>,
    now: DateTime<Utc>,
) -> QueryResult<Failures> {
    let row: Row = sql_query(
        "INSERT INTO login_failures AS old (name_digest, address, failures, first_at) VALUES ($1, $2, 1, $3) \
         ON CONFLICT (name_digest, address) DO UPDATE SET \
         failures = CASE WHEN old.first_at > $4 THEN LEAST(old.failures, 1000000) + 1 ELSE 1 END, \
         first_at = CASE WHEN old.first_at > $4 THEN old.first_at ELSE $3 END \
         RETURNING failures, first_at",
    )
    .bind::<Text, _>(&pair.name_digest)
    .bind::<Text, _>(&pair.address)
    .bind::<Timestamptz, _>(now)
    .bind::<Timestamptz, _>(since)
    .get_result(conn)?;
    Ok(row.into())
}

pub(crate) fn clear(conn: &mut PgConnection, pair: &Pair) -> QueryResult<()> {
    diesel::delete(login_failures::table.find((&pair.name_digest, &pair.address))).execute(conn).map(drop)
}

/// Deletes at most `limit` that count no longer.
pub(crate) fn purge(conn: &mut PgConnection, since: DateTime<Utc>, limit: i64) -> QueryResult<usize> {
    sql_query(
        "DELETE FROM login_failures WHERE ctid = ANY(ARRAY(SELECT ctid FROM login_failures WHERE first_at <= $1 LIMIT $2))",
    )
    .bind::<Timestamptz, _>(since)
    .bind::<BigInt, _>(limit)
    .execute(conn)
}
