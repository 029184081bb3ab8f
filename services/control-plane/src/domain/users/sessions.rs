//! What follows a login: going on with its session, and ending it.

use api_core::{
    auth::Caller,
    db::{self, Db},
    outbox,
};
use api_types::users::{EndedAfter, EndedSession, EndedSessions, SessionId, Tokens, User, UserId};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use super::{Error, Users, aggregate};
use crate::{domain::secrets, store};

/// How long an access token of the native door is good.
pub(crate) const ACCESS_S: i64 = 1800;
/// How long one of any door is, at the most. An ended session is remembered for so long, and for what clocks may differ.
const LONGEST_ACCESS: TimeDelta = TimeDelta::seconds(3600 + 60);
/// How long a refresh token works.
const REFRESH: TimeDelta = TimeDelta::days(7);
/// How long it is told from an unknown one after that.
const REMEMBERED: TimeDelta = TimeDelta::days(30);
const REFRESH_PREFIX: &str = "rt_";
/// Ended sessions told of at once.
const ENDED_MAX: i64 = 1000;
/// Rows let go in one go.
const PURGE_MAX: i64 = 5000;

/// A session, begun or gone on with, and its next refresh token.
#[derive(Debug, Clone)]
pub(crate) struct FreshSession {
    pub(crate) session: SessionId,
    pub(crate) user: UserId,
    pub(crate) token_sha256: String,
    pub(crate) expires_at: DateTime<Utc>,
}

impl FreshSession {
    /// A session of its own, and the token to show.
    pub(super) fn begin(user: UserId, now: DateTime<Utc>) -> (Self, String) {
        Self::go_on(SessionId::new(format!("ses_{}", hex::encode(rand::random::<[u8; 10]>()))), user, now)
    }

    fn go_on(session: SessionId, user: UserId, now: DateTime<Utc>) -> (Self, String) {
        let token = format!("{REFRESH_PREFIX}{}", URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()));
        (Self { session, user, token_sha256: secrets::digest(&token), expires_at: now + REFRESH }, token)
    }
}

/// A refresh token that somebody presents, and its session.
#[derive(Debug, Clone)]
pub(crate) struct Presented {
    pub(crate) session: SessionId,
    pub(crate) user: UserId,
    pub(crate) expires_at: DateTime<Utc>,
    pub(crate) used_at: Option<DateTime<Utc>>,
    pub(crate) ended_at: Option<DateTime<Utc>>,
}

/// What becomes of a refresh token.
#[derive(Debug, PartialEq, Eq)]
enum Use {
    GoOn,
    /// It was used before: somebody else has it, too.
    Again,
    Ended,
    Expired,
}

impl Presented {
    fn judge(&self, now: DateTime<Utc>) -> Use {
        if self.used_at.is_some() {
            Use::Again
        } else if self.ended_at.is_some() {
            Use::Ended
        } else if self.expires_at <= now {
            Use::Expired
        } else {
            Use::GoOn
        }
    }
}

/// Which sessions to end.
#[derive(Debug, Clone)]
pub(crate) enum Which {
    One(SessionId),
    All(UserId),
    AllBut(UserId, SessionId),
}

/// When the tokens of a session that ends now have expired by themselves.
pub(super) fn forgotten_at(now: DateTime<Utc>) -> DateTime<Utc> {
    now + LONGEST_ACCESS
}

/// How a refresh went, as the database has it: a token that comes again is an answer, too, and must be written down.
enum Refreshed {
    GoesOn(Box<User>, SessionId, String),
    Refused(Error, Vec<EndedSession>),
}

impl Users {
    /// Exchanges a refresh token for a new pair; `access_s` as for a login.
    ///
    /// # Errors
    /// When the token is unknown, expired, or was used before. The last ends its session: everything that descends from that login
    /// is dead.
    pub(crate) async fn refresh(&self, token: &str, access_s: i64, now: DateTime<Utc>) -> Result<Tokens, Error> {
        if !token.starts_with(REFRESH_PREFIX) {
            return Err(Error::InvalidToken);
        }
        let digest = secrets::digest(token);
        let refreshed = self
            .db
            .transaction::<_, Error>(move |conn| {
                let presented = store::users::sessions::presented(conn, &digest)?.ok_or(Error::InvalidToken)?;
                match presented.judge(now) {
                    Use::Expired => return Err(Error::ExpiredToken),
                    Use::Ended => return Err(Error::RevokedToken),
                    Use::Again => {
                        let which = Which::One(presented.session.clone());
                        let ended = store::users::sessions::end(conn, &which, now, forgotten_at(now))?;
                        if !ended.is_empty() {
                            let user = &presented.user;
                            let payload = json!({
                                "user_id": user, "session_id": presented.session, "reason": "refresh_token_used_again",
                            });
                            outbox::push(conn, "user.session_revoked", &aggregate(user), None, payload)?;
                        }
                        return Ok(Refreshed::Refused(Error::RevokedToken, ended));
                    }
                    Use::GoOn => {}
                }
                let user = store::users::find(conn, &presented.user)?.filter(|stored| stored.user.is_active);
                let user = user.ok_or(Error::RevokedToken)?.user;
                let (fresh, token) = FreshSession::go_on(presented.session.clone(), presented.user, now);
                store::users::sessions::use_token(conn, &digest, now)?;
                store::users::sessions::go_on(conn, &fresh)?;
                Ok(Refreshed::GoesOn(Box::new(user), presented.session, token))
            })
            .await?;
        match refreshed {
            Refreshed::GoesOn(user, session, refresh_token) => {
                self.tokens(&user, (&session, refresh_token), access_s, now)
            }
            Refreshed::Refused(error, ended) => {
                self.tell(&ended);
                Err(error)
            }
        }
    }

