//! Users: making, reading and changing them. Signing in and what follows from it is in the modules below.

mod change;
mod login;
mod passwords;
mod register;
pub(crate) mod sessions;
#[cfg(test)]
mod tests;
pub(crate) mod throttle;

pub(crate) use change::Change;
pub(crate) use login::Attempt;
pub(crate) use register::{FirstAdministrator, Registration};

use std::sync::Arc;

use api_core::{
    auth::{Caller, Credential, Signer},
    db::{self, Db, Unavailable},
    list::ListQuery,
    platform::Platform,
    seal::{SealError, SealKey},
};
use api_types::{
    envelope::Pagination,
    users::{CallerType, EndedSession, Me, User, UserId},
};
use passwords::Passwords;

use crate::{config::Config, store};

/// What administering users takes.
pub(crate) const MANAGE: &str = "users:manage";

/// Why users are not made, read, changed or let in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Unknown name, wrong password, deactivated account: one text for all.
    #[error("Invalid credentials")]
    InvalidCredentials,
    #[error("Too many failed logins. Try again after {retry_after_s} seconds.")]
    Throttled { retry_after_s: u64 },
    #[error("Permission '{MANAGE}' required")]
    MayNotRegister,
    #[error("'{value}' is taken")]
    Taken { field: &'static str, value: String },
    #[error("there is no user '{0}'")]
    NotFound(String),
    #[error("This credential belongs to no user")]
    NoUser,
    #[error("Revision {given} is outdated, current is {current}")]
    Outdated { given: i64, current: i64 },
    #[error("The last active administrator cannot lose role or activity")]
    LastAdministrator,
    #[error("current_password is not the current password")]
    WrongPassword,
    #[error("The refresh token is not valid")]
    InvalidToken,
    #[error("The refresh token has expired")]
    ExpiredToken,
    #[error("The refresh token has been revoked")]
    RevokedToken,
    #[error("Too many logins at once, try again in a moment")]
    Busy,
    #[error("a password cannot be hashed")]
    Hash(#[source] anyhow::Error),
    #[error("a token cannot be signed")]
    Sign(#[source] anyhow::Error),
    #[error(transparent)]
    Store(#[from] db::Error),
}

impl From<Unavailable> for Error {
    fn from(error: Unavailable) -> Self {
        Self::Store(error.into())
    }
}

/// A user as it is stored.
#[derive(Clone)]
pub(crate) struct StoredUser {
    pub(crate) user: User,
    /// argon2id
    pub(crate) password_hash: String,
}

impl std::fmt::Debug for StoredUser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoredUser").field("user", &self.user).finish_non_exhaustive()
    }
}

/// Everything about users, for every door.
#[derive(Debug)]
pub(crate) struct Users {
    db: Db,
    platform: Arc<Platform>,
    passwords: Passwords,
    signer: Signer,
    /// Digests the names of failed logins.
    names: SealKey,
    registration_is_open: bool,
}

impl Users {
    /// # Errors
    /// Never: the key has the right length.
    pub(crate) fn new(db: Db, platform: Arc<Platform>, config: &Config) -> Result<Self, SealError> {
        Ok(Self {
            db,
            passwords: Passwords::default(),
            signer: Signer::new(platform.jwt_secret()),
            names: SealKey::derive(platform.jwt_secret(), "login names")?,
            platform,
            registration_is_open: config.registration_is_open,
        })
    }

    /// Whether anybody may register.
    pub(crate) fn registration_is_open(&self) -> bool {
        self.registration_is_open
    }

    /// # Errors
    /// When there is no such user.
    pub(crate) async fn get(&self, id: &str) -> Result<User, Error> {
        let wanted = UserId::new(id);
        let found = self.db.run::<_, Error>(move |conn| Ok(store::users::find(conn, &wanted)?)).await?;
        Ok(found.ok_or_else(|| Error::NotFound(id.to_owned()))?.user)
    }

    /// A page of users.
    ///
    /// # Errors
    /// Those of the database.
    pub(crate) async fn list(&self, query: ListQuery) -> Result<(Vec<User>, Pagination), Error> {
        self.db.run(move |conn| Ok(store::users::page(conn, &query)?)).await
    }

    /// Who calls.
    ///
    /// # Errors
    /// Those of the database.
    pub(crate) async fn me(&self, caller: &Caller) -> Result<Me, Error> {
        let user = self.user_of(caller).await?;
        let r#type = match (&user, &caller.credential) {
            (Some(_), _) => CallerType::User,
            (None, Credential::Key) => CallerType::ApiKey,
            (None, Credential::None | Credential::Token | Credential::Session(_)) => CallerType::Token,
        };
        let principal = &caller.principal;
        Ok(Me {
            id: principal.id.clone(),
            r#type,
            roles: principal.roles.iter().map(|role| (*role).into()).collect(),
            permissions: principal.scopes().iter().map(ToString::to_string).collect(),
            session_id: user.is_some().then(|| caller.session().cloned()).flatten(),
            user,
        })
    }

    /// The user that calls, if it is one: its token descends from a login of ours.
    async fn user_of(&self, caller: &Caller) -> Result<Option<User>, Error> {
        let Some(session) = caller.session().cloned() else { return Ok(None) };
        let id = UserId::new(caller.id());
        let found = self
            .db
            .run::<_, Error>(move |conn| {
                if store::users::sessions::user_of(conn, &session)?.as_ref() != Some(&id) {
                    return Ok(None);
                }
                Ok(store::users::find(conn, &id)?)
            })
            .await?;
        Ok(found.map(|stored| stored.user))
    }

    /// Makes this process refuse sessions at once. The others follow the list.
    fn tell(&self, ended: &[EndedSession]) {
        if !ended.is_empty() {
            self.platform.auth.sessions().end(ended);
        }
    }
}

/// What events about a user name.
fn aggregate(id: &UserId) -> String {
    format!("user:{id}")
}
