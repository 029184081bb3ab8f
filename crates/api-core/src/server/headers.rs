//! The headers of every answer.

use actix_web::{
    dev::ServiceRequest,
    http::{
        Method,
        header::{
            ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
            ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderName, HeaderValue, ORIGIN,
            VARY,
        },
    },
};

use crate::{
    context::Context,
    platform::Platform,
    rate_limit::{Counted, Standing, Window},
};

const FIXED: &[(&str, &str)] = &[
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("x-xss-protection", "1; mode=block"),
    ("strict-transport-security", "max-age=31536000; includeSubDomains"),
    ("content-security-policy", "default-src 'self'"),
    ("referrer-policy", "strict-origin-when-cross-origin"),
];
const CORS_METHODS: &str = "GET, POST, PUT, PATCH, DELETE, OPTIONS";
const CORS_HEADERS: &str =
    "Content-Type, Authorization, X-API-Key, X-Request-ID, X-Client-Version, Idempotency-Key, Prefer, traceparent";
const CORS_EXPOSED: &str = "X-Request-ID, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, \
     X-RateLimit-Limit-Minute, X-RateLimit-Remaining-Minute, X-RateLimit-Reset-Minute, X-RateLimit-Limit-Hour, \
     X-RateLimit-Remaining-Hour, X-RateLimit-Reset-Hour, RateLimit, RateLimit-Policy, Retry-After, Location";

/// A browser asks whether a page of another origin may call.
pub(super) fn is_preflight(request: &ServiceRequest) -> bool {
    request.method() == Method::OPTIONS
        && request.headers().contains_key(ORIGIN)
        && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

pub(super) fn allowed_origin(platform: &Platform, headers: &HeaderMap) -> Option<HeaderValue> {
    let origin = headers.get(ORIGIN)?;
    origin.to_str().is_ok_and(|origin| platform.core.allows_origin(origin)).then(|| origin.clone())
}

/// Adds what every answer has.
pub(super) fn decorate(headers: &mut HeaderMap, context: &Context, origin: Option<&HeaderValue>) {
    for (name, value) in FIXED {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    let (name, version) = context.door().version_header();
    headers.insert(HeaderName::from_static(name), HeaderValue::from_static(version));
    if let Some(rate) = context.rate() {
        tell_rate(headers, rate);
    }
    // A replayed answer keeps the id that its body names.
    let replayed = headers.contains_key("idempotent-replayed") && headers.contains_key("x-request-id");
    if !replayed && let Ok(id) = HeaderValue::try_from(context.shown_request_id()) {
        headers.insert(HeaderName::from_static("x-request-id"), id);
    }
    // Also where there is no origin: a cache must not give one page's answer to another's.
    headers.append(VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = origin {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(CORS_METHODS));
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(CORS_HEADERS));
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(CORS_EXPOSED));
    }
}

/// The published names, which describe the minute; those of the AINS door; and the fields that the IETF is about to standardise
/// (draft-ietf-httpapi-ratelimit-headers-10).
fn tell_rate(headers: &mut HeaderMap, rate: &Counted) {
    let (minute, hour) = (&rate.allowance.minute, &rate.allowance.hour);
    let mut put = |names: [&'static str; 3], standing: &Standing| {
        for (name, number) in names.into_iter().zip([standing.limit, standing.remaining(), standing.reset_s]) {
            headers.insert(HeaderName::from_static(name), HeaderValue::from(number));
        }
    };
    put(["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"], minute);
    put(["x-ratelimit-limit-minute", "x-ratelimit-remaining-minute", "x-ratelimit-reset-minute"], minute);
    put(["x-ratelimit-limit-hour", "x-ratelimit-remaining-hour", "x-ratelimit-reset-hour"], hour);
    let policy = |standing: &Standing, window: Window| {
        format!("\"{}\";q={};w={}", window.as_str(), standing.limit, window.seconds())
    };
    let left = |standing: &Standing, window: Window| {
        let seconds = standing.reset_s.saturating_sub(rate.at_s);
        format!("\"{}\";r={};t={seconds}", window.as_str(), standing.remaining())
    };
    for (name, value) in [
        ("ratelimit-policy", format!("{}, {}", policy(minute, Window::Minute), policy(hour, Window::Hour))),
        ("ratelimit", format!("{}, {}", left(minute, Window::Minute), left(hour, Window::Hour))),
    ] {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
}
