use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use api_types::{
    error::Code,
    keys::{KeyForm, KeyLookup, KeyRecord, PreviousSecret},
};
use chrono::{TimeDelta, Utc};
use futures_util::{FutureExt as _, future::BoxFuture, future::join_all};
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

use super::{KeySource, KeySourceError, Keys};

const HERE: &str = "192.0.2.1";
const NATIVE: &str = "known.right";

fn ains(letter: char) -> String {
    format!("ains_{}", letter.to_string().repeat(43))
}

fn digest(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

pub(super) fn record(token: &str) -> KeyRecord {
    let (id, form, secret) = match token.split_once('.') {
        Some((id, secret)) => (id.to_owned(), KeyForm::Native, secret),
        None => (format!("key_{}", &digest(token)[..8]), KeyForm::Ains, token),
    };
    KeyRecord {
        id: id.into(),
        form,
        secret_sha256: digest(secret),
        previous: None,
        roles: Vec::new(),
        permissions: Vec::new(),
        client_id: "c".into(),
        expires_at: None,
        revoked_at: None,
        rate_limit_per_minute: None,
        rate_limit_per_hour: None,
    }
}

/// Two keys, one of each form. With `gate`, it answers once it is told to.
#[derive(Debug, Default)]
struct Source {
    records: Mutex<HashMap<String, KeyRecord>>,
    asked: AtomicUsize,
    down: AtomicBool,
    gate: Option<Semaphore>,
}

impl Source {
    fn new() -> Arc<Self> {
        Arc::new(Self::default().with_keys())
    }

    fn gated() -> Arc<Self> {
        Arc::new(Self { gate: Some(Semaphore::new(0)), ..Self::default() }.with_keys())
    }

    fn with_keys(self) -> Self {
        for token in [NATIVE, &ains('A')] {
            self.put(record(token));
        }
        self
    }

    fn put(&self, record: KeyRecord) {
        self.records.lock().unwrap().insert(record.id.to_string(), record);
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn open(&self, times: usize) {
        self.gate.as_ref().unwrap().add_permits(times);
    }
}

impl KeySource for Source {
    fn find(&self, lookup: KeyLookup) -> BoxFuture<'_, Result<Option<KeyRecord>, KeySourceError>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        async move {
            if let Some(gate) = &self.gate {
                gate.acquire().await.unwrap().forget();
            }
            if self.down.load(Ordering::SeqCst) {
                return Err(KeySourceError(anyhow::anyhow!("down")));
            }
            let records = self.records.lock().unwrap();
            Ok(match &lookup.id {
                Some(id) => records.get(id.as_str()).cloned(),
                None => {
                    let is = |record: &&KeyRecord| {
                        record.secret_sha256 == lookup.secret_sha256
                            || record.previous.as_ref().is_some_and(|old| old.sha256 == lookup.secret_sha256)
                    };
                    records.values().find(is).cloned()
                }
            })
        }
        .boxed()
    }
}

async fn code(keys: &Keys, token: &str) -> Option<Code> {
    keys.check(token, HERE).await.err().map(|error| error.code())
}

#[tokio::test]
async fn a_known_key_of_either_form_is_asked_for_once_and_survives_an_outage() {
    let source = Source::new();
    let keys = Keys::new(source.clone());
    for (asked, token) in [(1, NATIVE.to_owned()), (2, ains('A'))] {
        assert_eq!((code(&keys, &token).await, code(&keys, &token).await), (None, None));
        assert_eq!(source.asked(), asked);
    }
    source.down.store(true, Ordering::SeqCst);
    for token in [NATIVE, &ains('A')] {
        assert_eq!(code(&keys, token).await, None);
    }
    assert_eq!(code(&keys, "known.wrong").await, Some(Code::InvalidToken));
    for unknown in ["other.right", &ains('B')] {
        assert_eq!(code(&keys, unknown).await, Some(Code::ServiceUnavailable));
    }
}

#[tokio::test]
async fn what_is_no_key_is_not_looked_up() {
    let source = Source::new();
    let keys = Keys::new(source.clone());
    let key = ains('A');
    let extended = format!("{key}x");
    for bad in ["garbage", "ains_unknown", &key[..47], &extended, &key.replacen("ains_", "AINS_", 1), ".x", "a b.c"] {
        assert_eq!(code(&keys, bad).await, Some(Code::InvalidToken), "{bad}");
    }
    assert_eq!(source.asked(), 0);
    // These have the right form, and are other keys.
    for bad in [&key.to_lowercase().replacen("ains_a", "ains_A", 1), "known.Right", "Known.right", "known.right."] {
        assert_eq!(code(&keys, bad).await, Some(Code::InvalidToken), "{bad}");
    }
}

#[tokio::test]
async fn a_key_that_names_no_id_does_not_work_behind_its_id() {
    let keys = Keys::new(Source::new());
    let key = ains('A');
    let id = record(&key).id;
    assert_eq!(code(&keys, &key).await, None);
    // The control plane finds none of the native form then; here the memory must not, either.
    let Some(Code::InvalidToken) = code(&keys, &format!("{id}.other")).await else { panic!("accepted") };
}

