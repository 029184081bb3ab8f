//! Which rule broken is which answer.

use api_core::error::ApiError;
use api_types::error::Code;

use crate::domain::{
    events::{live, report},
    keys, users,
};

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

impl From<report::Error> for ApiError {
    fn from(error: report::Error) -> Self {
        match error {
            report::Error::OwnFamily(_) => Self::new(Code::ForbiddenResource, error.to_string()),
            report::Error::Store(error) => error.into(),
        }
    }
}

impl From<live::Error> for ApiError {
    fn from(error: live::Error) -> Self {
        match error {
            live::Error::Full => Self::unavailable(&error.to_string()),
            live::Error::Store(error) => error.into(),
        }
    }
}

impl From<users::Error> for ApiError {
    fn from(error: users::Error) -> Self {
        use users::Error;
        let message = error.to_string();
        match error {
            Error::InvalidCredentials => Self::new(Code::InvalidCredentials, message),
            Error::Throttled { retry_after_s } => Self::new(Code::TooManyRequests, message).retry_after(retry_after_s),
            Error::MayNotRegister => Self::new(Code::InsufficientPermissions, message),
            Error::Taken { field, .. } => Self::field(Code::DuplicateResource, field, format!("{field} {message}")),
            Error::NotFound(id) => Self::not_found("User", &id),
            Error::NoUser | Error::Outdated { .. } | Error::LastAdministrator => {
                Self::new(Code::ResourceConflict, message)
            }
            Error::WrongPassword => Self::field(Code::InvalidFormat, "current_password", message),
            Error::InvalidToken => Self::new(Code::InvalidToken, message),
            Error::ExpiredToken => Self::new(Code::ExpiredToken, message),
            Error::RevokedToken => Self::new(Code::RevokedToken, message),
            Error::Busy => Self::unavailable(&message),
            Error::Hash(source) | Error::Sign(source) => Self::internal(source),
            Error::Store(error) => error.into(),
        }
    }
}
