//! Callers who wait for a build.
//!
//! A build tells the waiters of its own process at once. Its outcome is also in the database, where waiters look now and then, so
//! that it does not matter which process carries the build out. The other way round, a waiter keeps saying in the database that
//! it waits: whether anybody does decides what becomes of an agent whose first build fails.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use api_core::db::Db;
use api_types::agents::BuildStatus;
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};
use uuid::Uuid;

use super::{Error, Failure, builds::Standing};
use crate::store;

/// How often to look for the outcome of a build in another process.
const LOOK: Duration = Duration::from_millis(500);
/// How often to say that somebody still waits; well within the time for which it is believed.
const RENEW: Duration = Duration::from_secs(5);
/// How long to go on waiting once the process stops: until after it has given its builds away.
const STOPPING: Duration = Duration::from_secs(6);

/// How a wait ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ended {
    Completed,
    Failed(Failure),
    Cancelled,
    /// It goes on without anybody waiting.
    StillRunning,
}

/// The builds of this process's waiters.
#[derive(Debug, Clone, Default)]
pub(crate) struct Waiters(Arc<Mutex<HashMap<Uuid, Arc<Notify>>>>);

impl Waiters {
    /// Begins to wait; to be called before the build can end.
    pub(crate) fn wait_for(&self, db: &Db, build_id: Uuid) -> Waiting {
        let ended = Arc::new(Notify::new());
        self.lock().insert(build_id, Arc::clone(&ended));
        Waiting { db: db.clone(), waiters: self.clone(), build_id, ended, is_over: false }
    }

    /// Tells whoever waits here that the build has ended.
    pub(crate) fn ended(&self, build_id: Uuid) {
        if let Some(ended) = self.lock().get(&build_id) {
            ended.notify_one();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Uuid, Arc<Notify>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who waits for a build. Dropped when they have gone, which is then said in the database.
#[derive(Debug)]
pub(crate) struct Waiting {
    db: Db,
    waiters: Waiters,
    build_id: Uuid,
    ended: Arc<Notify>,
    is_over: bool,
}

impl Waiting {
    /// There is nothing to wait for after all.
    pub(crate) fn give_up(mut self) {
        self.is_over = true;
    }

    /// Waits until the build ends, but not beyond `until`, and not much longer than until the process stops.
    pub(crate) async fn outcome(mut self, mut until: Instant, is_stopping: impl Fn() -> bool) -> Result<Ended, Error> {
        let mut renewed_at = Instant::now();
        let mut was_stopping = false;
        loop {
            if !was_stopping && is_stopping() {
                was_stopping = true;
                until = until.min(Instant::now() + STOPPING);
            }
            let left = until.saturating_duration_since(Instant::now());
            // Either way it is time to look.
            drop(timeout(LOOK.min(left), self.ended.notified()).await);
            let is_overdue = Instant::now() >= until;
            let is_renewal = renewed_at.elapsed() >= RENEW;
            if is_renewal {
                renewed_at = Instant::now();
            }
            match self.look(is_overdue, is_renewal).await {
                Ok(standing) => {
                    if let Some(ended) = ended(standing, is_overdue) {
                        self.is_over = true;
                        return Ok(ended);
                    }
                }
                Err(error) if is_overdue => return Err(error),
                Err(error) => tracing::warn!(error = %error, "the build's outcome cannot be read, trying again"),
            }
        }
    }

    async fn look(&self, is_overdue: bool, is_renewal: bool) -> Result<Option<Standing>, Error> {
        let build_id = self.build_id;
        self.db
            .run(move |conn| {
                Ok(if is_overdue || is_renewal {
                    store::builds::set_awaited(conn, build_id, !is_overdue)?
                } else {
                    store::builds::look(conn, build_id)?
                })
            })
            .await
    }
}

fn ended(standing: Option<Standing>, is_overdue: bool) -> Option<Ended> {
    let Some(standing) = standing else { return Some(Ended::Cancelled) };
    match standing.status {
        BuildStatus::Completed => Some(Ended::Completed),
        BuildStatus::Failed => Some(Ended::Failed(standing.failure.unwrap_or_else(Failure::internal))),
        BuildStatus::Cancelled => Some(Ended::Cancelled),
        BuildStatus::Queued | BuildStatus::Running => is_overdue.then_some(Ended::StillRunning),
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.waiters.lock().remove(&self.build_id);
        if self.is_over {
            return;
        }
        let (db, build_id) = (self.db.clone(), self.build_id);
        let leave = async move {
            let left = db.run::<_, Error>(move |conn| Ok(store::builds::set_awaited(conn, build_id, false)?)).await;
            if let Err(error) = left {
                tracing::debug!(error = %error, "nobody waits any more, which shows by itself in a moment");
            }
        };
        // Without a runtime the process is about to end, and with it our saying that somebody waits.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(leave);
        }
    }
}
