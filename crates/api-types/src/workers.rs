//! Workers: who does tasks (`agents` in the paths of the AINS door), and how far they are trusted.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, value::RawValue};
use utoipa::ToSchema;

/// Longest id of a worker, in characters.
pub const WORKER_ID_CHARS_MAX: usize = 128;
/// Tasks that a worker does at a time unless it says otherwise, and the most that it may say.
pub const CAPACITY_DEFAULT: i32 = 10;
pub const CAPACITY_MAX: i32 = 10_000;

/// A worker to be registered.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NewWorker {
    #[schema(min_length = 1, max_length = 128, pattern = "^[A-Za-z0-9][A-Za-z0-9._:-]*$")]
    pub agent_id: String,
    #[schema(min_length = 1, max_length = 255)]
    pub display_name: String,
    /// PEM `SubjectPublicKeyInfo` or 64 hex digits (Ed25519).
    #[schema(min_length = 1, max_length = 8192)]
    pub public_key: String,
    /// Where tasks are pushed to.
    #[schema(max_length = 512)]
    pub endpoint: String,
    /// Base64 or hex.
    #[schema(min_length = 1, max_length = 8192)]
    pub signature: String,
    #[schema(min_items = 1, max_items = 100)]
    pub tags: Vec<String>,
    /// At most 16 KiB; `max_concurrent_tasks` (1–10000, default 10) is taken out of it.
    #[schema(required = false)]
    pub metadata: Map<String, Value>,
    /// `auto` (default), `push` or `pull`.
    #[schema(required = false)]
    pub delivery: Option<String>,
    /// Generated when absent.
    #[schema(min_length = 16, max_length = 256)]
    pub delivery_secret: Option<String>,
}

/// A worker that was just registered; the only place where its secret is shown.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RegisteredWorker {
    pub agent_id: String,
    pub display_name: String,
    pub endpoint: String,
    pub trust_score: f64,
    pub tags: Vec<String>,
    pub status: &'static str,
    #[schema(value_type = Object)]
    pub metadata: Box<RawValue>,
    pub max_concurrent_tasks: i32,
    pub delivery: String,
    pub delivery_secret: String,
    pub signature_verified: bool,
    #[serde(with = "crate::time")]
    #[schema(value_type = String)]
    pub created_at: DateTime<Utc>,
}

/// A worker.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Worker {
    pub agent_id: String,
    pub display_name: String,
    pub endpoint: String,
    pub tags: Vec<String>,
    /// `active` or `inactive`
    pub status: &'static str,
    /// `healthy`, `degraded` or `unreachable`
    pub health: &'static str,
    pub trust_score: f64,
    pub total_tasks_completed: i64,
    pub total_tasks_failed: i64,
    pub success_rate: f64,
    pub avg_completion_time_seconds: Option<f64>,
    /// Its tasks that are assigned or running.
    pub current_load: i32,
    pub max_concurrent_tasks: i32,
    #[schema(value_type = Object)]
    pub metadata: Box<RawValue>,
    /// `auto`, `push` or `pull`
    pub delivery: String,
    /// `external` or `imago`
    pub source: String,
    pub signature_verified: bool,
    #[serde(with = "crate::time")]
    #[schema(value_type = String)]
    pub created_at: DateTime<Utc>,
    #[serde(with = "crate::time::option")]
    #[schema(value_type = Option<String>)]
    pub last_seen_at: Option<DateTime<Utc>>,
    #[serde(with = "crate::time::option")]
    #[schema(value_type = Option<String>)]
    pub last_heartbeat_at: Option<DateTime<Utc>>,
    /// `operator`, `offline` or `stale`
    pub inactive_reason: Option<String>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct WorkerList {
    pub agents: Vec<Worker>,
    pub total: i64,
    pub limit: i64,
    pub offset: i64,
    pub has_more: bool,
}

