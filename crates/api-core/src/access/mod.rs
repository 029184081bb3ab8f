//! Who used what, and who was refused: counted beside every answer, handed to the control plane once a second.
//!
//! What a request's path through the checks has to say is left in its context ([`used`], [`malformed`], [`refused`]), so that nothing
//! of it can reach the caller. Calls of our own services are not counted: a request counts once, where it came in.

mod tally;
mod visitor;
mod waiting;

pub(crate) use visitor::Visitor;

use std::{
    cell::Cell,
    sync::{
        Arc, LazyLock, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use actix_web::http::StatusCode;
use api_client::{ClientError, control_plane::ControlPlane};
use api_types::{
    access::{BadCredential, Refusal},
    auth::Principal,
    error::Code,
    keys::KeyRecord,
};
use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use crate::{
    context::{self, Context},
    error::ApiError,
    metrics::Counters,
};
use tally::Tally;
use waiting::Waiting;

/// How often the control plane is told.
const PAUSE: Duration = Duration::from_secs(1);
/// How long telling it may take while the process ends.
const LAST_WORDS: Duration = Duration::from_secs(3);
/// Each thread counts in a part of its own, so that threads do not wait for each other.
const PARTS: usize = 8;

static DROPPED: LazyLock<Counters> = LazyLock::new(|| {
    Counters::new("imago_access_records_dropped_total", "Requests that usage and audit will not know of", &["what"])
});

/// Requests that nobody will be told of, because there were too many or the control plane was away for too long.
fn dropped(what: &'static str, requests: u64) {
    if requests > 0 {
        DROPPED.add(&[what], requests);
    }
}

/// What the checks of one request found out.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    /// Whose secret was right; its use may still have been refused.
    key: OnceLock<Arc<KeyRecord>>,
    is_malformed: AtomicBool,
    refusal: OnceLock<Refusal>,
}

/// The secret of a key was right.
pub(crate) fn used(key: &Arc<KeyRecord>) {
    if let Some(context) = context::current() {
        context.notes.key.get_or_init(|| Arc::clone(key));
    }
}

/// The credential has not the form of one; to its sender it is as invalid as any other.
pub(crate) fn malformed() {
    if let Some(context) = context::current() {
        context.notes.is_malformed.store(true, Ordering::Relaxed);
    }
}

/// The request is refused; of several reasons the first stands.
pub fn refused(why: Refusal) {
    if let Some(context) = context::current() {
        context.notes.refusal.get_or_init(|| why);
    }
}

/// The request is refused for want of a good credential.
pub(crate) fn rejected(error: &ApiError) {
    let Some(context) = context::current() else { return };
    let reason = match error.code() {
        Code::MissingAuthorization => BadCredential::Missing,
        Code::ExpiredToken => BadCredential::Expired,
        Code::RevokedToken => BadCredential::Revoked,
        _ if context.notes.is_malformed.load(Ordering::Relaxed) => BadCredential::Malformed,
        _ => BadCredential::Unknown,
    };
    context.notes.refusal.get_or_init(|| Refusal::Credential { reason });
}

/// How a request was answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer<'a> {
    pub(crate) service: &'static str,
    pub(crate) method: &'static str,
    /// The template, never the path.
    pub(crate) route: &'a str,
    pub(crate) status: StatusCode,
}

/// One answered request, as it is counted.
struct Seen<'a> {
    answer: Answer<'a>,
    context: &'a Context,
    at: DateTime<Utc>,
}

impl Seen<'_> {
    fn visitor(&self) -> &Visitor {
        self.context.visitor()
    }

    /// Clock minutes since 1970.
    fn minute(&self) -> i64 {
        self.at.timestamp().div_euclid(60)
    }
}

/// Collects what happened in this process until the control plane knows it.
#[derive(Debug)]
pub(crate) struct Recorder {
    parts: [Mutex<Tally>; PARTS],
    /// Held while it is handed over, so that it is done by one at a time.
    waiting: tokio::sync::Mutex<Waiting>,
}

impl Default for Recorder {
    fn default() -> Self {
        let hasher = std::hash::RandomState::new();
        Self {
            parts: std::array::from_fn(|_| Mutex::new(Tally::new(hasher.clone()))),
            waiting: tokio::sync::Mutex::default(),
        }
    }
}

impl Recorder {
    /// Counts an answered request. Costs well under a microsecond: every request passes here.
    pub(crate) fn answered(&self, context: &Context, answer: Answer<'_>) {
        let caller: Option<&Principal> = match context.caller() {
            Some((_, true)) => return,
            Some((principal, false)) => Some(principal),
            None => None,
        };
        let (key, refusal) = (context.notes.key.get(), context.notes.refusal.get());
        // Handlers, too, refuse those who are known.
        let is_forbidden = caller.is_some() && answer.status == StatusCode::FORBIDDEN;
        if refusal.is_none() && !is_forbidden && (key.is_none() || caller.is_none()) {
            return;
        }
        let seen = Seen { answer, context, at: Utc::now() };
        let mut part = self.part().lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(_), Some(key)) = (caller, key) {
            part.count(key, &seen);
        }
        let why = refusal.cloned().or_else(|| is_forbidden.then_some(Refusal::Permission { required_scope: None }));
        if let Some(why) = why {
            // The holder of a key that is no longer good is known by the secret, which was right.
            let known = key.map(|key| (key.id.as_str(), key.client_id.as_str()));
            let who = caller.map(|caller| (caller.id.as_str(), caller.client_id.as_str())).or(known);
            part.refuse(who, why, &seen);
        }
    }

    fn part(&self) -> &Mutex<Tally> {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static PART: Cell<usize> = Cell::new(THREADS.fetch_add(1, Ordering::Relaxed) % PARTS);
        }
        &self.parts[PART.get()]
    }

    /// Tells the control plane until the process ends.
    pub(crate) async fn run(&self, control_plane: &ControlPlane, stop: &CancellationToken) {
        let mut is_away = false;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(PAUSE) => {}
            }
            match self.hand_over(control_plane).await {
                Ok(()) if is_away => {
                    is_away = false;
                    tracing::info!("the control plane knows again who used what");
                }
                Ok(()) => {}
                Err(error) if !is_away => {
                    is_away = true;
                    tracing::warn!(error = %error, "who used what is kept until the control plane takes it");
                }
                Err(_still_away) => {}
            }
        }
    }

    /// Tells the control plane what is left, if it answers at all.
    pub(crate) async fn finish(&self, control_plane: &ControlPlane) {
        let told = tokio::time::timeout(LAST_WORDS, self.hand_over(control_plane)).await;
        if let Ok(Err(error)) = told {
            tracing::debug!(error = %error, "the control plane was not told the last of who used what");
        }
        self.waiting.lock().await.give_up();
    }

    async fn hand_over(&self, control_plane: &ControlPlane) -> Result<(), ClientError> {
        let mut waiting = self.waiting.lock().await;
        for part in &self.parts {
            let tally = part.lock().unwrap_or_else(PoisonError::into_inner).take();
            waiting.add(tally);
        }
        waiting.shrink(Utc::now());
        while let Some(batch) = waiting.next() {
            match control_plane.record_access(batch).await {
                Ok(_receipt) => waiting.done(),
                Err(error) if error.is_transient() => return Err(error),
                Err(error) => {
                    // The same again would not be taken either.
                    tracing::error!(error = %error, "the control plane refuses to know who used what");
                    waiting.give_up_batch();
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
