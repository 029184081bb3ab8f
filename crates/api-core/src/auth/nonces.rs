//! The service tokens that were used already.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use api_client::token::USABLE_S;
use uuid::Uuid;

/// How long a nonce is remembered at least.
const KEPT: Duration = Duration::from_secs(USABLE_S);
/// Nonces of one generation; our own services alone can make any, and come nowhere near it.
const GENERATION_MAX: usize = 2_000_000;

/// Nonces in two generations, of which the older is forgotten as a whole.
#[derive(Debug)]
pub(super) struct Nonces(Mutex<Generations>);

#[derive(Debug)]
struct Generations {
    current: HashSet<Uuid>,
    previous: HashSet<Uuid>,
    began: Instant,
}

impl Nonces {
    pub(super) fn new() -> Self {
        let (current, previous) = (HashSet::new(), HashSet::new());
        Self(Mutex::new(Generations { current, previous, began: Instant::now() }))
    }

    /// Whether this is the first time; when there is no room to remember it, it counts as a further one.
    pub(super) fn is_first(&self, nonce: Uuid) -> bool {
        self.is_first_at(nonce, Instant::now())
    }

    fn is_first_at(&self, nonce: Uuid, now: Instant) -> bool {
        let mut generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let age = now.saturating_duration_since(generations.began);
        if age >= KEPT {
            let last = std::mem::take(&mut generations.current);
            generations.previous = if age < 2 * KEPT { last } else { HashSet::new() };
            generations.began = now;
        }
        generations.current.len() < GENERATION_MAX
            && !generations.previous.contains(&nonce)
            && generations.current.insert(nonce)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use uuid::Uuid;

    use super::{KEPT, Nonces};

    #[test]
    fn a_nonce_is_remembered_as_long_as_its_token_may_be_used() {
        let (nonces, start) = (Nonces::new(), Instant::now());
        let first = Uuid::new_v4();
        assert!(nonces.is_first_at(first, start));
        for later in [start, start + KEPT / 2, start + KEPT] {
            assert!(!nonces.is_first_at(first, later));
        }
        assert!(nonces.is_first_at(Uuid::new_v4(), start + KEPT));
        assert!(nonces.is_first_at(first, start + 3 * KEPT));
    }
}
