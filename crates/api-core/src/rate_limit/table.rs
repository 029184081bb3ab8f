//! Who has asked how often: counters by name, in shards that are locked one at a time, and never more than a fixed number of them.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{Allowance, Counted, Exceeded, Limits, Standing, Window};

const SHARDS: usize = 64;
/// Counters of a full shard that further names share, by hash.
const SHARED: usize = 16;

/// An instant, in the windows that it falls into.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) ms: u64,
    pub(super) minute: u64,
    pub(super) hour: u64,
}

impl Moment {
    /// `ms` are unix milliseconds.
    pub(super) fn at(ms: u64) -> Self {
        let seconds = ms / 1000;
        Self { ms, minute: seconds / Window::Minute.seconds(), hour: seconds / Window::Hour.seconds() }
    }
}

/// The requests of one name in one window.
#[derive(Debug, Default, Clone, Copy)]
struct Tally {
    window: u64,
    /// Counted by this process.
    own: u64,
    /// What of `own` the other processes have been told.
    told: u64,
    /// Counted by other processes, as far as is known.
    others: u64,
    /// Whether a request was refused already.
    refused: bool,
}

impl Tally {
    /// Begins anew when the window is over. A thread that was held up at the turn counts into the window that has begun; only
    /// a clock that was set back begins anew as well.
    fn turn(&mut self, window: u64) {
        if window > self.window || window + 1 < self.window {
            *self = Self { window, ..Self::default() };
        }
    }

    fn used(&self) -> u64 {
        self.own.saturating_add(self.others)
    }

    fn standing(&self, limit: u64, window: Window) -> Standing {
        Standing { limit, used: self.used(), reset_s: (self.window + 1) * window.seconds() }
    }

    /// Whether the others should know soon: what they have not been told is much, beside what is left.
    fn is_due(&self, limit: u64) -> bool {
        self.used() <= limit && (self.own - self.told).saturating_mul(4) >= limit - self.used()
    }

    fn untold(&self, window: u64) -> Option<Share> {
        (self.window == window && self.own > self.told).then(|| Share {
            window,
            own: self.own,
            new: self.own - self.told,
        })
    }

    fn settle(&mut self, share: &Share, total: u64) {
        if self.window == share.window {
            self.others = total.saturating_sub(share.own);
            // A store that lost its memory is told the whole again.
            self.told = share.own.min(total);
        }
    }
}

#[derive(Debug, Default, Clone, Copy)]
struct Counter {
    minute: Tally,
    hour: Tally,
}

impl Counter {
    /// Every request counts, the refused ones too. Says as well whether other processes should know of it soon.
    fn count(&mut self, limits: Limits, at: Moment) -> (Counted, bool) {
        self.minute.turn(at.minute);
        self.hour.turn(at.hour);
        self.minute.own += 1;
        self.hour.own += 1;
        let allowance = Allowance {
            minute: self.minute.standing(limits.per_minute, Window::Minute),
            hour: self.hour.standing(limits.per_hour, Window::Hour),
        };
        let is_due = self.minute.is_due(limits.per_minute) || self.hour.is_due(limits.per_hour);
        let exceeded = if allowance.minute.is_exceeded() {
            Some((Window::Minute, allowance.minute, &mut self.minute))
        } else if allowance.hour.is_exceeded() {
            Some((Window::Hour, allowance.hour, &mut self.hour))
        } else {
            None
        };
        let exceeded = exceeded.map(|(window, standing, tally)| {
            let left_ms = (standing.reset_s * 1000).saturating_sub(at.ms);
            let is_first = !std::mem::replace(&mut tally.refused, true);
            Exceeded { window, standing, retry_after_s: left_ms.div_ceil(1000).max(1), is_first }
        });
        (Counted { allowance, exceeded, at_s: at.ms / 1000 }, is_due)
    }
}

/// What of a window's requests is still to be told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Share {
    pub(super) window: u64,
    own: u64,
    pub(super) new: u64,
}

/// What of a name's requests is still to be told.
#[derive(Debug, Clone)]
pub(super) struct Untold {
    pub(super) name: Box<str>,
    pub(super) minute: Option<Share>,
    pub(super) hour: Option<Share>,
}

#[derive(Debug)]
struct Shard {
    counters: HashMap<Box<str>, Counter>,
    shared: [Counter; SHARED],
    /// The minute in which names of windows gone by were last looked for.
    swept: u64,
}

/// Counters by name.
#[derive(Debug)]
pub(super) struct Table {
    shards: Box<[Mutex<Shard>]>,
    hasher: RandomState,
    shard_max: usize,
    /// A counter is forgotten, when room is needed, once this window of its is over.
    kept: Window,
}

impl Table {
    /// For about `names_max` names at once. Further ones share counters, so that nobody escapes by making up names.
    pub(super) fn new(names_max: usize, kept: Window) -> Self {
        let shard = || Mutex::new(Shard { counters: HashMap::new(), shared: [Counter::default(); SHARED], swept: 0 });
        Self {
            shards: std::iter::repeat_with(shard).take(SHARDS).collect(),
            hasher: RandomState::new(),
            shard_max: names_max.div_ceil(SHARDS),
            kept,
        }
    }

    /// Counts a request, and says whether other processes should know of it soon.
    pub(super) fn count(&self, name: &str, limits: Limits, at: Moment) -> (Counted, bool) {
        let hash = usize::try_from(self.hasher.hash_one(name) >> 32).unwrap_or_default();
        let mut shard = lock(&self.shards[hash % SHARDS]);
        let Shard { counters, shared, swept } = &mut *shard;
        if let Some(counter) = counters.get_mut(name) {
            return counter.count(limits, at);
        }
        if counters.len() >= self.shard_max && *swept != at.minute {
            // Once a minute at the most: names that are made up must not cost us a search each.
            *swept = at.minute;
            counters.retain(|_, counter| match self.kept {
                Window::Minute => counter.minute.window >= at.minute,
                Window::Hour => counter.hour.window >= at.hour,
            });
        }
        if counters.len() >= self.shard_max {
            return shared[hash / SHARDS % SHARED].count(limits, at);
        }
        counters.entry(name.into()).or_default().count(limits, at)
    }

    /// What other processes have not been told of the windows of `at`, of so many names at the most.
    pub(super) fn untold(&self, at: Moment, names_max: usize) -> Vec<Untold> {
        let mut found = Vec::new();
        for shard in &self.shards {
            for (name, counter) in &lock(shard).counters {
                if found.len() >= names_max {
                    return found;
                }
                let (minute, hour) = (counter.minute.untold(at.minute), counter.hour.untold(at.hour));
                if minute.is_some() || hour.is_some() {
                    found.push(Untold { name: name.clone(), minute, hour });
                }
            }
        }
        found
    }

    /// Takes note of the totals of all processes after they were told of `untold`.
    pub(super) fn settle(&self, untold: &Untold, minute_total: Option<u64>, hour_total: Option<u64>) {
        let hash = usize::try_from(self.hasher.hash_one(&*untold.name) >> 32).unwrap_or_default();
        let mut shard = lock(&self.shards[hash % SHARDS]);
        let Some(counter) = shard.counters.get_mut(&untold.name) else { return };
        if let (Some(share), Some(total)) = (&untold.minute, minute_total) {
            counter.minute.settle(share, total);
        }
        if let (Some(share), Some(total)) = (&untold.hour, hour_total) {
            counter.hour.settle(share, total);
        }
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}
