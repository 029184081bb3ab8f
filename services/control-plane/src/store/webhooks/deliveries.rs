//! What became of deliveries.

use api_types::{ains::Window, webhooks::DeliveryStatus};
use chrono::{DateTime, Utc};
use diesel::{
    ExpressionMethods as _, OptionalExtension as _, PgConnection, QueryDsl as _, QueryResult, Queryable,
    RunQueryDsl as _, Selectable, SelectableHelper as _, sql_query,
    sql_types::{Array, BigInt, Double, Nullable, SmallInt, Text, Timestamptz, Uuid as SqlUuid},
};
use uuid::Uuid;

use super::{
    lanes::relax,
    schema::{webhook_deliveries, webhook_events},
};
use crate::domain::webhooks::{message::Happened, work::Ended};

/// Deliveries and events let go in one go.
const PURGE_MAX: i64 = 5000;

/// A delivery as it is stored.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = webhook_deliveries, check_for_backend(diesel::pg::Pg))]
pub(crate) struct Stored {
    pub(crate) id: i64,
    pub(crate) event_id: Uuid,
    pub(crate) event: String,
    pub(crate) status: String,
    pub(crate) attempts: i16,
    pub(crate) due_at: DateTime<Utc>,
    pub(crate) response_code: Option<i16>,
    pub(crate) error: Option<String>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) delivered_at: Option<DateTime<Utc>>,
}

/// A stretch of a webhook's deliveries, newest first, and how many there are.
///
/// # Errors
/// Those of the database.
pub(crate) fn newest(conn: &mut PgConnection, webhook_no: i64, window: Window) -> QueryResult<(Vec<Stored>, i64)> {
    let own = webhook_deliveries::table.filter(webhook_deliveries::webhook_no.eq(webhook_no));
    let total = own.count().get_result(conn)?;
    let rows = own
        .order(webhook_deliveries::id.desc())
        .limit(window.limit)
        .offset(window.offset)
        .select(Stored::as_select())
        .load(conn)?;
    Ok((rows, total))
}

/// One delivery of a webhook.
///
/// # Errors
/// Those of the database.
pub(crate) fn find(conn: &mut PgConnection, webhook_no: i64, id: i64) -> QueryResult<Option<Stored>> {
    webhook_deliveries::table
        .find(id)
        .filter(webhook_deliveries::webhook_no.eq(webhook_no))
        .select(Stored::as_select())
        .first(conn)
        .optional()
}

/// Makes a delivery due now, unless its first attempt is still to come or another one runs.
///
/// # Errors
/// Those of the database.
pub(crate) fn redeliver(conn: &mut PgConnection, id: i64) -> QueryResult<usize> {
    sql_query(
        "UPDATE webhook_deliveries SET status = 'pending', due_at = clock_timestamp(), lease_id = NULL, delivered_at = NULL
         WHERE id = $1 AND attempts > 0 AND (status <> 'pending' OR lease_id IS NULL OR due_at < clock_timestamp())",
    )
    .bind::<BigInt, _>(id)
    .execute(conn)
}

/// Notes a delivery that is made without a dispatcher: as failed, until [`settle`] knows better. Returns its id.
///
/// # Errors
/// Those of the database.
pub(crate) fn insert_tried(conn: &mut PgConnection, webhook_no: i64, event: &Happened) -> QueryResult<Stored> {
    diesel::insert_into(webhook_events::table)
        .values((
            webhook_events::id.eq(event.id),
            webhook_events::kind.eq(&event.kind),
            webhook_events::at.eq(event.at),
            webhook_events::payload.eq(&event.payload),
        ))
        .execute(conn)?;
    diesel::insert_into(webhook_deliveries::table)
        .values((
            webhook_deliveries::webhook_no.eq(webhook_no),
            webhook_deliveries::event_id.eq(event.id),
            webhook_deliveries::event.eq(&event.kind),
            webhook_deliveries::status.eq(DeliveryStatus::Failed.as_str()),
            webhook_deliveries::attempts.eq(1),
            webhook_deliveries::error.eq("the attempt did not come to its end"),
        ))
        .returning(Stored::as_returning())
        .get_result(conn)
}

/// Notes what came of a delivery that was made without a dispatcher.
///
/// # Errors
/// Those of the database.
pub(crate) fn settle(conn: &mut PgConnection, ended: &Ended) -> QueryResult<usize> {
    let delivered_at = (ended.status == DeliveryStatus::Success).then(Utc::now);
    diesel::update(webhook_deliveries::table.find(ended.id))
        .set((
            webhook_deliveries::status.eq(ended.status.as_str()),
            webhook_deliveries::response_code.eq(ended.response_code),
            webhook_deliveries::error.eq(&ended.error),
            webhook_deliveries::delivered_at.eq(delivered_at),
        ))
        .execute(conn)
}

