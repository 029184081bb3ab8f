//! What a process remembers of keys: records of those it has seen, and for a moment those that are none.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::{Duration, Instant},
};

use api_types::keys::{KeyForm, KeyId, KeyRecord};
use chrono::Utc;

use super::presented::Presented;

/// How long a record is taken for true. A revoked or changed key is refused or changed everywhere within 30 s; the rest
/// is for the way, and for one that tries in vain.
const FRESH: Duration = Duration::from_secs(20);
/// While somebody asks for a key again, others go on with what is known, for longer than an answer may take (3 s) …
const TURN: Duration = Duration::from_secs(4);
/// … but not when the record is older than this: whoever asks may have gone away.
const TURN_AGE_MAX: Duration = Duration::from_secs(25);
/// How long nobody asks again for a known key when nobody answers.
const AWAY: Duration = Duration::from_secs(4);
/// How long a text that is no key is refused without asking. A key made later is another text, unless an operator chose it.
const UNKNOWN: Duration = Duration::from_secs(5);
/// Keys remembered at once, and texts that are none.
const REMEMBERED_MAX: usize = 10_000;

/// What is known of a key that is presented.
#[derive(Debug)]
pub(super) enum Recalled {
    Known(Arc<KeyRecord>),
    /// It was no key a moment ago.
    Refused,
    /// Somebody has to be asked.
    Ask(Ask),
}

/// A question to be asked, and what was known when it came up.
#[derive(Debug)]
pub(super) struct Ask {
    /// What was known of the key, when the secret fits it.
    pub(super) stale: Option<Arc<KeyRecord>>,
    forgotten: u64,
}

#[derive(Debug, Default)]
pub(super) struct Memory(RwLock<Inner>);

#[derive(Debug, Default)]
struct Inner {
    seen: HashMap<KeyId, Seen>,
    /// The ids of keys that name none, by the digests of their secrets.
    ids: HashMap<String, KeyId>,
    /// Fingerprints of what is no key, and when that was found.
    unknown: HashMap<[u8; 32], Instant>,
    /// How often a key was to be forgotten: what was looked up before the last time may be out of date.
    forgotten: u64,
}

#[derive(Debug)]
struct Seen {
    record: Arc<KeyRecord>,
    at: Instant,
    /// Until when nobody needs to ask again.
    good_until: Instant,
    /// Whether nobody answered when it was asked for last.
    is_away: bool,
}

impl Memory {
    /// What is known. Of several that find a record out of date at once, one is told to ask.
    pub(super) fn recall(&self, presented: &Presented<'_>) -> Recalled {
        let now = Instant::now();
        let ask = {
            let inner = self.read();
            match inner.fitting(presented) {
                Some(seen) if now < seen.good_until => return Recalled::Known(Arc::clone(&seen.record)),
                Some(seen) => Ask { stale: Some(Arc::clone(&seen.record)), forgotten: inner.forgotten },
                None if inner.unknown.is_empty() => Ask { stale: None, forgotten: inner.forgotten },
                None => match inner.unknown.get(&presented.fingerprint()) {
                    Some(at) if at.elapsed() < UNKNOWN => return Recalled::Refused,
                    _ => Ask { stale: None, forgotten: inner.forgotten },
                },
            }
        };
        let Some(stale) = &ask.stale else { return Recalled::Ask(ask) };
        let mut inner = self.write();
        match inner.seen.get_mut(&stale.id) {
            Some(seen) if now < seen.good_until => Recalled::Known(Arc::clone(&seen.record)),
            Some(seen) => {
                if seen.is_away || seen.at.elapsed() < TURN_AGE_MAX {
                    seen.good_until = now + TURN;
                }
                Recalled::Ask(ask)
            }
            None => Recalled::Ask(Ask { stale: None, forgotten: inner.forgotten }),
        }
    }

    /// Remembers what was answered to a question, unless a key was to be forgotten since it came up.
    pub(super) fn remember(&self, record: KeyRecord, ask: &Ask) -> Arc<KeyRecord> {
        let record = Arc::new(record);
        let mut inner = self.write();
        if inner.forgotten == ask.forgotten {
            inner.insert(Arc::clone(&record));
        }
        record
    }

    /// The key that was asked for is no longer there.
    pub(super) fn remove(&self, id: &KeyId) {
        self.write().remove(id);
    }

    /// Remembers that a text is no key.
    pub(super) fn refuse(&self, presented: &Presented<'_>, ask: &Ask) {
        let mut inner = self.write();
        if inner.forgotten != ask.forgotten {
            return;
        }
        if inner.unknown.len() >= REMEMBERED_MAX {
            inner.unknown.retain(|_, at| at.elapsed() < UNKNOWN);
            if inner.unknown.len() >= REMEMBERED_MAX {
                inner.unknown.clear();
            }
        }
        inner.unknown.insert(presented.fingerprint(), Instant::now());
    }

    /// Nobody answered: what is known of the key stays good for a moment.
    pub(super) fn nobody_answers(&self, record: &KeyRecord) {
        if let Some(seen) = self.write().seen.get_mut(&record.id) {
            seen.good_until = Instant::now() + AWAY;
            seen.is_away = true;
        }
    }

    /// Forgets a key, and what was thought to be none.
    pub(super) fn forget(&self, id: &KeyId) {
        let mut inner = self.write();
        inner.remove(id);
        inner.unknown.clear();
        inner.forgotten += 1;
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// The record that the presented secret fits.
    fn fitting(&self, presented: &Presented<'_>) -> Option<&Seen> {
        let seen = match presented.id {
            Some(id) => self.seen.get(id).filter(|seen| seen.record.form == KeyForm::Native),
            None => self.seen.get(self.ids.get(&presented.digest)?),
        };
        seen.filter(|seen| presented.opens(&seen.record, Utc::now()))
    }

    fn insert(&mut self, record: Arc<KeyRecord>) {
        self.remove(&record.id);
        if self.seen.len() >= REMEMBERED_MAX
            && let Some(any) = self.seen.keys().next().cloned()
        {
            self.remove(&any);
        }
        if record.form == KeyForm::Ains {
            for digest in digests(&record) {
                self.ids.insert(digest.clone(), record.id.clone());
            }
        }
        let now = Instant::now();
        let id = record.id.clone();
        self.seen.insert(id, Seen { record, at: now, good_until: now + FRESH, is_away: false });
    }

    fn remove(&mut self, id: &KeyId) {
        if let Some(seen) = self.seen.remove(id) {
            for digest in digests(&seen.record) {
                self.ids.remove(digest);
            }
        }
    }
}

fn digests(record: &KeyRecord) -> impl Iterator<Item = &String> {
    std::iter::once(&record.secret_sha256).chain(record.previous.as_ref().map(|previous| &previous.sha256))
}
