//! Sessions that have ended: every process knows them within seconds, so that tokens can be checked without asking anybody.
//!
//! A list that each process follows: what is new is asked for every second and a half. The service that keeps the sessions looks
//! into its own tables besides, so that there an ended one is refused at once, whichever process ended it.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, OnceLock, PoisonError, RwLock},
    time::{Duration, Instant},
};

use api_client::control_plane::ControlPlane;
use api_types::{
    error::Code,
    users::{EndedAfter, EndedSession, EndedSessions, SessionId},
};
use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::error::ApiError;

/// Sessions remembered at once. Far more than can be ended before the first of them is forgotten.
const REMEMBERED_MAX: usize = 500_000;

/// How often the list is asked for, and how long it is waited for.
#[derive(Debug, Clone, Copy)]
struct Rhythm {
    /// An ended session is refused everywhere within 5 s: this, and two seconds for the way.
    pause: Duration,
    /// Until the list was read for the first time.
    first_pause: Duration,
    /// So long after the start a check waits for the list rather than do without it.
    first_wait: Duration,
}

const RHYTHM: Rhythm = Rhythm {
    pause: Duration::from_millis(1500),
    first_pause: Duration::from_millis(200),
    first_wait: Duration::from_secs(3),
};

/// Where the list is read.
pub trait SessionSource: Send + Sync + fmt::Debug {
    /// What ended after the cursor, in order; a cursor that cannot be reads from the beginning.
    fn ended_after(&self, after: EndedAfter) -> BoxFuture<'_, Result<EndedSessions, SessionSourceError>>;
}

/// Where sessions are kept.
pub trait SessionKeeper: SessionSource {
    /// Whether a session of ours has ended; one that is not ours has not.
    fn has_ended(&self, id: SessionId) -> BoxFuture<'_, Result<bool, SessionSourceError>>;
}

/// Sessions cannot be looked up now.
#[derive(Debug, thiserror::Error)]
#[error("sessions cannot be looked up")]
pub struct SessionSourceError(#[source] pub anyhow::Error);

impl SessionSource for ControlPlane {
    fn ended_after(&self, after: EndedAfter) -> BoxFuture<'_, Result<EndedSessions, SessionSourceError>> {
        Box::pin(async move { self.ended_sessions(after).await.map_err(|error| SessionSourceError(error.into())) })
    }
}

/// The sessions that have ended, as far as this process knows.
#[derive(Debug)]
pub struct Sessions {
    source: Option<Arc<dyn SessionSource>>,
    /// Where they are kept, if that is in this process, and the label of the service that keeps them.
    keeper: OnceLock<(&'static str, Arc<dyn SessionKeeper>)>,
    ended: RwLock<Ended>,
    /// Whether the list was read at least once.
    filled: watch::Sender<bool>,
    started: Instant,
    rhythm: Rhythm,
}

#[derive(Debug, Default)]
struct Ended {
    /// Until when a token of the session could be good otherwise.
    until: HashMap<SessionId, DateTime<Utc>>,
    cursor: i64,
}

impl Sessions {
    /// Without a source there is nothing to follow.
    #[must_use]
    pub fn new(source: Option<Arc<dyn SessionSource>>) -> Self {
        let filled = watch::Sender::new(source.is_none());
        let (ended, started) = (RwLock::default(), Instant::now());
        Self { source, keeper: OnceLock::new(), ended, filled, started, rhythm: RHYTHM }
    }

    /// Says that the service with this label keeps the sessions and is part of this process. The first one stays.
    pub fn kept_by(&self, label: &'static str, keeper: Arc<dyn SessionKeeper>) {
        self.keeper.get_or_init(|| (label, keeper));
    }

    /// Takes note of sessions that have ended, so that this process refuses them at once.
    pub fn end(&self, ended: &[EndedSession]) {
        let now = Utc::now();
        let mut memory = self.ended.write().unwrap_or_else(PoisonError::into_inner);
        memory.until.extend(ended.iter().map(|session| (session.id.clone(), session.until)));
        memory.forget(now, REMEMBERED_MAX);
    }