/// Records ended attempts; one whose lease or attempt is not the current one any more changes nothing. Returns how many
/// were recorded.
///
/// # Errors
/// Those of the database.
pub(crate) fn record(conn: &mut PgConnection, ended: &[Ended]) -> QueryResult<usize> {
    if ended.is_empty() {
        return Ok(0);
    }
    relax(conn)?;
    sql_query(
        "UPDATE webhook_deliveries d SET
             attempts = r.attempt, status = r.status, response_code = r.code, error = r.error, lease_id = NULL,
             delivered_at = CASE WHEN r.status = 'success' THEN clock_timestamp() END,
             due_at = clock_timestamp() + make_interval(secs => coalesce(r.pause_s, 0))
         FROM unnest($1, $2, $3, $4, $5, $6, $7) AS r (id, lease, attempt, status, code, error, pause_s)
         WHERE d.id = r.id AND d.status = 'pending' AND d.attempts = r.attempt - 1 AND (d.lease_id = r.lease OR EXISTS
             (SELECT FROM webhook_lanes l WHERE l.webhook_no = d.webhook_no AND l.lease_id = r.lease))",
    )
    .bind::<Array<BigInt>, _>(ended.iter().map(|one| one.id).collect::<Vec<_>>())
    .bind::<Array<SqlUuid>, _>(ended.iter().map(|one| one.lease).collect::<Vec<_>>())
    .bind::<Array<SmallInt>, _>(ended.iter().map(|one| one.attempt).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(ended.iter().map(|one| one.status.as_str()).collect::<Vec<_>>())
    .bind::<Array<Nullable<SmallInt>>, _>(ended.iter().map(|one| one.response_code).collect::<Vec<_>>())
    .bind::<Array<Nullable<Text>>, _>(ended.iter().map(|one| one.error.as_deref()).collect::<Vec<_>>())
    .bind::<Array<Nullable<Double>>, _>(
        ended.iter().map(|one| one.pause.map(|pause| pause.as_secs_f64())).collect::<Vec<_>>(),
    )
    .execute(conn)
}

/// Gives up what still waits for a webhook.
///
/// # Errors
/// Those of the database.
pub(crate) fn give_up(conn: &mut PgConnection, webhook_no: i64, error: &str) -> QueryResult<usize> {
    diesel::update(webhook_deliveries::table)
        .filter(webhook_deliveries::webhook_no.eq(webhook_no))
        .filter(webhook_deliveries::status.eq(DeliveryStatus::Pending.as_str()))
        .set((
            webhook_deliveries::status.eq(DeliveryStatus::Failed.as_str()),
            webhook_deliveries::error.eq(error),
            webhook_deliveries::lease_id.eq(None::<Uuid>),
        ))
        .execute(conn)
}

/// Drops what still waits for a webhook.
///
/// # Errors
/// Those of the database.
pub(crate) fn drop_waiting(conn: &mut PgConnection, webhook_no: i64) -> QueryResult<usize> {
    diesel::delete(webhook_deliveries::table)
        .filter(webhook_deliveries::webhook_no.eq(webhook_no))
        .filter(webhook_deliveries::status.eq(DeliveryStatus::Pending.as_str()))
        .execute(conn)
}

/// Gives up the oldest first attempts of webhooks for which more than `max` wait. Returns how many.
///
/// # Errors
/// Those of the database.
pub(crate) fn give_up_overflow(conn: &mut PgConnection, max: i64, error: &str) -> QueryResult<usize> {
    sql_query(
        "WITH full_up AS MATERIALIZED (
             SELECT owner, webhook_no, count(*) - $1 AS too_many FROM webhook_deliveries
             WHERE status = 'pending' AND attempts = 0 GROUP BY owner, webhook_no HAVING count(*) > $1
         ), oldest AS MATERIALIZED (
             SELECT d.id FROM full_up CROSS JOIN LATERAL (
                 SELECT id FROM webhook_deliveries
                 WHERE owner = full_up.owner AND webhook_no = full_up.webhook_no
                   AND status = 'pending' AND attempts = 0
                 ORDER BY id LIMIT full_up.too_many
             ) d
         )
         UPDATE webhook_deliveries SET status = 'failed', error = $2 FROM oldest
         WHERE webhook_deliveries.id = oldest.id AND status = 'pending' AND attempts = 0",
    )
    .bind::<BigInt, _>(max)
    .bind::<Text, _>(error)
    .execute(conn)
}

/// Drops what waits for webhooks that are no more, which an event may have done that came as its webhook went.
///
/// # Errors
/// Those of the database.
pub(crate) fn drop_orphans(conn: &mut PgConnection) -> QueryResult<usize> {
    sql_query(
        "DELETE FROM webhook_deliveries d WHERE status = 'pending'
         AND NOT EXISTS (SELECT FROM webhooks w WHERE w.no = d.webhook_no)",
    )
    .execute(conn)
}

/// Lets go of some of the oldest deliveries, and of events that nothing can be delivered of any more. Returns how many.
///
/// # Errors
/// Those of the database.
pub(crate) fn purge(conn: &mut PgConnection, before: DateTime<Utc>) -> QueryResult<usize> {
    // Looks at so many of the oldest and no further.
    let deliveries = sql_query(
        "WITH oldest AS MATERIALIZED (SELECT id, created_at FROM webhook_deliveries ORDER BY id LIMIT $2)
         DELETE FROM webhook_deliveries d USING oldest WHERE d.id = oldest.id AND oldest.created_at < $1",
    )
    .bind::<Timestamptz, _>(before)
    .bind::<BigInt, _>(PURGE_MAX)
    .execute(conn)?;
    let events = sql_query(
        "DELETE FROM webhook_events WHERE id IN
         (SELECT id FROM webhook_events WHERE created_at < $1 ORDER BY created_at LIMIT $2)",
    )
    .bind::<Timestamptz, _>(before)
    .bind::<BigInt, _>(PURGE_MAX)
    .execute(conn)?;
    Ok(deliveries + events)
}
