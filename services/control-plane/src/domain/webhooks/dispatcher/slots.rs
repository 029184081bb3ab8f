//! How many attempts run at once, and that slow ones do not take the places of the others.

use std::{
    collections::HashMap,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// What a receiver may take before it counts as slow.
const MOMENT: Duration = Duration::from_secs(1);
/// Receivers whose pace is remembered.
const REMEMBERED_MAX: usize = 20_000;
/// For how long it is.
const REMEMBERED: Duration = Duration::from_secs(300);
/// A receiver that got something within this time will probably get something soon.
const WARM: Duration = Duration::from_secs(10);

/// The places, in two rooms: one for those who answer at once, a large one for those who do not.
#[derive(Debug)]
pub(super) struct Slots {
    prompt: Arc<Semaphore>,
    slow: Arc<Semaphore>,
}

/// A place.
#[derive(Debug)]
pub(super) struct Slot {
    /// Given back when this is dropped.
    _permit: OwnedSemaphorePermit,
    is_slow: bool,
}

impl Slots {
    pub(super) fn new(prompt: usize, slow: usize) -> Self {
        Self { prompt: Arc::new(Semaphore::new(prompt)), slow: Arc::new(Semaphore::new(slow)) }
    }

    /// Waits until there is a prompt place, and says how many there are.
    pub(super) async fn some_prompt(&self) -> usize {
        some(&self.prompt).await
    }

    /// The same among the slow.
    pub(super) async fn some_slow(&self) -> usize {
        some(&self.slow).await
    }

    pub(super) fn has_slow(&self) -> bool {
        self.slow.available_permits() > 0
    }

    /// A place of one kind, if one is free.
    pub(super) fn take(&self, is_slow: bool) -> Option<Slot> {
        let room = if is_slow { &self.slow } else { &self.prompt };
        let permit = Arc::clone(room).try_acquire_owned().ok()?;
        Some(Slot { _permit: permit, is_slow })
    }

    /// A slow place, as soon as one is free.
    pub(super) async fn slow(&self) -> Option<Slot> {
        let permit = Arc::clone(&self.slow).acquire_owned().await.ok()?;
        Some(Slot { _permit: permit, is_slow: true })
    }
}

async fn some(room: &Semaphore) -> usize {
    // Nobody closes it.
    let place = room.acquire().await.ok();
    drop(place);
    room.available_permits().max(1)
}

impl Slot {
    /// Does the work; once it has taken more than a moment, at a slow place. When all of those are taken it stays where it is.
    pub(super) async fn in_time_or_apart<T>(&mut self, slots: &Slots, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        if !self.is_slow {
            if let Ok(done) = timeout(MOMENT, &mut work).await {
                return done;
            }
            if let Some(apart) = slots.take(true) {
                *self = apart;
            }
        }
        work.await
    }
}

/// How receivers were, the last time.
#[derive(Debug, Default)]
pub(super) struct Pace(Mutex<HashMap<i64, Seen>>);

#[derive(Debug, Clone, Copy)]
struct Seen {
    is_slow: bool,
    at: Instant,
}

impl Pace {
    pub(super) fn note(&self, webhook_no: i64, took: Duration) {
        let mut seen = self.lock();
        if seen.len() >= REMEMBERED_MAX {
            seen.retain(|_, seen| seen.at.elapsed() < REMEMBERED);
            if seen.len() >= REMEMBERED_MAX {
                seen.clear();
            }
        }
        seen.insert(webhook_no, Seen { is_slow: took >= MOMENT, at: Instant::now() });
    }

    pub(super) fn is_slow(&self, webhook_no: i64) -> bool {
        self.lock().get(&webhook_no).is_some_and(|seen| seen.is_slow && seen.at.elapsed() < REMEMBERED)
    }

    pub(super) fn is_warm(&self, webhook_no: i64) -> bool {
        self.lock().get(&webhook_no).is_some_and(|seen| seen.at.elapsed() < WARM)
    }

    pub(super) fn slow_ones(&self) -> Vec<i64> {
        let seen = self.lock();
        let slow = seen.iter().filter(|(_, seen)| seen.is_slow && seen.at.elapsed() < REMEMBERED);
        slow.map(|(no, _)| *no).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<i64, Seen>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::sleep;

    use super::{MOMENT, Pace, Slots};

    #[tokio::test(start_paused = true)]
    async fn slow_work_makes_room_for_others() {
        let slots = Slots::new(1, 1);
        let mut one = slots.take(false).unwrap();
        assert!(slots.take(false).is_none());
        let slow = one.in_time_or_apart(&slots, sleep(MOMENT * 3));
        let other = async {
            sleep(MOMENT * 2).await;
            slots.take(false).is_some() && slots.take(true).is_none()
        };
        let ((), there_was_room) = tokio::join!(slow, other);
        assert!(there_was_room);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_slow_place_it_stays_where_it_is() {
        let slots = Slots::new(1, 1);
        let taken = slots.take(true);
        let mut one = slots.take(false).unwrap();
        one.in_time_or_apart(&slots, sleep(MOMENT * 3)).await;
        assert!(taken.is_some() && slots.take(false).is_none());
        drop(one);
        assert!(slots.take(false).is_some());
    }

    #[test]
    fn a_receiver_is_what_it_was_last() {
        let pace = Pace::default();
        assert!(!pace.is_slow(1) && !pace.is_warm(1));
        pace.note(1, MOMENT);
        assert!(pace.is_slow(1) && pace.is_warm(1) && pace.slow_ones() == [1]);
        pace.note(1, Duration::from_millis(5));
        assert!(!pace.is_slow(1) && pace.slow_ones().is_empty());
    }
}
