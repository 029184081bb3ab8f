//! Who used what: counts of answered requests and the refused ones, as every process hands them to the control plane.

use chrono::{DateTime, DurationRound as _, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::keys::KeyId;

/// Entries of either list that one batch may have.
pub const BATCH_MAX: usize = 2000;

/// How long a process keeps what it could not hand over, in hours. The control plane knows a batch, and the minute of a use, for longer.
pub const KEPT_HOURS: i64 = 6;

/// What one process saw since it last told: at most [`BATCH_MAX`] entries of either kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessBatch {
    /// Given by the sender, and kept when it sends again: a batch that arrives twice is counted once.
    pub id: Uuid,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub counts: Vec<AccessCount>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<RefusedAccess>,
}

/// Whether a batch was new.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessReceipt {
    pub counted: bool,
}

/// Answered requests of one API key to one route from one address within one clock minute. Calls of our own services, also those
/// on a caller's behalf, are not among them: each request of a caller counts once, where it came in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessCount {
    pub key_id: KeyId,
    pub client_id: String,
    /// When the first of them came; all came within the same clock minute.
    #[serde(with = "crate::time")]
    pub at: DateTime<Utc>,
    pub service: String,
    pub method: String,
    /// The route's template, e.g. `/ains/tasks/{task_id}`.
    pub route: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_address: Option<String>,
    /// Of the first of them; at most [`crate::events::USER_AGENT_CHARS`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// Of the first of them.
    pub request_id: String,
    /// Statuses below 400.
    pub succeeded: u32,
    /// All others, those of `rate_limited` among them.
    pub failed: u32,
    /// Status 429.
    pub rate_limited: u32,
}

impl AccessCount {
    /// All of them, whatever they were answered.
    #[must_use]
    pub fn times(&self) -> u64 {
        u64::from(self.succeeded) + u64::from(self.failed)
    }
}

/// A request that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedAccess {
    /// When the first of `times` alike was refused.
    #[serde(with = "crate::time")]
    pub at: DateTime<Utc>,
    pub why: Refusal,
    pub service: String,
    pub method: String,
    /// The route's template.
    pub route: String,
    /// The key's id or the token's `sub`; `None` for a caller that nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_address: Option<String>,
    /// Of the first of them; at most [`crate::events::USER_AGENT_CHARS`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// Of the first of them.
    pub request_id: String,
    /// How many alike this stands for; 1 unless there were too many to tell of each.
    pub times: u32,
}

/// Why a request was refused. The caller of a bad credential is told less.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Refusal {
    Credential {
        reason: BadCredential,
    },
    /// The caller is known and may not.
    Permission {
        /// The scope that would have been enough; `None` when it takes more than a scope.
        required_scope: Option<String>,
    },
    Rate {
        window: Window,
        /// Requests that the window allows.
        limit: u64,
    },
}

/// What was wrong with a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BadCredential {
    Missing,
    /// It has not the form of any credential.
    Malformed,
    /// It has the form, and nobody gave it out.
    Unknown,
    Revoked,
    Expired,
}

impl BadCredential {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Malformed => "malformed",
            Self::Unknown => "unknown",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
        }
    }
}

/// A window of the rate limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Window {
    PerMinute,
    PerHour,
}

impl Window {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PerMinute => "per_minute",
            Self::PerHour => "per_hour",
        }
    }
}

/// The start of the clock minute (UTC) that a moment lies in.
#[must_use]
pub fn minute_of(at: DateTime<Utc>) -> DateTime<Utc> {
    at.duration_trunc(TimeDelta::minutes(1)).unwrap_or(at)
}

/// The start of the clock hour (UTC) that a moment lies in.
#[must_use]
pub fn hour_of(at: DateTime<Utc>) -> DateTime<Utc> {
    at.duration_trunc(TimeDelta::hours(1)).unwrap_or(at)
}

/// What usage statistics call an endpoint: the first two segments of a route, e.g. `/ains/tasks`.
#[must_use]
pub fn endpoint_of(route: &str) -> &str {
    // The slash that ends the second segment, the first one being the route's first character.
    let mut ends = route.match_indices('/').map(|(at, _)| at).filter(|at| *at > 0);
    ends.nth(1).map_or(route, |end| &route[..end])
}

#[cfg(test)]
mod tests {
    use super::{endpoint_of, hour_of};
    use crate::time::{format, parse};

    #[test]
    fn an_endpoint_is_the_first_two_segments() {
        for (route, endpoint) in [
            ("/ains/tasks/{task_id}", "/ains/tasks"),
            ("/ains/tasks", "/ains/tasks"),
            ("/ains/tasks/", "/ains/tasks"),
            ("/skills", "/skills"),
            ("/api/v1/agents/{agent_id}", "/api/v1"),
            ("unmatched", "unmatched"),
            ("/", "/"),
            ("", ""),
        ] {
            assert_eq!(endpoint_of(route), endpoint, "{route}");
        }
    }

    #[test]
    fn an_hour_begins_on_the_hour() {
        let at = parse("2026-03-01T12:59:59.999Z").unwrap();
        assert_eq!(format(hour_of(at)), "2026-03-01T12:00:00.000Z");
        assert_eq!(hour_of(hour_of(at)), hour_of(at));
    }
}
