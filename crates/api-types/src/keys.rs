//! API keys.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    auth::{Role, Scope},
    id::Id,
};

#[derive(Debug)]
pub struct KeyKind;
/// The part of an API key before the dot.
pub type KeyId = Id<KeyKind>;

/// A key as it is shown: never with its secret, except in the answer that creates it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Key {
    #[schema(value_type = String, example = "k_0123456789abcdef01")]
    pub id: KeyId,
    pub name: String,
    pub roles: Vec<Role>,
    #[schema(value_type = Vec<String>)]
    pub permissions: Vec<Scope>,
    pub client_id: String,
    #[serde(with = "crate::time::option")]
    #[schema(value_type = Option<String>)]
    pub expires_at: Option<DateTime<Utc>>,
    pub rate_limit_per_minute: Option<i64>,
    pub rate_limit_per_hour: Option<i64>,
    pub active: bool,
    #[serde(with = "crate::time::option")]
    #[schema(value_type = Option<String>)]
    pub last_used_at: Option<DateTime<Utc>>,
    #[serde(with = "crate::time::option")]
    #[schema(value_type = Option<String>)]
    pub revoked_at: Option<DateTime<Utc>>,
    #[serde(with = "crate::time")]
    #[schema(value_type = String)]
    pub created_at: DateTime<Utc>,
}

/// What another service asks: the record of a key that somebody presented.
#[derive(Clone, Serialize, Deserialize)]
pub struct KeyLookup {
    pub id: KeyId,
    /// SHA-256 of the presented secret in hex: a match counts as a use of the key.
    pub secret_sha256: String,
}

impl std::fmt::Debug for KeyLookup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyLookup").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What the control plane tells another service about a key; `None` fields mean the defaults.
#[derive(Clone, Serialize, Deserialize)]
pub struct KeyRecord {
    pub id: KeyId,
    /// SHA-256 of the secret in hex.
    pub secret_sha256: String,
    pub roles: Vec<Role>,
    pub permissions: Vec<Scope>,
    pub client_id: String,
    #[serde(with = "crate::time::option")]
    pub expires_at: Option<DateTime<Utc>>,
    #[serde(with = "crate::time::option")]
    pub revoked_at: Option<DateTime<Utc>>,
    pub rate_limit_per_minute: Option<u64>,
    pub rate_limit_per_hour: Option<u64>,
}

impl std::fmt::Debug for KeyRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyRecord").field("id", &self.id).finish_non_exhaustive()
    }
}
