//! Changing users, and what follows from it for their sessions.

use api_core::{auth::Caller, outbox, secret::Secret};
use api_types::users::{User, UserId, UserRole};
use chrono::{DateTime, SubsecRound as _, Utc};
use serde_json::{Map, Value, json};

use super::{
    Error, StoredUser, Users, aggregate,
    sessions::{Which, forgotten_at},
    throttle::{self, Allowed, Pair},
};
use crate::store;

/// What is to be different; `None` stays.
#[derive(Debug, Default)]
pub(crate) struct Change {
    pub(crate) full_name: Option<String>,
    /// In lower case.
    pub(crate) email: Option<String>,
    pub(crate) role: Option<UserRole>,
    pub(crate) is_active: Option<bool>,
    pub(crate) password: Option<Secret>,
    pub(crate) preferences: Option<Map<String, Value>>,
    pub(crate) avatar_url: Option<Option<String>>,
    /// The revision that the change is made to.
    pub(crate) revision: Option<i64>,
}

impl Change {
    /// The user after the change, and the names of what changed. `password_hash` is that of the new password.
    fn apply(self, before: &StoredUser, password_hash: Option<String>) -> (StoredUser, Vec<&'static str>) {
        let mut after = before.clone();
        let mut changed = Vec::new();
        let user = &mut after.user;
        set(&mut user.full_name, self.full_name, "full_name", &mut changed);
        set(&mut user.email, self.email, "email", &mut changed);
        set(&mut user.role, self.role, "role", &mut changed);
        set(&mut user.is_active, self.is_active, "is_active", &mut changed);
        set(&mut after.password_hash, password_hash, "password", &mut changed);
        set(&mut user.preferences, self.preferences, "preferences", &mut changed);
        set(&mut user.avatar_url, self.avatar_url, "avatar_url", &mut changed);
        (after, changed)
    }
}

fn set<T: PartialEq>(field: &mut T, value: Option<T>, name: &'static str, changed: &mut Vec<&'static str>) {
    if let Some(value) = value.filter(|value| value != field) {
        *field = value;
        changed.push(name);
    }
}

/// Whether a user may no longer do what its tokens say, or somebody else may have had its password.
fn ends_sessions(changed: &[&str]) -> bool {
    changed.iter().any(|name| ["role", "is_active", "password"].contains(name))
}

/// Whether nobody could administer users any more if `after` were true; `administrators` are those who can sign in.
fn leaves_nobody(administrators: &[UserId], after: &User) -> bool {
    let stays = after.role == UserRole::Admin && after.is_active;
    !stays && administrators == [after.id.clone()]
}

impl Users {
    /// Changes a user on behalf of `actor`.
    ///
    /// # Errors
    /// When there is no such user, the address is taken, another revision was changed, or nobody could administer users any more.
    pub(crate) async fn change(
        &self,
        id: String,
        change: Change,
        actor: String,
        now: DateTime<Utc>,
    ) -> Result<User, Error> {
        let password_hash = match &change.password {
            // What is not there is not worth a hash.
            Some(password) => {
                self.get(&id).await?;
                Some(self.passwords.hash(password.clone()).await?)
            }
            None => None,
        };
        let wanted_email = change.email.clone();
        let changed = self
            .db
            .transaction::<_, Error>(move |conn| {
                // All of them, before the user itself and always in the same order: of two changes at once, the second sees what
                // the first has done.
                let may_demote = change.role.is_some() || change.is_active.is_some();
                let administrators =
                    if may_demote { store::users::lock_active_administrators(conn)? } else { Vec::new() };
                let found = store::users::find_for_update(conn, &UserId::new(id.clone()))?;
                let before = found.ok_or(Error::NotFound(id))?;
                let current = before.user.revision;
                if let Some(given) = change.revision.filter(|given| *given != current) {
                    return Err(Error::Outdated { given, current });
                }
                let (mut after, names) = change.apply(&before, password_hash);
                if names.is_empty() {
                    return Ok((after.user, Vec::new()));
                }
                if leaves_nobody(&administrators, &after.user) {
                    return Err(Error::LastAdministrator);
                }
                after.user.revision += 1;
                after.user.updated_at = now.trunc_subsecs(3);
                store::users::update(conn, &after)?;
                let id = &after.user.id;
                let ended = if ends_sessions(&names) {
                    store::users::sessions::end(conn, &Which::All(id.clone()), now, forgotten_at(now))?
                } else {
                    Vec::new()
                };
                let payload = json!({
                    "user_id": id, "username": after.user.username, "changed": names, "revoked_sessions": ended.len(),
                });
                outbox::push(conn, "user.updated", &aggregate(id), Some(&actor), payload)?;
                Ok((after.user, ended))
            })
            .await;
        let (user, ended) = changed.map_err(|error| match (error, wanted_email) {
            (Error::Taken { field, .. }, Some(value)) => Error::Taken { field, value },
            (other, _) => other,
        })?;
        self.tell(&ended);
        Ok(user)
    }

