//! API keys.

pub mod ains;

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
/// What a key is called: the part before the dot in its native form.
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

/// How a key is to get another secret.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Rotation {
    /// How long the replaced secret stays good; 86400 when absent. The one before that ends now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 604_800)]
    pub overlap_seconds: Option<i64>,
}

/// A key with another secret, and the only answer that shows it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RotatedKey {
    #[serde(flatten)]
    pub key: CreatedKey<FreshKey>,
    /// Until when the replaced secret is good, too.
    #[serde(with = "crate::time")]
    #[schema(value_type = String)]
    pub previous_valid_until: DateTime<Utc>,
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

/// How a key is written when it is presented. Every key is good on every door, whatever its form.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyForm {
    /// `key_id.secret`
    #[default]
    Native,
    /// `ains_` and 43 URL-safe characters, which name no id.
    Ains,
}

impl KeyForm {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Ains => "ains",
        }
    }
}

/// What another service asks: the record of a key that somebody presented.
#[derive(Clone, Serialize, Deserialize)]
pub struct KeyLookup {
    /// The id in a key of the native form; `None` for the other form, which is found by its digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<KeyId>,
    /// SHA-256 in hex of what was presented: of the secret after the dot, or of the whole `ains_` key. A match counts as a
    /// use of the key.
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
    #[serde(default)]
    pub form: KeyForm,
    /// SHA-256 of the secret in hex.
    pub secret_sha256: String,
    /// The secret before the last rotation, while it is good beside the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<PreviousSecret>,
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

/// A secret that another one has replaced.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviousSecret {
    /// SHA-256 of the secret in hex.
    pub sha256: String,
    /// From then on it is no secret of the key any more.
    #[serde(with = "crate::time")]
    pub until: DateTime<Utc>,
}

impl std::fmt::Debug for PreviousSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PreviousSecret").field("until", &self.until).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for KeyRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyRecord").field("id", &self.id).finish_non_exhaustive()
    }
}
