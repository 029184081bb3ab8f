//! API keys: looked up with the control plane, remembered for a moment.

mod memory;
mod misses;
mod presented;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use api_client::control_plane::ControlPlane;
use api_types::{
    error::Code,
    keys::{KeyId, KeyLookup, KeyRecord},
};
use chrono::Utc;
use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;

pub use self::presented::{AINS_CHARS, AINS_PREFIX, split_key};
use self::{
    memory::{Ask, Memory, Recalled},
    misses::Misses,
    presented::Presented,
};
use super::{expired_token, invalid_token, malformed_token};
use crate::{access, error::ApiError};

/// Keys that are not known yet are looked up so many at a time; the others wait in turn.
const LOOKUPS_AT_ONCE: usize = 32;
/// For so long.
const LOOKUP_WAIT: Duration = Duration::from_secs(3);

/// Where keys are looked up.
pub trait KeySource: Send + Sync + fmt::Debug {
    /// The record of the key, if there is one. A matching secret counts as a use of the key.
    fn find(&self, lookup: KeyLookup) -> BoxFuture<'_, Result<Option<KeyRecord>, KeySourceError>>;
}

/// Keys cannot be looked up now.
#[derive(Debug, thiserror::Error)]
#[error("keys cannot be looked up")]
pub struct KeySourceError(#[source] pub anyhow::Error);

impl KeySource for ControlPlane {
    fn find(&self, lookup: KeyLookup) -> BoxFuture<'_, Result<Option<KeyRecord>, KeySourceError>> {
        Box::pin(async move { self.look_up_key(&lookup).await.map_err(|error| KeySourceError(error.into())) })
    }
}

/// Checks keys, remembering their records.
///
/// Somebody who makes up keys costs little: the same text again is refused from memory, an address has a budget of look-ups
/// in vain, and few look-ups run at once. None of that delays known keys, nor new ones from anywhere else.
#[derive(Debug)]
pub struct Keys {
    source: Arc<dyn KeySource>,
    memory: Memory,
    turns: Semaphore,
    misses: Misses,
}

impl Keys {
    #[must_use]
    pub fn new(source: Arc<dyn KeySource>) -> Self {
        Self { source, memory: Memory::default(), turns: Semaphore::new(LOOKUPS_AT_ONCE), misses: Misses::default() }
    }

    /// Forgets a key, so that its revocation or change holds in this process at once.
    pub fn forget(&self, id: &str) {
        self.memory.forget(&KeyId::new(id));
    }

    /// The record of the key that `token` is; `from` is the address that presents it.
    pub(super) async fn check(&self, token: &str, from: &str) -> Result<Arc<KeyRecord>, ApiError> {
        let presented = Presented::read(token).ok_or_else(malformed_token)?;
        let record = self.record(&presented, from).await?.ok_or_else(invalid_token)?;
        let now = Utc::now();
        // Whatever the key's state: it is told only to holders of the secret.
        if !presented.opens(&record, now) {
            return Err(invalid_token());
        }
        access::used(&record);
        if record.revoked_at.is_some() {
            return Err(ApiError::new(Code::RevokedToken, "The credential has been revoked"));
        }
        if record.expires_at.is_some_and(|at| at <= now) {
            return Err(expired_token());
        }
        Ok(record)
    }

    async fn record(&self, presented: &Presented<'_>, from: &str) -> Result<Option<Arc<KeyRecord>>, ApiError> {
        let ask = match self.memory.recall(presented, Instant::now()) {
            Recalled::Known(record) => return Ok(Some(record)),
            Recalled::Refused => return Ok(None),
            Recalled::Ask(ask) => ask,
        };
        if ask.stale.is_some() {
            // At most one at a time for each known key, so it need not wait behind what others make up.
            return self.ask(presented, from, ask).await;
        }
        if let Some(seconds) = self.misses.wait_s(from, now_s()) {
            let message = format!("Rate limit exceeded. Try again after {seconds} seconds.");
            return Err(ApiError::new(Code::TooManyRequests, message).retry_after(seconds));
        }
        let turn = tokio::time::timeout(LOOKUP_WAIT, self.turns.acquire()).await;
        let Ok(Ok(_turn)) = turn else { return Err(cannot_check()) };
        // Somebody else may have asked in the meantime.
        match self.memory.recall(presented, Instant::now()) {
            Recalled::Known(record) => Ok(Some(record)),
            Recalled::Refused => Ok(None),
            Recalled::Ask(ask) => self.ask(presented, from, ask).await,
        }
    }

    async fn ask(&self, presented: &Presented<'_>, from: &str, ask: Ask) -> Result<Option<Arc<KeyRecord>>, ApiError> {
        match self.source.find(presented.lookup()).await {
            Ok(Some(record)) => {
                let record = self.memory.remember(record, &ask, Instant::now());
                if !presented.opens(&record, Utc::now()) {
                    self.misses.count(from, now_s());
                    self.memory.refuse(presented, &ask, Instant::now());
                }
                Ok(Some(record))
            }
            Ok(None) => {
                if let Some(stale) = &ask.stale {
                    self.memory.remove(&stale.id);
                }
                self.misses.count(from, now_s());
                self.memory.refuse(presented, &ask, Instant::now());
                Ok(None)
            }
            // Keys that were seen before go on working while the control plane is away.
            Err(error) => match ask.stale {
                Some(stale) => {
                    tracing::warn!(error = %error, "using a remembered key");
                    self.memory.nobody_answers(&stale, Instant::now());
                    Ok(Some(stale))
                }
                // A wrong secret of a known key is as wrong as ever.
                None => match self.memory.named(presented) {
                    Some(other) => Ok(Some(other)),
                    None => Err(cannot_check().caused_by(error)),
                },
            },
        }
    }
}

fn cannot_check() -> ApiError {
    ApiError::unavailable("The credential cannot be checked now, try again in a moment")
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