    /// Checks a session. `service` is the label of the service that a token of it was presented to.
    pub(super) async fn check(&self, id: &SessionId, service: impl FnOnce() -> &'static str) -> Result<(), ApiError> {
        if self.is_known(id) {
            return Err(revoked());
        }
        if let Some((label, keeper)) = self.keeper.get()
            && *label == service()
        {
            let has_ended = keeper.has_ended(id.clone()).await.map_err(|error| {
                ApiError::unavailable("The credential cannot be checked now, try again in a moment").caused_by(error)
            })?;
            return if has_ended { Err(revoked()) } else { Ok(()) };
        }
        if !*self.filled.borrow() {
            let left = self.rhythm.first_wait.saturating_sub(self.started.elapsed());
            // In vain when the control plane is away: then what is known has to do.
            drop(tokio::time::timeout(left, self.filled.subscribe().wait_for(|filled| *filled)).await);
        }
        if self.is_known(id) { Err(revoked()) } else { Ok(()) }
    }

    /// Follows the list until it is told to stop. While nobody can be asked, what is known stays known.
    pub(crate) async fn follow(&self, stop: CancellationToken) {
        let source = match (self.keeper.get(), &self.source) {
            (Some((_, keeper)), _) => Arc::clone(keeper) as Arc<dyn SessionSource>,
            (None, Some(source)) => Arc::clone(source),
            (None, None) => return,
        };
        let mut is_away = false;
        loop {
            let read = tokio::select! {
                () = stop.cancelled() => return,
                read = self.catch_up(&*source) => read,
            };
            match read {
                Ok(()) => {
                    self.filled.send_if_modified(|filled| !std::mem::replace(filled, true));
                    if std::mem::replace(&mut is_away, false) {
                        tracing::info!("ended sessions can be read again");
                    }
                }
                // Once, and not every other second.
                Err(error) if !std::mem::replace(&mut is_away, true) => {
                    let error = format!("{:#}", anyhow::Error::from(error));
                    tracing::warn!(error, "ended sessions cannot be read; those that are known stay refused");
                }
                Err(_as_before) => {}
            }
            let pause = if *self.filled.borrow() { self.rhythm.pause } else { self.rhythm.first_pause };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Reads all that is new.
    async fn catch_up(&self, source: &dyn SessionSource) -> Result<(), SessionSourceError> {
        loop {
            let cursor = self.ended.read().unwrap_or_else(PoisonError::into_inner).cursor;
            let EndedSessions { ended, cursor, more } = source.ended_after(EndedAfter { cursor }).await?;
            self.end(&ended);
            self.ended.write().unwrap_or_else(PoisonError::into_inner).cursor = cursor;
            if !more {
                return Ok(());
            }
        }
    }

    fn is_known(&self, id: &SessionId) -> bool {
        self.ended.read().unwrap_or_else(PoisonError::into_inner).until.contains_key(id)
    }
}

impl Ended {
    /// Forgets the sessions whose tokens have expired by now, and beyond `max` those whose tokens expire next.
    fn forget(&mut self, now: DateTime<Utc>, max: usize) {
        self.until.retain(|_, until| *until > now);
        let Some(beyond) = self.until.len().checked_sub(max).filter(|beyond| *beyond > 0) else { return };
        let mut times: Vec<DateTime<Utc>> = self.until.values().copied().collect();
        let (_, last, _) = times.select_nth_unstable(beyond - 1);
        let last = *last;
        self.until.retain(|_, until| *until > last);
        tracing::error!(beyond, "more sessions have ended than can be remembered; the oldest were forgotten");
    }
}

fn revoked() -> ApiError {
    ApiError::new(Code::RevokedToken, "The credential has been revoked")
}

#[cfg(test)]
mod tests;