    /// Ends the caller's session, or all of its user's; returns how many. Callers without one have none to end.
    ///
    /// # Errors
    /// Those of the database.
    pub(crate) async fn logout(&self, caller: &Caller, all: bool, now: DateTime<Utc>) -> Result<usize, Error> {
        let (Some(session), id) = (caller.session().cloned(), UserId::new(caller.id())) else { return Ok(0) };
        let ended = self
            .db
            .transaction::<_, Error>(move |conn| {
                // Of a token that names somebody else's session, or none of ours, nothing ends.
                let is_own = store::users::find_for_update(conn, &id)?.is_some()
                    && store::users::sessions::user_of(conn, &session)?.as_ref() == Some(&id);
                if !is_own {
                    return Ok(Vec::new());
                }
                let which = if all { Which::All(id.clone()) } else { Which::One(session.clone()) };
                let ended = store::users::sessions::end(conn, &which, now, forgotten_at(now))?;
                let payload = json!({"user_id": id, "session_id": session, "revoked_sessions": ended.len()});
                outbox::push(conn, "user.logout", &aggregate(&id), Some(&id), payload)?;
                Ok(ended)
            })
            .await?;
        self.tell(&ended);
        Ok(ended.len())
    }

    pub(super) fn tokens(
        &self,
        user: &User,
        (session, refresh_token): (&SessionId, String),
        access_s: i64,
        now: DateTime<Utc>,
    ) -> Result<Tokens, Error> {
        let access_token = self.signer.sign(user, session, access_s, now).map_err(|error| Error::Sign(error.into()))?;
        Ok(Tokens {
            access_token,
            refresh_token,
            token_type: "bearer".to_owned(),
            expires_in: access_s,
            refresh_expires_in: REFRESH.num_seconds(),
        })
    }

    /// Lets go of what no longer counts; returns how much there was.
    ///
    /// # Errors
    /// Those of the database.
    pub(crate) async fn purge(&self, now: DateTime<Utc>) -> Result<usize, db::Error> {
        self.db
            .run(move |conn| {
                let gone = store::users::sessions::purge(conn, now, now - REMEMBERED, PURGE_MAX)?;
                Ok(gone + store::users::failures::purge(conn, super::throttle::window(now), PURGE_MAX)?)
            })
            .await
    }
}

/// The sessions that ended after the cursor, in order. A cursor that is ahead of the list is another list's: it is read from the
/// beginning.
///
/// # Errors
/// Those of the database.
pub(crate) async fn ended_after(db: &Db, after: EndedAfter, now: DateTime<Utc>) -> Result<EndedSessions, db::Error> {
    db.run(move |conn| {
        let mut page = store::users::sessions::ended_after(conn, (after.cursor, ENDED_MAX), now)?;
        if after.cursor > page.1 {
            page = store::users::sessions::ended_after(conn, (0, ENDED_MAX), now)?;
        }
        let (rows, last) = page;
        let is_full = i64::try_from(rows.len()).unwrap_or(i64::MAX) >= ENDED_MAX;
        let cursor = rows.last().map(|(seq, _)| *seq).filter(|_| is_full).unwrap_or(last);
        Ok(EndedSessions { ended: rows.into_iter().map(|(_, ended)| ended).collect(), cursor, more: is_full })
    })
    .await
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta, Utc};

    use super::{FreshSession, Presented, Use};

    fn presented(now: DateTime<Utc>) -> Presented {
        let expires_at = now + TimeDelta::days(7);
        Presented { session: "ses_1".into(), user: "usr_1".into(), expires_at, used_at: None, ended_at: None }
    }

    #[test]
    fn a_token_works_once_for_seven_days_while_its_session_lasts() {
        let now = Utc::now();
        let token = presented(now);
        assert_eq!(token.judge(now + TimeDelta::days(7) - TimeDelta::seconds(1)), Use::GoOn);
        assert_eq!(token.judge(now + TimeDelta::days(7)), Use::Expired);
        let ended = Presented { ended_at: Some(now), ..presented(now) };
        assert_eq!(ended.judge(now + TimeDelta::days(8)), Use::Ended);
        // Whatever else is true of it: that it comes again is what counts.
        let used = Presented { used_at: Some(now), ..ended };
        assert_eq!(used.judge(now + TimeDelta::days(8)), Use::Again);
    }

    #[test]
    fn ids_and_tokens_have_the_published_form_and_the_token_is_not_what_is_stored() {
        let (fresh, token) = FreshSession::begin("usr_1".into(), Utc::now());
        let random = token.strip_prefix("rt_").unwrap();
        assert!(
            random.len() == 43 && random.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)),
            "{token}"
        );
        assert!(fresh.session.starts_with("ses_") && fresh.session.len() == 24);
        assert!(fresh.token_sha256.len() == 64 && !fresh.token_sha256.contains(random));
    }
}
