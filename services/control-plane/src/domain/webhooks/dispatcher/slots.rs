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
const MOMENT: Duration = Duration::from_millis(500);
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
    /// How many prompt places one owner may have.
    share: usize,
    held: Arc<Held>,
}

/// Who has how many prompt places.
#[derive(Debug, Default)]
struct Held(Mutex<HashMap<i32, usize>>);

impl Held {
    fn lock(&self) -> MutexGuard<'_, HashMap<i32, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place.
#[derive(Debug)]
pub(super) struct Slot {
    /// Given back when this is dropped.
    _permit: OwnedSemaphorePermit,
    /// Whose it is, at a prompt place.
    prompt: Option<Prompt>,
}

#[derive(Debug)]
struct Prompt {
    held: Arc<Held>,
    owner: i32,
}

impl Drop for Prompt {
    fn drop(&mut self) {
        let mut held = self.held.lock();
        let left = held.get(&self.owner).map_or(0, |count| count.saturating_sub(1));
        if left == 0 {
            held.remove(&self.owner);
        } else {
            held.insert(self.owner, left);
        }
    }
}

impl Slots {
    /// Nobody gets more than half of the prompt places.
    pub(super) fn new(prompt: usize, slow: usize) -> Self {
        Self {
            prompt: Arc::new(Semaphore::new(prompt)),
            slow: Arc::new(Semaphore::new(slow)),
            share: prompt.div_ceil(2),
            held: Arc::default(),
        }
    }

    /// How many prompt places one owner may have.
    pub(super) fn share(&self) -> usize {
        self.share
    }

    /// How many more prompt places those owners may have who have some.
    pub(super) fn left(&self) -> HashMap<i32, usize> {
        self.held.lock().iter().map(|(owner, held)| (*owner, self.share.saturating_sub(*held))).collect()
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

    /// A prompt place for `owner`, if one is free.
    pub(super) fn take_prompt(&self, owner: i32) -> Option<Slot> {
        let permit = Arc::clone(&self.prompt).try_acquire_owned().ok()?;
        *self.held.lock().entry(owner).or_default() += 1;
        Some(Slot { _permit: permit, prompt: Some(Prompt { held: Arc::clone(&self.held), owner }) })
    }

    /// A slow place, if one is free.
    pub(super) fn take_slow(&self) -> Option<Slot> {
        let permit = Arc::clone(&self.slow).try_acquire_owned().ok()?;
        Some(Slot { _permit: permit, prompt: None })
    }

    /// A slow place, as soon as one is free.
    pub(super) async fn slow(&self) -> Option<Slot> {
        let permit = Arc::clone(&self.slow).acquire_owned().await.ok()?;
        Some(Slot { _permit: permit, prompt: None })
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
        if self.prompt.is_some() {
            if let Ok(done) = timeout(MOMENT, &mut work).await {
                return done;
            }
            if let Some(apart) = slots.take_slow() {
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
        let mut one = slots.take_prompt(1).unwrap();
        assert!(slots.take_prompt(2).is_none());
        let slow = one.in_time_or_apart(&slots, sleep(MOMENT * 3));
        let other = async {
            sleep(MOMENT * 2).await;
            slots.take_prompt(2).is_some() && slots.take_slow().is_none()
        };
        let ((), there_was_room) = tokio::join!(slow, other);
        assert!(there_was_room);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_slow_place_it_stays_where_it_is() {
        let slots = Slots::new(1, 1);
        let taken = slots.take_slow();
        let mut one = slots.take_prompt(1).unwrap();
        one.in_time_or_apart(&slots, sleep(MOMENT * 3)).await;
        assert!(taken.is_some() && slots.take_prompt(1).is_none());
        drop(one);
        assert!(slots.take_prompt(1).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn what_an_owner_may_still_have_follows_what_it_has() {
        let slots = Slots::new(4, 1);
        assert!(slots.left().is_empty() && slots.share() == 2);
        let mut one = slots.take_prompt(7).unwrap();
        let other = slots.take_prompt(7);
        assert_eq!(slots.left(), [(7, 0)].into());
        one.in_time_or_apart(&slots, sleep(MOMENT * 3)).await;
        assert_eq!(slots.left(), [(7, 1)].into());
        drop((one, other));
        assert!(slots.left().is_empty());
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
