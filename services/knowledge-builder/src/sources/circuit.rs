//! A source that fails again and again is left alone for a while.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Failed calls in a row after which a source rests.
const FAILURES_MAX: u32 = 3;

/// Shared by all runs of a process.
#[derive(Debug)]
pub(super) struct Circuit {
    rest: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    resting_until: Option<Instant>,
}

impl Circuit {
    pub(super) fn new(rest: Duration) -> Self {
        Self { rest, state: Mutex::default() }
    }

    pub(super) fn is_resting(&self) -> bool {
        self.with(|state| state.resting_until.is_some_and(|until| Instant::now() < until))
    }

    pub(super) fn succeeded(&self) {
        self.with(|state| *state = State::default());
    }

    /// After its rest one more failure sends a source back: the row has not ended.
    pub(super) fn failed(&self) {
        self.with(|state| {
            state.failures = state.failures.saturating_add(1);
            if state.failures >= FAILURES_MAX {
                state.resting_until = Some(Instant::now() + self.rest);
            }
        });
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
