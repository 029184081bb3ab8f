//! The first argument of every handler: who calls, with the checks done in the contract's order, and the body still to read.
//!
//! Order: body size (as announced) → credential → scope → rate, all before the handler runs; then, as the handler asks
//! for it, media type → JSON syntax. Fields, existence and state are the handler's and its domain's.

use std::{marker::PhantomData, net::IpAddr, ops::RangeInclusive, sync::Arc};

use actix_web::{
    FromRequest, HttpRequest,
    dev::Payload,
    http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap},
    web::{self, BytesMut},
};
use api_client::token::ServiceCall;
use api_types::{
    access::{self as accesses, Refusal},
    ains::Window,
    auth::{Principal, Role, is_administrative},
    error::Code,
};
use futures_util::{StreamExt as _, future::LocalBoxFuture};

use super::{
    ANONYMOUS, Caller, Credential, invalid_token,
    permission::{BodyLimit, Permission},
};
use crate::{
    access, client_address,
    context::{self, Context},
    door::Door,
    error::ApiError,
    input::{self, Object},
    list::{ListQuery, ListSpec, Plain},
    platform::Platform,
    rate_limit::{self, Anonymous, Exceeded},
};

/// Requests from one address that nobody vouches for: failed sign-ins, and calls of open routes.
const NOBODY_PER_MINUTE: u64 = 600;
/// A batch of tasks on the AINS door.
const AINS_BATCH_BYTES: usize = 32 << 20;
/// Rows of a list by window, unless the caller asks for another number.
const WINDOW_DEFAULT: i64 = 50;
/// Room for the fields around an uploaded document.
const DOCUMENT_FIELDS_BYTES: usize = 1 << 20;

/// A request whose caller holds the permission `P`.
pub struct Call<P> {
    pub caller: Caller,
    request: HttpRequest,
    payload: Payload,
    permission: PhantomData<P>,
}

impl<P> std::fmt::Debug for Call<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call").field("caller", &self.caller).finish_non_exhaustive()
    }
}

/// A body that was read as JSON.
#[derive(Debug, Clone)]
pub struct Body(pub Object);

impl<P: Permission> FromRequest for Call<P> {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        let payload = payload.take();
        Box::pin(async move {
            let platform = platform(&request)?;
            let context = context::current();
            let signed = context.as_deref().and_then(Context::signed);
            if P::SERVICE_ONLY && signed.is_none() {
                // To everyone but our own services the route does not exist, whatever they present.
                access::refused(Refusal::Permission { required_scope: Some("service".to_owned()) });
                return Err(ApiError::new(Code::EndpointNotFound, "No such endpoint"));
            }
            check_announced_length::<P>(&request, &platform)?;
            let caller = if P::OPEN {
                count_address(Anonymous::OpenRoute, NOBODY_PER_MINUTE, &request, &platform)?;
                nobody([])
            } else {
                let from = client_address::customer(address(&request, &platform)).to_string();
                match platform.auth.identify(&request, signed, &from).await {
                    Ok(caller) => caller,
                    Err(error) => stranger::<P>(error, &request, &platform)?,
                }
            };
            // Counted now, so that a refused caller is told what is left, too; answered in the contract's order.
            let counted = count(&caller, &platform);
            check_address::<P>(&caller, &request, &platform)?;
            if !P::ANY_OF.is_empty() && !caller.may_any(P::ANY_OF) {
                let scope = P::ANY_OF[0];
                let message = format!("Permission '{scope}' required");
                tracing::info!(principal = caller.id(), scope, "access refused");
                access::refused(Refusal::Permission { required_scope: Some(scope.to_owned()) });
                return Err(ApiError::new(Code::InsufficientPermissions, message).extra("required_scope", scope));
            }
            counted?;
            check_version(&request)?;
            if request.match_info().iter().any(|(_, value)| value.contains('\0')) {
                // No name of ours holds one, and the database takes none.
                return Err(ApiError::new(Code::ResourceNotFound, "Nothing has this name"));
            }
            Ok(Self { caller, request, payload, permission: PhantomData })
        })
    }
}

impl<P: Permission> Call<P> {
    /// Reads a JSON object.
    ///
    /// # Errors
    /// 413, 415, 400 for what is no JSON, 422 for what is no object.
    pub async fn body(&mut self) -> Result<Body, ApiError> {
        let bytes = self.json_bytes().await?;
        input::parse(&bytes).map(Body)
    }

