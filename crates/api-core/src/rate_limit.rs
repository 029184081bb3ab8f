//! Requests a minute and an hour, in calendar-aligned windows, counted in this process.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use api_types::access::Window;

/// Principals counted at once; beyond it, those of windows gone by are forgotten first.
const COUNTED_MAX: usize = 100_000;
const MINUTE_S: u64 = 60;
const HOUR_S: u64 = 3600;

/// How many requests a window allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub per_minute: u64,
    pub per_hour: u64,
}

/// What is left of the minute after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    pub limit: u64,
    pub remaining: u64,
    /// Unix seconds at which the minute ends.
    pub reset: u64,
}

/// A request over the limit: how long until the window ends, in whole seconds rounded up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exceeded {
    pub window: Window,
    pub allowance: Allowance,
    pub retry_after_s: u64,
}

#[derive(Debug, Default, Clone, Copy)]
struct Counter {
    minute: u64,
    in_minute: u64,
    hour: u64,
    in_hour: u64,
}

/// Counts requests by name.
#[derive(Debug, Default)]
pub struct RateLimiter {
    counters: Mutex<HashMap<String, Counter>>,
}

impl RateLimiter {
    /// Counts one request of `who` at `now_ms` (unix milliseconds).
    ///
    /// # Errors
    /// When it is over one of the limits; it is not counted then.
    pub fn count(&self, who: &str, limits: Limits, now_ms: u64) -> Result<Allowance, Exceeded> {
        let now_s = now_ms / 1000;
        let (minute, hour) = (now_s / MINUTE_S, now_s / HOUR_S);
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        if counters.len() >= COUNTED_MAX && !counters.contains_key(who) {
            counters.retain(|_, counter| counter.hour == hour);
            if counters.len() >= COUNTED_MAX {
                counters.retain(|_, counter| counter.minute == minute);
            }
        }
        let counter = match counters.get_mut(who) {
            Some(counter) => counter,
            None => counters.entry(who.to_owned()).or_default(),
        };
        if counter.minute != minute {
            (counter.minute, counter.in_minute) = (minute, 0);
        }
        if counter.hour != hour {
            (counter.hour, counter.in_hour) = (hour, 0);
        }
        let minute_end_s = (minute + 1) * MINUTE_S;
        let over_hour = counter.in_hour >= limits.per_hour;
        if over_hour || counter.in_minute >= limits.per_minute {
            let end_s = if over_hour { (hour + 1) * HOUR_S } else { minute_end_s };
            return Err(Exceeded {
                window: if over_hour { Window::PerHour } else { Window::PerMinute },
                allowance: Allowance { limit: limits.per_minute, remaining: 0, reset: minute_end_s },
                retry_after_s: (end_s * 1000 - now_ms).div_ceil(1000),
            });
        }
        counter.in_minute += 1;
        counter.in_hour += 1;
        let remaining = (limits.per_minute - counter.in_minute).min(limits.per_hour - counter.in_hour);
        Ok(Allowance { limit: limits.per_minute, remaining, reset: minute_end_s })
    }
}

#[cfg(test)]
mod tests {
    use super::{Limits, RateLimiter};

    const LIMITS: Limits = Limits { per_minute: 2, per_hour: 3 };

    #[test]
    fn the_first_request_over_the_minute_is_refused_until_the_window_ends() {
        let limiter = RateLimiter::default();
        let start = 3_600_000; // An hour's start.
        assert_eq!(limiter.count("a", LIMITS, start + 500).unwrap().remaining, 1);
        assert_eq!(limiter.count("a", LIMITS, start + 500).unwrap().remaining, 0);
        let exceeded = limiter.count("a", LIMITS, start + 500).unwrap_err();
        assert_eq!(exceeded.retry_after_s, 60);
        assert_eq!(exceeded.allowance.reset, 3660);
        assert!(limiter.count("a", LIMITS, start + 60_000).is_ok());
    }

    #[test]
    fn the_hour_counts_too() {
        let limiter = RateLimiter::default();
        for minute in 0..3 {
            assert!(limiter.count("a", LIMITS, minute * 60_000).is_ok());
        }
        assert_eq!(limiter.count("a", LIMITS, 180_001).unwrap_err().retry_after_s, 3420);
    }

    #[test]
    fn callers_do_not_share_a_budget() {
        let limiter = RateLimiter::default();
        let one = Limits { per_minute: 1, per_hour: 1 };
        assert!(limiter.count("a", one, 0).is_ok());
        assert!(limiter.count("a", one, 0).is_err());
        assert!(limiter.count("b", one, 0).is_ok());
    }
}
