//! Errors on the AINS door.

use actix_web::HttpResponse;
use api_types::{
    ains::{AinsCode, AinsErrorBody, AinsFailure},
    error::{Code, Detail},
    time,
};
use chrono::Utc;
use serde_json::{Map, Value, json};

use crate::{context, error::ApiError};

/// What this door says of an error, and with which status.
#[derive(Debug, Clone)]
pub struct Told {
    pub code: String,
    pub status: u16,
    pub message: String,
    pub details: Map<String, Value>,
}

/// An error as this door tells it, for handlers that answer some errors among other things.
#[must_use]
pub fn told(error: &ApiError) -> Told {
    let (code, status) = code_of(error);
    let mut details = error.extras().clone();
    if let Some(first) = blamed(error).first() {
        details.insert("field".to_owned(), first.field.as_str().into());
        details.insert("errors".to_owned(), blamed(error).iter().map(problem).collect());
    }
    Told { code: code.to_owned(), status, message: message(error).to_owned(), details }
}

pub(super) fn render(error: &ApiError) -> HttpResponse {
    let Told { code, status, message, details } = told(error);
    let body = AinsFailure {
        error: AinsErrorBody {
            code,
            message,
            details,
            timestamp: time::format(Utc::now()),
            request_id: context::request_id(),
        },
    };
    error.response(status).json(body)
}

fn code_of(error: &ApiError) -> (&str, u16) {
    if let Some(code) = error.ains_code() {
        return (code.as_str(), code.status());
    }
    match blamed(error).first() {
        Some(first) => (field_code(first), 400),
        None if is_no_object(error) => (AinsCode::InvalidRequest.as_str(), AinsCode::InvalidRequest.status()),
        None => {
            let code = AinsCode::from(error.code());
            let status = if error.code() == Code::HeadersTooLarge { error.code().status() } else { code.status() };
            (code.as_str(), status)
        }
    }
}

/// The fields that are to blame, where the request's fields are what is wrong.
fn blamed(error: &ApiError) -> &[Detail] {
    let is_invalid = matches!(
        error.code(),
        Code::RequiredField | Code::InvalidType | Code::InvalidRange | Code::InvalidFormat | Code::NoOccupationMatch
    );
    if (is_invalid && !is_no_object(error)) || error.ains_code().is_some() { error.details() } else { &[] }
}

/// Here a body that is no object is no request at all; elsewhere its type is wrong.
fn is_no_object(error: &ApiError) -> bool {
    error.ains_code().is_none()
        && error.code() == Code::InvalidType
        && error.details().first().is_some_and(|detail| detail.field == "body")
}

fn problem(detail: &Detail) -> Value {
    json!({"field": detail.field, "code": field_code(detail), "message": detail.message})
}

/// Our own reasons become this door's; what a rule was given as its code stays.
fn field_code(detail: &Detail) -> &str {
    if detail.code == Code::RequiredField.reason() {
        return AinsCode::MissingRequiredField.as_str();
    }
    let ours = [Code::InvalidType, Code::InvalidRange, Code::InvalidFormat];
    if ours.iter().any(|code| code.reason() == detail.code) {
        return AinsCode::InvalidFieldValue.as_str();
    }
    &detail.code
}

/// This door says no more of a credential than whether there was one.
fn message(error: &ApiError) -> &str {
    match error.code() {
        Code::MissingAuthorization => "API key required",
        code if code.status() == 401 => "Invalid API key",
        _ => error.message(),
    }
}