    /// Reads a JSON object; no body at all is an empty one.
    ///
    /// # Errors
    /// As [`Call::body`].
    pub async fn optional_body(&mut self) -> Result<Body, ApiError> {
        let bytes = self.json_bytes().await?;
        if bytes.trim_ascii().is_empty() { Ok(Body(Object::default())) } else { input::parse(&bytes).map(Body) }
    }

    /// Reads a JSON object, or a form whose values are texts; no body at all is an empty object.
    ///
    /// # Errors
    /// As [`Call::body`].
    pub async fn body_or_form(&mut self) -> Result<Body, ApiError> {
        if essence(self.request.headers()).as_deref() == Some("application/x-www-form-urlencoded") {
            let bytes = self.bytes().await?;
            return input::parse_form(&bytes).map(Body);
        }
        self.optional_body().await
    }

    /// Reads a JSON value into a wire type: for internal routes, whose callers are our own clients.
    ///
    /// # Errors
    /// As [`Call::body`]; 422 for another shape.
    pub async fn read<T: serde::de::DeserializeOwned>(&mut self) -> Result<T, ApiError> {
        let bytes = self.json_bytes().await?;
        serde_json::from_slice(&bytes).map_err(|error| {
            ApiError::field(Code::InvalidFormat, "body", "The body does not have the expected shape").caused_by(error)
        })
    }

    async fn json_bytes(&mut self) -> Result<web::Bytes, ApiError> {
        if !is_json(self.request.headers()) {
            return Err(ApiError::new(Code::UnsupportedMediaType, "Content-Type must be application/json"));
        }
        self.bytes().await
    }

    /// Reads the body as it is.
    ///
    /// # Errors
    /// 413; 400 when it breaks off; 401 when a service of ours signed another one.
    pub async fn bytes(&mut self) -> Result<web::Bytes, ApiError> {
        let limit = body_limit::<P>(&self.request, &*platform(&self.request)?);
        let mut bytes = BytesMut::new();
        while let Some(chunk) = self.payload.next().await {
            let chunk = chunk.map_err(|error| {
                ApiError::new(Code::MalformedBody, "The body broke off").caused_by(anyhow::anyhow!("{error}"))
            })?;
            if bytes.len() + chunk.len() > limit {
                return Err(too_large(limit));
            }
            bytes.extend_from_slice(&chunk);
        }
        if signed().is_some_and(|call| !call.has_body(&bytes)) {
            tracing::warn!(path = self.request.path(), "another body than the one that a service signed");
            return Err(invalid_token());
        }
        Ok(bytes.freeze())
    }

    /// The request's headers and body stream, for readers of other media types.
    ///
    /// # Errors
    /// 415 for our own services: they send JSON, and the signature of a stream would show only after it was used.
    pub fn parts(&mut self) -> Result<(HttpRequest, Payload), ApiError> {
        if self.caller.is_service() {
            return Err(ApiError::new(Code::UnsupportedMediaType, "Services send application/json"));
        }
        Ok((self.request.clone(), Payload::take(&mut self.payload)))
    }

    /// What the services of the process share.
    ///
    /// # Errors
    /// 500 when the app has none.
    pub fn platform(&self) -> Result<Arc<Platform>, ApiError> {
        platform(&self.request)
    }

    #[must_use]
    pub fn request(&self) -> &HttpRequest {
        &self.request
    }

    /// The address of whoever calls, as one customer's: what attempts are counted by.
    ///
    /// # Errors
    /// 500 when the app has no platform.
    pub fn origin(&self) -> Result<IpAddr, ApiError> {
        Ok(client_address::customer(address(&self.request, &*platform(&self.request)?)))
    }

