//! A client for tests: any method, any path, any body, and answers that say why they are not what was expected.

use api_client::{
    http_client,
    token::{Request, TokenKey},
};
use api_core::settings::DEVELOPMENT_JWT_SECRET;
use api_types::auth::Role;
use jsonwebtoken::{EncodingKey, Header};
use reqwest::{
    Method,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use serde_json::{Value, json};

use crate::or_panic;

/// Sends requests to one address, with the same headers each.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base_url: String,
    /// The service that listens there, as others of ours name it when they call.
    audience: String,
    /// The service of ours that this is, if it is one.
    service: Option<String>,
    headers: HeaderMap,
}

impl Client {
    /// A client without a credential for `service` at `base_url` (without a trailing slash).
    ///
    /// # Panics
    /// When TLS cannot be set up.
    #[must_use]
    pub fn of(service: &str, base_url: &str) -> Self {
        let http = or_panic("make an HTTP client", http_client());
        let (base_url, audience) = (base_url.to_owned(), service.to_owned());
        Self { http, base_url, audience, service: None, headers: HeaderMap::new() }
    }

    /// The same client with a header more, or with another value for it.
    ///
    /// # Panics
    /// When this is no header.
    #[must_use]
    pub fn header(&self, name: &str, value: &str) -> Self {
        let mut other = self.clone();
        let name: HeaderName = or_panic("name a header", name.parse());
        let value: HeaderValue = or_panic("write a header", value.parse());
        other.headers.insert(name, value);
        other
    }

    /// The same client with this key or token.
    #[must_use]
    pub fn bearer(&self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// The same client as an administrator, by a token signed with the development secret.
    #[must_use]
    pub fn admin(&self) -> Self {
        self.bearer(&jwt("test-admin", &[Role::Admin], &[]))
    }

    /// The same client as one of our services: each request is signed with the development secret.
    #[must_use]
    pub fn service(&self, name: &str) -> Self {
        Self { service: Some(name.to_owned()), ..self.clone() }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, None).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, Some(body)).await
    }

    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.send("PATCH", path, Some(body)).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.send("PUT", path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, None).await
    }

    /// Sends JSON, or nothing.
    pub async fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let request = self.request(method, path);
        self.answer(match body {
            Some(body) => request.json(body),
            None => request,
        })
        .await
    }

    /// Sends bytes as they are.
    pub async fn raw(&self, method: &str, path: &str, content_type: Option<&str>, body: Vec<u8>) -> Answer {
        let mut request = self.request(method, path).body(body);
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        self.answer(request).await
    }

    /// A request that is not sent yet, for what the methods above do not cover.
    ///
    /// # Panics
    /// When this is no method.
    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method: Method = or_panic("name a method", method.parse());
        self.http.request(method, format!("{}{path}", self.base_url)).headers(self.headers.clone())
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn answer(&self, request: reqwest::RequestBuilder) -> Answer {
        let mut request = or_panic("write a request", request.build());
        if let Some(service) = &self.service {
            let signed = self.signature(service, &request);
            request.headers_mut().insert("authorization", signed);
        }
        let response = or_panic("reach the service", self.http.execute(request).await);
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = or_panic("read the answer", response.text().await);
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Answer { status, headers, text, body }
    }

    fn signature(&self, service: &str, request: &reqwest::Request) -> HeaderValue {
        let url = request.url();
        let target = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
        let body = request.body().and_then(reqwest::Body::as_bytes).unwrap_or_default();
        let signed = Request { audience: &self.audience, method: request.method().as_str(), target: &target, body };
        let token = or_panic("sign", TokenKey::derive(DEVELOPMENT_JWT_SECRET).sign(service, None, &signed));
        or_panic("write a header", format!("Bearer {token}").parse())
    }

    #[must_use]
    pub fn base_url(&self) -> &str {
        &self.base_url
    }
}

/// What a service answered.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
    /// `text` as JSON; null when it is none.
    pub body: Value,
}

impl Answer {
    /// The `data` of a success with this status.
    ///
    /// # Panics
    /// When it is not that.
    #[track_caller]
    pub fn data(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.body.get("success"), Some(&Value::Bool(true)), "{}", self.text);
        self.body.get("data").cloned().unwrap_or_default()
    }

    /// The `meta` of whatever came.
    #[must_use]
    pub fn meta(&self) -> Value {
        self.body.get("meta").cloned().unwrap_or_default()
    }

    /// The `error` of a failure with this status and code (`CATEGORY.REASON`).
    ///
    /// # Panics
    /// When it is not that.
    #[track_caller]
    pub fn error(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        let error = self.body.get("error").cloned().unwrap_or_default();
        assert_eq!(error.get("code"), Some(&Value::from(code)), "{}", self.text);
        error
    }

    /// The body of an AINS answer of this status, which has no envelope.
    ///
    /// # Panics
    /// When the status is another one.
    #[track_caller]
    pub fn ains(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        self.body.clone()
    }

    /// The error of an AINS answer, in the shape that all of them have.
    ///
    /// # Panics
    /// When it is another error, or no whole one.
    #[track_caller]
    pub fn ains_error(&self, status: u16, code: &str) -> Value {
        let error = self.body["error"].clone();
        assert_eq!((self.status, error["code"].as_str()), (status, Some(code)), "{}", self.text);
        assert!(error["details"].is_object() && error["timestamp"].is_string(), "{}", self.text);
        assert_eq!(error["request_id"].as_str(), Some(self.header("x-request-id")), "{}", self.text);
        error
    }

    /// The fields that a failure blames, in order.
    #[must_use]
    pub fn fields(&self) -> Vec<String> {
        let details = self.body.pointer("/error/details").and_then(Value::as_array).into_iter().flatten();
        details.filter_map(|detail| detail.get("field")?.as_str().map(str::to_owned)).collect()
    }

    /// The text of a header; empty when it is absent.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// A user's token, signed with the development secret, good for an hour.
///
/// # Panics
/// When it cannot be signed.
#[must_use]
pub fn jwt(subject: &str, roles: &[Role], permissions: &[&str]) -> String {
    let now = chrono::Utc::now().timestamp();
    let roles: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
    let claims = json!({"sub": subject, "iat": now, "exp": now + 3600, "roles": roles, "permissions": permissions});
    let key = EncodingKey::from_secret(DEVELOPMENT_JWT_SECRET.as_bytes());
    or_panic("sign", jsonwebtoken::encode(&Header::default(), &claims, &key))
}
