//! Who used what: counts of answered requests and the refused ones, as every process hands them to the control plane.

use chrono::{DateTime, DurationRound as _, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::keys::KeyId;

/// Entries of either list that one batch may have.
pub const BATCH_MAX: usize = 2000;

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

/// Answered requests of one caller to one route within one clock hour. Calls of our own services, also those on a caller's
/// behalf, are not among them: each request of a caller counts once, where it came in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessCount {
    /// The key's id or the token's `sub`.
    pub principal_id: String,
    /// The API key, when it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<KeyId>,
    pub client_id: String,
    /// Any moment of the clock hour; see [`hour_of`].
    #[serde(with = "crate::time")]
    pub hour: DateTime<Utc>,
    pub service: String,
    pub method: String,
    /// The route's template, e.g. `/ains/tasks/{task_id}`.
    pub route: String,
    /// Statuses below 400.
    pub succeeded: u32,
    /// All others, those of `rate_limited` among them.
    pub failed: u32,
    /// Status 429.
    pub rate_limited: u32,
}

/// A request that was refused: 401, 403 or 429.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedAccess {
    /// When the first of `times` alike was refused.
    #[serde(with = "crate::time")]
    pub at: DateTime<Utc>,
    pub service: String,
    pub method: String,
    /// The route's template.
    pub route: String,
    pub status: u16,
    /// What the answer said, as the native door spells it: `CATEGORY.REASON`.
    pub code: String,
    /// Those of the first of them; `None` for a caller that nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<KeyId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_address: Option<String>,
    /// At most 512 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// Of the first of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// How many alike were refused before the batch was sent; at least 1.
    pub times: u32,
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
