//! Access records: which of them are new, and which row of the log counts what.
//!
//! A key's requests to an endpoint from an address in a minute are one row of the log, made when the first of them is known.
//! What comes later is counted in `audit_uses`, and said by one more row once the minute is over, which corrects the first.

use std::collections::HashMap;

use api_types::access::{AccessBatch, AccessCount, RefusedAccess, minute_of};
use chrono::{DateTime, TimeDelta, Utc};
use diesel::{
    ExpressionMethods as _, PgConnection, QueryResult, QueryableByName, RunQueryDsl as _, sql_query,
    sql_types::{Array, BigInt, Text, Timestamptz},
};
use serde_json::Map;
use uuid::Uuid;

use super::{Head, schema::access_batches};
use crate::domain::audit::{Entry, of_refusal, of_use, window_of};

/// Corrections written down in one go.
const SETTLE_MAX: i64 = 1000;

/// Whether a batch was not counted yet; it counts as counted from now on.
pub(crate) fn is_new_batch(conn: &mut PgConnection, id: Uuid) -> QueryResult<bool> {
    let new = diesel::insert_into(access_batches::table).values(access_batches::id.eq(id)).on_conflict_do_nothing();
    Ok(new.execute(conn)? > 0)
}

/// What makes uses one row.
type Place<'a> = (&'a str, &'a str, &'a str, &'a str, DateTime<Utc>);

fn place(seen: &AccessCount) -> Place<'_> {
    let address = seen.ip_address.as_deref().unwrap_or_default();
    (&seen.key_id, &seen.route, &seen.method, address, minute_of(seen.at))
}

