//! A key as it is kept.

use api_types::{
    auth::{Principal, Role, Scope},
    keys::{Key, KeyForm, KeyId, KeyRecord, PreviousSecret},
};
use chrono::{DateTime, Utc};

/// The scope that holds all others.
pub(crate) const EVERYTHING: &str = "*";

/// A key as it is stored.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) secret_sha256: String,
    /// The secret before the last rotation, whether it is still good or not.
    pub(crate) previous: Option<PreviousSecret>,
    pub(crate) key: NewStored,
    pub(crate) last_used_at: Option<DateTime<Utc>>,
    pub(crate) revoked_at: Option<DateTime<Utc>>,
}

/// The part of a key that is decided when it is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewStored {
    pub(crate) id: KeyId,
    pub(crate) form: KeyForm,
    pub(crate) name: String,
    pub(crate) roles: Vec<Role>,
    pub(crate) permissions: Vec<Scope>,
    pub(crate) client_id: String,
    /// The client of whoever made it, who manages it, too; `None` for keys of the operator's.
    pub(crate) maker_client: Option<String>,
    pub(crate) expires_at: Option<DateTime<Utc>>,
    /// `None`: the defaults of whoever asks.
    pub(crate) rate_limit_per_minute: Option<i64>,
    pub(crate) rate_limit_per_hour: Option<i64>,
    pub(crate) created_at: DateTime<Utc>,
}

impl NewStored {
    /// The key of an administrator, which no caller can grant.
    pub(crate) fn administrator(id: KeyId, name: String, now: DateTime<Utc>) -> Self {
        Self {
            client_id: id.to_string(),
            id,
            form: KeyForm::Native,
            name,
            roles: vec![Role::Admin],
            permissions: vec![everything()],
            maker_client: None,
            expires_at: None,
            rate_limit_per_minute: None,
            rate_limit_per_hour: None,
            created_at: now,
        }
    }
}

pub(crate) fn everything() -> Scope {
    Scope::from(EVERYTHING.to_owned())
}

impl Stored {
    /// Whether the key is good at `now`.
    pub(crate) fn is_active(&self, now: DateTime<Utc>) -> bool {
        self.revoked_at.is_none() && self.key.expires_at.is_none_or(|at| at > now)
    }

    /// Whether `manager` may know of the key: it belongs to, or was made by, its client, or the manager holds everything.
    pub(crate) fn is_managed_by(&self, manager: &Principal) -> bool {
        let client = manager.client_id.as_str();
        manager.may(EVERYTHING) || self.key.client_id == client || self.key.maker_client.as_deref() == Some(client)
    }

    /// What other services need to know of the key at `now`.
    pub(crate) fn record(&self, now: DateTime<Utc>) -> KeyRecord {
        let unsigned = |limit: i64| u64::try_from(limit).ok();
        let key = self.key.clone();
        KeyRecord {
            id: key.id,
            form: key.form,
            secret_sha256: self.secret_sha256.clone(),
            previous: self.previous.clone().filter(|previous| previous.until > now),
            roles: key.roles,
            permissions: key.permissions,
            client_id: key.client_id,
            expires_at: key.expires_at,
            revoked_at: self.revoked_at,
            rate_limit_per_minute: key.rate_limit_per_minute.and_then(unsigned),
            rate_limit_per_hour: key.rate_limit_per_hour.and_then(unsigned),
        }
    }

    /// The key as the native door shows it.
    pub(crate) fn shown(self, now: DateTime<Utc>) -> Key {
        let active = self.is_active(now);
        let Self { key, last_used_at, revoked_at, .. } = self;
        Key {
            id: key.id,
            name: key.name,
            roles: key.roles,
            permissions: key.permissions,
            client_id: key.client_id,
            expires_at: key.expires_at,
            rate_limit_per_minute: key.rate_limit_per_minute,
            rate_limit_per_hour: key.rate_limit_per_hour,
            active,
            last_used_at,
            revoked_at,
            created_at: key.created_at,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use api_types::{
        auth::{Principal, Role},
        keys::{KeyId, PreviousSecret},
    };
    use chrono::{DateTime, TimeDelta, Utc};

    use super::{NewStored, Stored};

    /// An administrator's key `k`, as it is stored.
    pub(crate) fn key(now: DateTime<Utc>) -> Stored {
        let key = NewStored::administrator(KeyId::new("k"), "n".to_owned(), now);
        Stored { secret_sha256: String::new(), previous: None, key, last_used_at: None, revoked_at: None }
    }

    #[test]
    fn a_key_is_active_until_it_expires_or_is_revoked() {
        let now = Utc::now();
        assert!(key(now).is_active(now));
        let mut expiring = key(now);
        expiring.key.expires_at = Some(now + TimeDelta::seconds(1));
        assert!(expiring.is_active(now));
        assert!(!expiring.is_active(now + TimeDelta::seconds(1)));
        let mut revoked = key(now);
        revoked.revoked_at = Some(now);
        assert!(!revoked.is_active(now));
        assert!(!revoked.shown(now).active);
    }

    #[test]
    fn nobody_is_told_of_a_secret_past_its_time() {
        let now = Utc::now();
        let mut rotated = key(now);
        rotated.previous = Some(PreviousSecret { sha256: "old".to_owned(), until: now + TimeDelta::seconds(1) });
        assert!(rotated.record(now).previous.is_some());
        assert!(rotated.record(now + TimeDelta::seconds(1)).previous.is_none());
    }

    #[test]
    fn a_key_is_managed_by_its_client_its_maker_and_administrators() {
        let mut key = key(Utc::now());
        (key.key.client_id, key.key.maker_client) = ("theirs".to_owned(), Some("maker".to_owned()));
        let manager = |client: &str, roles: &[Role]| Principal {
            id: "m".to_owned(),
            client_id: client.to_owned(),
            roles: roles.iter().copied().collect(),
            permissions: Vec::new(),
        };
        for (client, roles, manages) in [
            ("theirs", &[Role::Service][..], true),
            ("maker", &[Role::Service], true),
            ("other", &[Role::Service], false),
            ("other", &[Role::Admin], true),
        ] {
            assert_eq!(key.is_managed_by(&manager(client, roles)), manages, "{client}");
        }
    }
}
