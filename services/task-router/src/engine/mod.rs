//! Transitions as transactions: rows are held, the rules decide, and everything that comes of it is written together.

mod batch;
mod cascade;

pub(crate) use batch::{After, Batch, With};

use api_core::db::{self, Db, Unavailable};
use diesel::result::{DatabaseErrorKind, Error as QueryError};

use crate::store::Conn;

/// How often a transaction is tried that another one got in the way of.
const TRIES: usize = 5;

/// Runs `work` in a transaction, again when it lost against another: to a deadlock, or since a row was no more as it had
/// been read.
///
/// # Errors
/// Those of `work`.
pub(crate) async fn transact<T, E>(
    db: &Db,
    work: impl Fn(&mut Conn) -> Result<T, E> + Clone + Send + 'static,
) -> Result<T, E>
where
    T: Send + 'static,
    E: From<QueryError> + From<Unavailable> + Lost + Send + 'static,
{
    let mut tries = 1;
    loop {
        let work = work.clone();
        match db.transaction(move |conn| work(conn)).await {
            Err(error) if error.is_lost() && tries < TRIES => tries += 1,
            other => return other,
        }
    }
}

/// Errors after which the same transaction may succeed.
pub(crate) trait Lost {
    fn is_lost(&self) -> bool;
}

impl Lost for QueryError {
    fn is_lost(&self) -> bool {
        match self {
            // What `Batch` says when a row was no more as it had been read.
            Self::RollbackTransaction => true,
            Self::DatabaseError(DatabaseErrorKind::SerializationFailure, _) => true,
            // diesel has no kind for a deadlock.
            Self::DatabaseError(DatabaseErrorKind::Unknown, information) => {
                information.message().contains("deadlock detected")
            }
            _ => false,
        }
    }
}

impl Lost for db::Error {
    fn is_lost(&self) -> bool {
        match self {
            Self::Query(error) => error.is_lost(),
            Self::Unavailable(_) => false,
        }
    }
}
