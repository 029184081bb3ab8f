//! API keys: looked up with the control plane, remembered for a moment.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use api_client::control_plane::ControlPlane;
use api_types::{
    error::Code,
    keys::{KeyLookup, KeyRecord},
};
use chrono::Utc;
use futures_util::future::BoxFuture;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::{expired_token, invalid_token, malformed_token};
use crate::{access, error::ApiError};

/// How long a record is taken for true. A revoked key is refused everywhere within 30 s; the rest is for the way.
const FRESH: Duration = Duration::from_secs(25);
/// Keys remembered at once.
const REMEMBERED_MAX: usize = 10_000;

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
#[derive(Debug)]
pub struct Keys {
    source: Arc<dyn KeySource>,
    memory: RwLock<Memory>,
}

#[derive(Debug, Default)]
struct Memory {
    seen: HashMap<String, Seen>,
    /// How often a key was to be forgotten: what was looked up before the last time may be out of date.
    forgotten: u64,
}

#[derive(Debug, Clone)]
struct Seen {
    record: Arc<KeyRecord>,
    at: Instant,
}

impl Keys {
    #[must_use]
    pub fn new(source: Arc<dyn KeySource>) -> Self {
        Self { source, memory: RwLock::default() }
    }

    /// Forgets a key, so that its revocation holds in this process at once.
    pub fn forget(&self, id: &str) {
        let mut memory = self.memory.write().unwrap_or_else(PoisonError::into_inner);
        memory.seen.remove(id);
        memory.forgotten += 1;
    }

    /// The record of the key that `token` (`key_id.secret`) is.
    pub(super) async fn check(&self, token: &str) -> Result<Arc<KeyRecord>, ApiError> {
        let (id, secret) = split_key(token).ok_or_else(malformed_token)?;
        let presented = hex::encode(Sha256::digest(secret));
        let record = self.record(id, &presented).await?.ok_or_else(invalid_token)?;
        // Compared in constant time, whatever the key's state: the state is told only to holders of the secret.
        if !bool::from(record.secret_sha256.as_bytes().ct_eq(presented.as_bytes())) {
            return Err(invalid_token());
        }
        access::used(&record);
        if record.revoked_at.is_some() {
            return Err(ApiError::new(Code::RevokedToken, "The credential has been revoked"));
        }
        if record.expires_at.is_some_and(|at| at <= Utc::now()) {
            return Err(expired_token());
        }
        Ok(record)
    }

    async fn record(&self, id: &str, presented: &str) -> Result<Option<Arc<KeyRecord>>, ApiError> {
        let (seen, forgotten) = {
            let memory = self.memory.read().unwrap_or_else(PoisonError::into_inner);
            (memory.seen.get(id).cloned(), memory.forgotten)
        };
        if let Some(seen) = &seen
            && seen.at.elapsed() < FRESH
            && seen.record.secret_sha256 == presented
        {
            return Ok(Some(Arc::clone(&seen.record)));
        }
        let lookup = KeyLookup { id: id.into(), secret_sha256: presented.to_owned() };
        match self.source.find(lookup).await {
            Ok(Some(record)) => Ok(Some(self.remember(record, forgotten))),
            Ok(None) => {
                self.memory.write().unwrap_or_else(PoisonError::into_inner).seen.remove(id);
                Ok(None)
            }
            // Keys that were seen before go on working while the control plane is away.
            Err(error) => match seen {
                Some(seen) => {
                    tracing::warn!(error = %error, "using a remembered key");
                    Ok(Some(seen.record))
                }
                None => Err(ApiError::unavailable("The credential cannot be checked now, try again in a moment")
                    .caused_by(error)),
            },
        }
    }

    /// Remembers what was looked up when keys had been `forgotten` so often.
    fn remember(&self, record: KeyRecord, forgotten: u64) -> Arc<KeyRecord> {
        let record = Arc::new(record);
        let mut memory = self.memory.write().unwrap_or_else(PoisonError::into_inner);
        if memory.forgotten != forgotten {
            return record;
        }
        let seen = &mut memory.seen;
        if seen.len() >= REMEMBERED_MAX {
            seen.retain(|_, seen| seen.at.elapsed() < FRESH);
            if seen.len() >= REMEMBERED_MAX {
                seen.clear();
            }
        }
        seen.insert(record.id.to_string(), Seen { record: Arc::clone(&record), at: Instant::now() });
        record
    }
}

