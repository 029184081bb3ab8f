//! Why something could not be done.

use api_core::db::{self, Unavailable};
use diesel::result::Error as QueryError;

use crate::{domain::state::State, engine::Lost};

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("Agent '{0}' not found")]
    NoWorker(String),
    #[error("Task '{0}' not found")]
    NoTask(String),
    #[error("Agent '{0}' already exists")]
    WorkerExists(String),
    #[error("Agent '{0}' is inactive")]
    WorkerInactive(String),
    #[error("{0}")]
    Forbidden(&'static str),
    #[error("{message}")]
    Conflict { message: String, status: State, attempt: i32 },
    #[error("The task has ended as {}", .0.as_str())]
    NotCancellable(State),
    #[error("Dependencies not found: {}", .0.join(", "))]
    NoDependency(Vec<String>),
    #[error("No agent can take a task of this capability now")]
    NoCapacity,
    #[error("Too many tasks wait already, try again in a moment")]
    Full,
    #[error("a statement failed")]
    Query(#[from] QueryError),
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    #[error("a secret cannot be kept")]
    Seal(#[from] api_core::seal::SealError),
}

impl Lost for Error {
    fn is_lost(&self) -> bool {
        matches!(self, Self::Query(error) if error.is_lost())
    }
}

impl From<db::Error> for Error {
    fn from(error: db::Error) -> Self {
        match error {
            db::Error::Query(error) => error.into(),
            db::Error::Unavailable(error) => error.into(),
        }
    }
}
