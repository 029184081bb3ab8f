//! Changing a key.

use api_core::outbox;
use api_types::{
    auth::{Role, Scope},
    keys::KeyId,
};
use chrono::{DateTime, Utc};
use serde_json::json;

use super::{EVERYTHING, Error, Manager, NewStored, Stored, aggregate, managed, payload};
use crate::{domain::grants, store};

/// What is to become of a key; what is `None` stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) name: Option<String>,
    pub(crate) scopes: Option<Vec<Scope>>,
    pub(crate) rate_limit_per_minute: Option<i64>,
    pub(crate) rate_limit_per_hour: Option<i64>,
    /// `Some(None)` takes the end away.
    pub(crate) expires_at: Option<Option<DateTime<Utc>>>,
}

impl Change {
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The key as it is afterwards.
    fn of(&self, key: &NewStored) -> NewStored {
        let mut key = key.clone();
        if let Some(name) = &self.name {
            key.name.clone_from(name);
        }
        if let Some(scopes) = &self.scopes {
            key.permissions.clone_from(scopes);
            // An administrator without all scopes is none: what counts administrators looks at roles.
            if !self.keeps_everything() {
                key.roles.retain(|role| *role != Role::Admin);
                if key.roles.is_empty() {
                    key.roles.push(Role::Service);
                }
            }
        }
        key.rate_limit_per_minute = self.rate_limit_per_minute.or(key.rate_limit_per_minute);
        key.rate_limit_per_hour = self.rate_limit_per_hour.or(key.rate_limit_per_hour);
        key.expires_at = self.expires_at.unwrap_or(key.expires_at);
        key
    }

    fn keeps_everything(&self) -> bool {
        self.scopes.as_ref().is_none_or(|scopes| scopes.iter().any(|scope| scope.as_str() == EVERYTHING))
    }

    /// Whether an administrator's key with this change could leave nobody to administer keys, now or later. A key that
    /// the settings make an administrator's stays one whatever its scopes.
    fn ends_an_administrator(&self, is_named: bool) -> bool {
        (!is_named && !self.keeps_everything()) || matches!(self.expires_at, Some(Some(_)))
    }
}

/// The names of what differs, as the AINS door spells them.
fn differences(before: &NewStored, after: &NewStored) -> Vec<&'static str> {
    [
        ("name", before.name != after.name),
        ("scopes", before.permissions != after.permissions || before.roles != after.roles),
        ("rate_limit_per_minute", before.rate_limit_per_minute != after.rate_limit_per_minute),
        ("rate_limit_per_hour", before.rate_limit_per_hour != after.rate_limit_per_hour),
        ("expires_at", before.expires_at != after.expires_at),
    ]
    .into_iter()
    .filter_map(|(name, differs)| differs.then_some(name))
    .collect()
}

impl Manager<'_> {
    /// Changes a key; in force at once in this process and within 30 s in others.
    ///
    /// # Errors
    /// When there is no such key, the manager has not what it gives, or nobody could administer keys any more.
    pub(crate) async fn change(&self, id: String, change: Change, now: DateTime<Utc>) -> Result<Stored, Error> {
        let (admin_ids, manager) = (self.app.config.admin_key_ids.clone(), self.principal.clone());
        let changed = self
            .app
            .db
            .transaction::<_, Error>(move |conn| {
                // As for a revocation: all administrators first.
                let administrators = store::keys::lock_administrators(conn, &admin_ids, now)?;
                let found = store::keys::find_for_update(conn, &KeyId::new(id.clone()))?;
                let found = managed(found, id, &manager)?;
                if let Some(scopes) = &change.scopes {
                    grants::check(&manager, &[], scopes, None)?;
                }
                let is_last = administrators.as_slice() == std::slice::from_ref(&found.key.id);
                let is_named = admin_ids.iter().any(|id| *id == *found.key.id);
                if is_last && change.ends_an_administrator(is_named) {
                    return Err(Error::LastAdministrator("narrowed or given an end"));
                }
                let after = change.of(&found.key);
                let differences = differences(&found.key, &after);
                if differences.is_empty() {
                    return Ok(found);
                }
                let stored = store::keys::update(conn, &after)?;
                let mut payload = payload(&after);
                payload["changed"] = json!(differences);
                outbox::push(conn, "key.updated", &aggregate(&after.id), Some(&manager.id), payload)?;
                Ok(stored)
            })
            .await?;
        self.forget(&changed.key.id);
        Ok(changed)
    }
}

#[cfg(test)]
mod tests {
    use api_types::auth::Role;
    use chrono::{TimeDelta, Utc};

    use super::{Change, differences};
    use crate::domain::keys::stored::tests::key;

    fn to(scopes: &[&str]) -> Change {
        let scopes = scopes.iter().map(|scope| scope.parse().unwrap()).collect();
        Change { scopes: Some(scopes), ..Change::default() }
    }

    #[test]
    fn an_administrator_who_loses_a_scope_is_none_any_more() {
        let admin = key(Utc::now()).key;
        let narrowed = to(&["agents:read"]).of(&admin);
        assert_eq!((narrowed.roles.as_slice(), narrowed.permissions.len()), (&[Role::Service][..], 1));
        assert_eq!(to(&["agents:read", "*"]).of(&admin).roles, [Role::Admin]);
        assert!(to(&["agents:read"]).ends_an_administrator(false) && !to(&["*"]).ends_an_administrator(false));
        assert!(!to(&["agents:read"]).ends_an_administrator(true));
    }

    #[test]
    fn an_end_in_the_future_is_an_end() {
        let at = Utc::now() + TimeDelta::days(1);
        let ending = Change { expires_at: Some(Some(at)), ..Change::default() };
        let endless = Change { expires_at: Some(None), ..Change::default() };
        assert!(ending.ends_an_administrator(true) && !endless.ends_an_administrator(false));
        let mut admin = key(Utc::now()).key;
        admin.expires_at = Some(at);
        assert_eq!((ending.of(&admin).expires_at, endless.of(&admin).expires_at), (Some(at), None));
    }

    #[test]
    fn what_is_not_named_stays_and_only_what_differs_is_told() {
        let before = key(Utc::now()).key;
        let change = Change {
            name: Some("new".to_owned()),
            rate_limit_per_minute: Some(7),
            expires_at: Some(None),
            ..Change::default()
        };
        let after = change.of(&before);
        assert_eq!(differences(&before, &after), ["name", "rate_limit_per_minute"]);
        assert_eq!(differences(&before, &Change::default().of(&before)), [""; 0]);
        assert!(Change::default().is_empty() && !change.is_empty());
    }
}
