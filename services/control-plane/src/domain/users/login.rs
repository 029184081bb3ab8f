//! Letting users in.

use std::sync::LazyLock;

use api_core::{metrics::Counters, outbox, secret::Secret};
use api_types::users::{Tokens, User};
use chrono::{DateTime, Utc};
use serde_json::json;

use super::{
    Error, StoredUser, Users, aggregate,
    sessions::FreshSession,
    throttle::{self, Allowed, Pair},
};
use crate::store;

static LOGINS: LazyLock<Counters> = LazyLock::new(|| Counters::new("imago_logins_total", "Logins tried", &["status"]));

/// Somebody at a door.
#[derive(Debug)]
pub(crate) struct Attempt {
    /// A username or an email address.
    pub(crate) name: String,
    pub(crate) password: Secret,
    /// Where from.
    pub(crate) address: String,
}

/// Somebody who was let in.
#[derive(Debug)]
pub(crate) struct SignedIn {
    pub(crate) tokens: Tokens,
    pub(crate) user: User,
}

/// Why somebody was not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    UnknownUser,
    WrongPassword,
    Inactive,
}

impl Reason {
    const fn as_str(self) -> &'static str {
        match self {
            Self::UnknownUser => "unknown_user",
            Self::WrongPassword => "wrong_password",
            Self::Inactive => "inactive",
        }
    }
}

impl Users {
    /// Begins a session. Its access tokens are good for `access_s` seconds, which doors differ in.
    ///
    /// # Errors
    /// [`Error::InvalidCredentials`] whatever is wrong, and it takes equally long; [`Error::Throttled`] after too many failures.
    pub(crate) async fn login(&self, attempt: Attempt, access_s: i64, now: DateTime<Utc>) -> Result<SignedIn, Error> {
        let result = self.try_login(attempt, access_s, now).await;
        match &result {
            Ok(signed_in) => {
                LOGINS.inc(&["success"]);
                tracing::info!(target: "security", user = %signed_in.user.id, "signed in");
            }
            Err(Error::InvalidCredentials) => {
                LOGINS.inc(&["failed"]);
                tracing::info!(target: "security", "login refused");
            }
            Err(Error::Throttled { .. }) => {
                LOGINS.inc(&["throttled"]);
                tracing::info!(target: "security", "login refused after too many failures");
            }
            Err(_) => LOGINS.inc(&["error"]),
        }
        result
    }

    async fn try_login(&self, attempt: Attempt, access_s: i64, now: DateTime<Utc>) -> Result<SignedIn, Error> {
        let pair = Pair::new(&self.names, &attempt.name, &attempt.address);
        let (name, looked_up) = (attempt.name, pair.clone());
        let found = self
            .db
            .run::<_, Error>(move |conn| {
                let failures = store::users::failures::find(conn, &looked_up, throttle::window(now))?;
                throttle::check(failures, Allowed::Another, now)?;
                Ok(store::users::find_by_login(conn, &name)?)
            })
            .await?;
        let fits =
            self.passwords.fits(attempt.password, found.as_ref().map(|found| found.password_hash.clone())).await?;
        match (verdict(found.as_ref(), fits), found) {
            (None, Some(found)) => self.let_in(found, pair, access_s, now).await,
            (reason, found) => {
                let reason = reason.unwrap_or(Reason::UnknownUser);
                self.refuse(found.map(|found| found.user), reason, pair, now).await
            }
        }
    }

    async fn let_in(
        &self,
        found: StoredUser,
        pair: Pair,
        access_s: i64,
        now: DateTime<Utc>,
    ) -> Result<SignedIn, Error> {
        let (fresh, refresh_token) = FreshSession::begin(found.user.id.clone(), now);
        let session = fresh.session.clone();
        let user = self
            .db
            .transaction::<_, Error>(move |conn| {
                // Others may have got it wrong too often while this one was looked at: then being right is of no use.
                let failures = store::users::failures::find(conn, &pair, throttle::window(now))?;
                throttle::check(failures, Allowed::Another, now)?;
                let id = &found.user.id;
                // And the account may have been closed, or the password changed, which ends all sessions but not this one.
                let present = store::users::find_for_update(conn, id)?;
                let is_same = |user: &StoredUser| user.user.is_active && user.password_hash == found.password_hash;
                if !present.as_ref().is_some_and(is_same) {
                    return Err(Error::InvalidCredentials);
                }
                store::users::failures::clear(conn, &pair)?;
                let user = store::users::signed_in(conn, id, now)?.user;
                store::users::sessions::begin(conn, &fresh, now)?;
                let payload = json!({"user_id": id, "username": user.username, "session_id": fresh.session});
                outbox::push(conn, "user.login", &aggregate(id), Some(id), payload)?;
                Ok(user)
            })
            .await?;
        let tokens = self.tokens(&user, (&session, refresh_token), access_s, now)?;
        Ok(SignedIn { tokens, user })
    }

    /// Counts a failure and says no.
    async fn refuse(
        &self,
        user: Option<User>,
        reason: Reason,
        pair: Pair,
        now: DateTime<Utc>,
    ) -> Result<SignedIn, Error> {
        self.db
            .transaction::<_, Error>(move |conn| {
                let failures = store::users::failures::add(conn, &pair, throttle::window(now), now)?;
                // Many at once all pass the first check; what the eleventh learns is that it came too late.
                let verdict = throttle::check(Some(failures), Allowed::These, now);
                if verdict.is_ok() {
                    // The name only of those who are there: people type their password into the wrong field.
                    let (id, name) = (user.as_ref().map(|user| &user.id), user.as_ref().map(|user| &user.username));
                    let payload = json!({"user_id": id, "username": name, "reason": reason.as_str()});
                    let aggregate = id.map_or_else(|| "user:unknown".to_owned(), aggregate);
                    outbox::push(conn, "user.login_failed", &aggregate, None, payload)?;
                }
                Ok(verdict)
            })
            .await??;
        Err(Error::InvalidCredentials)
    }
}

/// Why somebody may not come in, judged after the password was looked at in any case.
fn verdict(found: Option<&StoredUser>, fits: bool) -> Option<Reason> {
    match found {
        None => Some(Reason::UnknownUser),
        Some(_) if !fits => Some(Reason::WrongPassword),
        Some(found) if !found.user.is_active => Some(Reason::Inactive),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Reason, verdict};
    use crate::domain::users::tests::stored;

    #[test]
    fn only_an_active_user_with_the_right_password_comes_in() {
        let active = stored();
        let mut inactive = stored();
        inactive.user.is_active = false;
        assert_eq!(verdict(Some(&active), true), None);
        assert_eq!(verdict(Some(&active), false), Some(Reason::WrongPassword));
        assert_eq!(verdict(Some(&inactive), true), Some(Reason::Inactive));
        assert_eq!(verdict(None, true), Some(Reason::UnknownUser));
    }
}
