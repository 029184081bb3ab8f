//! API keys as the AINS door shows them. They are the keys of the other door, too: what one format lacks, it fills in.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::KeyId;
use crate::auth::Scope;

/// A key to be made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = AinsNewKey)]
pub struct NewKey {
    #[schema(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    pub client_id: String,
    #[schema(min_length = 1, max_length = 255)]
    pub name: String,
    /// Every scope that is not administrative, when absent or empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>, required = false)]
    pub scopes: Vec<Scope>,
    /// 60 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub rate_limit_per_minute: Option<i64>,
    /// 1000 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 60_000_000)]
    pub rate_limit_per_hour: Option<i64>,
    /// Not beside `expires_in_days`. A date alone means the end of that day.
    #[serde(default, with = "crate::time::option", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub expires_at: Option<DateTime<Utc>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 3650)]
    pub expires_in_days: Option<i64>,
}

/// What is to become of a key; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = AinsKeyChange)]
pub struct KeyChange {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 255)]
    pub name: Option<String>,
    /// Every scope that is not administrative, when empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    pub scopes: Option<Vec<Scope>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub rate_limit_per_minute: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 60_000_000)]
    pub rate_limit_per_hour: Option<i64>,
    /// Null takes the end away.
    #[serde(default, with = "crate::time::option", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub expires_at: Option<DateTime<Utc>>,
}

/// A key, never with its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = AinsKey)]
pub struct Key {
    #[schema(value_type = String, example = "key_018f4e6f0a7b7c3d8e9f0a1b2c3d4e5f")]
    pub key_id: KeyId,
    pub client_id: String,
    pub name: String,
    /// Neither revoked nor expired.
    pub active: bool,
    #[schema(value_type = Vec<String>)]
    pub scopes: Vec<Scope>,
    pub rate_limit_per_minute: u64,
    pub rate_limit_per_hour: u64,
    #[serde(with = "crate::time::option")]
    #[schema(value_type = Option<String>)]
    pub last_used_at: Option<DateTime<Utc>>,
    #[serde(with = "crate::time")]
    #[schema(value_type = String)]
    pub created_at: DateTime<Utc>,
    #[serde(with = "crate::time::option")]
    #[schema(value_type = Option<String>)]
    pub expires_at: Option<DateTime<Utc>>,
    #[serde(with = "crate::time::option")]
    #[schema(value_type = Option<String>)]
    pub revoked_at: Option<DateTime<Utc>>,
}

/// Some keys, the newest first, and how many there are.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = AinsKeyList)]
pub struct KeyList {
    pub keys: Vec<Key>,
    pub total: i64,
}

/// A key that was just made or rotated: the only answer that shows it.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = AinsFreshKey)]
pub struct FreshKey {
    #[schema(value_type = String, example = "key_018f4e6f0a7b7c3d8e9f0a1b2c3d4e5f")]
    pub key_id: KeyId,
    /// Ready to be presented.
    pub api_key: String,
    pub client_id: String,
    pub name: String,
    #[schema(value_type = Vec<String>)]
    pub scopes: Vec<Scope>,
    pub rate_limit_per_minute: u64,
    pub rate_limit_per_hour: u64,
    #[serde(with = "crate::time")]
    #[schema(value_type = String)]
    pub created_at: DateTime<Utc>,
    #[serde(with = "crate::time::option")]
    #[schema(value_type = Option<String>)]
    pub expires_at: Option<DateTime<Utc>>,
    pub warning: String,
}

impl std::fmt::Debug for FreshKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FreshKey").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

/// A key with another secret.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = AinsRotatedKey)]
pub struct RotatedKey {
    #[serde(flatten)]
    pub key: FreshKey,
    /// Until when the replaced secret is good, too.
    #[serde(with = "crate::time")]
    #[schema(value_type = String)]
    pub previous_valid_until: DateTime<Utc>,
}

/// A key that is no longer good.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = AinsRevokedKey)]
pub struct RevokedKey {
    #[schema(value_type = String)]
    pub key_id: KeyId,
    #[serde(with = "crate::time")]
    #[schema(value_type = String)]
    pub revoked_at: DateTime<Utc>,
    pub message: String,
}

/// What a key was used for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = AinsKeyUsage)]
pub struct Usage {
    #[schema(value_type = String)]
    pub key_id: KeyId,
    #[schema(example = "7d")]
    pub period: String,
    /// All that was answered: the next two together.
    pub total_requests: i64,
    /// With a status below 400.
    pub successful_requests: i64,
    pub failed_requests: i64,
    /// Failures with status 429.
    pub rate_limit_hits: i64,
    /// Over all hours of the period, with one decimal.
    pub avg_requests_per_hour: f64,
    /// In the busiest hour of the clock.
    pub peak_requests_per_hour: i64,
    /// By the first two segments of the path; the numbers add up to the total.
    pub requests_by_endpoint: BTreeMap<String, i64>,
    pub date_range: DateRange,
}

/// From and until when requests were counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = AinsDateRange)]
pub struct DateRange {
    #[serde(with = "crate::time")]
    #[schema(value_type = String)]
    pub start: DateTime<Utc>,
    #[serde(with = "crate::time")]
    #[schema(value_type = String)]
    pub end: DateTime<Utc>,
}
