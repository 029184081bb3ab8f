//! Which rule broken is which answer.

use api_core::error::{ApiError, detail};
use api_types::error::Code;

use crate::domain::{Error, Failure};

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound(id) => Self::not_found("Agent", &id),
            Error::Duplicate(id) => Self::new(Code::DuplicateResource, format!("Agent with id '{id}' already exists"))
                .suggest("Use a different agent_id")
                .suggest(format!("Update existing agent with PATCH /api/v1/agents/{id}")),
            Error::Building(id) => Self::new(Code::ResourceConflict, format!("A build of agent '{id}' is running")),
            Error::Deleted(id) => {
                Self::new(Code::ResourceConflict, format!("Agent '{id}' was deleted while it was built"))
            }
            Error::RoleModelTooLarge => {
                Self::field(Code::InvalidRange, "role_model", "role_model must have at most 65536 bytes")
            }
            Error::Failed(failure) => failure.into(),
            Error::Query(error) => error.into(),
            Error::Unavailable(error) => error.into(),
            Error::Json(error) => Self::internal(error),
        }
    }
}

impl From<Failure> for ApiError {
    fn from(failure: Failure) -> Self {
        let mut error = Self::new(failure.code, failure.message.clone());
        if let Some(seconds) = failure.retry_after_s() {
            error = error.retry_after(seconds);
        }
        if let Some(field) = &failure.more.field {
            error = error.with_detail(detail(failure.code, field, &failure.message));
        }
        failure.more.suggestions.into_iter().fold(error, ApiError::suggest)
    }
}
