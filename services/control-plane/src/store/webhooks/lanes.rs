//! First attempts. All those of one webhook are its lane: whoever has the lane's lease delivers them one after the other.

use std::time::Duration;

use diesel::{
    ExpressionMethods as _, PgConnection, QueryDsl as _, QueryResult, QueryableByName, RunQueryDsl as _,
    SelectableHelper as _, sql_query,
    sql_types::{Array, BigInt, Double, SmallInt, Uuid as SqlUuid},
};
use uuid::Uuid;

use super::{
    schema::{webhook_events, webhooks},
    subscriptions::Subscription,
};
use crate::domain::webhooks::{
    message::Happened,
    work::{Claimed, Waiting},
};

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    no: i64,
}

#[derive(QueryableByName)]
pub(super) struct WaitingRow {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = BigInt)]
    webhook_no: i64,
    #[diesel(sql_type = SqlUuid)]
    event_id: Uuid,
    #[diesel(sql_type = SmallInt)]
    attempts: i16,
    #[diesel(sql_type = BigInt)]
    created_ms: i64,
}

impl WaitingRow {
    pub(super) fn webhook_no(&self) -> i64 {
        self.webhook_no
    }
}

impl From<WaitingRow> for Waiting {
    fn from(row: WaitingRow) -> Self {
        let WaitingRow { id, webhook_no, event_id, attempts, created_ms } = row;
        Self { id, webhook_no, event_id, attempts, created_ms }
    }
}

/// What a claim may take.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    /// Webhooks at the most.
    pub(crate) webhooks: usize,
    /// Deliveries of one webhook at the most.
    pub(crate) turn: usize,
    /// Deliveries at the most, but one of each webhook.
    pub(crate) deliveries: usize,
    /// Webhooks up to this number come last: everybody gets a turn.
    pub(crate) after: i64,
    /// Webhooks that are not wanted now.
    pub(crate) without: Vec<i64>,
    pub(crate) lease: Duration,
}

// Jumps from webhook to webhook along the index, however much waits for each of them.
const FREE: &str = "
WITH RECURSIVE waiting (no) AS (
    (SELECT webhook_no FROM webhook_deliveries
     WHERE status = 'pending' AND attempts = 0 AND webhook_no > $1 ORDER BY webhook_no LIMIT 1)
    UNION ALL
    SELECT next.webhook_no FROM waiting CROSS JOIN LATERAL
        (SELECT webhook_no FROM webhook_deliveries
         WHERE status = 'pending' AND attempts = 0 AND webhook_no > waiting.no ORDER BY webhook_no LIMIT 1) next
)
SELECT no FROM waiting CROSS JOIN LATERAL
    (SELECT lease_until FROM webhook_lanes WHERE webhook_no = waiting.no OFFSET 0) lane
WHERE no <> ALL ($2) AND (lane.lease_until IS NULL OR lane.lease_until < clock_timestamp()) LIMIT $3";

const LEASE: &str = "
WITH free AS MATERIALIZED (
    SELECT webhook_no FROM webhook_lanes
    WHERE webhook_no = ANY ($1) AND (lease_until IS NULL OR lease_until < clock_timestamp()) FOR UPDATE SKIP LOCKED
)
UPDATE webhook_lanes SET lease_id = $2, lease_until = clock_timestamp() + make_interval(secs => $3)
FROM free WHERE webhook_lanes.webhook_no = free.webhook_no RETURNING webhook_lanes.webhook_no AS no";

const LOAD: &str = "
SELECT d.id, d.webhook_no, d.event_id, d.attempts, (extract(epoch FROM d.created_at) * 1000)::bigint AS created_ms
FROM unnest($1) AS lane (no) CROSS JOIN LATERAL
    (SELECT * FROM webhook_deliveries
     WHERE webhook_no = lane.no AND status = 'pending' AND attempts = 0 ORDER BY id LIMIT $2) d
ORDER BY d.id";

