//! Why something was not done.

use api_core::db::{self, Unavailable};
use api_types::{agents::BuildError, error::Code};
use serde::{Deserialize, Serialize};

use super::ports::Fault;
use crate::store::QueryError;

/// How long until it may be worth trying again when a builder is away.
const RETRY_AFTER_S: u64 = 30;

/// Why a build failed: what a waiting caller is answered, and what the agent's record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) code: Code,
    pub(crate) message: String,
    pub(crate) more: More,
}

/// What an answer says beyond code and message.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct More {
    /// The HTTP status: the same text can be the code of two.
    pub(crate) status: u16,
    /// Who is to blame.
    pub(crate) field: Option<String>,
    pub(crate) suggestions: Vec<String>,
}

impl Failure {
    fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), more: More { status: code.status(), ..More::default() } }
    }

    /// Something unforeseen; the log knows more.
    pub(crate) fn internal() -> Self {
        Self::new(Code::InternalError, "Internal server error")
    }

    /// As it was stored.
    pub(crate) fn stored(error: BuildError, more: More) -> Self {
        match Code::from_wire(more.status, &error.code) {
            Some(code) => Self { code, message: error.message, more },
            None => Self::internal(),
        }
    }

    pub(crate) fn retry_after_s(&self) -> Option<u64> {
        (self.code.status() == 502).then_some(RETRY_AFTER_S)
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        let (failure, field) = match fault {
            Fault::Unavailable(builder) => {
                (Self::new(Code::UpstreamUnavailable, "Failed to connect to builder service"), builder.field())
            }
            Fault::Timeout(builder) => (Self::new(Code::UpstreamTimeout, "Builder service timed out"), builder.field()),
            // Whatever field of its own the builder names, the occupation is what the caller can change.
            Fault::Refused { code, message, suggestions } => {
                let mut failure = Self::new(code, message);
                failure.more.suggestions = suggestions;
                (failure, "role_model.occupation")
            }
        };
        Self { more: More { field: Some(field.to_owned()), ..failure.more }, ..failure }
    }
}

/// Why a request was not served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("there is no agent {0}")]
    NotFound(String),
    #[error("there is an agent {0} already")]
    Duplicate(String),
    #[error("agent {0} is being built")]
    Building(String),
    #[error("agent {0} was deleted while it was built")]
    Deleted(String),
    #[error("the merged role model is too large")]
    RoleModelTooLarge,
    #[error("{}", .0.message)]
    Failed(Failure),
    #[error("a statement failed")]
    Query(#[from] QueryError),
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    #[error("a stored value cannot be read or written")]
    Json(#[from] serde_json::Error),
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Self::Failed(fault.into())
    }
}

impl From<db::Error> for Error {
    fn from(error: db::Error) -> Self {
        match error {
            db::Error::Query(error) => Self::Query(error),
            db::Error::Unavailable(error) => Self::Unavailable(error),
        }
    }
}
