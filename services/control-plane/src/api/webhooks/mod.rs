//! Webhooks at the three doors that have them.

pub(super) mod ains;
mod input;
pub(super) mod internal;
pub(super) mod native;

use api_core::error::ApiError;
use api_types::{ains::AinsCode, error::Code};

use crate::domain::webhooks::{Door, subscribing::Error};

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound(id) => Self::not_found("Webhook", &id),
            Error::NoDelivery(id) => Self::not_found("Delivery", &id),
            Error::TooMany { door: Door::Ains, limit } => {
                Self::unavailable(&error.to_string()).ains(AinsCode::InsufficientCapacity).extra("limit", limit)
            }
            Error::TooMany { .. } | Error::Outdated { .. } => Self::new(Code::ResourceConflict, error.to_string()),
            Error::NotForYou => Self::new(Code::InsufficientPermissions, error.to_string()),
            Error::Seal(error) => Self::internal(error),
            Error::Store(error) => error.into(),
        }
    }
}
