//! Which rule broken is which answer.

use api_core::error::ApiError;
use api_types::error::Code;

use crate::domain::keys;

impl From<keys::Error> for ApiError {
    fn from(error: keys::Error) -> Self {
        match error {
            keys::Error::Refused(refused) => Self::new(Code::ForbiddenResource, refused.to_string()),
            keys::Error::WrongToken => Self::new(Code::ForbiddenResource, error.to_string()),
            keys::Error::AlreadyInitialized => Self::new(Code::DuplicateResource, error.to_string()),
            keys::Error::LastAdministrator(_) | keys::Error::NoLongerGood => {
                Self::new(Code::ResourceConflict, error.to_string())
            }
            keys::Error::NotFound(id) => Self::not_found("Key", &id),
            keys::Error::Store(error) => error.into(),
        }
    }
}
