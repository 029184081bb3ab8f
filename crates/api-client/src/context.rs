//! What a call carries on behalf of the request that caused it.

use std::time::{Duration, Instant};

use api_types::auth::Principal;
use uuid::Uuid;

/// Header names between services.
pub(crate) mod header {
    pub(crate) const REQUEST_ID: &str = "x-request-id";
    pub(crate) const DEADLINE_MS: &str = "x-imago-deadline-ms";
    pub(crate) const VIA: &str = "x-imago-via";
    pub(crate) const TRACEPARENT: &str = "traceparent";
}

/// Who asks, in which request, until when.
#[derive(Debug, Clone)]
pub struct CallContext {
    pub request_id: Uuid,
    /// Whose request it is; `None` for work that nobody asked for.
    pub principal: Option<Principal>,
    /// After this nobody waits for the answer.
    pub deadline: Option<Instant>,
    /// W3C trace context of the caller's span.
    pub traceparent: Option<String>,
    /// The services that the request has passed through.
    pub via: Vec<String>,
}

impl CallContext {
    /// The context of background work of a service.
    #[must_use]
    pub fn background() -> Self {
        Self { request_id: Uuid::new_v4(), principal: None, deadline: None, traceparent: None, via: Vec::new() }
    }

    /// How long the caller still waits, at most `limit`.
    pub(crate) fn time_left(&self, limit: Duration) -> Duration {
        self.deadline.map_or(limit, |deadline| limit.min(deadline.saturating_duration_since(Instant::now())))
    }
}
