//! Making, reading, changing and ending keys, whichever door asks.

mod change;
mod error;
mod first;
mod rotate;
mod stored;

use api_core::{list::ListQuery, outbox};
use api_types::{
    auth::{Principal, Role, Scope},
    envelope::Pagination,
    keys::{KeyForm, KeyId},
};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

pub(crate) use self::{
    change::Change,
    error::Error,
    first::{bootstrap, first, is_bootstrap_token},
    rotate::{OVERLAP_MAX_S, OVERLAP_S},
    stored::{EVERYTHING, NewStored, Stored},
};
use super::{grants, secrets::Fresh};
use crate::{App, domain::secrets, store};

/// The event that tells of a new key.
pub(crate) const CREATED: &str = "key.created";

/// A key that somebody asks for.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) form: KeyForm,
    pub(crate) name: String,
    pub(crate) roles: Vec<Role>,
    pub(crate) permissions: Vec<Scope>,
    /// The key's id when absent.
    pub(crate) client_id: Option<String>,
    pub(crate) expires_at: Option<DateTime<Utc>>,
    pub(crate) rate_limit_per_minute: Option<i64>,
    pub(crate) rate_limit_per_hour: Option<i64>,
}

/// A key and the secret that is shown once.
#[derive(Debug)]
pub(crate) struct Issued {
    pub(crate) stored: Stored,
    pub(crate) fresh: Fresh,
}

/// Some keys, and which.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    pub(crate) client_id: Option<String>,
    pub(crate) active_only: bool,
    pub(crate) limit: i64,
    pub(crate) offset: i64,
}

/// Somebody who manages keys: as far as its rights go, and those of its client.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manager<'a> {
    pub(crate) app: &'a App,
    pub(crate) principal: &'a Principal,
}

impl Manager<'_> {
    /// Makes a key.
    ///
    /// # Errors
    /// When it would give more than the manager has.
    pub(crate) async fn create(&self, wanted: Wanted, now: DateTime<Utc>) -> Result<Issued, Error> {
        grants::check(self.principal, &wanted.roles, &wanted.permissions, wanted.client_id.as_deref())?;
        let id = secrets::new_id(wanted.form);
        let key = NewStored {
            client_id: wanted.client_id.unwrap_or_else(|| id.to_string()),
            id,
            form: wanted.form,
            name: wanted.name,
            roles: wanted.roles,
            permissions: wanted.permissions,
            maker_client: Some(self.principal.client_id.clone()),
            expires_at: wanted.expires_at,
            rate_limit_per_minute: wanted.rate_limit_per_minute,
            rate_limit_per_hour: wanted.rate_limit_per_hour,
            created_at: now,
        };
        let fresh = Fresh::new(key.form, &key.id);
        let (digest, actor) = (fresh.digest(), self.principal.id.clone());
        let stored = self
            .app
            .db
            .transaction::<_, Error>(move |conn| {
                let stored = store::keys::insert(conn, &key, &digest)?;
                outbox::push(conn, CREATED, &aggregate(&key.id), Some(&actor), payload(&key))?;
                Ok(stored)
            })
            .await?;
        Ok(Issued { stored, fresh })
    }

    /// # Errors
    /// When there is no such key, or none that the manager may know of.
    pub(crate) async fn get(&self, id: String) -> Result<Stored, Error> {
        let wanted = KeyId::new(id.clone());
        let found = self.app.db.run::<_, Error>(move |conn| Ok(store::keys::find(conn, &wanted)?)).await?;
        managed(found, id, self.principal)
    }

    /// A page of keys.
    ///
    /// # Errors
    /// Those of the database.
    pub(crate) async fn list(&self, query: ListQuery) -> Result<(Vec<Stored>, Pagination), Error> {
        let client = self.client();
        self.app.db.run(move |conn| Ok(store::keys::page(conn, client.as_deref(), &query)?)).await
    }

    /// Some keys, the newest first, and how many there are in all.
    ///
    /// # Errors
    /// Those of the database.
    pub(crate) async fn newest(&self, filter: Filter, now: DateTime<Utc>) -> Result<(Vec<Stored>, i64), Error> {
        let client = self.client();
        self.app.db.run(move |conn| Ok(store::keys::newest(conn, client.as_deref(), &filter, now)?)).await
    }

    /// Revokes a key for good, with all its secrets; a key that was revoked before stays as it is.
    ///
    /// # Errors
    /// When there is no such key, or nobody could administer keys without it.
    pub(crate) async fn revoke(&self, id: String, now: DateTime<Utc>) -> Result<(KeyId, DateTime<Utc>), Error> {
        let (admin_ids, manager) = (self.app.config.admin_key_ids.clone(), self.principal.clone());
        let (id, revoked_at) = self
            .app
            .db
            .transaction::<_, Error>(move |conn| {
                // All of them, before the key itself and always in the same order: of two revocations at once, the second
                // sees what the first has done.
                let administrators = store::keys::lock_administrators(conn, &admin_ids, now)?;
                let found = store::keys::find_for_update(conn, &KeyId::new(id.clone()))?;
                let found = managed(found, id, &manager)?;
                let key = &found.key;
                if let Some(revoked_at) = found.revoked_at {
                    return Ok((found.key.id, revoked_at));
                }
                if administrators.as_slice() == std::slice::from_ref(&key.id) {
                    return Err(Error::LastAdministrator("revoked"));
                }
                let revoked_at = store::keys::revoke(conn, &key.id, now)?;
                outbox::push(conn, "key.revoked", &aggregate(&key.id), Some(&manager.id), payload(key))?;
                Ok((found.key.id, revoked_at))
            })
            .await?;
        self.forget(&id);
        Ok((id, revoked_at))
    }

    /// Elsewhere a key may be remembered for a moment longer; in this process what was done to it holds from now on.
    fn forget(&self, id: &KeyId) {
        self.app.platform.auth.keys().forget(id);
    }

    /// The client whose keys the manager sees; `None` for those of all.
    fn client(&self) -> Option<String> {
        (!self.principal.may(EVERYTHING)).then(|| self.principal.client_id.clone())
    }
}

/// The key that was found, when `manager` may know of it.
fn managed(found: Option<Stored>, id: String, manager: &Principal) -> Result<Stored, Error> {
    found.filter(|found| found.is_managed_by(manager)).ok_or(Error::NotFound(id))
}

/// What events about a key name.
pub(crate) fn aggregate(id: &KeyId) -> String {
    format!("key:{id}")
}

/// What is told of a key whenever something happens to it.
pub(crate) fn payload(key: &NewStored) -> Value {
    json!({"key_id": key.id, "client_id": key.client_id, "name": key.name})
}
