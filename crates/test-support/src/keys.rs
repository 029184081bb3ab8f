//! Keys without a control plane.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use api_core::auth::{KeySource, KeySourceError};
use api_types::{
    auth::Role,
    keys::{KeyLookup, KeyRecord},
};
use futures_util::future::BoxFuture;
use sha2::{Digest as _, Sha256};

use crate::or_panic;

/// A key source of a test's own making, for `Platform::with_key_source`.
#[derive(Debug, Default)]
pub struct FakeKeys {
    records: Mutex<HashMap<String, KeyRecord>>,
    away: std::sync::atomic::AtomicBool,
}

impl FakeKeys {
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Makes `token` (`key_id.secret`) a key.
    ///
    /// # Panics
    /// When the token or a permission has not the right form.
    pub fn add(&self, token: &str, roles: &[Role], permissions: &[&str]) {
        let Some((id, secret)) = token.split_once('.') else { panic!("{token} is no key") };
        let permissions = permissions.iter().map(|scope| or_panic("read a scope", scope.parse())).collect();
        let record = KeyRecord {
            id: id.into(),
            secret_sha256: hex::encode(Sha256::digest(secret)),
            roles: roles.to_vec(),
            permissions,
            client_id: id.to_owned(),
            expires_at: None,
            revoked_at: None,
            rate_limit_per_minute: None,
            rate_limit_per_hour: None,
        };
        self.records().insert(id.to_owned(), record);
    }

    /// Changes a key that is there.
    pub fn change(&self, id: &str, change: impl FnOnce(&mut KeyRecord)) {
        if let Some(record) = self.records().get_mut(id) {
            change(record);
        }
    }

    /// Whether nobody can be asked.
    pub fn set_away(&self, away: bool) {
        self.away.store(away, std::sync::atomic::Ordering::SeqCst);
    }

    fn records(&self) -> std::sync::MutexGuard<'_, HashMap<String, KeyRecord>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeySource for FakeKeys {
    fn find(&self, lookup: KeyLookup) -> BoxFuture<'_, Result<Option<KeyRecord>, KeySourceError>> {
        let away = self.away.load(std::sync::atomic::Ordering::SeqCst);
        let found = self.records().get(lookup.id.as_str()).cloned();
        Box::pin(async move { if away { Err(KeySourceError(anyhow::anyhow!("away"))) } else { Ok(found) } })
    }
}
