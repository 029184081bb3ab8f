//! Who is woken by what, within this process.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use tokio::sync::Notify;

/// How long claims that wait have the first go at a new task, before it is routed.
const FIRST_GO: Duration = Duration::from_millis(15);

/// News of queues: how many tasks came to each; zero where room came instead.
pub(crate) type News = BTreeMap<String, usize>;

/// Connects what happens with those who wait for it.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    inner: Mutex<Inner>,
    next_id: AtomicU64,
    /// A queue is to be routed.
    pub(crate) routing: Notify,
    /// Assignments are to be told.
    pub(crate) pushing: Notify,
    /// A retry was put off.
    pub(crate) retrying: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    /// Queues to be routed, and not before when.
    dirty: HashMap<String, Instant>,
    /// Claims that wait, in the order of their coming.
    waiting: BTreeMap<u64, Claimer>,
    /// When the first retry is due that this process put off.
    retry_at: Option<DateTime<Utc>>,
}

#[derive(Debug)]
struct Claimer {
    agent_id: String,
    capabilities: Vec<String>,
    woken: Arc<Notify>,
}

impl Hub {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells of queues that have news.
    pub(crate) fn tell(&self, news: &News) {
        if news.is_empty() {
            return;
        }
        let now = Instant::now();
        let mut inner = self.inner();
        for (capability, count) in news {
            let claimers = inner.waiting.values().filter(|claimer| claimer.capabilities.contains(capability));
            let woken = claimers.take(*count).map(|claimer| claimer.woken.notify_one()).count();
            let from = if woken > 0 { now + FIRST_GO } else { now };
            let entry = inner.dirty.entry(capability.clone()).or_insert(from);
            *entry = from.min(*entry);
        }
        drop(inner);
        self.routing.notify_one();
    }

    /// A queue is to be looked at again later.
    pub(crate) fn tell_later(&self, capability: &str, pause: Duration) {
        self.inner().dirty.entry(capability.to_owned()).or_insert(Instant::now() + pause);
        self.routing.notify_one();
    }

    /// Tells workers that claim of assignments.
    pub(crate) fn tell_workers<'a>(&self, agent_ids: impl Iterator<Item = &'a str>) {
        let inner = self.inner();
        if inner.waiting.is_empty() {
            return;
        }
        for agent_id in agent_ids {
            if let Some(claimer) = inner.waiting.values().find(|claimer| claimer.agent_id == agent_id) {
                claimer.woken.notify_one();
            }
        }
    }

    /// Takes the queues that are to be routed now; and when the next one is.
    pub(crate) fn due(&self) -> (Vec<String>, Option<Instant>) {
        let now = Instant::now();
        let mut inner = self.inner();
        let due: Vec<String> =
            inner.dirty.iter().filter(|(_, from)| **from <= now).map(|(capability, _)| capability.clone()).collect();
        for capability in &due {
            inner.dirty.remove(capability);
        }
        (due, inner.dirty.values().min().copied())
    }

    /// A retry is due then.
    pub(crate) fn retry_at(&self, at: DateTime<Utc>) {
        let mut inner = self.inner();
        if inner.retry_at.is_none_or(|known| at < known) {
            inner.retry_at = Some(at);
            drop(inner);
            self.retrying.notify_one();
        }
    }

    /// Forgets when the next retry is due, and says it.
    pub(crate) fn take_retry_at(&self) -> Option<DateTime<Utc>> {
        self.inner().retry_at.take()
    }

    /// Enters a claim among those that wait, until what is returned is dropped; `None` when there are `max` already.
    pub(crate) fn wait(self: &Arc<Self>, agent_id: &str, capabilities: Vec<String>, max: usize) -> Option<Waiting> {
        let (id, woken) = (self.next_id.fetch_add(1, Ordering::Relaxed), Arc::new(Notify::new()));
        let mut inner = self.inner();
        if inner.waiting.len() >= max {
            return None;
        }
        let claimer = Claimer { agent_id: agent_id.to_owned(), capabilities, woken: Arc::clone(&woken) };
        inner.waiting.insert(id, claimer);
        drop(inner);
        Some(Waiting { hub: Arc::clone(self), id, woken })
    }

    /// The workers whose claims wait, and what they could do.
    pub(crate) fn waiting(&self) -> (Vec<String>, Vec<String>) {
        let inner = self.inner();
        let agents = inner.waiting.values().map(|claimer| claimer.agent_id.clone()).collect();
        let mut capabilities: Vec<String> =
            inner.waiting.values().flat_map(|claimer| claimer.capabilities.iter().cloned()).collect();
        capabilities.sort_unstable();
        capabilities.dedup();
        (agents, capabilities)
    }
}

/// A claim that waits.
#[derive(Debug)]
pub(crate) struct Waiting {
    hub: Arc<Hub>,
    id: u64,
    pub(crate) woken: Arc<Notify>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.hub.inner().waiting.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Hub, News};

    fn news(capability: &str, count: usize) -> News {
        [(capability.to_owned(), count)].into()
    }

    fn is_woken(waiting: &super::Waiting) -> bool {
        use futures_util::FutureExt as _;
        waiting.woken.notified().now_or_never().is_some()
    }

    #[test]
    fn as_many_claims_are_woken_as_tasks_came_and_the_oldest_first() {
        let hub = Arc::new(Hub::default());
        let claims: Vec<_> =
            ["a:v1", "b:v1", "a:v1", "a:v1"].map(|tag| hub.wait("w", vec![tag.to_owned()], 9).unwrap()).into();
        hub.tell(&news("a:v1", 2));
        assert_eq!(claims.iter().map(is_woken).collect::<Vec<_>>(), [true, false, true, false]);
    }

    #[test]
    fn a_queue_without_claims_is_routed_at_once() {
        let hub = Arc::new(Hub::default());
        hub.tell(&news("a:v1", 1));
        assert_eq!(hub.due().0, ["a:v1"]);
        assert!(hub.due().0.is_empty());
        let _claim = hub.wait("w", vec!["a:v1".to_owned()], 9);
        hub.tell(&news("a:v1", 1));
        let (due, next) = hub.due();
        assert!(due.is_empty() && next.is_some());
    }

    #[test]
    fn claims_that_wait_are_counted_until_they_end() {
        let hub = Arc::new(Hub::default());
        let first = hub.wait("w", Vec::new(), 1);
        assert!(first.is_some() && hub.wait("w", Vec::new(), 1).is_none());
        drop(first);
        assert!(hub.wait("w", Vec::new(), 1).is_some());
    }
}
