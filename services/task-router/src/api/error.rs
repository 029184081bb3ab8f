//! Which rule broken is which answer.

use api_core::error::{ApiError, detail};
use api_types::{ains::AinsCode, error::Code};

use crate::error::Error;

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match error {
            Error::NoWorker(_) => Self::new(Code::ResourceNotFound, message).ains(AinsCode::AgentNotFound),
            Error::NoTask(_) => Self::new(Code::ResourceNotFound, message).ains(AinsCode::TaskNotFound),
            Error::WorkerExists(_) => Self::new(Code::DuplicateResource, message).ains(AinsCode::AgentAlreadyExists),
            Error::WorkerInactive(_) => Self::new(Code::ResourceConflict, message).ains(AinsCode::AgentInactive),
            Error::Forbidden(_) => Self::new(Code::ForbiddenResource, message).ains(AinsCode::InsufficientPermissions),
            Error::Conflict { status, attempt, .. } => Self::new(Code::ResourceConflict, message)
                .ains(AinsCode::TaskStateConflict)
                .extra("status", status.as_str())
                .extra("attempt", attempt),
            Error::NotCancellable(status) => Self::new(Code::ResourceConflict, message)
                .ains(AinsCode::TaskNotCancellable)
                .extra("status", status.as_str()),
            Error::NoDependency(missing) => no_dependency(message, missing),
            Error::NoCapacity => Self::unavailable(&message).ains(AinsCode::InsufficientCapacity),
            Error::Full => Self::unavailable(&message).ains(AinsCode::InsufficientCapacity).retry_after(5),
            Error::Query(error) => error.into(),
            Error::Unavailable(error) => error.into(),
            Error::Seal(error) => Self::internal(error),
        }
    }
}

fn no_dependency(message: String, missing: Vec<String>) -> ApiError {
    let mut to_blame = detail(Code::InvalidRange, "depends_on", &message);
    AinsCode::DependencyNotFound.as_str().clone_into(&mut to_blame.code);
    ApiError::new(Code::InvalidRange, message)
        .ains(AinsCode::DependencyNotFound)
        .with_detail(to_blame)
        .extra("missing", missing)
}
