//! New events, with everything that is written because of them: one transaction for all of it.

use api_core::outbox;
use api_types::events::Event;
use diesel::{PgConnection, QueryResult, RunQueryDsl as _, sql_query};

use super::{events, webhooks};
use crate::domain::intake::StoredEvent;

/// Own events moved in one go.
const MOVE_MAX: i64 = 500;

/// A batch of the service's own events.
pub(crate) struct Moved {
    /// How many there were in the outbox.
    pub(crate) count: usize,
    pub(crate) new: Vec<StoredEvent>,
}

/// Takes a batch in and returns what of it is new; to be called in a transaction.
///
/// One batch at a time, in whatever process: so numbers become visible in their order, and a reader who has seen one
/// has seen every smaller one.
pub(crate) fn take_in(conn: &mut PgConnection, batch: Vec<Event>) -> QueryResult<Vec<StoredEvent>> {
    one_at_a_time(conn)?;
    store(conn, batch)
}

/// The same with the oldest events of the service's own outbox, which they leave.
pub(crate) fn take_in_own(conn: &mut PgConnection, service: &'static str) -> QueryResult<Moved> {
    one_at_a_time(conn)?;
    let batch = outbox::take(conn, service, MOVE_MAX)?;
    Ok(Moved { count: batch.len(), new: store(conn, batch)? })
}

fn one_at_a_time(conn: &mut PgConnection) -> QueryResult<usize> {
    sql_query("SELECT pg_advisory_xact_lock(hashtextextended('imago events ' || current_schema(), 0))").execute(conn)
}

fn store(conn: &mut PgConnection, batch: Vec<Event>) -> QueryResult<Vec<StoredEvent>> {
    let new = events::insert(conn, batch)?;
    // Here, and nowhere else, follows what an event brings about: the audit log, deliveries to webhooks.
    webhooks::enqueue(conn, &new)?;
    Ok(new)
}
