//! New users.

use api_core::{outbox, secret::Secret};
use api_types::users::{User, UserId, UserRole};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, SubsecRound as _, Utc};
use serde_json::{Map, Value, json};

use super::{Error, StoredUser, Users, aggregate};
use crate::store;

/// The first administrator, who is made when there is no user at all.
const FIRST_NAME: &str = "admin";
/// An address that nobody has; the administrator puts a real one in its place.
const FIRST_EMAIL: &str = "admin@imago.invalid";

/// Somebody who wants to be a user.
#[derive(Debug)]
pub(crate) struct Registration {
    /// In lower case, as is the address.
    pub(crate) username: String,
    pub(crate) email: String,
    pub(crate) full_name: String,
    pub(crate) password: Secret,
    pub(crate) role: UserRole,
    pub(crate) is_active: bool,
    pub(crate) avatar_url: Option<String>,
    pub(crate) preferences: Map<String, Value>,
}

impl Registration {
    fn user(self, password_hash: String, created_by: Option<String>, now: DateTime<Utc>) -> StoredUser {
        let id = UserId::new(format!("usr_{}", hex::encode(rand::random::<[u8; 10]>())));
        let now = now.trunc_subsecs(3);
        let user = User {
            created_by: created_by.unwrap_or_else(|| id.to_string()),
            id,
            username: self.username,
            email: self.email,
            full_name: self.full_name,
            role: self.role,
            is_active: self.is_active,
            avatar_url: self.avatar_url,
            preferences: self.preferences,
            created_at: now,
            updated_at: now,
            revision: 1,
            last_login: None,
            login_count: 0,
        };
        StoredUser { user, password_hash }
    }
}

/// Somebody must be told this password.
#[derive(Debug)]
pub(crate) struct FirstAdministrator {
    pub(crate) username: String,
    pub(crate) password: Secret,
}

impl Users {
    /// Makes a user. `manager` is who made it, where that is somebody who may administer users; anybody else makes itself.
    ///
    /// # Errors
    /// When somebody asks for more than it may have, or the name or the address is taken.
    pub(crate) async fn register(
        &self,
        new: Registration,
        manager: Option<String>,
        now: DateTime<Utc>,
    ) -> Result<User, Error> {
        if manager.is_none() && (!self.registration_is_open() || new.role != UserRole::User || !new.is_active) {
            return Err(Error::MayNotRegister);
        }
        let (username, email) = (new.username.clone(), new.email.clone());
        let taken = self.db.run::<_, Error>(move |conn| Ok(store::users::taken(conn, &username, &email)?)).await?;
        // Before the hash, which costs something; of several at once, the database decides.
        if let Some(error) = taken_error(taken, &new.username, &new.email) {
            return Err(error);
        }
        let password_hash = self.passwords.hash(new.password.clone()).await?;
        let stored = new.user(password_hash, manager, now);
        self.insert(stored).await
    }

    async fn insert(&self, stored: StoredUser) -> Result<User, Error> {
        let user = stored.user.clone();
        let inserted = self
            .db
            .transaction::<_, Error>(move |conn| {
                store::users::insert(conn, &stored)?;
                let user = &stored.user;
                outbox::push(conn, "user.registered", &aggregate(&user.id), Some(&user.created_by), told(user))?;
                Ok(())
            })
            .await;
        inserted.map_err(|error| named(error, &user)).map(|()| user)
    }

    /// Makes the first administrator when there is no user at all.
    ///
    /// # Errors
    /// Those of the database.
    pub(crate) async fn first_administrator(&self, now: DateTime<Utc>) -> Result<Option<FirstAdministrator>, Error> {
        if self.db.run::<_, Error>(|conn| Ok(store::users::is_any(conn)?)).await? {
            return Ok(None);
        }
        let password = Secret::new(new_password());
        let new = Registration {
            username: FIRST_NAME.to_owned(),
            email: FIRST_EMAIL.to_owned(),
            full_name: "Administrator".to_owned(),
            password: password.clone(),
            role: UserRole::Admin,
            is_active: true,
            avatar_url: None,
            preferences: Map::new(),
        };
        let hash = self.passwords.hash(password.clone()).await?;
        let stored = new.user(hash, None, now);
        let was_first = self
            .db
            .transaction::<_, Error>(move |conn| {
                // Replicas start at the same time, and only one of them may make it.
                store::bootstrap::lock(conn)?;
                if store::users::is_any(conn)? {
                    return Ok(false);
                }
                store::users::insert(conn, &stored)?;
                outbox::push(conn, "user.registered", &aggregate(&stored.user.id), None, told(&stored.user))?;
                Ok(true)
            })
            .await?;
        Ok(was_first.then(|| FirstAdministrator { username: FIRST_NAME.to_owned(), password }))
    }
}

fn told(user: &User) -> Value {
    json!({"user_id": user.id, "username": user.username, "role": user.role})
}

fn taken_error(field: Option<&'static str>, username: &str, email: &str) -> Option<Error> {
    let field = field?;
    let value = if field == "username" { username } else { email };
    Some(Error::Taken { field, value: value.to_owned() })
}

/// The error of an insert or update that came too late, with what is taken.
pub(super) fn named(error: Error, user: &User) -> Error {
    match error {
        Error::Taken { field, .. } => {
            let value = if field == "username" { &user.username } else { &user.email };
            Error::Taken { field, value: value.clone() }
        }
        other => other,
    }
}

/// 120 random bits that keep the rules of passwords.
fn new_password() -> String {
    loop {
        let text = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 15]>());
        let has = |is: fn(&u8) -> bool| text.as_bytes().iter().any(is);
        if has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase) && has(u8::is_ascii_digit) {
            return text;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::new_password;

    #[test]
    fn the_first_password_keeps_the_rules_and_is_nobody_elses() {
        let (one, other) = (new_password(), new_password());
        assert!(one.len() == 20 && one != other);
    }
}
