//! What one part of a process counted since it was last asked.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::{BuildHasher as _, RandomState},
    mem,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use actix_web::http::StatusCode;
use api_types::{
    access::{AccessCount, Refusal, RefusedAccess},
    keys::{KeyId, KeyRecord},
};
use chrono::{DateTime, Utc};

use super::{Seen, dropped};

/// Different entries of either kind until the next hand-over; what goes beyond is dropped.
const ENTRIES_MAX: usize = 5000;
/// Refused requests told of one by one until the next hand-over; alike ones beyond it become one entry.
const ALONE_MAX: usize = 500;

static SINGLES: AtomicU64 = AtomicU64::new(0);

#[derive(Debug)]
pub(super) struct Tally {
    hasher: RandomState,
    /// By hash, so that a look-up copies nothing.
    counts: HashMap<u64, Count>,
    refused: HashMap<RefusedKey, RefusedAccess>,
}

/// The requests of one key to one route from one address in one minute.
#[derive(Debug)]
pub(super) struct Count {
    key: Arc<KeyRecord>,
    service: &'static str,
    method: &'static str,
    route: Box<str>,
    ip: Option<IpAddr>,
    minute: i64,
    at: DateTime<Utc>,
    user_agent: Option<String>,
    request_id: String,
    succeeded: u32,
    failed: u32,
    rate_limited: u32,
}

/// What makes two entries one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct CountKey {
    key: KeyId,
    method: &'static str,
    route: Box<str>,
    ip: Option<IpAddr>,
    pub(super) minute: i64,
}

/// What makes two refused requests alike.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct RefusedKey {
    who: Option<String>,
    why: Refusal,
    method: &'static str,
    route: Box<str>,
    ip: Option<IpAddr>,
    pub(super) minute: i64,
    /// Sets a request apart that is told of by itself.
    alone: Option<u64>,
}

impl RefusedKey {
    /// The same without what sets a single request apart.
    pub(super) fn together(self) -> Self {
        Self { alone: None, ..self }
    }
}

impl Count {
    fn is_of(&self, key: &KeyRecord, seen: &Seen<'_>) -> bool {
        self.minute == seen.minute()
            && self.key.id == key.id
            && *self.route == *seen.answer.route
            && self.method == seen.answer.method
            && self.ip == seen.visitor().ip
    }

    fn add(&mut self, status: StatusCode) {
        if status.as_u16() < 400 {
            self.succeeded = self.succeeded.saturating_add(1);
            return;
        }
        self.failed = self.failed.saturating_add(1);
        if status == StatusCode::TOO_MANY_REQUESTS {
            self.rate_limited = self.rate_limited.saturating_add(1);
        }
    }

    pub(super) fn told(self) -> (CountKey, AccessCount) {
        let key = CountKey {
            key: self.key.id.clone(),
            method: self.method,
            route: self.route.clone(),
            ip: self.ip,
            minute: self.minute,
        };
        let count = AccessCount {
            key_id: self.key.id.clone(),
            client_id: self.key.client_id.clone(),
            at: self.at,
            service: self.service.to_owned(),
            method: self.method.to_owned(),
            route: self.route.into_string(),
            ip_address: self.ip.map(|ip| ip.to_string()),
            user_agent: self.user_agent,
            request_id: self.request_id,
            succeeded: self.succeeded,
            failed: self.failed,
            rate_limited: self.rate_limited,
        };
        (key, count)
    }
}

impl Tally {
    pub(super) fn new(hasher: RandomState) -> Self {
        Self { hasher, counts: HashMap::new(), refused: HashMap::new() }
    }

    /// What was counted; from now on it is counted anew.
    pub(super) fn take(&mut self) -> Self {
        let fresh = Self::new(self.hasher.clone());
        mem::replace(self, fresh)
    }

    pub(super) fn into_entries(self) -> (impl Iterator<Item = Count>, HashMap<RefusedKey, RefusedAccess>) {
        (self.counts.into_values(), self.refused)
    }

    pub(super) fn count(&mut self, key: &Arc<KeyRecord>, seen: &Seen<'_>) {
        let answer = seen.answer;
        let place = (key.id.as_str(), answer.route, answer.method, seen.visitor().ip, seen.minute());
        let mut at = self.hasher.hash_one(place);
        let is_full = self.counts.len() >= ENTRIES_MAX;
        loop {
            match self.counts.entry(at) {
                Entry::Occupied(mut found) if found.get().is_of(key, seen) => {
                    found.get_mut().add(answer.status);
                    return;
                }
                // Two that have the same hash are next to each other.
                Entry::Occupied(_other) => at = at.wrapping_add(1),
                Entry::Vacant(_) if is_full => {
                    dropped("use", 1);
                    return;
                }
                Entry::Vacant(room) => {
                    room.insert(Count {
                        key: Arc::clone(key),
                        service: answer.service,
                        method: answer.method,
                        route: answer.route.into(),
                        ip: seen.visitor().ip,
                        minute: seen.minute(),
                        at: seen.at,
                        user_agent: seen.visitor().user_agent(),
                        request_id: seen.context.shown_request_id(),
                        succeeded: 0,
                        failed: 0,
                        rate_limited: 0,
                    })
                    .add(answer.status);
                    return;
                }
            }
        }
    }

    /// Notes a refused request; `who` is the caller's id and client, as far as they are known.
    pub(super) fn refuse(&mut self, who: Option<(&str, &str)>, why: Refusal, seen: &Seen<'_>) {
        let answer = seen.answer;
        let is_each = match why {
            // The limits of addresses bound how often.
            Refusal::Credential { .. } => true,
            Refusal::Permission { .. } => who.is_some(),
            Refusal::Rate { .. } => false,
        };
        let is_single = is_each && self.refused.len() < ALONE_MAX;
        let key = RefusedKey {
            who: who.map(|(id, _)| id.to_owned()),
            why: why.clone(),
            method: answer.method,
            route: answer.route.into(),
            ip: seen.visitor().ip,
            minute: seen.minute(),
            // Not the request's id, which its sender may have chosen.
            alone: is_single.then(|| SINGLES.fetch_add(1, Ordering::Relaxed)),
        };
        let is_full = self.refused.len() >= ENTRIES_MAX;
        match self.refused.entry(key) {
            Entry::Occupied(mut found) => found.get_mut().times = found.get().times.saturating_add(1),
            Entry::Vacant(_) if is_full => dropped("refusal", 1),
            Entry::Vacant(room) => {
                room.insert(RefusedAccess {
                    at: seen.at,
                    why,
                    service: answer.service.to_owned(),
                    method: answer.method.to_owned(),
                    route: answer.route.to_owned(),
                    principal_id: who.map(|(id, _)| id.to_owned()),
                    client_id: who.map(|(_, client)| client.to_owned()),
                    ip_address: seen.visitor().ip(),
                    user_agent: seen.visitor().user_agent(),
                    request_id: seen.context.shown_request_id(),
                    times: 1,
                });
            }
        }
    }
}
