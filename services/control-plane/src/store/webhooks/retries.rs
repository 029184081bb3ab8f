//! Further attempts: each stands for itself, under a lease of its own.

use std::time::Duration;

use diesel::{
    PgConnection, QueryResult, RunQueryDsl as _, sql_query,
    sql_types::{Array, BigInt, Double, Uuid as SqlUuid},
};
use uuid::Uuid;

use super::lanes::{WaitingRow, count, gathered, relax};
use crate::domain::webhooks::work::Claimed;

/// What a claim may take.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    /// Webhooks at the most.
    pub(crate) webhooks: usize,
    /// Deliveries of one webhook at the most.
    pub(crate) each: usize,
    /// Webhooks that are not wanted now.
    pub(crate) without: Vec<i64>,
    /// How long an attempt may take; then it counts as lost, and another one is made.
    pub(crate) lease: Duration,
}

const CLAIM: &str = "
WITH RECURSIVE failing (no, due_at) AS (
    (SELECT webhook_no, due_at FROM webhook_deliveries
     WHERE status = 'pending' AND attempts > 0 ORDER BY webhook_no, due_at LIMIT 1)
    UNION ALL
    SELECT next.webhook_no, next.due_at FROM failing CROSS JOIN LATERAL
        (SELECT webhook_no, due_at FROM webhook_deliveries
         WHERE status = 'pending' AND attempts > 0 AND webhook_no > failing.no ORDER BY webhook_no, due_at LIMIT 1) next
), due AS MATERIALIZED (
    SELECT d.id FROM (
        SELECT no FROM failing WHERE due_at <= clock_timestamp() AND no <> ALL ($1) ORDER BY due_at LIMIT $2
    ) hook CROSS JOIN LATERAL (
        SELECT id FROM webhook_deliveries
        WHERE webhook_no = hook.no AND status = 'pending' AND attempts > 0 AND due_at <= clock_timestamp()
        ORDER BY due_at LIMIT $3
    ) d
), free AS MATERIALIZED (
    SELECT id FROM webhook_deliveries
    WHERE id IN (SELECT id FROM due) AND status = 'pending' AND due_at <= clock_timestamp() FOR UPDATE SKIP LOCKED
)
UPDATE webhook_deliveries d SET lease_id = $4, due_at = clock_timestamp() + make_interval(secs => $5)
FROM free WHERE d.id = free.id
RETURNING d.id, d.webhook_no, d.event_id, d.attempts, (extract(epoch FROM d.created_at) * 1000)::bigint AS created_ms";

/// Takes retries that are due. To be run in a transaction.
///
/// # Errors
/// Those of the database.
pub(crate) fn claim(conn: &mut PgConnection, wish: &Wish) -> QueryResult<Claimed> {
    relax(conn)?;
    let lease = Uuid::new_v4();
    let waiting: Vec<WaitingRow> = sql_query(CLAIM)
        .bind::<Array<BigInt>, _>(&wish.without)
        .bind::<BigInt, _>(count(wish.webhooks))
        .bind::<BigInt, _>(count(wish.each))
        .bind::<SqlUuid, _>(lease)
        .bind::<Double, _>(wish.lease.as_secs_f64())
        .load(conn)?;
    if waiting.is_empty() {
        return Ok(Claimed::default());
    }
    let numbers: Vec<i64> = waiting.iter().map(WaitingRow::webhook_no).collect();
    gathered(conn, lease, &numbers, waiting)
}
