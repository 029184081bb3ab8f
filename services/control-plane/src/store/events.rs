//! The table `events`.

use std::collections::HashMap;

use api_types::events::Event;
use chrono::{DateTime, Utc};
use diesel::{
    Insertable, PgConnection, QueryResult, RunQueryDsl as _, sql_query,
    sql_types::{BigInt, Timestamptz},
};
use serde_json::Value;
use uuid::Uuid;

use super::schema::events;
use crate::domain::intake::StoredEvent;

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

/// Stores the events that are new, in their order, and returns them.
pub(crate) fn insert(conn: &mut PgConnection, batch: Vec<Event>) -> QueryResult<Vec<StoredEvent>> {
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
    let insert = diesel::insert_into(events::table).values(rows).on_conflict_do_nothing();
    let new: Vec<(i64, Uuid)> = insert.returning((events::seq, events::id)).get_results(conn)?;
    let mut by_id: HashMap<Uuid, Event> = batch.into_iter().rev().map(|event| (event.id, event)).collect();
    Ok(new.into_iter().filter_map(|(seq, id)| Some(StoredEvent { seq, event: by_id.remove(&id)? })).collect())
}

/// Deletes at most `limit` events from before a point in time, the oldest first.
pub(crate) fn purge(conn: &mut PgConnection, before: DateTime<Utc>, limit: i64) -> QueryResult<usize> {
    sql_query("DELETE FROM events WHERE id IN (SELECT id FROM events WHERE at < $1 ORDER BY at LIMIT $2)")
        .bind::<Timestamptz, _>(before)
        .bind::<BigInt, _>(limit)
        .execute(conn)
}
