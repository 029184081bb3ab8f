//! Queries, one function each; they take a connection and leave transactions to the caller.

pub(crate) mod audit;
pub(crate) mod bootstrap;
pub(crate) mod events;
pub(crate) mod intake;
pub(crate) mod keys;
mod schema;
pub(crate) mod usage;
pub(crate) mod users;
pub(crate) mod webhooks;

use diesel::result::DatabaseErrorKind;

use crate::domain;

/// A connection, for rules that write within somebody's transaction.
pub(crate) type Conn = diesel::PgConnection;
/// Why a statement failed.
pub(crate) type QueryError = diesel::result::Error;

impl From<QueryError> for domain::keys::Error {
    fn from(error: QueryError) -> Self {
        Self::Store(error.into())
    }
}

impl From<QueryError> for domain::users::Error {
    fn from(error: QueryError) -> Self {
        if let QueryError::DatabaseError(DatabaseErrorKind::UniqueViolation, information) = &error {
            let field = match information.constraint_name() {
                Some("users_username") => Some("username"),
                Some("users_email") => Some("email"),
                _ => None,
            };
            if let Some(field) = field {
                // Who knows what was to be stored says what it was.
                return Self::Taken { field, value: String::new() };
            }
        }
        Self::Store(error.into())
    }
}

impl From<QueryError> for domain::webhooks::subscribing::Error {
    fn from(error: QueryError) -> Self {
        Self::Store(error.into())
    }
}
