//! Queries, one function each; they take a connection and leave transactions to the caller.

pub(crate) mod bootstrap;
pub(crate) mod events;
pub(crate) mod intake;
pub(crate) mod keys;
mod schema;
pub(crate) mod usage;
pub(crate) mod webhooks;

use crate::domain;

/// A connection, for rules that write within somebody's transaction.
pub(crate) type Conn = diesel::PgConnection;
/// Why a statement failed.
pub(crate) type QueryError = diesel::result::Error;

impl From<diesel::result::Error> for domain::keys::Error {
    fn from(error: diesel::result::Error) -> Self {
        Self::Store(error.into())
    }
}

impl From<diesel::result::Error> for domain::webhooks::subscribing::Error {
    fn from(error: diesel::result::Error) -> Self {
        Self::Store(error.into())
    }
}