/// The parts of an API key: `key_id.secret`, split at the first dot; `None` when it has not the form of one.
///
/// Id 1–64, secret 1–256 characters of `[A-Za-z0-9_-]`, dots allowed in the secret.
#[must_use]
pub fn split_key(token: &str) -> Option<(&str, &str)> {
    let (id, secret) = token.split_once('.')?;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let good = (1..=64).contains(&id.len())
        && (1..=256).contains(&secret.len())
        && id.chars().all(plain)
        && secret.chars().all(|c| plain(c) || c == '.');
    good.then_some((id, secret))
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    };

    use api_types::{
        error::Code,
        keys::{KeyLookup, KeyRecord},
    };
    use futures_util::future::BoxFuture;
    use sha2::{Digest as _, Sha256};
    use tokio::sync::Semaphore;

    use super::{KeySource, KeySourceError, Keys, split_key};

    #[derive(Debug, Default)]
    struct Source {
        asked: AtomicUsize,
        down: AtomicBool,
    }

    impl KeySource for Source {
        fn find(&self, lookup: KeyLookup) -> BoxFuture<'_, Result<Option<KeyRecord>, KeySourceError>> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            let down = self.down.load(Ordering::SeqCst);
            Box::pin(async move {
                if down {
                    return Err(KeySourceError(anyhow::anyhow!("down")));
                }
                Ok((&*lookup.id == "known").then(|| KeyRecord {
                    id: lookup.id,
                    secret_sha256: hex::encode(Sha256::digest("right")),
                    roles: Vec::new(),
                    permissions: Vec::new(),
                    client_id: "c".into(),
                    expires_at: None,
                    revoked_at: None,
                    rate_limit_per_minute: None,
                    rate_limit_per_hour: None,
                }))
            })
        }
    }

    /// Answers once it is told to.
    #[derive(Debug)]
    struct Slow {
        source: Source,
        go: Semaphore,
    }

    impl KeySource for Slow {
        fn find(&self, lookup: KeyLookup) -> BoxFuture<'_, Result<Option<KeyRecord>, KeySourceError>> {
            let found = self.source.find(lookup);
            Box::pin(async move {
                self.go.acquire().await.unwrap().forget();
                found.await
            })
        }
    }

    #[tokio::test]
    async fn what_was_looked_up_before_a_revocation_is_not_remembered_after_it() {
        let source = Arc::new(Slow { source: Source::default(), go: Semaphore::new(0) });
        let keys = Arc::new(Keys::new(source.clone()));
        let asking = tokio::spawn({
            let keys = Arc::clone(&keys);
            async move { keys.check("known.right").await.map(drop) }
        });
        while source.source.asked.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        keys.forget("known");
        source.go.add_permits(2);
        asking.await.unwrap().unwrap();
        keys.check("known.right").await.unwrap();
        assert_eq!(source.source.asked.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn dots_belong_to_the_secret() {
        assert_eq!(split_key("a.b.c"), Some(("a", "b.c")));
        for bad in ["nodot", ".x", "x.", "a b.c", "ä.b"] {
            assert_eq!(split_key(bad), None, "{bad}");
        }
    }

    #[tokio::test]
    async fn a_known_key_is_asked_for_once_and_survives_an_outage() {
        let source = Arc::new(Source::default());
        let keys = Keys::new(source.clone());
        keys.check("known.right").await.unwrap();
        keys.check("known.right").await.unwrap();
        assert_eq!(source.asked.load(Ordering::SeqCst), 1);
        source.down.store(true, Ordering::SeqCst);
        keys.check("known.right").await.unwrap();
        assert_eq!(keys.check("other.right").await.unwrap_err().code(), Code::ServiceUnavailable);
    }

    #[tokio::test]
    async fn a_wrong_secret_is_refused_also_when_the_key_is_remembered() {
        let keys = Keys::new(Arc::new(Source::default()));
        keys.check("known.right").await.unwrap();
        assert_eq!(keys.check("known.wrong").await.unwrap_err().code(), Code::InvalidToken);
        assert_eq!(keys.check("unknown.right").await.unwrap_err().code(), Code::InvalidToken);
    }
}