/// Takes lanes that have something waiting and that nobody has, under one lease for all of them. To be run in a
/// transaction: what is waiting must be looked at after the lease is there.
///
/// # Errors
/// Those of the database.
pub(crate) fn claim(conn: &mut PgConnection, wish: &Wish) -> QueryResult<Claimed> {
    let mut found = free(conn, wish.after, wish)?;
    if found.len() < wish.webhooks && wish.after > 0 {
        // Once around.
        for no in free(conn, 0, wish)? {
            if found.len() < wish.webhooks && !found.contains(&no) {
                found.push(no);
            }
        }
    }
    if found.is_empty() {
        return Ok(Claimed::default());
    }
    relax(conn)?;
    let lease = Uuid::new_v4();
    let lanes: Vec<Number> = sql_query(LEASE)
        .bind::<Array<BigInt>, _>(&found)
        .bind::<SqlUuid, _>(lease)
        .bind::<Double, _>(wish.lease.as_secs_f64())
        .load(conn)?;
    let lanes: Vec<i64> = lanes.into_iter().map(|lane| lane.no).collect();
    let each = (wish.deliveries / lanes.len().max(1)).clamp(1, wish.turn);
    let waiting: Vec<WaitingRow> =
        sql_query(LOAD).bind::<Array<BigInt>, _>(&lanes).bind::<BigInt, _>(count(each)).load(conn)?;
    gathered(conn, lease, lanes, waiting)
}

fn free(conn: &mut PgConnection, after: i64, wish: &Wish) -> QueryResult<Vec<i64>> {
    let rows: Vec<Number> = sql_query(FREE)
        .bind::<BigInt, _>(after)
        .bind::<Array<BigInt>, _>(&wish.without)
        .bind::<BigInt, _>(count(wish.webhooks))
        .load(conn)?;
    Ok(rows.into_iter().map(|row| row.no).collect())
}

/// Lets the transaction end without waiting for the disk: what a dispatcher writes may be lost with the server, since
/// then it is only done again.
pub(super) fn relax(conn: &mut PgConnection) -> QueryResult<()> {
    sql_query("SET LOCAL synchronous_commit = off").execute(conn).map(drop)
}

pub(super) fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Adds webhooks and events to what was claimed.
pub(super) fn gathered(
    conn: &mut PgConnection,
    lease: Uuid,
    lanes: Vec<i64>,
    waiting: Vec<WaitingRow>,
) -> QueryResult<Claimed> {
    let hooks: Vec<Subscription> =
        webhooks::table.filter(webhooks::no.eq_any(&lanes)).select(Subscription::as_select()).load(conn)?;
    let mut ids: Vec<Uuid> = waiting.iter().map(|row| row.event_id).collect();
    ids.sort_unstable();
    ids.dedup();
    let events = webhook_events::table
        .filter(webhook_events::id.eq_any(ids))
        .select((webhook_events::id, webhook_events::kind, webhook_events::at, webhook_events::payload))
        .load::<(Uuid, String, chrono::DateTime<chrono::Utc>, serde_json::Value)>(conn)?;
    let events = events.into_iter().map(|(id, kind, at, payload)| Happened { id, kind, at, payload }).collect();
    Ok(Claimed { lease, lanes, hooks, events, waiting: waiting.into_iter().map(Waiting::from).collect() })
}

/// Renews the leases of lanes that are still worked on.
///
/// # Errors
/// Those of the database.
pub(crate) fn renew(conn: &mut PgConnection, held: &[(i64, Uuid)], lease: Duration) -> QueryResult<usize> {
    let (lanes, leases): (Vec<i64>, Vec<Uuid>) = held.iter().copied().unzip();
    sql_query(
        "UPDATE webhook_lanes SET lease_until = clock_timestamp() + make_interval(secs => $3)
         FROM unnest($1, $2) AS held (no, lease) WHERE webhook_no = held.no AND lease_id = held.lease",
    )
    .bind::<Array<BigInt>, _>(lanes)
    .bind::<Array<SqlUuid>, _>(leases)
    .bind::<Double, _>(lease.as_secs_f64())
    .execute(conn)
}

/// Gives lanes back, after what was done in them has been recorded.
///
/// # Errors
/// Those of the database.
pub(crate) fn release(conn: &mut PgConnection, held: &[(i64, Uuid)]) -> QueryResult<usize> {
    let (lanes, leases): (Vec<i64>, Vec<Uuid>) = held.iter().copied().unzip();
    sql_query(
        "UPDATE webhook_lanes SET lease_id = NULL, lease_until = NULL
         FROM unnest($1, $2) AS held (no, lease) WHERE webhook_no = held.no AND lease_id = held.lease",
    )
    .bind::<Array<BigInt>, _>(lanes)
    .bind::<Array<SqlUuid>, _>(leases)
    .execute(conn)
}
