//! First attempts. All those of one webhook are its lane: whoever has the lane's lease delivers them one after the other.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use diesel::{
    ExpressionMethods as _, PgConnection, QueryDsl as _, QueryResult, QueryableByName, RunQueryDsl as _,
    SelectableHelper as _, sql_query,
    sql_types::{Array, BigInt, Double, Integer, SmallInt, Uuid as SqlUuid},
};
use uuid::Uuid;

use super::{
    schema::{webhook_events, webhooks},
    subscriptions::Subscription,
};
use crate::domain::webhooks::{
    message::Happened,
    work::{Claimed, Lane, Turns, Waiting},
};

#[derive(QueryableByName)]
struct LaneRow {
    #[diesel(sql_type = BigInt)]
    no: i64,
    #[diesel(sql_type = Integer)]
    owner: i32,
}

#[derive(QueryableByName)]
struct TakenRow {
    #[diesel(sql_type = BigInt)]
    webhook_no: i64,
}

#[derive(QueryableByName)]
struct OwnerRow {
    #[diesel(sql_type = Integer)]
    owner: i32,
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
    /// Lanes at the most.
    pub(crate) lanes: usize,
    /// Deliveries of one lane at the most.
    pub(crate) turn: usize,
    /// Deliveries at the most, but one of each lane.
    pub(crate) deliveries: usize,
    pub(crate) turns: Turns,
    /// Webhooks that are not wanted now.
    pub(crate) without: Vec<i64>,
    /// How many more lanes those owners may have who have some already.
    pub(crate) left: HashMap<i32, usize>,
    /// How many lanes everybody else may have.
    pub(crate) share: usize,
    pub(crate) lease: Duration,
}

impl Wish {
    fn share_of(&self, owner: i32) -> usize {
        self.left.get(&owner).copied().unwrap_or(self.share)
    }
}

/// What a claim has found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) claimed: Claimed,
    pub(crate) turns: Turns,
    /// Whether there is probably more.
    pub(crate) has_more: bool,
}

// Both jump along the index, from owner to owner and from webhook to webhook, however much waits for each.
const OWNERS: &str = "
WITH RECURSIVE waiting (owner) AS (
    (SELECT owner FROM webhook_deliveries
     WHERE status = 'pending' AND attempts = 0 AND owner > $1 ORDER BY owner LIMIT 1)
    UNION ALL
    SELECT next.owner FROM waiting CROSS JOIN LATERAL
        (SELECT owner FROM webhook_deliveries
         WHERE status = 'pending' AND attempts = 0 AND owner > waiting.owner ORDER BY owner LIMIT 1) next
)
SELECT owner FROM waiting WHERE owner <> ALL ($2) LIMIT $3";

const FREE: &str = "
SELECT lane.no, whose.owner FROM unnest($1, $2, $3) AS whose (owner, after, quota) CROSS JOIN LATERAL (
    WITH RECURSIVE waiting (no) AS (
        (SELECT webhook_no FROM webhook_deliveries
         WHERE status = 'pending' AND attempts = 0 AND owner = whose.owner AND webhook_no > whose.after
         ORDER BY webhook_no LIMIT 1)
        UNION ALL
        SELECT next.webhook_no FROM waiting CROSS JOIN LATERAL
            (SELECT webhook_no FROM webhook_deliveries
             WHERE status = 'pending' AND attempts = 0 AND owner = whose.owner AND webhook_no > waiting.no
             ORDER BY webhook_no LIMIT 1) next
    )
    SELECT waiting.no FROM waiting CROSS JOIN LATERAL
        (SELECT lease_until FROM webhook_lanes WHERE webhook_no = waiting.no OFFSET 0) held
    WHERE waiting.no <> ALL ($4) AND (held.lease_until IS NULL OR held.lease_until < clock_timestamp())
    LIMIT whose.quota
) lane";

