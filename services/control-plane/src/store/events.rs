//! The table `events`, and the outbox of this service, which is beside it.

use api_types::events::Event;
use chrono::{DateTime, Utc};
use diesel::{
    Insertable, PgConnection, QueryResult, RunQueryDsl as _, sql_query,
    sql_types::{BigInt, Text, Timestamptz},
};
use serde_json::Value;
use uuid::Uuid;

use super::schema::events;

/// Events moved from the own outbox in one go.
const MOVE_MAX: i64 = 500;

#[derive(Insertable)]
#[diesel(table_name = events)]
struct New<'a> {
    id: Uuid,
    kind: &'a str,
    aggregate: &'a str,
    service: &'a str,
    actor: Option<&'a str>,
    request_id: Option<&'a str>,
    at: DateTime<Utc>,
    payload: &'a Value,
}

/// Stores the events that are new, in their order; returns how many were.
pub(crate) fn insert(conn: &mut PgConnection, batch: &[Event]) -> QueryResult<usize> {
    let rows: Vec<New<'_>> = batch
        .iter()
        .map(|event| New {
            id: event.id,
            kind: &event.kind,
            aggregate: &event.aggregate,
            service: &event.service,
            actor: event.actor.as_deref(),
            request_id: event.request_id.as_deref(),
            at: event.at,
            payload: &event.payload,
        })
        .collect();
    diesel::insert_into(events::table).values(rows).on_conflict_do_nothing().execute(conn)
}

/// Moves the oldest events of the own outbox over, all or none; returns how many there were.
pub(crate) fn move_own(conn: &mut PgConnection, service: &str) -> QueryResult<usize> {
    sql_query(
        "WITH oldest AS (SELECT seq FROM outbox ORDER BY seq LIMIT $2 FOR UPDATE), \
         moved AS (DELETE FROM outbox USING oldest WHERE outbox.seq = oldest.seq RETURNING outbox.*) \
         INSERT INTO events (id, kind, aggregate, service, actor, request_id, at, payload) \
         SELECT id, kind, aggregate, $1, actor, request_id, at, payload FROM moved ORDER BY seq \
         ON CONFLICT (id) DO NOTHING",
    )
    .bind::<Text, _>(service)
    .bind::<BigInt, _>(MOVE_MAX)
    .execute(conn)
}

/// Deletes at most `limit` events from before a point in time, the oldest first.
pub(crate) fn purge(conn: &mut PgConnection, before: DateTime<Utc>, limit: i64) -> QueryResult<usize> {
    sql_query("DELETE FROM events WHERE id IN (SELECT id FROM events WHERE at < $1 ORDER BY at LIMIT $2)")
        .bind::<Timestamptz, _>(before)
        .bind::<BigInt, _>(limit)
        .execute(conn)
}
