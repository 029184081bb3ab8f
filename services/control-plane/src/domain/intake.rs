//! Taking events in: every event of every service passes here once, whichever way it came.

use std::ops::Deref;

use api_core::db;
use api_types::events::{Event, EventReceipt};

use crate::{App, store};

/// Events taken in at once; outboxes hand over no more.
pub(crate) const BATCH_MAX: usize = 1000;

/// An event as the log keeps it.
#[derive(Debug, Clone)]
pub(crate) struct StoredEvent {
    /// The order of the log: whoever has seen this number has seen every smaller one.
    pub(crate) seq: i64,
    pub(crate) event: Event,
}

impl Deref for StoredEvent {
    type Target = Event;

    fn deref(&self) -> &Event {
        &self.event
    }
}

/// Keeps the events that are not known yet, in their order.
///
/// # Errors
/// Those of the database; nothing was taken in then.
pub(crate) async fn take_in(app: &App, events: Vec<Event>) -> Result<EventReceipt, db::Error> {
    let new = app.db.transaction::<_, db::Error>(move |conn| Ok(store::intake::take_in(conn, events)?)).await?;
    Ok(EventReceipt { accepted: told(app, &new) })
}

/// Moves a batch of the service's own events from its outbox to where everybody's are; returns how many there were.
///
/// # Errors
/// Those of the database; nothing was moved then.
pub(crate) async fn take_in_own(app: &App) -> Result<usize, db::Error> {
    let moved = app.db.transaction::<_, db::Error>(|conn| Ok(store::intake::take_in_own(conn, crate::NAME)?)).await?;
    told(app, &moved.new);
    Ok(moved.count)
}

/// Wakes those who wait for new events; returns how many there are.
fn told(app: &App, new: &[StoredEvent]) -> usize {
    if let Some(last) = new.last() {
        app.arrived.send_if_modified(|seen| {
            let newer = last.seq > *seen;
            *seen = last.seq.max(*seen);
            newer
        });
    }
    new.len()
}
