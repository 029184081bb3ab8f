//! Making, reading and revoking keys.

use api_core::{
    db::{self, Db, Unavailable},
    list::ListQuery,
    outbox,
};
use api_types::{
    auth::{Principal, Role, Scope},
    envelope::Pagination,
    keys::{CreatedKey, FirstKey, FreshKey, Key, KeyId, NewKey, RevokedKey},
};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{
    grants::{self, Refused},
    secrets,
};
use crate::store;

/// The scope that holds all others.
pub(crate) const EVERYTHING: &str = "*";

/// Why a key is not made, read or revoked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("API keys already initialized")]
    AlreadyInitialized,
    #[error("The bootstrap token is not valid")]
    WrongToken,
    #[error("there is no key '{0}'")]
    NotFound(String),
    #[error("The last active administrator key cannot be revoked")]
    LastAdministrator,
    #[error(transparent)]
    Store(#[from] db::Error),
}

impl From<Unavailable> for Error {
    fn from(error: Unavailable) -> Self {
        Self::Store(error.into())
    }
}

/// A key as it is stored.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) secret_sha256: String,
    pub(crate) key: NewStored,
    pub(crate) last_used_at: Option<DateTime<Utc>>,
    pub(crate) revoked_at: Option<DateTime<Utc>>,
}

/// The part of a key that is decided when it is made.
#[derive(Debug, Clone)]
pub(crate) struct NewStored {
    pub(crate) id: KeyId,
    pub(crate) name: String,
    pub(crate) roles: Vec<Role>,
    pub(crate) permissions: Vec<Scope>,
    pub(crate) client_id: String,
    pub(crate) expires_at: Option<DateTime<Utc>>,
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
            name,
            roles: vec![Role::Admin],
            permissions: vec![Scope::from(EVERYTHING.to_owned())],
            expires_at: None,
            rate_limit_per_minute: None,
            rate_limit_per_hour: None,
            created_at: now,
        }
    }
}

impl Stored {
    /// Whether the key is good at `now`.
    pub(crate) fn is_active(&self, now: DateTime<Utc>) -> bool {
        self.revoked_at.is_none() && self.key.expires_at.is_none_or(|at| at > now)
    }

