//! What belongs to the request being served, wherever it is asked for.

use std::{
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use api_client::{
    CallContext,
    token::{Refused, ServiceCall},
};
use api_types::auth::Principal;
use opentelemetry::trace::TraceContextExt as _;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use uuid::Uuid;

use crate::{
    access::{Notes, Visitor},
    door::Door,
    rate_limit::Counted,
};

tokio::task_local! {
    static CURRENT: Arc<Context>;
}

/// One request, from its first byte to its answer.
#[derive(Debug)]
pub struct Context {
    pub request_id: Uuid,
    /// The API that the request was made of.
    door: Door,
    pub deadline: Instant,
    visitor: Visitor,
    /// The services that the request has passed through before this one, by its own account.
    via: Vec<String>,
    /// What the request's service token says, when it carries one.
    signed: Option<Result<ServiceCall, Refused>>,
    /// Who asks, and whether through a service of ours.
    caller: OnceLock<(Principal, bool)>,
    rate: OnceLock<Counted>,
    pub(crate) notes: Notes,
    warnings: Mutex<Vec<String>>,
}

impl Context {
    #[must_use]
    pub fn new(request_id: Uuid, time_limit: Duration, via: Vec<String>) -> Self {
        Self {
            request_id,
            door: Door::Native,
            visitor: Visitor::default(),
            deadline: Instant::now() + time_limit,
            via,
            signed: None,
            caller: OnceLock::new(),
            rate: OnceLock::new(),
            notes: Notes::default(),
            warnings: Mutex::new(Vec::new()),
        }
    }

    /// The same with what the request's service token says.
    #[must_use]
    pub(crate) fn signed_by(mut self, signed: Option<Result<ServiceCall, Refused>>) -> Self {
        self.signed = signed;
        self
    }

    pub(crate) fn signed(&self) -> Option<&Result<ServiceCall, Refused>> {
        self.signed.as_ref()
    }

    pub(crate) fn through(mut self, door: Door) -> Self {
        self.door = door;
        self
    }

    pub(crate) fn visited_by(mut self, visitor: Visitor) -> Self {
        self.visitor = visitor;
        self
    }

    /// Where the request comes from; nothing is known of that when a service of ours makes it for somebody.
    pub(crate) fn visitor(&self) -> &Visitor {
        &self.visitor
    }

    /// The request's id, as its door writes it.
    pub(crate) fn shown_request_id(&self) -> String {
        self.door.request_id(self.request_id)
    }

    pub(crate) fn door(&self) -> Door {
        self.door
    }

    pub(crate) fn identified(&self, principal: Principal, is_service: bool, rate: Option<Counted>) {
        // A second identification of one request cannot happen; the first would stand.
        self.caller.get_or_init(|| (principal, is_service));
        if let Some(rate) = rate {
            self.rate.get_or_init(|| rate);
        }
    }

    /// The services that the request has passed through; what anybody but a service says of that counts for nothing.
    fn passed(&self) -> Vec<String> {
        match self.caller.get() {
            Some((_, true)) => self.via.clone(),
            _ => Vec::new(),
        }
    }

    /// Who asks, once that is known, and whether through a service of ours.
    pub(crate) fn caller(&self) -> Option<(&Principal, bool)> {
        self.caller.get().map(|(principal, is_service)| (principal, *is_service))
    }

    /// How the caller stands with its limits, once it is known who calls; our own services have none.
    #[must_use]
    pub fn rate(&self) -> Option<&Counted> {
        self.rate.get()
    }
}

/// Runs `work` as part of the request.
pub async fn scope<T>(context: Arc<Context>, work: impl Future<Output = T>) -> T {
    CURRENT.scope(context, work).await
}

/// Runs `work` as part of the request, on a thread that cannot await.
pub(crate) fn scope_blocking<T>(context: Option<Arc<Context>>, work: impl FnOnce() -> T) -> T {
    match context {
        Some(context) => CURRENT.sync_scope(context, work),
        None => work(),
    }
}

/// The request being served, if any.
#[must_use]
pub fn current() -> Option<Arc<Context>> {
    CURRENT.try_with(Arc::clone).ok()
}

/// The request's id, as its door writes it; a new one outside of requests.
#[must_use]
pub fn request_id() -> String {
    current().map_or_else(|| Uuid::new_v4().to_string(), |context| context.shown_request_id())
}

/// The door that the request being served came through; the native one outside of requests.
#[must_use]
pub fn door() -> Door {
    current().map_or(Door::Native, |context| context.door())
}

/// Tells the caller, in `meta.warnings`, of input that was ignored.
pub fn warn(text: String) {
    if let Some(context) = current() {
        context.warnings.lock().unwrap_or_else(PoisonError::into_inner).push(text);
    }
}

/// Takes the warnings collected so far.
pub(crate) fn take_warnings() -> Vec<String> {
    current().map_or_else(Vec::new, |context| {
        std::mem::take(&mut *context.warnings.lock().unwrap_or_else(PoisonError::into_inner))
    })
}

/// What a call to another service carries on behalf of this request.
#[must_use]
pub fn call_context() -> CallContext {
    let traceparent = traceparent();
    match current() {
        Some(context) => CallContext {
            request_id: context.request_id,
            principal: context.caller.get().map(|(principal, _)| principal.clone()),
            deadline: Some(context.deadline),
            traceparent,
            via: context.passed(),
        },
        None => CallContext { traceparent, ..CallContext::background() },
    }
}

/// What an event keeps of the request that caused it; nothing where there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    pub request_id: Option<String>,
    /// The client that the caller belongs to.
    pub client_id: Option<String>,
    pub ip_address: Option<String>,
    pub user_agent: Option<String>,
    pub trace_id: Option<String>,
}

/// Where the work at hand comes from.
#[must_use]
pub fn origin() -> Origin {
    let context = tracing::Span::current().context();
    let span = context.span();
    let span = span.span_context();
    let trace_id = span.is_valid().then(|| span.trace_id().to_string());
    let Some(request) = current() else { return Origin { trace_id, ..Origin::default() } };
    Origin {
        request_id: Some(request.request_id.to_string()),
        client_id: request.caller.get().map(|(principal, _)| principal.client_id.clone()),
        ip_address: request.visitor.ip(),
        user_agent: request.visitor.user_agent(),
        trace_id,
    }
}

/// W3C `traceparent` of the current span, when it is part of a trace.
#[must_use]
pub fn traceparent() -> Option<String> {
    let context = tracing::Span::current().context();
    let span = context.span();
    let span = span.span_context();
    span.is_valid().then(|| format!("00-{}-{}-{:02x}", span.trace_id(), span.span_id(), span.trace_flags().to_u8()))
}