/// The answer to switching a worker off.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct DeactivatedWorker {
    pub agent_id: String,
    pub status: &'static str,
    #[serde(with = "crate::time")]
    #[schema(value_type = String)]
    pub deactivated_at: DateTime<Utc>,
    pub message: &'static str,
}

/// What a worker says of itself from time to time.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct Heartbeat {
    /// `ACTIVE` (default), `DEGRADED` or `OFFLINE`
    pub status: Option<String>,
    /// Tasks that it believes to hold; at most 1000.
    #[schema(required = false, max_items = 1000)]
    pub task_ids: Vec<String>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct HeartbeatAnswer {
    pub acknowledged: bool,
    /// Seconds.
    pub next_heartbeat_in: i64,
    /// As sent.
    pub agent_health_status: String,
    /// `active` or `inactive`
    pub agent_status: &'static str,
    #[serde(with = "crate::time")]
    #[schema(value_type = String)]
    pub last_heartbeat: DateTime<Utc>,
    pub renewed_task_ids: Vec<String>,
    pub cancelled_task_ids: Vec<String>,
    /// Somebody else's now, or over.
    pub lost_task_ids: Vec<String>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Ranked {
    /// From 1.
    pub rank: i64,
    pub agent_id: String,
    pub display_name: String,
    pub trust_score: f64,
    pub total_tasks_completed: i64,
    pub total_tasks_failed: i64,
    pub success_rate: f64,
    pub avg_completion_time_seconds: Option<f64>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Leaderboard {
    pub leaderboard: Vec<Ranked>,
    #[serde(with = "crate::time")]
    #[schema(value_type = String)]
    pub generated_at: DateTime<Utc>,
}

/// How far a worker is trusted.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Trust {
    pub agent_id: String,
    pub trust_score: f64,
    /// `excellent`, `high`, `medium`, `low` or `very_low`
    pub trust_level: &'static str,
    pub total_tasks_completed: i64,
    pub total_tasks_failed: i64,
    pub success_rate: f64,
    pub avg_completion_time_seconds: Option<f64>,
    /// 0–5
    pub reliability_rating: f64,
    #[serde(with = "crate::time::option")]
    #[schema(value_type = Option<String>)]
    pub last_task_completed_at: Option<DateTime<Utc>>,
    /// `increasing`, `decreasing` or `stable`
    pub trust_trend: &'static str,
}

/// One change of a worker's trust.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TrustRecord {
    #[schema(example = "rec_0123456789abcdef0123456789abcdef")]
    pub record_id: String,
    pub event_type: String,
    pub task_id: Option<String>,
    /// What really changed.
    pub trust_delta: f64,
    pub trust_score_before: f64,
    pub trust_score_after: f64,
    pub reason: String,
    #[serde(with = "crate::time")]
    #[schema(value_type = String)]
    pub created_at: DateTime<Utc>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct DateRange {
    #[serde(with = "crate::time")]
    #[schema(value_type = String)]
    pub start: DateTime<Utc>,
    #[serde(with = "crate::time")]
    #[schema(value_type = String)]
    pub end: DateTime<Utc>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TrustHistory {
    pub agent_id: String,
    pub records: Vec<TrustRecord>,
    pub total_records: i64,
    pub date_range: DateRange,
}

/// A change of trust by hand.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct TrustAdjustment {
    /// −1…1, not 0.
    pub delta: f64,
    #[schema(min_length = 1, max_length = 500)]
    pub reason: String,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AdjustedTrust {
    pub agent_id: String,
    pub trust_score_before: f64,
    pub trust_score_after: f64,
    /// As sent.
    pub delta: f64,
    pub effective_delta: f64,
    pub reason: String,
    /// The caller's client.
    pub adjusted_by: String,
    #[serde(with = "crate::time")]
    #[schema(value_type = String)]
    pub adjusted_at: DateTime<Utc>,
}

/// Whose a worker is: for our own services.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkerOwner {
    pub agent_id: String,
    pub client_id: String,
}
