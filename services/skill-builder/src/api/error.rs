//! Where the service's errors meet status codes.

use api_core::error::ApiError;
use api_types::error::Code;

use crate::app::Error;

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        match error {
            Error::NoSet(id) => Self::not_found("Skill", &id),
            Error::NoMatch { occupation, nearest } => no_match(&occupation, nearest),
            Error::NoOccupation => {
                let message = "occupation_uri is not an occupation of the taxonomy";
                Self::field(Code::InvalidFormat, "occupation_uri", message)
            }
            Error::NoTaxonomy => Self::unavailable("The taxonomy is not in place yet, try again in a moment"),
            Error::Embedding(error) if error.is_transient() => {
                Self::unavailable("The embedding model is busy, try again in a moment").caused_by(error)
            }
            Error::Embedding(error) => Self::internal(error),
            Error::Task(error) => Self::internal(error),
            Error::Db(error) => error.into(),
        }
    }
}

fn no_match(occupation: &str, nearest: Vec<String>) -> ApiError {
    let message = format!("No occupation matches '{occupation}' and there is nothing else to derive skills from");
    let mut error = ApiError::field(Code::NoOccupationMatch, "occupation", message);
    for label in nearest {
        error = error.suggest(format!("Use the occupation '{label}'"));
    }
    error.suggest("Send a corpus_text that tells of the skills")
}
