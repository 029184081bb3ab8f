//! How often somebody may get a password wrong.

use api_core::seal::SealKey;
use chrono::{DateTime, TimeDelta, Utc};

use super::Error;

/// Failures of one name from one address after which each further attempt is refused …
const FAILURES_MAX: i32 = 10;
/// … until so long after the first of them.
const WINDOW: TimeDelta = TimeDelta::minutes(15);

/// A name that somebody tried from an address.
#[derive(Debug, Clone)]
pub(crate) struct Pair {
    pub(crate) name_digest: String,
    pub(crate) address: String,
}

impl Pair {
    pub(super) fn new(key: &SealKey, name: &str, address: &str) -> Self {
        Self { name_digest: key.digest(&name.to_lowercase()), address: address.to_owned() }
    }
}

/// The failures of a pair within the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failures {
    pub(crate) count: i32,
    pub(crate) first_at: DateTime<Utc>,
}

/// Failures count when the first of them came after this.
pub(super) fn window(now: DateTime<Utc>) -> DateTime<Utc> {
    now - WINDOW
}

/// Checks that another attempt may be made, or was one of those that may.
pub(super) fn check(failures: Option<Failures>, allowed: Allowed, now: DateTime<Utc>) -> Result<(), Error> {
    let max = match allowed {
        Allowed::Another => FAILURES_MAX - 1,
        Allowed::These => FAILURES_MAX,
    };
    match failures {
        Some(Failures { count, first_at }) if count > max => {
            let left_ms = (first_at + WINDOW - now).num_milliseconds().max(1);
            Err(Error::Throttled { retry_after_s: u64::try_from(left_ms).unwrap_or(1).div_ceil(1000) })
        }
        Some(_) | None => Ok(()),
    }
}

/// What the failures counted so far are held against.
#[derive(Debug, Clone, Copy)]
pub(super) enum Allowed {
    /// Whether there may be one attempt more.
    Another,
    /// Whether the last of them was still one.
    These,
}

#[cfg(test)]
mod tests {
    use api_core::{seal::SealKey, secret::Secret};
    use chrono::{TimeDelta, Utc};

    use super::{Allowed, Failures, Pair, check};
    use crate::domain::users::Error;

    fn seconds(result: Result<(), Error>) -> Option<u64> {
        match result {
            Ok(()) => None,
            Err(Error::Throttled { retry_after_s }) => Some(retry_after_s),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn the_eleventh_attempt_waits_until_a_quarter_of_an_hour_after_the_first() {
        let now = Utc::now();
        let failures = |count| Some(Failures { count, first_at: now - TimeDelta::minutes(5) });
        assert_eq!(seconds(check(None, Allowed::Another, now)), None);
        assert_eq!(seconds(check(failures(9), Allowed::Another, now)), None);
        assert_eq!(seconds(check(failures(10), Allowed::Another, now)), Some(600));
        // The tenth failure itself is told as one, the eleventh of many at once is not.
        assert_eq!(seconds(check(failures(10), Allowed::These, now)), None);
        assert_eq!(seconds(check(failures(11), Allowed::These, now)), Some(600));
    }

    #[test]
    fn one_name_is_one_name_whatever_its_case() {
        let key = SealKey::derive(&Secret::new("s"), "login names").unwrap();
        let digest = |name: &str| Pair::new(&key, name, "127.0.0.1").name_digest;
        assert_eq!(digest("Ada"), digest("ada"));
        assert_ne!(digest("ada"), digest("bob"));
        assert!(!digest("ada").contains("ada"));
    }
}
