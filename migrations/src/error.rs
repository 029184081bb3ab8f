//! What can go wrong. Each says in one line what to do, since it is what an operator sees.

use std::error;

use diesel::{ConnectionError, result};

use crate::Service;

/// Why the database could not be prepared.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is not a URL of PostgreSQL's.
    #[error("DATABASE_URL must begin with postgres:// or postgresql://")]
    Url,
    /// A name that no service has.
    #[error("there is no service {0:?} with a schema")]
    UnknownService(String),
    /// No connection.
    #[error("cannot connect to the database: {0}")]
    Connect(#[from] ConnectionError),
    /// The server is too old.
    #[error("the database server is PostgreSQL {0}; Imago needs 15 or newer")]
    TooOld(i32),
    /// The server has no pgvector.
    #[error("the database server has no pgvector: install it there (0.5 or newer), the extension is called `vector`")]
    NoVector,
    /// pgvector has no HNSW indexes yet.
    #[error("the database has pgvector {0}; Imago needs 0.5 or newer: ALTER EXTENSION vector UPDATE")]
    VectorTooOld(String),
    /// pgvector is where the services do not look.
    #[error("pgvector is in the schema {0:?} and must be in public: ALTER EXTENSION vector SET SCHEMA public")]
    VectorElsewhere(String),
    /// The administrator is none.
    #[error("the database user may not {what} ({reason}): let an administrator run it once: {remedy}")]
    Refused {
        /// What was tried.
        what: String,
        /// The server's words.
        reason: String,
        /// The statement to run.
        remedy: String,
    },
    /// A migration failed; its own changes were taken back.
    #[error("a migration of {service} failed: {source}")]
    Migration {
        /// Whose.
        service: Service,
        /// Which, and why.
        source: Box<dyn error::Error + Send + Sync>,
    },
    /// A statement failed.
    #[error("the database could not be prepared: {0}")]
    Query(#[from] result::Error),
}
