//! Letting go of old events.

use api_core::db::{self, Db};
use chrono::{DateTime, TimeDelta, Utc};

use crate::store;

/// Events let go in one go.
const PURGE_MAX: i64 = 5000;

/// Lets go of some events from before `retention_days` ago; returns how many.
///
/// # Errors
/// Those of the database.
pub(crate) async fn purge(db: &Db, retention_days: u16, now: DateTime<Utc>) -> Result<usize, db::Error> {
    let before = now - TimeDelta::days(i64::from(retention_days));
    db.run(move |conn| Ok(store::events::purge(conn, before, PURGE_MAX)?)).await
}