const LEASE: &str = "
WITH free AS MATERIALIZED (
    SELECT webhook_no FROM webhook_lanes
    WHERE webhook_no = ANY ($1) AND (lease_until IS NULL OR lease_until < clock_timestamp()) FOR UPDATE SKIP LOCKED
)
UPDATE webhook_lanes SET lease_id = $2, lease_until = clock_timestamp() + make_interval(secs => $3)
FROM free WHERE webhook_lanes.webhook_no = free.webhook_no RETURNING webhook_lanes.webhook_no";

const LOAD: &str = "
SELECT d.id, d.webhook_no, d.event_id, d.attempts, (extract(epoch FROM d.created_at) * 1000)::bigint AS created_ms
FROM unnest($1, $2) AS lane (no, owner) CROSS JOIN LATERAL
    (SELECT * FROM webhook_deliveries
     WHERE owner = lane.owner AND webhook_no = lane.no AND status = 'pending' AND attempts = 0 ORDER BY id LIMIT $3) d
ORDER BY d.id";

/// Takes lanes that have something waiting and that nobody has, under one lease for all of them. To be run in a
/// transaction: what is waiting must be looked at after the lease is there.
///
/// # Errors
/// Those of the database.
pub(crate) fn claim(conn: &mut PgConnection, wish: &Wish) -> QueryResult<Found> {
    let owners = owners(conn, wish)?;
    if owners.is_empty() {
        return Ok(Found { turns: wish.turns.clone(), ..Found::default() });
    }
    let (lanes, turns, has_more) = free(conn, wish, &owners)?;
    if lanes.is_empty() {
        return Ok(Found { turns, has_more: false, ..Found::default() });
    }
    relax(conn)?;
    let lease = Uuid::new_v4();
    let taken: Vec<TakenRow> = sql_query(LEASE)
        .bind::<Array<BigInt>, _>(lanes.iter().map(|lane| lane.no).collect::<Vec<_>>())
        .bind::<SqlUuid, _>(lease)
        .bind::<Double, _>(wish.lease.as_secs_f64())
        .load(conn)?;
    let taken: HashSet<i64> = taken.into_iter().map(|row| row.webhook_no).collect();
    let lanes: Vec<Lane> = lanes.into_iter().filter(|lane| taken.contains(&lane.no)).collect();
    let each = (wish.deliveries / lanes.len().max(1)).clamp(1, wish.turn);
    let waiting: Vec<WaitingRow> = sql_query(LOAD)
        .bind::<Array<BigInt>, _>(lanes.iter().map(|lane| lane.no).collect::<Vec<_>>())
        .bind::<Array<Integer>, _>(lanes.iter().map(|lane| lane.owner).collect::<Vec<_>>())
        .bind::<BigInt, _>(count(each))
        .load(conn)?;
    let numbers: Vec<i64> = lanes.iter().map(|lane| lane.no).collect();
    let claimed = Claimed { lanes, ..gathered(conn, lease, &numbers, waiting)? };
    Ok(Found { claimed, turns, has_more })
}

/// Owners with something waiting who may have more, beginning with whose turn it is.
fn owners(conn: &mut PgConnection, wish: &Wish) -> QueryResult<Vec<i32>> {
    let full: Vec<i32> = wish.left.iter().filter(|(_, left)| **left == 0).map(|(owner, _)| *owner).collect();
    let mut after = |after: i64, limit: usize| -> QueryResult<Vec<i32>> {
        let rows: Vec<OwnerRow> = sql_query(OWNERS)
            .bind::<BigInt, _>(after)
            .bind::<Array<Integer>, _>(&full)
            .bind::<BigInt, _>(count(limit))
            .load(conn)?;
        Ok(rows.into_iter().map(|row| row.owner).collect())
    };
    let Some(last) = wish.turns.owner else { return after(i64::MIN, wish.lanes) };
    let mut owners = after(last.into(), wish.lanes)?;
    if owners.len() < wish.lanes {
        // Once around.
        let first = after(i64::MIN, wish.lanes - owners.len())?;
        owners.extend(first.into_iter().filter(|owner| *owner <= last));
    }
    Ok(owners)
}

