//! Where the service's errors meet status codes.

use api_core::error::ApiError;
use api_types::error::Code;

use crate::{app::Error, domain::extract};

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        match error {
            Error::NoRecord(id) => Self::not_found("Knowledge", &id),
            Error::NoEntity(id) => Self::new(Code::ResourceNotFound, format!("No knowledge found for entity '{id}'")),
            Error::NoDocument(id) => Self::not_found("Document", &id),
            Error::UnknownDocument { field } => {
                Self::field(Code::InvalidFormat, &field, format!("{field} names no document"))
            }
            Error::Unreadable { reason: extract::Error::Busy, .. } => {
                Self::unavailable("Too many documents are being read, try again in a moment")
            }
            Error::Unreadable { field, reason } => {
                Self::field(Code::InvalidFormat, &field, format!("{field} cannot be used: {reason}"))
            }
            Error::TurnLost => {
                Self::unavailable("Another request for this entity came in between, try again in a moment")
            }
            Error::Embedding(error) if error.is_transient() => {
                Self::unavailable("The embedding model is busy, try again in a moment").caused_by(error)
            }
            Error::Embedding(error) => Self::internal(error),
            Error::Task(error) => Self::internal(error),
            Error::Db(error) => error.into(),
        }
    }
}
