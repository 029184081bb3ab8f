//! Keys without a control plane.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use api_core::auth::{KeySource, KeySourceError};
use api_types::{
    auth::Role,
    keys::{KeyForm, KeyLookup, KeyRecord},
};
use futures_util::future::BoxFuture;
use sha2::{Digest as _, Sha256};

use crate::or_panic;

/// A key source of a test's own making, for `Platform::with_key_source`.
#[derive(Debug, Default)]
pub struct FakeKeys {
    records: Mutex<HashMap<String, KeyRecord>>,
    away: AtomicBool,
    asked: AtomicUsize,
}

impl FakeKeys {
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Makes `token` a key: `key_id.secret`, or `ains_…`, whose id is then `key_` and the first letters of its digest.
    ///
    /// # Panics
    /// When a permission has not the right form.
    pub fn add(&self, token: &str, roles: &[Role], permissions: &[&str]) {
        let permissions = permissions.iter().map(|scope| or_panic("read a scope", scope.parse())).collect();
        let (id, form, secret_sha256) = match token.split_once('.') {
            Some((id, secret)) => (id.to_owned(), KeyForm::Native, hex::encode(Sha256::digest(secret))),
            None => {
                let digest = hex::encode(Sha256::digest(token));
                (format!("key_{}", &digest[..32]), KeyForm::Ains, digest)
            }
        };
        let record = KeyRecord {
            id: id.as_str().into(),
            form,
            secret_sha256,
            previous: None,
            roles: roles.to_vec(),
            permissions,
            client_id: id.clone(),
            expires_at: None,
            revoked_at: None,
            rate_limit_per_minute: None,
            rate_limit_per_hour: None,
        };
        self.records().insert(id, record);
    }

    /// Changes a key that is there.
    pub fn change(&self, id: &str, change: impl FnOnce(&mut KeyRecord)) {
        if let Some(record) = self.records().get_mut(id) {
            change(record);
        }
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// Whether nobody can be asked.
    pub fn set_away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }

    fn records(&self) -> std::sync::MutexGuard<'_, HashMap<String, KeyRecord>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeySource for FakeKeys {
    fn find(&self, lookup: KeyLookup) -> BoxFuture<'_, Result<Option<KeyRecord>, KeySourceError>> {
        let away = self.away.load(Ordering::SeqCst);
        self.asked.fetch_add(1, Ordering::SeqCst);
        let found = match &lookup.id {
            Some(id) => self.records().get(id.as_str()).filter(|record| record.form == KeyForm::Native).cloned(),
            None => self.records().values().find(|record| is_found_by(record, &lookup.secret_sha256)).cloned(),
        };
        Box::pin(async move { if away { Err(KeySourceError(anyhow::anyhow!("away"))) } else { Ok(found) } })
    }
}

fn is_found_by(record: &KeyRecord, digest: &str) -> bool {
    let previous = record.previous.as_ref().is_some_and(|previous| previous.sha256 == digest);
    record.form == KeyForm::Ains && (record.secret_sha256 == digest || previous)
}