/// Free lanes of these owners, to each the same number of them; whose turn it is then; whether there may be more.
fn free(conn: &mut PgConnection, wish: &Wish, owners: &[i32]) -> QueryResult<(Vec<Lane>, Turns, bool)> {
    let quota = (wish.lanes / owners.len().max(1)).max(1);
    let mut asked: Vec<Asked> = owners
        .iter()
        .map(|&owner| Asked {
            owner,
            after: wish.turns.lanes.get(&owner).copied().unwrap_or(0),
            quota: quota.min(wish.share_of(owner)),
        })
        .collect();
    let mut lanes = lanes_of(conn, &asked, &wish.without)?;
    let got = |lanes: &[Lane], owner: i32| lanes.iter().filter(|lane| lane.owner == owner).count();
    let again: Vec<Asked> = asked
        .iter_mut()
        .filter(|asked| asked.after > 0 && got(&lanes, asked.owner) < asked.quota)
        .map(|asked| {
            asked.after = 0;
            *asked
        })
        .collect();
    if !again.is_empty() {
        // Once around within those, too.
        for lane in lanes_of(conn, &again, &wish.without)? {
            let quota = again.iter().find(|asked| asked.owner == lane.owner).map_or(0, |asked| asked.quota);
            if !lanes.contains(&lane) && got(&lanes, lane.owner) < quota {
                lanes.push(lane);
            }
        }
    }
    let mut turns = Turns { owner: owners.last().copied(), lanes: wish.turns.lanes.clone() };
    let mut has_more = owners.len() >= wish.lanes;
    for asked in &asked {
        if got(&lanes, asked.owner) >= asked.quota {
            has_more = true;
            let last = lanes.iter().rev().find(|lane| lane.owner == asked.owner);
            turns.lanes.extend(last.map(|lane| (asked.owner, lane.no)));
        } else {
            turns.lanes.remove(&asked.owner);
        }
    }
    Ok((lanes, turns, has_more))
}

/// What is asked for one owner.
#[derive(Debug, Clone, Copy)]
struct Asked {
    owner: i32,
    /// Only webhooks with greater numbers.
    after: i64,
    quota: usize,
}

fn lanes_of(conn: &mut PgConnection, asked: &[Asked], without: &[i64]) -> QueryResult<Vec<Lane>> {
    let rows: Vec<LaneRow> = sql_query(FREE)
        .bind::<Array<Integer>, _>(asked.iter().map(|asked| asked.owner).collect::<Vec<_>>())
        .bind::<Array<BigInt>, _>(asked.iter().map(|asked| asked.after).collect::<Vec<_>>())
        .bind::<Array<BigInt>, _>(asked.iter().map(|asked| count(asked.quota)).collect::<Vec<_>>())
        .bind::<Array<BigInt>, _>(without)
        .load(conn)?;
    Ok(rows.into_iter().map(|LaneRow { no, owner }| Lane { no, owner }).collect())
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
    numbers: &[i64],
    waiting: Vec<WaitingRow>,
) -> QueryResult<Claimed> {
    let hooks: Vec<Subscription> =
        webhooks::table.filter(webhooks::no.eq_any(numbers)).select(Subscription::as_select()).load(conn)?;
    let mut ids: Vec<Uuid> = waiting.iter().map(|row| row.event_id).collect();
    ids.sort_unstable();
    ids.dedup();
    let events = webhook_events::table
        .filter(webhook_events::id.eq_any(ids))
        .select((webhook_events::id, webhook_events::kind, webhook_events::at, webhook_events::payload))
        .load::<(Uuid, String, chrono::DateTime<chrono::Utc>, serde_json::Value)>(conn)?;
    let events = events.into_iter().map(|(id, kind, at, payload)| Happened { id, kind, at, payload }).collect();
    Ok(Claimed { lease, lanes: Vec::new(), hooks, events, waiting: waiting.into_iter().map(Waiting::from).collect() })
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