/// Writes down who used what and who was refused; to be called before other tables are written in the same transaction.
pub(crate) fn add_access(conn: &mut PgConnection, batch: &AccessBatch) -> QueryResult<()> {
    let mut head = Head::lock(conn)?;
    let mut uses: HashMap<Place<'_>, (Entry, i64)> = HashMap::new();
    for seen in &batch.counts {
        let times = i64::try_from(seen.times()).unwrap_or(i64::MAX);
        let (_, count) = uses.entry(place(seen)).or_insert_with(|| (of_use(seen), 0));
        *count = count.saturating_add(times);
    }
    let uses: Vec<(Place<'_>, (Entry, i64))> = uses.into_iter().collect();
    let known = count_known(conn, &uses)?;
    let mut new: Vec<(Option<Place<'_>>, i64, Entry)> = Vec::new();
    for (number, (place, (mut entry, count))) in uses.into_iter().enumerate() {
        if !known.contains(&i64::try_from(number).unwrap_or(-1)) {
            entry.details.insert("count".to_owned(), count.into());
            new.push((Some(place), count, entry));
        }
    }
    let refused = first_of_windows(conn, &batch.refused)?;
    new.extend(refused.into_iter().map(|refused| (None, 0, of_refusal(refused))));
    new.sort_by_key(|(_, _, entry)| entry.at);
    let places: Vec<_> = new.iter().map(|(place, count, _)| (*place, *count)).collect();
    let first = head.append(conn, new.into_iter().map(|(_, _, entry)| entry).collect())?;
    let numbered = places.into_iter().zip(first..).filter_map(|((place, count), seq)| Some((place?, count, seq)));
    insert_uses(conn, &numbered.collect::<Vec<_>>())
}

/// A statement with the six columns bound.
macro_rules! bound {
    ($query:expr, $columns:expr) => {
        $query
            .bind::<Array<Text>, _>($columns.keys)
            .bind::<Array<Text>, _>($columns.endpoints)
            .bind::<Array<Text>, _>($columns.methods)
            .bind::<Array<Text>, _>($columns.addresses)
            .bind::<Array<Timestamptz>, _>($columns.minutes)
            .bind::<Array<BigInt>, _>($columns.counts)
    };
}

/// Adds to the counts of rows that are there; returns which of `uses` those were.
fn count_known(conn: &mut PgConnection, uses: &[(Place<'_>, (Entry, i64))]) -> QueryResult<Vec<i64>> {
    #[derive(QueryableByName)]
    struct Known {
        #[diesel(sql_type = BigInt)]
        number: i64,
    }
    let columns = Columns::of(uses.iter().map(|(place, (_, count))| (*place, *count)));
    let query = sql_query(
        "UPDATE audit_uses u SET count = u.count + n.count \
         FROM unnest($1, $2, $3, $4, $5, $6) WITH ORDINALITY n (key_id, endpoint, method, ip_address, minute, count, number) \
         WHERE (u.minute, u.key_id, u.endpoint, u.method, u.ip_address) \
             = (n.minute, n.key_id, n.endpoint, n.method, n.ip_address) \
         RETURNING n.number - 1 AS number",
    );
    Ok(bound!(query, columns).load::<Known>(conn)?.into_iter().map(|known| known.number).collect())
}

fn insert_uses(conn: &mut PgConnection, uses: &[(Place<'_>, i64, i64)]) -> QueryResult<()> {
    let columns = Columns::of(uses.iter().map(|(place, count, _)| (*place, *count)));
    let seqs: Vec<i64> = uses.iter().map(|(_, _, seq)| *seq).collect();
    let query = sql_query(
        "INSERT INTO audit_uses (key_id, endpoint, method, ip_address, minute, count, logged, seq) \
         SELECT key_id, endpoint, method, ip_address, minute, count, count, seq \
         FROM unnest($1, $2, $3, $4, $5, $6, $7) n (key_id, endpoint, method, ip_address, minute, count, seq)",
    );
    bound!(query, columns).bind::<Array<BigInt>, _>(seqs).execute(conn).map(drop)
}

/// Uses by columns, as `unnest` takes them.
#[derive(Default)]
struct Columns<'a> {
    keys: Vec<&'a str>,
    endpoints: Vec<&'a str>,
    methods: Vec<&'a str>,
    addresses: Vec<&'a str>,
    minutes: Vec<DateTime<Utc>>,
    counts: Vec<i64>,
}

impl<'a> Columns<'a> {
    fn of(uses: impl Iterator<Item = (Place<'a>, i64)>) -> Self {
        let mut columns = Self::default();
        for ((key, endpoint, method, address, minute), count) in uses {
            columns.keys.push(key);
            columns.endpoints.push(endpoint);
            columns.methods.push(method);
            columns.addresses.push(address);
            columns.minutes.push(minute);
            columns.counts.push(count);
        }
        columns
    }
}

/// Leaves out what exceeds a limit in a window that the log knows of already.
fn first_of_windows<'a>(conn: &mut PgConnection, refused: &'a [RefusedAccess]) -> QueryResult<Vec<&'a RefusedAccess>> {
    let mut first = Vec::with_capacity(refused.len());
    for refused in refused {
        let Some((who, size, begin)) = window_of(refused) else {
            first.push(refused);
            continue;
        };
        let new =
            sql_query("INSERT INTO audit_windows (who, size, starts_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
                .bind::<Text, _>(who)
                .bind::<Text, _>(size)
                .bind::<Timestamptz, _>(begin)
                .execute(conn)?;
        if new > 0 {
            first.push(refused);
        }
    }
    Ok(first)
}

#[derive(QueryableByName)]
struct Open {
    #[diesel(sql_type = BigInt)]
    seq: i64,
    #[diesel(sql_type = Text)]
    key_id: String,
    #[diesel(sql_type = BigInt)]
    missing: i64,
}

/// Rows of minutes that ended before `end` and whose count is higher than the log says.
fn open(conn: &mut PgConnection, end: DateTime<Utc>) -> QueryResult<Vec<Open>> {
    sql_query(
        "SELECT seq, key_id, count - logged AS missing FROM audit_uses \
         WHERE count > logged AND minute < $1 - interval '1 minute' ORDER BY seq LIMIT $2",
    )
    .bind::<Timestamptz, _>(end)
    .bind::<BigInt, _>(SETTLE_MAX)
    .load(conn)
}

/// Says in the log what was counted beside it for minutes that ended `grace` ago; returns how many rows that made.
pub(crate) fn settle(conn: &mut PgConnection, now: DateTime<Utc>, grace: TimeDelta) -> QueryResult<usize> {
    if open(conn, now - grace)?.is_empty() {
        return Ok(0);
    }
    let mut head = Head::lock(conn)?;
    // Asked again, since another process may have done it meanwhile.
    let open = open(conn, now - grace)?;
    let corrections = open.iter().map(|open| Entry {
        at: now,
        event_type: "authentication".to_owned(),
        action: "api_key_used".to_owned(),
        client_id: None,
        actor: Some(open.key_id.clone()),
        target: None,
        success: true,
        ip_address: None,
        user_agent: None,
        request_id: None,
        details: Map::from_iter([("count".to_owned(), open.missing.into())]),
        corrects: Some(open.seq),
    });
    head.append(conn, corrections.collect())?;
    let seqs: Vec<i64> = open.iter().map(|open| open.seq).collect();
    sql_query("UPDATE audit_uses SET logged = count WHERE seq = ANY($1)")
        .bind::<Array<BigInt>, _>(seqs)
        .execute(conn)?;
    Ok(open.len())
}

/// Lets go of what tells later records of a minute from the first, for minutes from before so many hours ago.
pub(crate) fn forget_uses(conn: &mut PgConnection, hours: i64) -> QueryResult<usize> {
    sql_query("DELETE FROM audit_uses WHERE minute < now() - $1 * interval '1 hour' AND count = logged")
        .bind::<BigInt, _>(hours)
        .execute(conn)
}
