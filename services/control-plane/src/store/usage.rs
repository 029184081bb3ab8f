//! The table `key_usage`: what keys are used for, by clock hour and route.

use std::collections::BTreeMap;

use api_types::{
    access::{AccessCount, endpoint_of, hour_of},
    keys::KeyId,
};
use chrono::{DateTime, Utc};
use diesel::{
    PgConnection, QueryResult, QueryableByName, RunQueryDsl as _, sql_query,
    sql_types::{Array, BigInt, Nullable, Text, Timestamptz},
};

use super::keys::USE_NOTED_EVERY_S;
use crate::domain::usage::Counted;

/// Adds what a process counted, in one statement, and notes when the keys were used. Whoever calls sees to it that a batch comes once.
pub(crate) fn add(conn: &mut PgConnection, counts: &[AccessCount]) -> QueryResult<()> {
    // Added up and in order: one statement takes each row once, and all writers take them in the same order.
    let mut sums: BTreeMap<(&str, DateTime<Utc>, &str, &str), [i64; 3]> = BTreeMap::new();
    let mut used: BTreeMap<&str, DateTime<Utc>> = BTreeMap::new();
    for count in counts {
        let (key_id, hour) = (&count.key_id, hour_of(count.at));
        let sum = sums.entry((key_id, hour, &count.route, &count.method)).or_default();
        for (sum, more) in sum.iter_mut().zip([count.succeeded, count.failed, count.rate_limited]) {
            *sum += i64::from(more);
        }
        let last = used.entry(key_id).or_insert(count.at);
        *last = count.at.max(*last);
    }
    if sums.is_empty() {
        return Ok(());
    }
    upsert(conn, &sums)?;
    note_use(conn, &used)
}

fn upsert(conn: &mut PgConnection, sums: &BTreeMap<(&str, DateTime<Utc>, &str, &str), [i64; 3]>) -> QueryResult<()> {
    let column = |of: usize| sums.values().map(|sum| sum[of]).collect::<Vec<i64>>();
    sql_query(
        "INSERT INTO key_usage AS kept (key_id, hour, route, method, endpoint, succeeded, failed, rate_limited) \
         SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8) \
         ON CONFLICT (key_id, hour, route, method) DO UPDATE SET \
         succeeded = kept.succeeded + excluded.succeeded, failed = kept.failed + excluded.failed, \
         rate_limited = kept.rate_limited + excluded.rate_limited",
    )
    .bind::<Array<Text>, _>(sums.keys().map(|key| key.0).collect::<Vec<_>>())
    .bind::<Array<Timestamptz>, _>(sums.keys().map(|key| key.1).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(sums.keys().map(|key| key.2).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(sums.keys().map(|key| key.3).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(sums.keys().map(|key| endpoint_of(key.2)).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(column(0))
    .bind::<Array<BigInt>, _>(column(1))
    .bind::<Array<BigInt>, _>(column(2))
    .execute(conn)
    .map(drop)
}

/// Notes the last use of keys, to the second or so at which a process told of it. A key that somebody else
/// writes just now is left to them.
fn note_use(conn: &mut PgConnection, used: &BTreeMap<&str, DateTime<Utc>>) -> QueryResult<()> {
    let now = Utc::now();
    let at: Vec<DateTime<Utc>> = used.values().map(|last| now.min(*last)).collect();
    sql_query(
        "WITH stale AS (SELECT keys.id, used.at FROM keys JOIN unnest($1, $2) AS used (id, at) USING (id) \
         WHERE last_used_at IS NULL OR last_used_at < used.at - make_interval(secs => $3) \
         ORDER BY keys.id FOR UPDATE OF keys SKIP LOCKED) \
         UPDATE keys SET last_used_at = stale.at FROM stale WHERE keys.id = stale.id",
    )
    .bind::<Array<Text>, _>(used.keys().copied().collect::<Vec<_>>())
    .bind::<Array<Timestamptz>, _>(at)
    .bind::<BigInt, _>(USE_NOTED_EVERY_S)
    .execute(conn)
    .map(drop)
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    endpoint: String,
    #[diesel(sql_type = BigInt)]
    succeeded: i64,
    #[diesel(sql_type = BigInt)]
    failed: i64,
    #[diesel(sql_type = BigInt)]
    rate_limited: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    peak: Option<i64>,
}

/// The sums of a key by endpoint since an hour's beginning, and the largest sum of one hour, as of one moment.
pub(crate) fn since(conn: &mut PgConnection, key_id: &KeyId, start: DateTime<Utc>) -> QueryResult<(Vec<Counted>, i64)> {
    let rows: Vec<Row> = sql_query(
        "WITH counted AS (SELECT hour, endpoint, succeeded, failed, rate_limited FROM key_usage \
         WHERE key_id = $1 AND hour >= $2), \
         hours AS (SELECT sum(succeeded + failed)::bigint AS total FROM counted GROUP BY hour) \
         SELECT endpoint, sum(succeeded)::bigint AS succeeded, sum(failed)::bigint AS failed, \
         sum(rate_limited)::bigint AS rate_limited, (SELECT max(total) FROM hours) AS peak \
         FROM counted GROUP BY endpoint",
    )
    .bind::<Text, _>(key_id)
    .bind::<Timestamptz, _>(start)
    .load(conn)?;
    let peak = rows.iter().find_map(|row| row.peak).unwrap_or(0);
    let counted =
        |Row { endpoint, succeeded, failed, rate_limited, .. }| Counted { endpoint, succeeded, failed, rate_limited };
    Ok((rows.into_iter().map(counted).collect(), peak))
}

/// Deletes at most `limit` counts of hours before a point in time.
pub(crate) fn purge(conn: &mut PgConnection, before: DateTime<Utc>, limit: i64) -> QueryResult<usize> {
    sql_query("DELETE FROM key_usage WHERE ctid IN (SELECT ctid FROM key_usage WHERE hour < $1 ORDER BY hour LIMIT $2)")
        .bind::<Timestamptz, _>(before)
        .bind::<BigInt, _>(limit)
        .execute(conn)
}
