//! One way to call a service.

use std::{sync::Arc, time::Duration};

use api_types::{envelope::Success, error::ErrorBody};
use reqwest::{
    Method, StatusCode, Url,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    context::{CallContext, header},
    token::{self, TokenKey},
};

/// Why a call gave no answer that can be used. No variant shows an address.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The service refused; its own error is for the caller to read.
    #[error("{} answered {status}: {}", .service, .error.message)]
    Api { service: &'static str, status: u16, error: Box<ErrorBody> },
    #[error("{service} cannot be reached")]
    Unreachable {
        service: &'static str,
        #[source]
        source: Option<reqwest::Error>,
    },
    #[error("{service} did not answer in time")]
    Timeout { service: &'static str },
    #[error("{service} gave an answer that makes no sense")]
    Protocol {
        service: &'static str,
        #[source]
        source: Option<serde_json::Error>,
    },
    #[error("the request has passed through {service} already")]
    Loop { service: &'static str },
    #[error("the call could not be signed")]
    Token(#[from] jsonwebtoken::errors::Error),
}

impl ClientError {
    /// Whether the same call may succeed later: no connection, no answer in time, or a 5xx.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Timeout { .. } => true,
            Self::Api { status, .. } => *status >= 500,
            Self::Protocol { .. } | Self::Loop { .. } | Self::Token(_) => false,
        }
    }
}

/// How often a call is tried. Only for calls that may be repeated.
#[derive(Debug, Clone, Copy)]
pub struct Retry {
    /// Pauses between the attempts; one attempt more than there are pauses.
    pub pauses: &'static [Duration],
}

impl Retry {
    pub const NEVER: Self = Self { pauses: &[] };
}

/// One call, ready to be sent (more than once, if need be).
#[derive(Debug, Clone)]
pub struct Outgoing {
    pub method: Method,
    /// Path and query, from the slash.
    pub path: String,
    pub body: Option<serde_json::Value>,
    /// For one attempt.
    pub timeout: Duration,
    pub retry: Retry,
}

impl Outgoing {
    /// A GET with 10 s and without retries.
    pub fn get(path: impl Into<String>) -> Self {
        Self {
            method: Method::GET,
            path: path.into(),
            body: None,
            timeout: Duration::from_secs(10),
            retry: Retry::NEVER,
        }
    }

    /// A POST of `body` with 10 s and without retries.
    ///
    /// # Errors
    /// When `body` cannot be written as JSON.
    pub fn post(path: impl Into<String>, body: &impl Serialize) -> Result<Self, serde_json::Error> {
        Ok(Self { method: Method::POST, body: Some(serde_json::to_value(body)?), ..Self::get(path) })
    }

    #[must_use]
    pub const fn within(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    #[must_use]
    pub const fn retried(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }
}

#[derive(Deserialize)]
struct Refusal {
    error: ErrorBody,
}

/// A client of one service.
#[derive(Debug, Clone)]
pub struct ServiceClient {
    http: reqwest::Client,
    base_url: Arc<str>,
    target: &'static str,
    caller: &'static str,
    key: TokenKey,
}

impl ServiceClient {
    /// `caller` calls `target` at `base_url` (without a trailing slash).
    #[must_use]
    pub fn new(
        http: reqwest::Client,
        base_url: &str,
        target: &'static str,
        caller: &'static str,
        key: TokenKey,
    ) -> Self {
        let base_url = base_url.trim_end_matches('/').into();
        Self { http, base_url, target, caller, key }
    }

    #[must_use]
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// Sends the call and reads `data` of the answer.
    ///
    /// # Errors
    /// See [`ClientError`]; after the last attempt, the last attempt's.
    pub async fn send<T: DeserializeOwned>(&self, context: &CallContext, call: &Outgoing) -> Result<T, ClientError> {
        let service = self.target;
        if context.via.iter().any(|passed| passed == service) {
            return Err(ClientError::Loop { service });
        }
        let mut pauses = call.retry.pauses.iter();
        loop {
            match self.attempt(context, call).await {
                Err(error) if error.is_transient() => {
                    let Some(pause) = pauses.next() else { return Err(error) };
                    tracing::warn!(service, error = %error, "call failed, trying again");
                    if context.time_left(*pause) < *pause {
                        return Err(error);
                    }
                    tokio::time::sleep(*pause).await;
                }
                result => return result,
            }
        }
    }

    async fn attempt<T: DeserializeOwned>(&self, context: &CallContext, call: &Outgoing) -> Result<T, ClientError> {
        let service = self.target;
        let failed = |source: reqwest::Error| {
            if source.is_timeout() {
                ClientError::Timeout { service }
            } else {
                ClientError::Unreachable { service, source: Some(source.without_url()) }
            }
        };
        let response = self.http.execute(self.request(context, call)?).await.map_err(failed)?;
        let status = response.status();
        let bytes = response.bytes().await.map_err(failed)?;
        self.read(status, &bytes)
    }

    /// The call as it goes over the wire, signed for this one time.
    fn request(&self, context: &CallContext, call: &Outgoing) -> Result<reqwest::Request, ClientError> {
        let service = self.target;
        let timeout = context.time_left(call.timeout);
        let mut via = context.via.clone();
        via.push(self.caller.to_owned());
        let mut request = self
            .http
            .request(call.method.clone(), format!("{}{}", self.base_url, call.path))
            .timeout(timeout)
            .header(header::REQUEST_ID, context.request_id.to_string())
            .header(header::DEADLINE_MS, timeout.as_millis().to_string())
            .header(header::VIA, via.join(","));
        if let Some(traceparent) = &context.traceparent {
            request = request.header(header::TRACEPARENT, traceparent);
        }
        if let Some(body) = &call.body {
            let body =
                serde_json::to_vec(body).map_err(|source| ClientError::Protocol { service, source: Some(source) })?;
            request = request.header(CONTENT_TYPE, "application/json").body(body);
        }
        let unusable =
            |source: reqwest::Error| ClientError::Unreachable { service, source: Some(source.without_url()) };
        let mut request = request.build().map_err(unusable)?;
        let to_sign = token::Request {
            audience: service,
            method: request.method().as_str(),
            target: self.target_of(request.url()),
            body: request.body().and_then(reqwest::Body::as_bytes).unwrap_or_default(),
        };
        let token = self.key.sign(self.caller, context.principal.as_ref(), &to_sign)?;
        // Base64 and dots, so it is a header's value always.
        if let Ok(mut bearer) = HeaderValue::try_from(format!("Bearer {token}")) {
            bearer.set_sensitive(true);
            request.headers_mut().insert(AUTHORIZATION, bearer);
        }
        Ok(request)
    }

    /// Path and query as the service sees them: what is behind the base address, which may have a path of a proxy's.
    fn target_of<'a>(&self, url: &'a Url) -> &'a str {
        let base = Url::parse(&self.base_url).map_or(0, |base| base.path().trim_end_matches('/').len());
        let whole = &url[url::Position::BeforePath..url::Position::AfterQuery];
        whole.get(base..).unwrap_or(whole)
    }

    fn read<T: DeserializeOwned>(&self, status: StatusCode, bytes: &[u8]) -> Result<T, ClientError> {
        let service = self.target;
        if status.is_success() {
            return match serde_json::from_slice::<Success<T>>(bytes) {
                Ok(success) => Ok(success.data),
                Err(source) => Err(ClientError::Protocol { service, source: Some(source) }),
            };
        }
        match serde_json::from_slice::<Refusal>(bytes) {
            Ok(refusal) => Err(ClientError::Api { service, status: status.as_u16(), error: Box::new(refusal.error) }),
            Err(_) if status.is_server_error() => Err(ClientError::Unreachable { service, source: None }),
            Err(source) => Err(ClientError::Protocol { service, source: Some(source) }),
        }
    }
}