    /// The text of a header; `None` when absent or no text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.request.headers().get(name)?.to_str().ok()
    }

    /// The first value of a query parameter. One that holds U+0000, which no text here can, counts as absent.
    #[must_use]
    pub fn query(&self, name: &str) -> Option<String> {
        let mut pairs = url::form_urlencoded::parse(self.request.query_string().as_bytes());
        let value = pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
        value.filter(|value| !value.contains('\0'))
    }

    /// Whether the credential still holds and still gives the right: for answers that go on for long. While nobody can say,
    /// it does.
    pub async fn still_holds(&self) -> bool {
        let Ok(platform) = platform(&self.request) else { return false };
        if self.caller.is_service() {
            return true;
        }
        let from = client_address::customer(address(&self.request, &platform)).to_string();
        match platform.auth.identify(&self.request, None, &from).await {
            Ok(caller) => P::ANY_OF.is_empty() || caller.may_any(P::ANY_OF),
            Err(error) => error.code().status() != 401,
        }
    }

    /// `?include=embeddings` (a comma list).
    #[must_use]
    pub fn includes(&self, what: &str) -> bool {
        self.query("include").is_some_and(|list| list.split(',').any(|entry| entry.trim() == what))
    }

    /// `Prefer: respond-async`
    #[must_use]
    pub fn prefers_async(&self) -> bool {
        let prefers = |value: &str| value.split([',', ';']).any(|p| p.trim().eq_ignore_ascii_case("respond-async"));
        self.request.headers().get_all("prefer").filter_map(|value| value.to_str().ok()).any(prefers)
    }

    /// The part of a list that is asked for with `limit` and `offset`.
    ///
    /// # Errors
    /// 400 on doors that answer so, for a limit outside 1–100 or a negative offset.
    pub fn window(&self) -> Result<Window, ApiError> {
        self.window_of(WINDOW_DEFAULT)
    }

    /// As [`Call::window`], with another default for `limit`.
    ///
    /// # Errors
    /// As [`Call::window`].
    pub fn window_of(&self, limit: i64) -> Result<Window, ApiError> {
        let limit = self.query_integer("limit", 1..=100)?.unwrap_or(limit);
        let offset = self.query_integer("offset", 0..=i64::MAX)?.unwrap_or(0);
        Ok(Window { limit, offset })
    }

    /// A query parameter that is a whole number.
    ///
    /// # Errors
    /// 422 (400 on the AINS door) naming it, when it is none or out of range.
    pub fn query_integer(&self, name: &str, range: RangeInclusive<i64>) -> Result<Option<i64>, ApiError> {
        let Some(text) = self.query(name) else { return Ok(None) };
        let number: Option<i64> = text.parse().ok();
        match number.filter(|number| range.contains(number)) {
            Some(number) => Ok(Some(number)),
            None => {
                let message = match *range.end() {
                    i64::MAX => format!("{name} must be an integer of at least {}", range.start()),
                    end => format!("{name} must be an integer between {} and {end}", range.start()),
                };
                Err(ApiError::field(Code::InvalidRange, name, message))
            }
        }
    }

    /// A query parameter that is `true` or `false`.
    ///
    /// # Errors
    /// 422 (400 on the AINS door) naming it, when it is neither.
    pub fn query_boolean(&self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.query(name).as_deref() {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(_) => Err(ApiError::field(Code::InvalidFormat, name, format!("{name} must be true or false"))),
        }
    }

    /// Paging, filters and sorting as asked for.
    ///
    /// # Errors
    /// 422 for an unknown field, operator, or a value of another type.
    pub fn list_query(&self, spec: &ListSpec) -> Result<ListQuery, ApiError> {
        self.list_query_with(spec, &Plain::NONE)
    }

    /// As [`Call::list_query`], with the plain parameters that `plain` names.
    ///
    /// # Errors
    /// As [`Call::list_query`]; 422 for a plain value outside its closed list.
    pub fn list_query_with(&self, spec: &ListSpec, plain: &'static Plain) -> Result<ListQuery, ApiError> {
        spec.parse(self.request.query_string(), plain)
    }
}

fn platform(request: &HttpRequest) -> Result<Arc<Platform>, ApiError> {
    let data = request.app_data::<web::Data<Platform>>();
    data.map(|data| Arc::clone(data)).ok_or_else(|| ApiError::internal(anyhow::anyhow!("no platform in the app")))
}

fn body_limit<P: Permission>(request: &HttpRequest, platform: &Platform) -> usize {
    let core = &platform.core;
    match P::BODY {
        BodyLimit::Json if Door::of(request.path()) == Door::Ains => core.ains_max_body_bytes,
        BodyLimit::Json => core.max_body_bytes,
        BodyLimit::AinsBatch => core.ains_max_body_bytes.max(AINS_BATCH_BYTES),
        BodyLimit::Document => core.max_document_bytes / 3 * 4 + DOCUMENT_FIELDS_BYTES,
    }
}

/// What the request's service token says, when it is a good one.
fn signed() -> Option<ServiceCall> {
    context::current()?.signed()?.as_ref().ok().cloned()
}

fn too_large(limit: usize) -> ApiError {
    ApiError::new(Code::PayloadTooLarge, format!("The body is larger than {limit} bytes"))
}

fn check_announced_length<P: Permission>(request: &HttpRequest, platform: &Platform) -> Result<(), ApiError> {
    let announced = request.headers().get(CONTENT_LENGTH);
    let announced = announced.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    let limit = body_limit::<P>(request, platform);
    if announced.is_some_and(|length| length > limit) { Err(too_large(limit)) } else { Ok(()) }
}

