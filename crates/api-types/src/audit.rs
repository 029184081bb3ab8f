//! The audit log, as it is read and exported.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// The media type of an export: one JSON object a line.
pub const NDJSON: &str = "application/x-ndjson";

/// A page of the log, the newest rows first.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditLogs {
    pub logs: Vec<AuditEntry>,
    pub total: i64,
    pub limit: i64,
    pub offset: i64,
    pub has_more: bool,
}

/// One thing that somebody did, or was refused.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditEntry {
    #[schema(example = "log_01890a5dac967000800000000000002a")]
    pub log_id: String,
    /// e.g. `authentication`
    pub event_type: String,
    /// That of whoever acted; null when nobody knows who it was.
    pub client_id: Option<String>,
    /// e.g. `api_key_used`
    pub action: String,
    pub success: bool,
    pub ip_address: Option<String>,
    pub user_agent: Option<String>,
    /// Differs by action; no row holds a secret.
    #[schema(value_type = Object)]
    pub details: Box<RawValue>,
    #[serde(with = "crate::time")]
    #[schema(value_type = String)]
    pub created_at: DateTime<Utc>,
}

/// A line of an export: all that a row holds.
#[derive(Debug, Serialize)]
pub struct AuditLine {
    pub seq: i64,
    #[serde(flatten)]
    pub entry: AuditEntry,
    /// The key's id or the token's `sub`.
    pub actor: Option<String>,
    /// What it was done to, e.g. `agent:ada`.
    pub target: Option<String>,
    pub request_id: Option<String>,
    /// The row whose count this one raises.
    pub corrects: Option<i64>,
    /// SHA-256 in hex: the previous row's, and this one's over it.
    pub prev_hash: String,
    pub hash: String,
}
