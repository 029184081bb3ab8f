//! What the control plane has not taken yet.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::Hash,
    mem,
};

use api_types::access::{AccessBatch, AccessCount, BATCH_MAX, KEPT_HOURS, RefusedAccess};
use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::{
    dropped,
    tally::{CountKey, RefusedKey, Tally},
};

/// Entries of either kind that wait at most.
const WAITING_MAX: usize = 20_000;

#[derive(Debug, Default)]
pub(super) struct Waiting {
    counts: HashMap<CountKey, AccessCount>,
    refused: HashMap<RefusedKey, RefusedAccess>,
    /// Sent, and perhaps taken: it stays as it is until that is known.
    sent: Option<AccessBatch>,
}

impl Waiting {
    /// Adds what a part of the process counted; entries that are alike become one.
    pub(super) fn add(&mut self, tally: Tally) {
        let (counts, refused) = tally.into_entries();
        for (key, new) in counts.map(super::tally::Count::told) {
            put(&mut self.counts, key, new, add_count);
        }
        for (key, new) in refused {
            put(&mut self.refused, key, new, add_refused);
        }
    }

    /// Lets go of what is too old or too much, the oldest first; single refusals are added up before any is dropped.
    pub(super) fn shrink(&mut self, now: DateTime<Utc>) {
        let oldest = now - TimeDelta::hours(KEPT_HOURS);
        if self.sent.as_ref().is_some_and(|batch| first_of(batch).is_some_and(|first| first < oldest)) {
            self.give_up_batch();
        }
        let minute = oldest.timestamp().div_euclid(60);
        drop_counts(&mut self.counts, usize::MAX, |key| key.minute < minute);
        drop_refused(&mut self.refused, usize::MAX, |key| key.minute < minute);
        if self.refused.len() > WAITING_MAX {
            for (key, entry) in mem::take(&mut self.refused) {
                put(&mut self.refused, key.together(), entry, add_refused);
            }
        }
        while self.refused.len() > WAITING_MAX {
            let oldest = self.refused.keys().map(|key| key.minute).min().unwrap_or_default();
            let excess = self.refused.len() - WAITING_MAX;
            drop_refused(&mut self.refused, excess, |key| key.minute == oldest);
        }
        while self.counts.len() > WAITING_MAX {
            let oldest = self.counts.keys().map(|key| key.minute).min().unwrap_or_default();
            let excess = self.counts.len() - WAITING_MAX;
            drop_counts(&mut self.counts, excess, |key| key.minute == oldest);
        }
    }

    /// The batch to send now: the one that was sent before, as long as nobody knows whether it arrived.
    pub(super) fn next(&mut self) -> Option<&AccessBatch> {
        if self.sent.is_none() && !(self.counts.is_empty() && self.refused.is_empty()) {
            let counts = self.counts.extract_if(|_, _| true).take(BATCH_MAX);
            let counts = counts.map(|(_, count)| count).collect();
            let refused = self.refused.extract_if(|_, _| true).take(BATCH_MAX);
            let mut refused: Vec<_> = refused.map(|(_, refused)| refused).collect();
            refused.sort_by_key(|refused| refused.at);
            self.sent = Some(AccessBatch { id: Uuid::now_v7(), counts, refused });
        }
        self.sent.as_ref()
    }

    /// The batch was taken.
    pub(super) fn done(&mut self) {
        self.sent = None;
    }

    /// The batch will never be taken.
    pub(super) fn give_up_batch(&mut self) {
        if let Some(batch) = self.sent.take() {
            dropped("use", batch.counts.iter().map(AccessCount::times).sum());
            dropped("refusal", batch.refused.iter().map(|refused| u64::from(refused.times)).sum());
        }
    }

    /// Nothing of it will be taken.
    pub(super) fn give_up(&mut self) {
        self.give_up_batch();
        drop_counts(&mut self.counts, usize::MAX, |_| true);
        drop_refused(&mut self.refused, usize::MAX, |_| true);
    }
}

fn put<K: Eq + Hash, V>(all: &mut HashMap<K, V>, key: K, new: V, add: fn(&mut V, V)) {
    match all.entry(key) {
        Entry::Occupied(mut found) => add(found.get_mut(), new),
        Entry::Vacant(room) => drop(room.insert(new)),
    }
}

fn add_count(to: &mut AccessCount, new: AccessCount) {
    to.succeeded = to.succeeded.saturating_add(new.succeeded);
    to.failed = to.failed.saturating_add(new.failed);
    to.rate_limited = to.rate_limited.saturating_add(new.rate_limited);
    if new.at < to.at {
        (to.at, to.user_agent, to.request_id) = (new.at, new.user_agent, new.request_id);
    }
}

fn add_refused(to: &mut RefusedAccess, new: RefusedAccess) {
    let times = to.times.saturating_add(new.times);
    if new.at < to.at {
        *to = new;
    }
    to.times = times;
}

fn drop_counts(all: &mut HashMap<CountKey, AccessCount>, most: usize, which: impl Fn(&CountKey) -> bool) {
    dropped("use", all.extract_if(|key, _| which(key)).take(most).map(|(_, count)| count.times()).sum());
}

fn drop_refused(all: &mut HashMap<RefusedKey, RefusedAccess>, most: usize, which: impl Fn(&RefusedKey) -> bool) {
    let gone = all.extract_if(|key, _| which(key)).take(most);
    dropped("refusal", gone.map(|(_, refused)| u64::from(refused.times)).sum());
}

/// When the oldest of a batch was seen.
fn first_of(batch: &AccessBatch) -> Option<DateTime<Utc>> {
    let counts = batch.counts.iter().map(|count| count.at);
    counts.chain(batch.refused.iter().map(|refused| refused.at)).min()
}
