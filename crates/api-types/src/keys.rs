//! API keys.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    auth::{Role, Scope},
    id::Id,
};

/// What is identified by a [`KeyId`].
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

/// A key to be made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewKey {
    #[schema(min_length = 1, max_length = 100)]
    pub name: String,
    /// `["service"]` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<Role>>,
    /// Those of the roles when absent or empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>, required = false)]
    pub permissions: Vec<Scope>,
    /// The tenant; the key's id when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 64)]
    pub client_id: Option<String>,
    #[serde(default, with = "crate::time::option", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub expires_at: Option<DateTime<Utc>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub rate_limit_per_minute: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 60_000_000)]
    pub rate_limit_per_hour: Option<i64>,
}

/// What the first key is asked for with; the token also goes as header `X-Bootstrap-Token`.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct Bootstrap {
    /// `admin` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 100)]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootstrap_token: Option<String>,
}

impl std::fmt::Debug for Bootstrap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bootstrap").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A key that was just made, and the only answer that shows its secret.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct CreatedKey<K> {
    /// `id.secret`, ready to be presented.
    pub token: String,
    pub key: K,
}

impl<K> std::fmt::Debug for CreatedKey<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CreatedKey")
    }
}

/// A key made with [`NewKey`].
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct FreshKey {
    #[schema(value_type = String, example = "k_0123456789abcdef01")]
    pub id: KeyId,
    pub secret: String,
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
    #[serde(with = "crate::time")]
    #[schema(value_type = String)]
    pub created_at: DateTime<Utc>,
}

/// The first key, made with [`Bootstrap`].
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct FirstKey {
    #[schema(value_type = String, example = "k_0123456789abcdef01")]
    pub id: KeyId,
    pub secret: String,
    pub name: String,
    pub roles: Vec<Role>,
    #[schema(value_type = Vec<String>)]
    pub permissions: Vec<Scope>,
    #[serde(with = "crate::time")]
    #[schema(value_type = String)]
    pub created_at: DateTime<Utc>,
}

impl std::fmt::Debug for FreshKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FreshKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for FirstKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FirstKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A key that is no longer good, since when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RevokedKey {
    pub revoked: bool,
    #[schema(value_type = String)]
    pub id: KeyId,
    #[serde(with = "crate::time")]
    #[schema(value_type = String)]
    pub revoked_at: DateTime<Utc>,
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
