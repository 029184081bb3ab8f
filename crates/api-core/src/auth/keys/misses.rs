//! Look-ups in vain, by address: who makes up keys is not to keep the control plane busy.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

/// Look-ups in vain that one address may cause in a minute of the clock.
const PER_MINUTE: u32 = 600;
/// Addresses counted at once; beyond it, further ones share a budget.
const ADDRESSES_MAX: usize = 10_000;
const MINUTE_S: u64 = 60;

/// Counts, by address and minute.
#[derive(Debug, Default)]
pub(super) struct Misses(Mutex<Minute>);

#[derive(Debug, Default)]
struct Minute {
    number: u64,
    counts: HashMap<String, u32>,
}

impl Misses {
    /// Counts one.
    pub(super) fn count(&self, from: &str, now_s: u64) {
        let mut minute = self.at(now_s);
        let has_room = minute.counts.len() < ADDRESSES_MAX || minute.counts.contains_key(from);
        let count = minute.counts.entry(if has_room { from } else { "" }.to_owned()).or_default();
        *count = count.saturating_add(1);
    }

    /// The seconds until this address may cause another look-up of a key that is not known; `None` when it may now.
    pub(super) fn wait_s(&self, from: &str, now_s: u64) -> Option<u64> {
        let minute = self.at(now_s);
        let is_full = minute.counts.len() >= ADDRESSES_MAX;
        let counted = minute.counts.get(from).or_else(|| minute.counts.get("").filter(|_| is_full));
        counted.is_some_and(|count| *count >= PER_MINUTE).then_some(MINUTE_S - now_s % MINUTE_S)
    }

    fn at(&self, now_s: u64) -> std::sync::MutexGuard<'_, Minute> {
        let mut minute = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let number = now_s / MINUTE_S;
        if minute.number != number {
            *minute = Minute { number, counts: HashMap::new() };
        }
        minute
    }
}

#[cfg(test)]
mod tests {
    use super::{ADDRESSES_MAX, Misses, PER_MINUTE};

    #[test]
    fn an_address_that_guesses_waits_for_the_next_minute_and_others_do_not() {
        let misses = Misses::default();
        for _ in 0..PER_MINUTE {
            assert_eq!(misses.wait_s("a", 60), None);
            misses.count("a", 60);
        }
        assert_eq!((misses.wait_s("a", 61), misses.wait_s("b", 61)), (Some(59), None));
        assert_eq!(misses.wait_s("a", 120), None);
    }

    #[test]
    fn many_addresses_take_no_more_room_than_some() {
        let misses = Misses::default();
        for address in 0..ADDRESSES_MAX + 2 * PER_MINUTE as usize {
            misses.count(&address.to_string(), 60);
        }
        assert!(misses.0.lock().unwrap().counts.len() <= ADDRESSES_MAX + 1);
        assert_eq!((misses.wait_s("0", 60), misses.wait_s("new", 60)), (None, Some(60)));
    }
}
