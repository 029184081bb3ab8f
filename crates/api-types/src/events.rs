//! Events: what happened, as the outboxes hand it to the control plane.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// The most of a user agent that an event keeps, in characters.
pub const USER_AGENT_CHARS: usize = 512;

/// One thing that happened. Payloads hold ids, names, counts, durations and error codes; never texts or secrets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Deduplicates: the same id is the same event, however often it arrives.
    pub id: Uuid,
    /// e.g. `agent.ready`
    pub kind: String,
    /// What it happened to, e.g. `agent:ada`; events of one aggregate keep their order.
    pub aggregate: String,
    pub service: String,
    /// The principal that caused it.
    pub actor: Option<String>,
    /// The client concerned: the payload's `client_id`, else the actor's.
    #[serde(default)]
    pub client_id: Option<String>,
    pub request_id: Option<String>,
    /// Where the request came from.
    #[serde(default)]
    pub ip_address: Option<String>,
    /// At most [`USER_AGENT_CHARS`].
    #[serde(default)]
    pub user_agent: Option<String>,
    /// 32 hex digits of the trace that it is part of.
    #[serde(default)]
    pub trace_id: Option<String>,
    #[serde(with = "crate::time")]
    pub at: DateTime<Utc>,
    pub payload: serde_json::Value,
}

/// What a service sends to the control plane: at most a thousand events, in order.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EventBatch {
    pub events: Vec<Event>,
}

/// How many of a batch were new.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct EventReceipt {
    pub accepted: usize,
}

/// How much an event matters; each one more than those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Debug,
    Info,
    Warning,
    Error,
    Critical,
}

impl Level {
    /// All of them, by weight.
    pub const ALL: [Self; 5] = [Self::Debug, Self::Info, Self::Warning, Self::Error, Self::Critical];
    /// Their names, in the same order.
    pub const NAMES: &'static [&'static str] = &["debug", "info", "warning", "error", "critical"];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }

    /// 0 for the least.
    #[must_use]
    pub const fn weight(self) -> i16 {
        match self {
            Self::Debug => 0,
            Self::Info => 1,
            Self::Warning => 2,
            Self::Error => 3,
            Self::Critical => 4,
        }
    }
}

impl FromStr for Level {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|level| level.as_str() == text).ok_or(())
    }
}

/// An event as the native door shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RecordedEvent {
    /// `evt_` and 20 hex digits.
    pub id: String,
    #[schema(example = "agent.ready")]
    pub event_type: String,
    pub level: Level,
    /// One of the services, or `external:` and the principal that sent it.
    pub source: String,
    pub message: Option<String>,
    #[schema(value_type = Object)]
    pub data: serde_json::Value,
    /// The principal that caused it; of `user.*` events the user concerned.
    pub user_id: Option<String>,
    pub agent_id: Option<String>,
    pub workflow_id: Option<String>,
    pub tool_id: Option<String>,
    pub execution_id: Option<String>,
    pub trace_id: Option<String>,
    pub request_id: Option<String>,
    #[serde(with = "crate::time")]
    #[schema(value_type = String)]
    pub occurred_at: DateTime<Utc>,
    #[serde(with = "crate::time")]
    #[schema(value_type = String)]
    pub recorded_at: DateTime<Utc>,
}

/// An event that a client reports.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NewEvent {
    /// Not of a family of our own.
    #[schema(example = "shop.low_stock")]
    pub event_type: String,
    /// Default: `info`.
    pub level: Option<Level>,
    pub message: Option<String>,
    /// At most 16 KiB as JSON.
    #[schema(value_type = Option<Object>)]
    pub data: Option<serde_json::Map<String, serde_json::Value>>,
    pub agent_id: Option<String>,
    pub workflow_id: Option<String>,
    pub tool_id: Option<String>,
    pub execution_id: Option<String>,
    pub trace_id: Option<String>,
    /// Default: now. At most 5 minutes ahead; one from before what is kept is answered and not kept.
    #[serde(default, with = "crate::time::option")]
    #[schema(value_type = Option<String>)]
    pub occurred_at: Option<DateTime<Utc>>,
}

/// An event's id as the AINS door shows it: all 32 digits.
#[must_use]
pub fn ains_id(id: Uuid) -> String {
    format!("evt_{}", id.simple())
}

/// An event's id as the native door shows it: the last 20 digits, which are the random ones.
#[must_use]
pub fn mesh_id(id: Uuid) -> String {
    let digits = id.simple().to_string();
    format!("evt_{}", digits.get(12..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::{Level, ains_id, mesh_id};

    #[test]
    fn an_id_is_shown_as_each_door_prints_it() {
        let id: Uuid = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        assert_eq!(ains_id(id), "evt_01890a5dac96774bbcceb302099a8057");
        assert_eq!(mesh_id(id), "evt_774bbcceb302099a8057");
    }

    #[test]
    fn levels_are_told_apart_by_name_and_by_weight() {
        for ((level, name), weight) in Level::ALL.into_iter().zip(Level::NAMES).zip(0..) {
            assert_eq!((level.as_str(), level.weight(), name.parse()), (*name, weight, Ok(level)));
            assert_eq!(serde_json::to_value(level).unwrap(), *name);
        }
        assert!(Level::Critical > Level::Error && "loud".parse::<Level>().is_err());
    }
}
