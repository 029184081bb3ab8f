//! The client: one request, one answer, within the limits.

use std::{error::Error as StdError, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use reqwest::{
    Method, StatusCode,
    header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER},
    redirect,
};
use tokio::time::timeout;

use crate::{
    lookup::{Lookup, Resolver, SystemLookup},
    policy::{Policy, Refusal},
};

/// What a call may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// From resolving the name to the last byte of the answer.
    pub total: Duration,
    /// Within that, for the connection to stand.
    pub connect: Duration,
    /// Of the answer's body.
    pub response_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { total: Duration::from_secs(10), connect: Duration::from_secs(5), response_bytes_max: 2 * 1024 * 1024 }
    }
}

/// Why there is no answer. The texts carry no URL and no address.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("egress refused: {0}")]
    Refused(#[from] Refusal),
    #[error("the request cannot be sent as given")]
    InvalidRequest,
    #[error("no answer in time")]
    Timeout,
    #[error("the host cannot be reached")]
    Unreachable,
    #[error("the answer is larger than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("the answer is not valid HTTP")]
    InvalidResponse,
}

/// A request to be sent.
#[derive(Debug, Clone)]
pub struct Request {
    method: Method,
    url: String,
    query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    body: Option<Bytes>,
}

impl Request {
    #[must_use]
    pub fn new(method: Method, url: impl Into<String>) -> Self {
        Self { method, url: url.into(), query: Vec::new(), headers: Vec::new(), body: None }
    }

    #[must_use]
    pub fn get(url: impl Into<String>) -> Self {
        Self::new(Method::GET, url)
    }

    #[must_use]
    pub fn post(url: impl Into<String>) -> Self {
        Self::new(Method::POST, url)
    }

    /// Adds a parameter to the query, percent-encoded.
    #[must_use]
    pub fn query(mut self, name: &str, value: impl Into<String>) -> Self {
        self.query.push((name.to_owned(), value.into()));
        self
    }

    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    #[must_use]
    pub fn body(mut self, content_type: &str, body: impl Into<Bytes>) -> Self {
        self.body = Some(body.into());
        self.header(CONTENT_TYPE.as_str(), content_type)
    }

    #[must_use]
    pub fn json(self, value: &serde_json::Value) -> Self {
        self.body("application/json", value.to_string())
    }
}

/// A whole answer; any status, redirects included.
#[derive(Debug, Clone)]
pub struct Response {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Response {
    /// The `Retry-After` header in seconds, when it is given in seconds.
    #[must_use]
    pub fn retry_after_s(&self) -> Option<u64> {
        self.headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()
    }

    /// The media type without its parameters, in lower case.
    #[must_use]
    pub fn media_type(&self) -> Option<String> {
        let value = self.headers.get(CONTENT_TYPE)?.to_str().ok()?;
        value.split(';').next().map(|media_type| media_type.trim().to_ascii_lowercase())
    }
}

/// How connections are made, and how long they are kept for the next call.
#[derive(Debug, Clone)]
pub struct Connections {
    pub lookup: Arc<dyn Lookup>,
    pub idle_per_host_max: usize,
    pub idle: Duration,
}

impl Default for Connections {
    fn default() -> Self {
        Self { lookup: Arc::new(SystemLookup), idle_per_host_max: 8, idle: Duration::from_secs(30) }
    }
}

/// What is read of an answer that nobody wants, so that its connection can be used again; longer ones cost the connection.
const DRAIN_BYTES: usize = 4096;
const DRAIN: Duration = Duration::from_millis(250);

/// The guarded client. Clones share its connections.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    policy: Arc<Policy>,
    limits: Limits,
}

impl Client {
    /// # Errors
    /// When the TLS stack cannot be set up, which is a fault of the machine.
    pub fn new(policy: Policy, limits: Limits) -> Result<Self, reqwest::Error> {
        Self::connecting(policy, limits, &Connections::default())
    }

