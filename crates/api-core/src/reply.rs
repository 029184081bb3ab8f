//! The answer of a handler that succeeded: in the envelope of the native door, or flat.

use actix_web::{
    HttpRequest, HttpResponse, Responder,
    body::BoxBody,
    http::{
        StatusCode,
        header::{CONTENT_TYPE, HeaderName, HeaderValue, LOCATION},
    },
};
use api_types::{
    envelope::{Meta, Pagination},
    time,
};
use chrono::Utc;
use serde::Serialize;
use serde_json::{Map, Value, value::RawValue};

use crate::{context, error::ApiError};

/// Status, body and headers of a success.
#[derive(Debug)]
pub struct Reply {
    status: StatusCode,
    data: Box<RawValue>,
    /// Keys beside `data`, for the deprecated endpoints.
    flat: Map<String, Value>,
    pagination: Option<Pagination>,
    notice: Option<String>,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// A body that is final: a stored answer, or one without an envelope.
    replay: Option<String>,
}

impl Reply {
    /// # Errors
    /// When `data` cannot be written as JSON.
    pub fn new(status: StatusCode, data: &impl Serialize) -> Result<Self, ApiError> {
        let data = serde_json::value::to_raw_value(data).map_err(ApiError::internal)?;
        Ok(Self::raw(status, data))
    }

    /// With `data` that is JSON already.
    #[must_use]
    pub fn raw(status: StatusCode, data: Box<RawValue>) -> Self {
        Self { status, data, flat: Map::new(), pagination: None, notice: None, headers: Vec::new(), replay: None }
    }

    /// 200
    ///
    /// # Errors
    /// When `data` cannot be written as JSON.
    pub fn ok(data: &impl Serialize) -> Result<Self, ApiError> {
        Self::new(StatusCode::OK, data)
    }

    /// 201
    ///
    /// # Errors
    /// When `data` cannot be written as JSON.
    pub fn created(data: &impl Serialize) -> Result<Self, ApiError> {
        Self::new(StatusCode::CREATED, data)
    }

    /// 200 with a body that is `data` itself, for doors without envelopes.
    ///
    /// # Errors
    /// When `data` cannot be written as JSON.
    pub fn flat(data: &impl Serialize) -> Result<Self, ApiError> {
        let mut reply = Self::raw(StatusCode::OK, RawValue::NULL.to_owned());
        reply.replay = Some(serde_json::to_string(data).map_err(ApiError::internal)?);
        Ok(reply)
    }

    /// As [`Reply::flat`], 201.
    ///
    /// # Errors
    /// When `data` cannot be written as JSON.
    pub fn flat_created(data: &impl Serialize) -> Result<Self, ApiError> {
        let mut reply = Self::flat(data)?;
        reply.status = StatusCode::CREATED;
        Ok(reply)
    }

    /// 200 with a page of a list.
    ///
    /// # Errors
    /// When the rows cannot be written as JSON.
    pub fn page(rows: &impl Serialize, pagination: Pagination) -> Result<Self, ApiError> {
        let mut reply = Self::ok(rows)?;
        reply.pagination = Some(pagination);
        Ok(reply)
    }

    /// Adds a header; a value that is no header text is left out.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }

    #[must_use]
    pub fn location(self, path: &str) -> Self {
        self.header(LOCATION, path)
    }

    /// Marks the answer of a deprecated endpoint: `successor` is e.g. `POST /api/v1/agents`.
    #[must_use]
    pub fn deprecated(mut self, successor: &str, flat: Map<String, Value>) -> Self {
        self.notice = Some(format!("Use {successor} instead"));
        self.flat = flat;
        self.header(HeaderName::from_static("deprecation"), "true")
    }

    /// An answer given before, sent again as it was.
    #[must_use]
    pub(crate) fn replayed(status: StatusCode, body: String, headers: Vec<(HeaderName, HeaderValue)>) -> Self {
        let mut reply = Self::raw(status, RawValue::NULL.to_owned());
        reply.headers = headers;
        reply.replay = Some(body);
        reply.header(HeaderName::from_static("idempotent-replayed"), "true")
    }

    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    pub(crate) fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.headers
    }

    /// Writes the body; the same text however often it is asked for, once it was made final.
    ///
    /// # Errors
    /// When the envelope cannot be written as JSON.
    pub(crate) fn finish(&mut self) -> Result<&str, ApiError> {
        if self.replay.is_none() {
            self.replay = Some(self.envelope()?);
        }
        Ok(self.replay.as_deref().unwrap_or_default())
    }

    fn envelope(&self) -> Result<String, ApiError> {
        #[derive(Serialize)]
        struct Envelope<'a> {
            success: bool,
            data: &'a RawValue,
            meta: Meta,
            #[serde(flatten)]
            flat: &'a Map<String, Value>,
        }
        let meta = Meta {
            request_id: context::request_id(),
            timestamp: time::format(Utc::now()),
            version: "v1".to_owned(),
            pagination: self.pagination,
            deprecated: self.notice.as_ref().map(|_| true),
            deprecation_notice: self.notice.clone(),
            warnings: context::take_warnings(),
        };
        let envelope = Envelope { success: true, data: &self.data, meta, flat: &self.flat };
        serde_json::to_string(&envelope).map_err(ApiError::internal)
    }
}

impl Responder for Reply {
    type Body = BoxBody;

    fn respond_to(mut self, _: &HttpRequest) -> HttpResponse {
        let body = match self.finish() {
            Ok(body) => body.to_owned(),
            Err(error) => return HttpResponse::from_error(error),
        };
        let mut response = HttpResponse::build(self.status);
        response.insert_header((CONTENT_TYPE, HeaderValue::from_static("application/json")));
        for header in &self.headers {
            response.insert_header(header.clone());
        }
        response.body(body)
    }
}