    /// Changes the caller itself.
    ///
    /// # Errors
    /// As [`Users::change`]; when the caller is no user.
    pub(crate) async fn change_self(&self, caller: &Caller, change: Change, now: DateTime<Utc>) -> Result<User, Error> {
        let user = self.user_of(caller).await?.ok_or(Error::NoUser)?;
        self.change(user.id.into_inner(), change, caller.id().to_owned(), now).await
    }

    /// Gives the caller another password, and ends its other sessions. `address` is where it calls from.
    ///
    /// # Errors
    /// When the caller is no user, or the current password is not that; as for logins, after too many of those.
    pub(crate) async fn change_password(
        &self,
        caller: &Caller,
        (current, new): (Secret, Secret),
        address: &str,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        let (user, kept) = self.user_of(caller).await?.zip(caller.session().cloned()).ok_or(Error::NoUser)?;
        // A stolen token must not be a way to guess the password.
        let pair = Pair::new(&self.names, &user.username, address);
        let (id, looked_up) = (user.id, pair.clone());
        let wanted = id.clone();
        let before = self
            .db
            .run::<_, Error>(move |conn| {
                let failures = store::users::failures::find(conn, &looked_up, throttle::window(now))?;
                throttle::check(failures, Allowed::Another, now)?;
                Ok(store::users::find(conn, &wanted)?)
            })
            .await?
            .ok_or(Error::NoUser)?;
        if !self.passwords.fits(current, Some(before.password_hash.clone())).await? {
            let failures = self
                .db
                .run::<_, Error>(move |conn| Ok(store::users::failures::add(conn, &pair, throttle::window(now), now)?))
                .await?;
            throttle::check(Some(failures), Allowed::These, now)?;
            return Err(Error::WrongPassword);
        }
        let password_hash = self.passwords.hash(new).await?;
        let ended = self
            .db
            .transaction::<_, Error>(move |conn| {
                let mut user = store::users::find_for_update(conn, &id)?.ok_or(Error::NoUser)?;
                if user.password_hash != before.password_hash {
                    // Somebody was faster.
                    return Err(Error::WrongPassword);
                }
                user.password_hash = password_hash;
                user.user.revision += 1;
                user.user.updated_at = now.trunc_subsecs(3);
                store::users::update(conn, &user)?;
                store::users::failures::clear(conn, &pair)?;
                let which = Which::AllBut(id.clone(), kept);
                let ended = store::users::sessions::end(conn, &which, now, forgotten_at(now))?;
                let payload = json!({
                    "user_id": id, "username": user.user.username, "changed": ["password"], "revoked_sessions": ended.len(),
                });
                outbox::push(conn, "user.updated", &aggregate(&id), Some(&id), payload)?;
                Ok(ended)
            })
            .await?;
        self.tell(&ended);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use api_core::secret::Secret;
    use api_types::users::UserRole;

    use super::{Change, ends_sessions, leaves_nobody};
    use crate::domain::users::tests::stored;

    #[test]
    fn what_is_not_named_stays_and_what_is_equal_is_no_change() {
        let before = stored();
        let same = Change {
            full_name: Some(before.user.full_name.clone()),
            role: Some(before.user.role),
            ..Change::default()
        };
        let (after, changed) = same.apply(&before, None);
        assert_eq!((after.user, changed), (before.user.clone(), Vec::new()));
        let other = Change {
            email: Some("b@example.com".to_owned()),
            avatar_url: Some(Some("https://a.example/a.png".to_owned())),
            password: Some(Secret::new("x")),
            ..Change::default()
        };
        let (after, changed) = other.apply(&before, Some("hash".to_owned()));
        assert_eq!(changed, ["email", "password", "avatar_url"]);
        assert_eq!((after.user.email.as_str(), after.password_hash.as_str()), ("b@example.com", "hash"));
        assert_eq!(after.user.full_name, before.user.full_name);
    }

    #[test]
    fn sessions_end_with_role_activity_and_password_only() {
        for name in ["role", "is_active", "password"] {
            assert!(ends_sessions(&["email", name]));
        }
        assert!(!ends_sessions(&["email", "full_name", "preferences", "avatar_url"]));
    }

    #[test]
    fn the_last_administrator_stays_one() {
        let mut user = stored().user;
        let me = user.id.clone();
        for (role, is_active, administrators, expected) in [
            (UserRole::Admin, true, vec![me.clone()], false),
            (UserRole::User, true, vec![me.clone()], true),
            (UserRole::Admin, false, vec![me.clone()], true),
            (UserRole::User, false, vec![me.clone(), "usr_other".into()], false),
            (UserRole::User, true, vec!["usr_other".into()], false),
            (UserRole::User, true, vec![], false),
        ] {
            (user.role, user.is_active) = (role, is_active);
            assert_eq!(leaves_nobody(&administrators, &user), expected, "{role} {is_active} {administrators:?}");
        }
    }
}
