//! New events, with everything that is written because of them: one transaction for all of it.

use api_core::outbox;
use chrono::{DateTime, Utc};
use diesel::{PgConnection, QueryResult, RunQueryDsl as _, sql_query};

use super::{audit, events, webhooks};
use crate::{
    NAME,
    domain::intake::{Arriving, TakenIn},
};

/// Own events moved in one go.
const MOVE_MAX: i64 = 1000;

/// Takes a batch in; to be called in a transaction.
///
/// One batch at a time, in whatever process: so numbers become visible in their order, and a reader who has seen one
/// has seen every smaller one.
pub(crate) fn take_in(conn: &mut PgConnection, batch: Vec<Arriving>, kept_from: DateTime<Utc>) -> QueryResult<TakenIn> {
    one_at_a_time(conn)?;
    store(conn, batch, kept_from)
}

/// The same with the oldest events of the service's own outbox, which they leave.
pub(crate) fn take_in_own(conn: &mut PgConnection, kept_from: DateTime<Utc>) -> QueryResult<TakenIn> {
    one_at_a_time(conn)?;
    let batch = outbox::take(conn, NAME, MOVE_MAX)?;
    store(conn, batch.into_iter().map(Arriving::from).collect(), kept_from)
}

/// The lock of the log: for taking events in, and for making and dropping its partitions.
pub(super) fn one_at_a_time(conn: &mut PgConnection) -> QueryResult<()> {
    let lock = "SELECT pg_advisory_xact_lock(hashtextextended('imago events ' || current_schema(), 0))";
    sql_query(lock).execute(conn).map(drop)
}

fn store(conn: &mut PgConnection, mut batch: Vec<Arriving>, kept_from: DateTime<Utc>) -> QueryResult<TakenIn> {
    let count = batch.len();
    batch.retain(|arriving| arriving.event.at >= kept_from);
    let late = count - batch.len();
    if batch.is_empty() {
        return Ok(TakenIn { count, late, new: Vec::new() });
    }
    events::make_partitions(conn, batch.iter().map(|arriving| arriving.event.at.date_naive()))?;
    let new = events::insert(conn, batch)?;
    // Here, and nowhere else, follows what an event brings about: the audit log, deliveries to webhooks.
    audit::append_events(conn, &new)?;
    webhooks::enqueue(conn, &new)?;
    Ok(TakenIn { count, late, new })
}