    /// With connections of another kind.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn connecting(policy: Policy, limits: Limits, connections: &Connections) -> Result<Self, reqwest::Error> {
        install_crypto();
        let policy = Arc::new(policy);
        let builder = || {
            reqwest::Client::builder()
                .user_agent(concat!("imago/", env!("CARGO_PKG_VERSION")))
                .redirect(redirect::Policy::none())
                .no_proxy()
                .http1_only()
                .connect_timeout(limits.connect)
                .pool_max_idle_per_host(connections.idle_per_host_max)
                .pool_idle_timeout(connections.idle)
                .dns_resolver(Arc::new(Resolver::new(&policy, &connections.lookup)))
        };
        let http = builder().build().or_else(|error| {
            // A slim image may have no certificates of authorities: plain HTTP works, and HTTPS fails call by call.
            tracing::warn!(error = %error, "no certificate authorities are known here: HTTPS calls to the outside will fail");
            builder().tls_certs_only([]).build()
        })?;
        Ok(Self { http, policy, limits })
    }

    /// The same client under other limits (the connection's time stays).
    #[must_use]
    pub fn with_limits(&self, limits: Limits) -> Self {
        Self { limits, ..self.clone() }
    }

    /// The policy, to judge a URL before it is needed.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Sends a request and reads its answer. Redirects are not followed.
    ///
    /// # Errors
    /// [`Error::Refused`] before anything is sent, the others as they are named.
    pub async fn send(&self, request: Request) -> Result<Response, Error> {
        let request = self.prepare(request)?;
        match timeout(self.limits.total, self.exchange(request)).await {
            Ok(result) => result,
            Err(_elapsed) => Err(Error::Timeout),
        }
    }

    /// Hands a message over within `total`: only the status of the answer counts, and of its body next to nothing is read,
    /// however long it is. Redirects are not followed.
    ///
    /// # Errors
    /// As [`Client::send`], but for the size of the answer. A status that comes after `total` has not come.
    pub async fn deliver(&self, request: Request, total: Duration) -> Result<StatusCode, Error> {
        let request = self.prepare(request)?;
        let answer = timeout(total, self.http.execute(request)).await.map_err(|_elapsed| Error::Timeout)?;
        let mut answer = answer.map_err(failure)?;
        let status = answer.status();
        let drained = timeout(DRAIN, async {
            let mut read = 0;
            while let Ok(Some(chunk)) = answer.chunk().await {
                read += chunk.len();
                if read > DRAIN_BYTES {
                    return;
                }
            }
        });
        if drained.await.is_err() {
            tracing::debug!("an answer went on for too long; its connection is dropped");
        }
        Ok(status)
    }

    fn prepare(&self, request: Request) -> Result<reqwest::Request, Error> {
        let mut url = self.policy.check_url(&request.url)?;
        if !request.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&request.query);
        }
        let mut built = reqwest::Request::new(request.method, url);
        for (name, value) in &request.headers {
            let name = HeaderName::try_from(name).ok().ok_or(Error::InvalidRequest)?;
            let value = HeaderValue::try_from(value).ok().ok_or(Error::InvalidRequest)?;
            built.headers_mut().append(name, value);
        }
        *built.body_mut() = request.body.map(reqwest::Body::from);
        Ok(built)
    }

    async fn exchange(&self, request: reqwest::Request) -> Result<Response, Error> {
        let limit = self.limits.response_bytes_max;
        let mut answer = self.http.execute(request).await.map_err(failure)?;
        if answer.content_length().is_some_and(|length| exceeds(length, limit)) {
            return Err(Error::TooLarge { limit });
        }
        let mut body = BytesMut::new();
        while let Some(chunk) = answer.chunk().await.map_err(failure)? {
            if body.len() + chunk.len() > limit {
                return Err(Error::TooLarge { limit });
            }
            body.extend_from_slice(&chunk);
        }
        let headers = std::mem::take(answer.headers_mut());
        Ok(Response { status: answer.status(), headers, body: body.freeze() })
    }
}

fn exceeds(length: u64, limit: usize) -> bool {
    usize::try_from(length).map_or(true, |length| length > limit)
}

/// Reqwest asks the process for its cryptography; somebody else may have chosen it already.
fn install_crypto() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Losing the race to another thread is as good as winning it.
        rustls::crypto::ring::default_provider().install_default().ok();
    }
}

/// Reqwest's error without what it knows of addresses.
fn failure(error: reqwest::Error) -> Error {
    let error = error.without_url();
    tracing::debug!(error = ?error, "a call to the outside failed");
    if let Some(refusal) = cause::<Refusal>(&error) {
        return Error::Refused(*refusal);
    }
    if error.is_timeout() {
        return Error::Timeout;
    }
    // A peer that speaks something else than HTTP is not the same as one that hangs up.
    let garbled = cause::<hyper::Error>(&error).is_some_and(hyper::Error::is_parse);
    if garbled { Error::InvalidResponse } else { Error::Unreachable }
}

fn cause<E: StdError + 'static>(error: &reqwest::Error) -> Option<&E> {
    let mut current: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = current {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        current = error.source();
    }
    None
}

#[cfg(test)]
mod tests;
