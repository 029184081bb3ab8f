//! The way to Postgres.

use std::{cell::Cell, error::Error as StdError, fmt, sync::Arc, time::Duration};

use actix_web::web;
use diesel::{
    Connection as _, PgConnection,
    r2d2::{ConnectionManager, Pool},
};
use tokio::{
    sync::{Notify, Semaphore},
    time::timeout,
};
use tracing::Span;

use crate::context;

/// How long a request may wait for a connection before it is told to come back later.
const WAIT: Duration = Duration::from_secs(2);

/// No connection came free in time, or Postgres is away; the caller may try again.
#[derive(Debug, thiserror::Error)]
#[error("no database connection")]
pub struct Unavailable(#[source] anyhow::Error);

/// Why the database did not do its work; for code that has no other reasons to fail.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("a statement failed")]
    Query(#[from] diesel::result::Error),
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl Error {
    /// Whether Postgres itself is away, rather than having refused the statement.
    #[must_use]
    pub fn is_connection_loss(&self) -> bool {
        match self {
            Self::Query(error) => is_connection_loss(error),
            Self::Unavailable(_) => true,
        }
    }
}

/// A pool of connections, with a queue in front of it that is first come, first served.
#[derive(Clone)]
pub struct Db {
    pool: Pool<ConnectionManager<PgConnection>>,
    turns: Arc<Semaphore>,
    /// Events have come into the outbox.
    events: Arc<Notify>,
}

thread_local! {
    /// Whether the work on this thread has put an event into the outbox.
    static HAS_EVENT: Cell<bool> = const { Cell::new(false) };
}

/// Says that the work on this thread has put an event into the outbox, for the relay to be woken once it is committed.
pub(crate) fn note_event() {
    HAS_EVENT.set(true);
}

impl Db {
    /// A pool of at most `size` connections that opens its first one when it is first used.
    #[must_use]
    pub fn lazy(url: &str, size: u32) -> Self {
        let pool = Pool::builder()
            .max_size(size)
            .min_idle(Some(0))
            .test_on_check_out(false) // Saves a round trip; a broken connection is dropped when it comes back.
            .connection_timeout(WAIT)
            .build_unchecked(ConnectionManager::new(url));
        Self { pool, turns: Arc::new(Semaphore::new(size as usize)), events: Arc::default() }
    }

    /// Runs `work` in one transaction on one connection, off the worker thread.
    ///
    /// `work` is a plain closure, so it cannot wait for the network while it holds the connection.
    ///
    /// # Errors
    /// Those of `work`; [`Unavailable`] when no connection came free in time.
    pub async fn transaction<T, E>(
        &self,
        work: impl FnOnce(&mut PgConnection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<diesel::result::Error> + From<Unavailable> + Send + 'static,
    {
        self.run(|conn| conn.transaction(|conn| work(conn))).await
    }

    /// Runs `work` without a transaction around it: for single statements, where BEGIN and COMMIT are two round trips too many.
    ///
    /// # Errors
    /// Those of `work`; [`Unavailable`] when no connection came free in time.
    pub async fn run<T, E>(&self, work: impl FnOnce(&mut PgConnection) -> Result<T, E> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<diesel::result::Error> + From<Unavailable> + Send + 'static,
    {
        // Wait for a turn here, not in a blocking thread: r2d2 does not queue fairly.
        let turn =
            timeout(WAIT, Arc::clone(&self.turns).acquire_owned()).await.map_err(unavailable)?.map_err(unavailable)?;
        let (pool, events) = (self.pool.clone(), Arc::clone(&self.events));
        let (span, request) = (Span::current(), context::current());
        #[expect(clippy::disallowed_methods, reason = "this is the one place")]
        web::block(move || -> Result<T, E> {
            let _turn = turn; // Held until the query is over, even if the client has gone.
            let mut conn = pool.get().map_err(unavailable)?;
            HAS_EVENT.set(false);
            let done = context::scope_blocking(request, || span.in_scope(|| work(&mut conn)));
            if HAS_EVENT.take() && done.is_ok() {
                events.notify_one();
            }
            done
        })
        .await
        .map_err(unavailable)?
    }

    /// Returns when an event was committed through this pool since this was last asked. For one relay a pool.
    pub async fn event_noted(&self) {
        self.events.notified().await;
    }
}

fn unavailable(source: impl StdError + Send + Sync + 'static) -> Unavailable {
    Unavailable(source.into())
}

impl fmt::Debug for Db {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Db").field("free", &self.turns.available_permits()).finish_non_exhaustive()
    }
}

/// Whether Postgres itself is away, rather than having refused the statement.
#[must_use]
pub fn is_connection_loss(error: &diesel::result::Error) -> bool {
    use diesel::result::{DatabaseErrorKind, Error};
    match error {
        Error::BrokenTransactionManager => true,
        Error::DatabaseError(DatabaseErrorKind::ClosedConnection, _) => true,
        // libpq says this when the server went away in the middle; diesel has no kind for it.
        Error::DatabaseError(DatabaseErrorKind::Unknown, information) => {
            let message = information.message();
            [
                "terminating connection",
                "server closed the connection",
                "the database system is",
                "no connection to the server",
                "could not send",
                "could not receive",
            ]
            .iter()
            .any(|sign| message.contains(sign))
        }
        Error::RollbackErrorOnCommit { rollback_error, commit_error } => {
            is_connection_loss(rollback_error) || is_connection_loss(commit_error)
        }
        _ => false,
    }
}
