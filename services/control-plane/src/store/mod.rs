//! Queries, one function each; they take a connection and leave transactions to the caller.

pub(crate) mod bootstrap;
pub(crate) mod events;
pub(crate) mod keys;
mod schema;
pub(crate) mod usage;

use crate::domain;

impl From<diesel::result::Error> for domain::keys::Error {
    fn from(error: diesel::result::Error) -> Self {
        Self::Store(error.into())
    }
}
