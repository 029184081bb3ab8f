//! The edge between our errors and HTTP.

use std::fmt;

use actix_web::{
    HttpResponse, HttpResponseBuilder, ResponseError,
    http::{StatusCode, header},
};
use api_client::ClientError;
use api_types::{
    ains::AinsCode,
    error::{Code, Detail},
};
use serde_json::{Map, Value};

use crate::{
    context,
    db::{self, Unavailable, is_connection_loss},
};

/// An error as its caller gets it, with the cause that only the log gets.
pub struct ApiError(Box<Parts>);

struct Parts {
    code: Code,
    message: String,
    details: Vec<Detail>,
    retry_after_s: Option<u64>,
    suggestions: Vec<String>,
    allow: Option<String>,
    /// What the AINS door answers in place of `code`.
    ains: Option<AinsCode>,
    /// What doors with room for it tell beside the message.
    extras: Map<String, Value>,
    source: Option<anyhow::Error>,
}

impl ApiError {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            code,
            message: message.into(),
            details: Vec::new(),
            retry_after_s: None,
            suggestions: Vec::new(),
            allow: None,
            ains: None,
            extras: Map::new(),
            source: None,
        }))
    }

    /// One field is to blame.
    pub fn field(code: Code, field: &str, message: impl Into<String>) -> Self {
        let message = message.into();
        let detail = detail(code, field, &message);
        let mut error = Self::new(code, message);
        error.0.details.push(detail);
        error
    }

    /// Several fields are to blame; code and message are those of the first.
    #[must_use]
    pub fn fields(details: Vec<(Code, Detail)>) -> Option<Self> {
        let (code, first) = details.first()?;
        let mut error = Self::new(*code, first.message.clone());
        error.0.details = details.into_iter().map(|(_, detail)| detail).collect();
        Some(error)
    }

    /// `Agent 'x' not found`
    pub fn not_found(what: &str, id: &str) -> Self {
        Self::new(Code::ResourceNotFound, format!("{what} '{id}' not found"))
    }

    /// Something unforeseen: a constant text for the caller, the cause for the log.
    pub fn internal(source: impl Into<anyhow::Error>) -> Self {
        Self::new(Code::InternalError, "Internal server error").caused_by(source)
    }

    /// We cannot serve now; the caller may try again in a moment.
    #[must_use]
    pub fn unavailable(message: &str) -> Self {
        Self::new(Code::ServiceUnavailable, message).retry_after(1)
    }

    #[must_use]
    pub fn caused_by(mut self, source: impl Into<anyhow::Error>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    #[must_use]
    pub fn with_detail(mut self, detail: Detail) -> Self {
        self.0.details.push(detail);
        self
    }

    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.0.retry_after_s = Some(seconds);
        self
    }

    #[must_use]
    pub fn suggest(mut self, suggestion: impl Into<String>) -> Self {
        self.0.suggestions.push(suggestion.into());
        self
    }

    /// The `Allow` header of a 405.
    #[must_use]
    pub fn allow(mut self, methods: String) -> Self {
        self.0.allow = Some(methods);
        self
    }

    /// What the AINS door answers, where the code alone does not tell.
    #[must_use]
    pub fn ains(mut self, code: AinsCode) -> Self {
        self.0.ains = Some(code);
        self
    }

    /// Adds an entry to the `details` of doors where they are an object.
    #[must_use]
    pub fn extra(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.extras.insert(name.to_owned(), value.into());
        self
    }

    #[must_use]
    pub fn code(&self) -> Code {
        self.0.code
    }

    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    #[must_use]
    pub fn details(&self) -> &[Detail] {
        &self.0.details
    }

    #[must_use]
    pub fn suggestions(&self) -> &[String] {
        &self.0.suggestions
    }

    pub(crate) fn retry_after_s(&self) -> Option<u64> {
        self.0.retry_after_s
    }

    pub(crate) fn ains_code(&self) -> Option<AinsCode> {
        self.0.ains
    }

    pub(crate) fn extras(&self) -> &Map<String, Value> {
        &self.0.extras
    }

    /// An answer of this status with the headers that the error asks for, for a door to fill.
    pub(crate) fn response(&self, status: u16) -> HttpResponseBuilder {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = HttpResponse::build(status);
        if let Some(seconds) = self.0.retry_after_s {
            response.insert_header((header::RETRY_AFTER, seconds.to_string()));
        }
        if let Some(methods) = &self.0.allow {
            response.insert_header((header::ALLOW, methods.as_str()));
        }
        if status == StatusCode::UNAUTHORIZED {
            response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
        }
        response
    }
}

/// A detail about `field` (dotted name).
#[must_use]
pub fn detail(code: Code, field: &str, message: &str) -> Detail {
    Detail {
        field: field.to_owned(),
        code: code.reason().to_owned(),
        message: message.to_owned(),
        path: path_of(field),
    }
}

/// `skills[2].name` → `["skills", "2", "name"]`
fn path_of(field: &str) -> Vec<String> {
    field.split(['.', '[']).map(|part| part.trim_end_matches(']').to_owned()).collect()
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {:?}", self.0.code.as_str(), self.0.message, self.0.source)
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.0.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let Parts { code, message, .. } = &*self.0;
        match &self.0.source {
            Some(source) if code.status() >= 500 => {
                tracing::error!(code = code.as_str(), exception = format!("{source:#}"), "{message}");
            }
            Some(source) => {
                tracing::info!(code = code.as_str(), exception = format!("{source:#}"), "{message}");
            }
            None => tracing::debug!(code = code.as_str(), "{message}"),
        }
        context::door().render(self)
    }
}

impl From<diesel::result::Error> for ApiError {
    fn from(error: diesel::result::Error) -> Self {
        if is_connection_loss(&error) {
            return Self::unavailable("The database is away, try again in a moment").caused_by(error);
        }
        Self::internal(error)
    }
}

impl From<Unavailable> for ApiError {
    fn from(error: Unavailable) -> Self {
        Self::unavailable("The database is busy, try again in a moment").caused_by(error)
    }
}

impl From<db::Error> for ApiError {
    fn from(error: db::Error) -> Self {
        match error {
            db::Error::Query(error) => error.into(),
            db::Error::Unavailable(error) => error.into(),
        }
    }
}

/// Another service failed us. Answers of 4xx are not the caller's fault here: handlers that pass one on do so by name.
impl From<ClientError> for ApiError {
    fn from(error: ClientError) -> Self {
        let code = match &error {
            ClientError::Timeout { .. } => Code::UpstreamTimeout,
            ClientError::Api { .. } | ClientError::Unreachable { .. } => Code::UpstreamUnavailable,
            ClientError::Protocol { .. } | ClientError::Loop { .. } | ClientError::Token(_) => {
                return Self::internal(error);
            }
        };
        let message = match code {
            Code::UpstreamTimeout => "Builder service timed out",
            _ => "Failed to connect to builder service",
        };
        Self::new(code, message).retry_after(30).caused_by(error)
    }
}

#[cfg(test)]
mod tests {
    use super::path_of;

    #[test]
    fn a_path_is_the_parts_of_the_field() {
        assert_eq!(path_of("role_model.name"), ["role_model", "name"]);
        assert_eq!(path_of("skills[2].name"), ["skills", "2", "name"]);
    }
}
