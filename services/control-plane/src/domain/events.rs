//! Taking in the events of all services, and letting go of the old ones.

use api_core::db::{self, Db};
use api_types::events::{Event, EventReceipt};
use chrono::{DateTime, TimeDelta, Utc};

use crate::store;

/// Events taken in at once; outboxes hand over less.
pub(crate) const BATCH_MAX: usize = 1000;
/// Events let go in one go.
const PURGE_MAX: i64 = 5000;

/// Keeps the events that are not known yet, in their order.
///
/// # Errors
/// Those of the database.
pub(crate) async fn take_in(db: &Db, events: Vec<Event>) -> Result<EventReceipt, db::Error> {
    let accepted = db.run::<_, db::Error>(move |conn| Ok(store::events::insert(conn, &events)?)).await?;
    Ok(EventReceipt { accepted })
}

/// Moves a batch of the service's own events from its outbox to where everybody's are; returns how many there were.
///
/// # Errors
/// Those of the database.
pub(crate) async fn take_in_own(db: &Db) -> Result<usize, db::Error> {
    db.run(|conn| Ok(store::events::move_own(conn, crate::NAME)?)).await
}

/// Lets go of some events from before `retention_days` ago; returns how many.
///
/// # Errors
/// Those of the database.
pub(crate) async fn purge(db: &Db, retention_days: u16, now: DateTime<Utc>) -> Result<usize, db::Error> {
    let before = now - TimeDelta::days(i64::from(retention_days));
    db.run(move |conn| Ok(store::events::purge(conn, before, PURGE_MAX)?)).await
}
