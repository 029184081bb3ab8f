//! Whether a failed attempt is followed by another, and after which pause (AINS contract, section 4.4).

use chrono::TimeDelta;

/// The longest pause of the exponential policy, in seconds.
const EXPONENTIAL_MAX: i64 = 60;
const LINEAR_STEP: i64 = 5;
const FIXED: i64 = 10;

/// What an error message contains, in any case, when another attempt would fail the same way.
const HOPELESS: [&str; 6] =
    ["invalid input", "authentication failed", "permission denied", "not found", "bad request", "validation error"];

/// How the pause before a retry grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Policy {
    #[default]
    Exponential,
    Linear,
    Fixed,
}

impl Policy {
    /// As they are spelled on the wire, in the order of the contract.
    pub const NAMES: [&str; 3] = ["exponential", "linear", "fixed"];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exponential => "exponential",
            Self::Linear => "linear",
            Self::Fixed => "fixed",
        }
    }

    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Exponential, Self::Linear, Self::Fixed].into_iter().find(|policy| policy.as_str() == name)
    }

    /// How long to wait before the `retry`-th retry, counted from 1.
    #[must_use]
    pub fn pause(self, retry: i32) -> TimeDelta {
        let retry = retry.max(1);
        let seconds = match self {
            // 2^6 is above the limit already, so the shift stays small.
            Self::Exponential => (1_i64 << (retry - 1).min(6)).min(EXPONENTIAL_MAX),
            Self::Linear => LINEAR_STEP * i64::from(retry),
            Self::Fixed => FIXED,
        };
        TimeDelta::seconds(seconds)
    }
}

/// Whether a reported failure may be tried again: not when the worker says so, nor when its message names a lasting cause.
#[must_use]
pub fn is_retryable(said: Option<bool>, error_message: Option<&str>) -> bool {
    said != Some(false) && !error_message.is_some_and(names_lasting_cause)
}

fn names_lasting_cause(message: &str) -> bool {
    let message = message.to_lowercase();
    HOPELESS.iter().any(|text| message.contains(text))
}

#[cfg(test)]
mod tests {
    use super::{HOPELESS, Policy, is_retryable};

    fn pauses(policy: Policy) -> Vec<i64> {
        (1..=10).map(|retry| policy.pause(retry).num_seconds()).collect()
    }

    #[test]
    fn pauses_grow_as_their_policy_says() {
        assert_eq!(pauses(Policy::Exponential), [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]);
        assert_eq!(pauses(Policy::Linear), [5, 10, 15, 20, 25, 30, 35, 40, 45, 50]);
        assert_eq!(pauses(Policy::Fixed), [10; 10]);
    }

    #[test]
    fn a_pause_is_bounded_for_any_number() {
        assert_eq!(Policy::Exponential.pause(i32::MAX).num_seconds(), 60);
        assert_eq!(Policy::Exponential.pause(i32::MIN).num_seconds(), 1);
        assert!(Policy::Linear.pause(i32::MAX).num_seconds() > 0);
    }

    #[test]
    fn policies_are_read_as_they_are_written() {
        for name in Policy::NAMES {
            assert_eq!(Policy::parse(name).map(Policy::as_str), Some(name));
        }
        assert_eq!(Policy::parse("Fixed"), None);
        assert_eq!(Policy::default(), Policy::Exponential);
    }

    #[test]
    fn lasting_causes_are_not_retried_in_any_case() {
        for text in HOPELESS {
            let message = format!("Upstream: {}!", text.to_uppercase());
            assert!(!is_retryable(None, Some(&message)), "{message}");
            assert!(!is_retryable(Some(true), Some(&message)), "the text counts whatever the worker says: {message}");
        }
        assert!(is_retryable(None, Some("connection reset")));
        assert!(is_retryable(Some(true), None) && is_retryable(None, None));
        assert!(!is_retryable(Some(false), Some("connection reset")));
    }
}
