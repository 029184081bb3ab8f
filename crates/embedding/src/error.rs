//! What can go wrong while turning text into vectors.
//!
//! The `Display` texts are fit for any reader: they never carry a path, an address or an answer
//! of a remote service. Those stand in the `source` chain, which is for the log.

use std::error::Error as StdError;
use std::sync::Arc;

/// A cause, shared because one failed batch is reported to everybody who waited for it.
pub type Source = Arc<dyn StdError + Send + Sync>;

/// Why no vectors came back.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The model's files are missing or malformed. Tried again with every request.
    #[error("the embedding model could not be loaded")]
    Load(#[source] Source),
    /// The model was loaded but failed on these texts.
    #[error("the embedding model failed")]
    Model(#[source] Source),
    /// The embedding service did not give a usable answer.
    #[error("the embedding service {problem}")]
    Remote {
        problem: RemoteProblem,
        #[source]
        source: Option<Source>,
    },
    /// No room in the queue within the time a caller of this priority waits. Worth a retry.
    #[error("too many texts are waiting to be embedded")]
    Overloaded,
    /// The worker threads have ended.
    #[error("the embedding workers have stopped")]
    Stopped,
}

impl Error {
    /// Whether the same call may well succeed a little later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Overloaded => true,
            Self::Remote { problem, .. } => problem.is_transient(),
            Self::Load(_) | Self::Model(_) | Self::Stopped => false,
        }
    }
}

/// How an embedding service failed us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RemoteProblem {
    #[error("cannot be reached")]
    Unreachable,
    #[error("did not answer in time")]
    TimedOut,
    #[error("answered with status {0}")]
    Status(u16),
    #[error("gave an unusable answer: {0}")]
    BadAnswer(&'static str),
}

impl RemoteProblem {
    fn is_transient(self) -> bool {
        match self {
            Self::Unreachable | Self::TimedOut => true,
            Self::Status(status) => status == 429 || status >= 500,
            Self::BadAnswer(_) => false,
        }
    }
}
