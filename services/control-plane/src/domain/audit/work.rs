//! What the service does with the log: taking records in, reading pages, and the loops in the background.

use std::sync::Arc;

use api_core::{
    db::{self, Db},
    seal::SignKey,
};
use api_types::access::{AccessBatch, AccessReceipt, KEPT_HOURS};
use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};

use super::{Row, SIGNED_FOR};
use crate::{App, store};

/// How long after its end a minute may still grow before the log says how much; what comes later is said later.
const GRACE: TimeDelta = TimeDelta::seconds(30);
/// How long a batch and a minute are known: longer than a process keeps what it could not hand over.
const KNOWN_HOURS: i64 = 2 * KEPT_HOURS;

/// Which rows somebody asks for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    pub(crate) client_id: Option<String>,
    pub(crate) event_type: Option<String>,
    pub(crate) success: Option<bool>,
    /// From this moment on.
    pub(crate) from: Option<DateTime<Utc>>,
    /// Up to this moment.
    pub(crate) until: Option<DateTime<Utc>>,
}

/// Counts a batch, once.
///
/// # Errors
/// Those of the database; nothing was counted then.
pub(crate) async fn take_in_access(db: &Db, batch: AccessBatch) -> Result<AccessReceipt, db::Error> {
    db.transaction::<_, db::Error>(move |conn| {
        let counted = store::audit::is_new_batch(conn, batch.id)?;
        if counted {
            store::audit::add_access(conn, &batch)?;
            store::usage::add(conn, &batch.counts)?;
        }
        Ok(AccessReceipt { counted })
    })
    .await
}

/// A page of the log, the newest first, and how many rows match.
///
/// # Errors
/// Those of the database.
pub(crate) async fn page(db: &Db, filter: Filter, limit: i64, offset: i64) -> Result<(Vec<Row>, i64), db::Error> {
    db.run(move |conn| Ok(store::audit::list::page(conn, &filter, limit, offset)?)).await
}

/// The number of the newest row.
///
/// # Errors
/// Those of the database.
pub(crate) async fn newest(db: &Db) -> Result<i64, db::Error> {
    db.run(|conn| Ok(store::audit::head(conn)?.0)).await
}

/// The next rows that match, oldest first, after one and up to one.
///
/// # Errors
/// Those of the database.
pub(crate) async fn next(
    db: &Db,
    filter: Arc<Filter>,
    (after, upto): (i64, i64),
    limit: i64,
) -> Result<Vec<Row>, db::Error> {
    db.run(move |conn| Ok(store::audit::list::next(conn, &filter, (after, upto), limit)?)).await
}

/// Says in the log what was counted beside it; returns how many rows that made.
///
/// # Errors
/// Those of the database.
pub(crate) async fn settle(db: &Db, now: DateTime<Utc>) -> Result<usize, db::Error> {
    db.transaction::<_, db::Error>(move |conn| Ok(store::audit::settle(conn, now, GRACE)?)).await
}

/// Lets go of what is known only to count nothing twice.
///
/// # Errors
/// Those of the database.
pub(crate) async fn forget(db: &Db) -> Result<(), db::Error> {
    db.transaction::<_, db::Error>(|conn| {
        store::audit::forget_batches(conn, KNOWN_HOURS)?;
        store::audit::forget_uses(conn, KNOWN_HOURS)?;
        Ok(())
    })
    .await
}

/// How letting go of old rows went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// So many rows went, and there may be more.
    Removed(usize),
    /// Nothing is old enough.
    Nothing,
    /// The chain is broken at this row: nothing goes, so that what happened can still be found out.
    Broken(i64),
    /// The newest checkpoint, at this row, was not signed with the secret of this process.
    Unsigned(i64),
}

/// Lets go of some rows from before `AUDIT_RETENTION_DAYS` ago, and leaves a signed checkpoint in their place.
///
/// # Errors
/// Those of the database; nothing was removed then.
pub(crate) async fn cut(app: &App, now: DateTime<Utc>) -> Result<Cut, db::Error> {
    let key = SignKey::derive(app.platform.jwt_secret(), SIGNED_FOR);
    let now = now.trunc_subsecs(3);
    let before = now - TimeDelta::days(i64::from(app.config.audit_retention_days));
    app.db.transaction::<_, db::Error>(move |conn| Ok(store::audit::cut::cut(conn, &key, before, now)?)).await
}
