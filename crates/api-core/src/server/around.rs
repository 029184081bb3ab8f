//! What happens around every request, in one place: its id, its time limit, its headers, its line in the log.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use actix_web::{
    Error, HttpResponse,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    error::InternalError,
    http::{Method, header::HeaderMap},
    middleware::Next,
    web,
};
use api_types::error::Code;
use futures_util::FutureExt as _;
use tracing::Instrument as _;
use uuid::Uuid;

use super::{
    front::Front,
    headers::{allowed_origin, decorate, is_preflight},
};
use crate::{
    access::{Answer, Visitor},
    context::{self, Context},
    door::Door,
    error::ApiError,
    metrics::{HTTP_DURATION, HTTP_REQUESTS},
    platform::Platform,
};

/// Serves one request.
pub(super) async fn request<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let (Some(platform), Some(front)) =
        (request.app_data::<web::Data<Platform>>().cloned(), request.app_data::<web::Data<Front>>().cloned())
    else {
        return Err(ApiError::internal(anyhow::anyhow!("no platform in the app")).into());
    };
    let started = Instant::now();
    let slow = front.is_slow(request.method(), request.path());
    let limit_s = if slow { platform.core.worker_timeout } else { platform.core.request_timeout_seconds };
    let limit = Duration::from_secs(limit_s);
    let signed = platform.auth.signed(request.request().head(), &front.names);
    let is_service = matches!(signed, Some(Ok(_)));
    let announced = announced_limit(request.headers()).filter(|_| is_service);
    let limit = announced.map_or(limit, |left| left.min(limit));
    let door = Door::of(request.path());
    let context = Context::new(request_id(door, request.headers()), limit, via(request.headers()));
    let visitor = if is_service { Visitor::default() } else { Visitor::of(&request, &platform.core.trusted_proxies) };
    let context = Arc::new(context.through(door).signed_by(signed).visited_by(visitor));
    let origin = allowed_origin(&platform, request.headers());
    let (method, path) = (request.method().clone(), request.path().to_owned());
    let span = span(&request, &context);
    let slot = if is_service { Ok(Slot(None)) } else { Slot::take(&platform, request.path()) };
    let work = served(&platform, request, next, (slot, limit)).instrument(span.clone());
    let answered = context::scope(Arc::clone(&context), async {
        match work.await {
            Ok(mut response) => {
                decorate(response.headers_mut(), &context, origin.as_ref());
                Ok(response)
            }
            Err(error) => {
                let mut response = error.as_response_error().error_response();
                decorate(response.headers_mut(), &context, origin.as_ref());
                Err(response)
            }
        }
    })
    .await;
    let (status, template) = match &answered {
        Ok(response) => (response.status(), response.request().match_pattern()),
        Err(response) => (response.status(), None),
    };
    // A request that was refused, cut short or panicked says no more where it was going.
    let route = template.as_deref().or_else(|| front.template_at(&path)).unwrap_or("unmatched");
    let answer = Answer { service: front.service_of(route), method: label_of(&method), route, status };
    if !is_service {
        platform.access.answered(&context, answer);
    }
    context::scope_blocking(Some(context), || span.in_scope(|| account(answer, started.elapsed())));
    // The request is gone with its error, so the finished answer travels as one.
    answered.map_err(|response| InternalError::from_response("answered", response).into())
}

async fn served<B: MessageBody + 'static>(
    platform: &Platform,
    request: ServiceRequest,
    next: Next<B>,
    (slot, limit): (Result<Slot<'_>, ApiError>, Duration),
) -> Result<ServiceResponse<BoxBody>, Error> {
    if is_preflight(&request) {
        return Ok(request.into_response(HttpResponse::Ok().finish()));
    }
    if header_bytes(request.headers()) > platform.core.max_header_bytes {
        return Err(ApiError::new(Code::HeadersTooLarge, "The request's headers are too large").into());
    }
    let _slot = slot?;
    let work = AssertUnwindSafe(next.call(request)).catch_unwind();
    match tokio::time::timeout(limit, work).await {
        Ok(Ok(result)) => result.map(ServiceResponse::map_into_boxed_body),
        Ok(Err(panic)) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()));
            Err(ApiError::internal(anyhow::anyhow!("a handler panicked: {}", text.unwrap_or_default())).into())
        }
        Err(_elapsed) => Err(ApiError::unavailable("The request took too long").into()),
    }
}

/// One of the requests that a process serves at a time. Our own services need none: a request that waits for them would
/// otherwise wait for itself, and what is under way is finished while the process stops.
struct Slot<'a>(Option<&'a Platform>);

impl<'a> Slot<'a> {
    fn take(platform: &'a Platform, path: &str) -> Result<Self, ApiError> {
        // Probes must get through when the service is busiest.
        if path.starts_with("/health") || path == "/ready" || path == "/metrics" {
            return Ok(Self(None));
        }
        if platform.is_draining() {
            return Err(ApiError::unavailable("The service is stopping, try again in a moment"));
        }
        if platform.in_flight.fetch_add(1, Ordering::AcqRel) >= platform.core.max_in_flight {
            platform.in_flight.fetch_sub(1, Ordering::AcqRel);
            return Err(ApiError::unavailable("Too many requests at once, try again in a moment"));
        }
        Ok(Self(Some(platform)))
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        if let Some(platform) = self.0 {
            platform.in_flight.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

fn request_id(door: Door, headers: &HeaderMap) -> Uuid {
    let given = headers.get("x-request-id").and_then(|value| value.to_str().ok());
    given.and_then(|text| door.read_request_id(text)).unwrap_or_else(Uuid::now_v7)
}

fn via(headers: &HeaderMap) -> Vec<String> {
    let given = headers.get("x-imago-via").and_then(|value| value.to_str().ok());
    given.map_or_else(Vec::new, |list| list.split(',').take(16).map(|name| name.trim().to_owned()).collect())
}

/// How long the service that calls still waits.
fn announced_limit(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("x-imago-deadline-ms")?.to_str().ok()?;
    text.parse().ok().map(Duration::from_millis)
}

fn header_bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum()
}

fn span(request: &ServiceRequest, context: &Context) -> tracing::Span {
    use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState};
    use tracing_opentelemetry::OpenTelemetrySpanExt as _;
    let span = tracing::info_span!("request", http.method = %request.method(), request_id = %context.request_id);
    let parent = request.headers().get("traceparent").and_then(|value| {
        let mut parts = value.to_str().ok()?.split('-').skip(1);
        let trace = TraceId::from_hex(parts.next()?).ok()?;
        let parent = SpanId::from_hex(parts.next()?).ok()?;
        let flags = TraceFlags::new(u8::from_str_radix(parts.next()?, 16).ok()?);
        Some(SpanContext::new(trace, parent, flags, true, TraceState::default()))
    });
    if let Some(parent) = parent.filter(SpanContext::is_valid) {
        let context = opentelemetry::Context::new().with_remote_span_context(parent);
        // Without an exporter there is nothing to attach to; then the log still has the request id.
        drop(span.set_parent(context));
    }
    span
}

/// A method can be any token; only the usual ones may become labels.
fn label_of(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        Method::HEAD => "HEAD",
        _ => "OTHER",
    }
}

fn account(Answer { service, method, route, status }: Answer<'_>, took: Duration) {
    HTTP_REQUESTS.inc(&[service, method, route, status.as_str()]);
    HTTP_DURATION.observe(&[service, route], took);
    let (status, took_ms) = (status.as_u16(), u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
    tracing::debug!(service, method, route, status, took_ms, "answered");
}