/// A request may say which version of the door it wants.
fn check_version(request: &HttpRequest) -> Result<(), ApiError> {
    let Some(asked) = request.headers().get("api-version") else { return Ok(()) };
    if asked.to_str().is_ok_and(|asked| context::door().speaks(asked)) {
        return Ok(());
    }
    Err(ApiError::new(Code::MalformedBody, "API-Version must be 1, v1, 1.0 or 1.0.0"))
}

/// The caller of a door that the operator left open, when it presents nothing; else the error, as long as the address does
/// not try too often.
fn stranger<P: Permission>(error: ApiError, request: &HttpRequest, platform: &Platform) -> Result<Caller, ApiError> {
    let door = P::DOOR.filter(|door| platform.core.auth_open_doors.contains(door));
    if let (Code::MissingAuthorization, Some(door)) = (error.code(), door) {
        let per_minute = match door {
            "canvas" => platform.core.canvas_rate_limit_per_minute,
            "caxton" => platform.core.caxton_rate_limit_per_minute,
            _ => platform.core.rate_limit_per_minute,
        };
        if per_minute > 0 {
            count_address(Anonymous::OpenDoor(door), per_minute, request, platform)?;
        }
        return Ok(nobody([Role::Service]));
    }
    if error.code() == Code::MissingAuthorization && P::OPTIONAL {
        count_address(Anonymous::OpenRoute, NOBODY_PER_MINUTE, request, platform)?;
        return Ok(nobody([]));
    }
    if error.code().status() == 401 {
        count_address(Anonymous::Refused, NOBODY_PER_MINUTE, request, platform)?;
        access::rejected(&error);
    }
    Err(error)
}

/// Where the request comes from.
fn address(request: &HttpRequest, platform: &Platform) -> IpAddr {
    client_address::of(request.head(), &platform.core.trusted_proxies)
}

fn count_address(what: Anonymous, per_minute: u64, request: &HttpRequest, platform: &Platform) -> Result<(), ApiError> {
    platform.limiter.count_address(what, address(request, platform), per_minute).map_err(|exceeded| over(&exceeded))
}

/// Nobody in particular, counted by its address.
fn nobody(roles: impl Into<std::collections::BTreeSet<Role>>) -> Caller {
    let principal = Principal {
        id: ANONYMOUS.to_owned(),
        client_id: ANONYMOUS.to_owned(),
        roles: roles.into(),
        permissions: Vec::new(),
    };
    Caller { principal, service: None, limits: None, credential: Credential::None }
}

fn count(caller: &Caller, platform: &Platform) -> Result<(), ApiError> {
    let counted = caller.limits.map(|limits| platform.limiter.count(caller.id(), limits));
    if let Some(context) = context::current() {
        context.identified(caller.principal.clone(), caller.is_service(), counted);
    }
    counted.and_then(|counted| counted.exceeded).map_or(Ok(()), |exceeded| Err(over(&exceeded)))
}

/// The error of a request over a limit; the first of a window is for the record, too.
fn over(exceeded: &Exceeded) -> ApiError {
    if exceeded.is_first {
        let window = match exceeded.window {
            rate_limit::Window::Minute => accesses::Window::PerMinute,
            rate_limit::Window::Hour => accesses::Window::PerHour,
        };
        access::refused(Refusal::Rate { window, limit: exceeded.standing.limit });
    }
    exceeded.to_error(context::door())
}

/// Administration comes from the addresses that the operator named, if any: its routes, and its credentials on all routes.
fn check_address<P: Permission>(caller: &Caller, request: &HttpRequest, platform: &Platform) -> Result<(), ApiError> {
    // Whom a service calls for was checked where it came in.
    if caller.is_service() || platform.core.admin_allow_cidrs.is_empty() {
        return Ok(());
    }
    let for_administrators =
        P::ADMINISTRATIVE || (!P::ANY_OF.is_empty() && P::ANY_OF.iter().all(|scope| is_administrative(scope)));
    let address = client_address::of(request.head(), &platform.core.trusted_proxies);
    if platform.allows_administration(address) || !(for_administrators || caller.principal.is_administrator()) {
        return Ok(());
    }
    tracing::warn!(principal = caller.id(), "administration from an address that is not allowed");
    Err(ApiError::new(Code::ForbiddenResource, "Administration is not allowed from this address"))
}

/// No `Content-Type`, `application/json`, or `application/*+json`.
fn is_json(headers: &HeaderMap) -> bool {
    if !headers.contains_key(CONTENT_TYPE) {
        return true;
    }
    let essence = essence(headers).unwrap_or_default();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// The media type of the body, in lower case and without parameters; `None` when it is not said in text.
fn essence(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    Some(text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}