    /// The key as it is shown.
    fn shown(self, now: DateTime<Utc>) -> Key {
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

/// Makes a key on behalf of `granter`.
///
/// # Errors
/// When it would give more than the granter has.
pub(crate) async fn create(
    db: &Db,
    granter: &Principal,
    new: NewKey,
    now: DateTime<Utc>,
) -> Result<CreatedKey<FreshKey>, Error> {
    let roles = new.roles.unwrap_or_else(|| vec![Role::Service]);
    grants::check(granter, &roles, &new.permissions, new.client_id.as_deref())?;
    let (id, secret) = (secrets::new_id(), secrets::new_secret());
    let key = NewStored {
        client_id: new.client_id.unwrap_or_else(|| id.to_string()),
        id,
        name: new.name,
        roles,
        permissions: new.permissions,
        expires_at: new.expires_at,
        rate_limit_per_minute: new.rate_limit_per_minute,
        rate_limit_per_hour: new.rate_limit_per_hour,
        created_at: now,
    };
    let (digest, actor) = (secrets::digest(&secret), granter.id.clone());
    let key = db
        .transaction::<_, Error>(move |conn| {
            let stored = store::keys::insert(conn, &key, &digest)?;
            outbox::push(conn, "key.created", &aggregate(&key.id), Some(&actor), created(&key))?;
            Ok(stored.key)
        })
        .await?;
    Ok(CreatedKey {
        token: format!("{}.{secret}", key.id),
        key: FreshKey {
            id: key.id,
            secret,
            name: key.name,
            roles: key.roles,
            permissions: key.permissions,
            client_id: key.client_id,
            expires_at: key.expires_at,
            rate_limit_per_minute: key.rate_limit_per_minute,
            rate_limit_per_hour: key.rate_limit_per_hour,
            created_at: key.created_at,
        },
    })
}

/// Makes the first key, an administrator's, for whoever has the bootstrap token.
///
/// # Errors
/// When a key was ever made, or the token is wrong.
pub(crate) async fn bootstrap(
    db: &Db,
    name: String,
    token: Option<String>,
    now: DateTime<Utc>,
) -> Result<CreatedKey<FirstKey>, Error> {
    let (id, secret) = (secrets::new_id(), secrets::new_secret());
    let (key, digest) = (NewStored::administrator(id, name, now), secrets::digest(&secret));
    let presented = token.map(|token| secrets::digest(&token));
    let key = db
        .transaction::<_, Error>(move |conn| {
            // Without the lock first: once there is a key, callers must not queue here.
            if store::keys::is_any(conn)? {
                return Err(Error::AlreadyInitialized);
            }
            let expected = store::bootstrap::lock(conn)?;
            if store::keys::is_any(conn)? {
                return Err(Error::AlreadyInitialized);
            }
            match (expected, presented) {
                (Some(expected), Some(presented)) if secrets::is_same(&expected, &presented) => {}
                _ => return Err(Error::WrongToken),
            }
            let stored = store::keys::insert(conn, &key, &digest)?;
            store::bootstrap::set(conn, None)?;
            outbox::push(conn, "key.created", &aggregate(&key.id), Some(&key.id), created(&key))?;
            Ok(stored.key)
        })
        .await?;
    Ok(CreatedKey {
        token: format!("{}.{secret}", key.id),
        key: FirstKey {
            id: key.id,
            secret,
            name: key.name,
            roles: key.roles,
            permissions: key.permissions,
            created_at: key.created_at,
        },
    })
}

/// # Errors
/// When there is no such key.
pub(crate) async fn get(db: &Db, id: String, now: DateTime<Utc>) -> Result<Key, Error> {
    let wanted = KeyId::new(id.clone());
    let found = db.run::<_, Error>(move |conn| Ok(store::keys::find(conn, &wanted)?)).await?;
    Ok(found.ok_or(Error::NotFound(id))?.shown(now))
}

/// A page of keys.
///
/// # Errors
/// Those of the database.
pub(crate) async fn list(db: &Db, query: ListQuery, now: DateTime<Utc>) -> Result<(Vec<Key>, Pagination), Error> {
    let (rows, pagination) = db.run::<_, Error>(move |conn| Ok(store::keys::page(conn, &query)?)).await?;
    Ok((rows.into_iter().map(|row| row.shown(now)).collect(), pagination))
}

/// Revokes a key for good; a key that was revoked before stays as it is. `admin_ids` are administrators' keys whatever
/// their roles.
///
/// # Errors
/// When there is no such key, or nobody could administer keys without it.
pub(crate) async fn revoke(
    db: &Db,
    id: String,
    actor: String,
    admin_ids: &[String],
    now: DateTime<Utc>,
) -> Result<RevokedKey, Error> {
    let admin_ids = admin_ids.to_vec();
    db.transaction(move |conn| {
        // All of them, before the key itself and always in the same order: of two revocations at once, the second sees
        // what the first has done.
        let administrators = store::keys::lock_administrators(conn, &admin_ids, now)?;
        let wanted = KeyId::new(id.clone());
        let found = store::keys::find_for_update(conn, &wanted)?.ok_or(Error::NotFound(id))?;
        if let Some(revoked_at) = found.revoked_at {
            return Ok(RevokedKey { revoked: true, id: found.key.id, revoked_at });
        }
        if administrators.as_slice() == [wanted] {
            return Err(Error::LastAdministrator);
        }
        let revoked_at = store::keys::revoke(conn, &found.key.id, now)?;
        let payload = json!({"id": found.key.id, "name": found.key.name});
        outbox::push(conn, "key.revoked", &aggregate(&found.key.id), Some(&actor), payload)?;
        Ok(RevokedKey { revoked: true, id: found.key.id, revoked_at })
    })
    .await
}

/// What events about a key name.
pub(crate) fn aggregate(id: &KeyId) -> String {
    format!("key:{id}")
}

/// What is told of a new key.
pub(crate) fn created(key: &NewStored) -> Value {
    json!({"id": key.id, "name": key.name, "client_id": key.client_id, "roles": key.roles})
}

#[cfg(test)]
mod tests {
    use api_types::keys::KeyId;
    use chrono::{DateTime, TimeDelta, Utc};

    use super::{NewStored, Stored};

    fn key(now: DateTime<Utc>) -> Stored {
        let key = NewStored::administrator(KeyId::new("k"), "n".to_owned(), now);
        Stored { secret_sha256: String::new(), key, last_used_at: None, revoked_at: None }
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
}
