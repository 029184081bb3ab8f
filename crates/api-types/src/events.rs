//! Events: what happened, as the outboxes hand it to the control plane.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

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
    pub request_id: Option<String>,
    #[serde(with = "crate::time")]
    pub at: DateTime<Utc>,
    pub payload: serde_json::Value,
}

/// What a service sends to the control plane: at most a few hundred events, in order.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EventBatch {
    pub events: Vec<Event>,
}

/// How many of a batch were new.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct EventReceipt {
    pub accepted: usize,
}
