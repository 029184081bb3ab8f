//! Why a key is not made, read or changed.

use api_core::db::{self, Unavailable};

use crate::domain::grants::Refused;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("API keys already initialized")]
    AlreadyInitialized,
    #[error("The bootstrap token is not valid")]
    WrongToken,
    #[error("there is no key '{0}'")]
    NotFound(String),
    #[error("The last active administrator key cannot be {0}")]
    LastAdministrator(&'static str),
    #[error("The key is no longer good, so it gets no other secret")]
    NoLongerGood,
    #[error(transparent)]
    Store(#[from] db::Error),
}

impl From<Unavailable> for Error {
    fn from(error: Unavailable) -> Self {
        Self::Store(error.into())
    }
}
