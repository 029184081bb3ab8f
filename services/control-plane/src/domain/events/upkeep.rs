//! Keeping the log: a partition for every day to come, none for those that are past.

use api_core::db::{self, Db};
use chrono::{DateTime, Days, NaiveDate, Utc};

use crate::{domain::intake::kept_from, store};

/// Days for which there is a partition before they begin.
const AHEAD: u64 = 7;

/// Makes the partitions of the days to come.
///
/// # Errors
/// Those of the database.
pub(crate) async fn prepare(db: &Db, now: DateTime<Utc>) -> Result<(), db::Error> {
    let today = now.date_naive();
    let days: Vec<NaiveDate> = (0..=AHEAD).filter_map(|ahead| today.checked_add_days(Days::new(ahead))).collect();
    db.transaction(move |conn| Ok(store::events::prepare_days(conn, days)?)).await
}

/// Drops the days that are older than what is kept, one after another.
///
/// # Errors
/// Those of the database; what was dropped until then stays dropped.
pub(crate) async fn purge(db: &Db, retention_days: u16, now: DateTime<Utc>) -> Result<(), db::Error> {
    let first = kept_from(retention_days, now).date_naive();
    loop {
        let dropped = db.transaction::<_, db::Error>(move |conn| Ok(store::events::drop_oldest(conn, first)?));
        match dropped.await? {
            Some(partition) => tracing::info!(partition, "the events of a day past its time are gone"),
            None => return Ok(()),
        }
    }
}
