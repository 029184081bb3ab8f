//! Events: what happened, as the outboxes hand it to the control plane.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
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

    use super::{ains_id, mesh_id};

    #[test]
    fn an_id_is_shown_as_each_door_prints_it() {
        let id: Uuid = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        assert_eq!(ains_id(id), "evt_01890a5dac96774bbcceb302099a8057");
        assert_eq!(mesh_id(id), "evt_774bbcceb302099a8057");
    }
}