#[tokio::test]
async fn what_is_known_to_be_no_key_is_refused_from_memory() {
    let source = Source::new();
    let keys = Keys::new(source.clone());
    for bad in ["unknown.right", "known.wrong", &ains('B')] {
        let before = source.asked();
        for _ in 0..3 {
            assert_eq!(code(&keys, bad).await, Some(Code::InvalidToken));
        }
        assert_eq!(source.asked(), before + 1, "{bad}");
    }
    assert_eq!(code(&keys, NATIVE).await, None);
}

#[tokio::test]
async fn an_address_that_makes_up_keys_runs_out_of_look_ups_and_nobody_else_does() {
    let source = Source::new();
    let keys = Keys::new(source.clone());
    assert_eq!(code(&keys, NATIVE).await, None);
    // The minute may end in between, which gives another minute's worth.
    let mut last = None;
    for number in 0..1300 {
        last = code(&keys, &format!("made{number}.up")).await;
    }
    assert_eq!(last, Some(Code::TooManyRequests));
    assert!(source.asked() <= 1201, "{}", source.asked());
    assert_eq!(code(&keys, NATIVE).await, None);
    let new = ains('C');
    source.put(record(&new));
    assert!(keys.check(&new, "192.0.2.2").await.is_ok());
}

#[tokio::test]
async fn few_unknown_keys_are_looked_up_at_once() {
    let source = Source::gated();
    let keys = Arc::new(Keys::new(source.clone()));
    let asking: Vec<_> = (0..100)
        .map(|number| {
            let keys = Arc::clone(&keys);
            tokio::spawn(async move { code(&keys, &format!("made{number}.up")).await })
        })
        .collect();
    while source.asked() < 32 {
        tokio::task::yield_now().await;
    }
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
    assert_eq!(source.asked(), 32);
    source.open(100);
    for answer in join_all(asking).await {
        assert_eq!(answer.unwrap(), Some(Code::InvalidToken));
    }
}

#[tokio::test]
async fn what_was_looked_up_before_a_revocation_is_not_remembered_after_it() {
    for token in [NATIVE.to_owned(), ains('A')] {
        let source = Source::gated();
        let keys = Arc::new(Keys::new(source.clone()));
        let asking = tokio::spawn({
            let (keys, token) = (Arc::clone(&keys), token.clone());
            async move { code(&keys, &token).await }
        });
        while source.asked() == 0 {
            tokio::task::yield_now().await;
        }
        keys.forget(&record(&token).id);
        source.open(2);
        assert_eq!(asking.await.unwrap(), None);
        assert_eq!(code(&keys, &token).await, None);
        assert_eq!(source.asked(), 2);
    }
}

#[tokio::test]
async fn a_revoked_key_is_refused_at_once_where_it_is_forgotten() {
    for token in [NATIVE.to_owned(), ains('A')] {
        let source = Source::new();
        let keys = Keys::new(source.clone());
        assert_eq!(code(&keys, &token).await, None);
        source.put(KeyRecord { revoked_at: Some(Utc::now()), ..record(&token) });
        // Still remembered as good.
        assert_eq!(code(&keys, &token).await, None);
        keys.forget(&record(&token).id);
        assert_eq!(code(&keys, &token).await, Some(Code::RevokedToken));
    }
}

#[tokio::test]
async fn both_secrets_of_a_rotated_key_are_good_and_the_new_one_at_once() {
    for (old, new) in [("known.right".to_owned(), "known.newer".to_owned()), (ains('A'), ains('N'))] {
        let source = Source::new();
        let keys = Keys::new(source.clone());
        assert_eq!(code(&keys, &old).await, None);
        let until = Utc::now() + TimeDelta::hours(1);
        let previous = Some(PreviousSecret { sha256: record(&old).secret_sha256, until });
        source.put(KeyRecord { id: record(&old).id, previous, ..record(&new) });
        // In this process the old record is still remembered.
        assert_eq!((code(&keys, &new).await, code(&keys, &old).await), (None, None));
        assert_eq!(source.asked(), 2);
        let previous = Some(PreviousSecret { sha256: record(&old).secret_sha256, until: Utc::now() });
        source.put(KeyRecord { id: record(&old).id, previous, ..record(&new) });
        keys.forget(&record(&old).id);
        assert_eq!((code(&keys, &new).await, code(&keys, &old).await), (None, Some(Code::InvalidToken)));
    }
}

#[tokio::test]
async fn an_expired_key_says_so_to_its_holder_alone() {
    let source = Source::new();
    let keys = Keys::new(source.clone());
    source.put(KeyRecord { expires_at: Some(Utc::now()), ..record(NATIVE) });
    assert_eq!(code(&keys, NATIVE).await, Some(Code::ExpiredToken));
    assert_eq!(code(&keys, "known.wrong").await, Some(Code::InvalidToken));
}
