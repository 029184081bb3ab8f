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
    pub(super) fn recall(&self, presented: &Presented<'_>, now: Instant) -> Recalled {
        let ask = {
            let inner = self.read();
            match inner.fitting(presented) {
                Some(seen) if now < seen.good_until => return Recalled::Known(Arc::clone(&seen.record)),
                Some(seen) => Ask { stale: Some(Arc::clone(&seen.record)), forgotten: inner.forgotten },
                None if inner.unknown.is_empty() => Ask { stale: None, forgotten: inner.forgotten },
                None => match inner.unknown.get(&presented.fingerprint()) {
                    Some(at) if now.duration_since(*at) < UNKNOWN => return Recalled::Refused,
                    _ => Ask { stale: None, forgotten: inner.forgotten },
                },
            }
        };
        let Some(stale) = &ask.stale else { return Recalled::Ask(ask) };
        let mut inner = self.write();
        match inner.seen.get_mut(&stale.id) {
            Some(seen) if now < seen.good_until => Recalled::Known(Arc::clone(&seen.record)),
            Some(seen) => {
                if seen.is_away || now.duration_since(seen.at) < TURN_AGE_MAX {
                    seen.good_until = now + TURN;
                }
                Recalled::Ask(ask)
            }
            None => Recalled::Ask(Ask { stale: None, forgotten: inner.forgotten }),
        }
    }

    /// The key that is presented, when its id is known, whatever the secret.
    pub(super) fn named(&self, presented: &Presented<'_>) -> Option<Arc<KeyRecord>> {
        self.read().seen.get(presented.id?).map(|seen| Arc::clone(&seen.record))
    }

    /// Remembers what was answered to a question, unless a key was to be forgotten since it came up.
    pub(super) fn remember(&self, record: KeyRecord, ask: &Ask, now: Instant) -> Arc<KeyRecord> {
        let record = Arc::new(record);
        let mut inner = self.write();
        if inner.forgotten == ask.forgotten {
            inner.insert(Arc::clone(&record), now);
        }
        record
    }

    /// The key that was asked for is no longer there.
    pub(super) fn remove(&self, id: &KeyId) {
        self.write().remove(id);
    }

    /// Remembers that a text is no key.
    pub(super) fn refuse(&self, presented: &Presented<'_>, ask: &Ask, now: Instant) {
        let mut inner = self.write();
        if inner.forgotten != ask.forgotten {
            return;
        }
        if inner.unknown.len() >= REMEMBERED_MAX {
            inner.unknown.retain(|_, at| now.duration_since(*at) < UNKNOWN);
            if inner.unknown.len() >= REMEMBERED_MAX {
                inner.unknown.clear();
            }
        }
        inner.unknown.insert(presented.fingerprint(), now);
    }

    /// Nobody answered: what is known of the key stays good for a moment.
    pub(super) fn nobody_answers(&self, record: &KeyRecord, now: Instant) {
        if let Some(seen) = self.write().seen.get_mut(&record.id) {
            seen.good_until = now + AWAY;
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

    fn insert(&mut self, record: Arc<KeyRecord>, now: Instant) {
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

#[cfg(test)]
mod tests {
    use std::{
        sync::Arc,
        time::{Duration, Instant},
    };

    use api_types::keys::KeyRecord;

    use super::{AWAY, Ask, FRESH, Memory, REMEMBERED_MAX, Recalled, TURN, TURN_AGE_MAX, UNKNOWN};
    use crate::auth::keys::{presented::Presented, tests::record};

    const KEY: &str = "known.right";
    const MOMENT: Duration = Duration::from_millis(1);

    fn presented(token: &str) -> Presented<'_> {
        Presented::read(token).unwrap()
    }

    fn ask(memory: &Memory, token: &str, now: Instant) -> Option<Ask> {
        match memory.recall(&presented(token), now) {
            Recalled::Ask(ask) => Some(ask),
            Recalled::Known(_) | Recalled::Refused => None,
        }
    }

    /// A memory that has known the key since `now`.
    fn knowing(now: Instant) -> (Memory, Arc<KeyRecord>) {
        let memory = Memory::default();
        let first = ask(&memory, KEY, now).unwrap();
        let record = memory.remember(record(KEY), &first, now);
        (memory, record)
    }

    #[test]
    fn one_asks_anew_while_others_go_on_with_what_is_known() {
        let now = Instant::now();
        let (memory, _) = knowing(now);
        assert!(ask(&memory, KEY, now + FRESH - MOMENT).is_none());
        let late = now + FRESH;
        assert!(ask(&memory, KEY, late).unwrap().stale.is_some());
        assert!(ask(&memory, KEY, late).is_none() && ask(&memory, KEY, late + TURN - MOMENT).is_none());
        // Whoever asked has gone away.
        assert!(ask(&memory, KEY, late + TURN).unwrap().stale.is_some());
    }

    #[test]
    fn nobody_goes_on_with_a_record_older_than_a_revocation_may_take() {
        let now = Instant::now();
        let (memory, _) = knowing(now);
        let old = now + TURN_AGE_MAX;
        assert!(ask(&memory, KEY, old).is_some() && ask(&memory, KEY, old).is_some());
        // What is asked for last is still refused in time.
        assert!(TURN_AGE_MAX + TURN < Duration::from_secs(30) && FRESH + TURN < TURN_AGE_MAX);
    }

    #[test]
    fn while_nobody_answers_one_asks_now_and_then() {
        let now = Instant::now();
        let (memory, record) = knowing(now);
        let later = now + Duration::from_secs(3600);
        assert!(ask(&memory, KEY, later).is_some());
        memory.nobody_answers(&record, later);
        assert!(ask(&memory, KEY, later + AWAY - MOMENT).is_none());
        assert!(ask(&memory, KEY, later + AWAY).is_some() && ask(&memory, KEY, later + AWAY).is_none());
        // Until somebody does.
        let answered = ask(&memory, KEY, later + AWAY + TURN).unwrap();
        memory.remember((*record).clone(), &answered, later + AWAY + TURN);
        assert!(ask(&memory, KEY, later + AWAY + TURN + FRESH - MOMENT).is_none());
    }

    #[test]
    fn what_is_no_key_is_remembered_for_a_moment() {
        let (memory, now) = (Memory::default(), Instant::now());
        let first = ask(&memory, "made.up", now).unwrap();
        memory.refuse(&presented("made.up"), &first, now);
        assert!(matches!(memory.recall(&presented("made.up"), now + UNKNOWN - MOMENT), Recalled::Refused));
        assert!(ask(&memory, "made.down", now).is_some() && ask(&memory, "made.up", now + UNKNOWN).is_some());
        // A key that the settings name can be tried before it is made.
        memory.forget(&"made".into());
        assert!(ask(&memory, "made.up", now).is_some());
    }

    #[test]
    fn neither_keys_nor_what_is_none_take_room_without_end() {
        let (memory, now) = (Memory::default(), Instant::now());
        for number in 0..REMEMBERED_MAX + 500 {
            let token = format!("made{number}.up");
            let first = ask(&memory, &token, now).unwrap();
            memory.refuse(&presented(&token), &first, now);
            memory.remember(record(&format!("key{number}.right")), &first, now);
        }
        let inner = memory.read();
        assert!(inner.unknown.len() <= REMEMBERED_MAX && inner.seen.len() <= REMEMBERED_MAX && inner.ids.is_empty());
    }
}
