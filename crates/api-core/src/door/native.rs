//! Errors on the native door.

use actix_web::HttpResponse;
use api_types::{
    envelope::{Failure, Meta},
    error::ErrorBody,
    time,
};
use chrono::Utc;

use crate::{context, error::ApiError};

/// Where people read about errors.
const DOCUMENTATION_URL: &str = "/docs";

pub(super) fn render(error: &ApiError) -> HttpResponse {
    let request_id = context::request_id();
    let timestamp = time::format(Utc::now());
    let body = Failure {
        success: false,
        error: ErrorBody {
            code: error.code().as_str().to_owned(),
            category: error.code().category().to_owned(),
            message: error.message().to_owned(),
            details: error.details().to_vec(),
            request_id: request_id.clone(),
            timestamp: timestamp.clone(),
            documentation_url: DOCUMENTATION_URL.to_owned(),
            retry_after: error.retry_after_s(),
            suggestions: error.suggestions().to_vec(),
        },
        meta: Meta {
            request_id,
            timestamp,
            version: "v1".to_owned(),
            pagination: None,
            deprecated: None,
            deprecation_notice: None,
            warnings: Vec::new(),
        },
    };
    error.response(error.code().status()).json(body)
}
