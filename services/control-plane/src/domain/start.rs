//! What must be in place before anybody can sign in.

use api_core::{
    db::{self, Db},
    outbox,
    secret::Secret,
};
use chrono::{DateTime, Utc};

use super::{
    keys::{self, NewStored, Stored},
    secrets,
};
use crate::{config::Administrator, store};

/// What was found or made.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) administrator: Option<State>,
    pub(crate) first_key: FirstKey,
}

/// How the first key comes about.
#[derive(Debug)]
pub(crate) enum FirstKey {
    /// There are keys.
    Made,
    /// Somebody has the token that an earlier start printed.
    Awaited,
    /// Somebody must be told this token.
    Announced(Secret),
}

/// What is to become of the administrator's key that the settings name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Created,
    /// It has another secret, or is no administrator's.
    Replaced,
    Unchanged,
    /// It stays revoked: whoever did that meant it.
    Revoked,
}

/// Puts the administrator's key in place and, while there is no key at all, the bootstrap token.
///
/// # Errors
/// Those of the database.
pub(crate) async fn prepare(
    db: &Db,
    administrator: Option<Administrator>,
    now: DateTime<Utc>,
) -> Result<Prepared, db::Error> {
    db.transaction(move |conn| {
        // Replicas start at the same time, and only one of them may print a token.
        let awaited = store::bootstrap::lock(conn)?.is_some();
        let mut state = None;
        if let Some(Administrator { id, secret_sha256 }) = administrator {
            let id = id.as_str().into();
            let found = store::keys::find_for_update(conn, &id)?;
            let found = state.insert(state_of(found.as_ref(), &secret_sha256));
            match found {
                State::Created => {
                    let key = NewStored::administrator(id, "admin".to_owned(), now);
                    store::keys::insert(conn, &key, &secret_sha256)?;
                    outbox::push(conn, keys::CREATED, &keys::aggregate(&key.id), None, keys::payload(&key))?;
                }
                State::Replaced => store::keys::make_administrator(conn, &id, &secret_sha256)?,
                State::Unchanged | State::Revoked => {}
            }
        }
        let first_key = if store::keys::is_any(conn)? {
            FirstKey::Made
        } else if awaited {
            FirstKey::Awaited
        } else {
            let token = secrets::new_secret();
            store::bootstrap::set(conn, Some(&secrets::digest(&token)))?;
            FirstKey::Announced(Secret::new(token))
        };
        Ok(Prepared { administrator: state, first_key })
    })
    .await
}

fn state_of(found: Option<&Stored>, secret_sha256: &str) -> State {
    let Some(found) = found else { return State::Created };
    let is_administrators = NewStored::administrator(found.key.id.clone(), String::new(), found.key.created_at);
    let has_rights =
        found.key.roles == is_administrators.roles && found.key.permissions == is_administrators.permissions;
    match found.revoked_at {
        Some(_) => State::Revoked,
        None if has_rights && found.secret_sha256 == secret_sha256 => State::Unchanged,
        None => State::Replaced,
    }
}

#[cfg(test)]
mod tests {
    use api_types::{auth::Role, keys::KeyId};
    use chrono::Utc;

    use super::{State, state_of};
    use crate::domain::keys::{NewStored, Stored};

    fn administrator() -> Stored {
        let key = NewStored::administrator(KeyId::new("a"), "a".to_owned(), Utc::now());
        Stored { secret_sha256: "right".to_owned(), previous: None, key, last_used_at: None, revoked_at: None }
    }

    #[test]
    fn a_key_that_is_as_the_settings_say_is_left_alone() {
        assert_eq!(state_of(Some(&administrator()), "right"), State::Unchanged);
    }

    #[test]
    fn another_secret_or_lesser_rights_are_replaced() {
        assert_eq!(state_of(Some(&administrator()), "other"), State::Replaced);
        let mut lesser = administrator();
        lesser.key.roles = vec![Role::Service];
        assert_eq!(state_of(Some(&lesser), "right"), State::Replaced);
        let mut narrower = administrator();
        narrower.key.permissions = vec!["agents:read".parse().unwrap()];
        assert_eq!(state_of(Some(&narrower), "right"), State::Replaced);
    }

    #[test]
    fn a_revoked_key_stays_revoked_and_an_absent_one_is_made() {
        let mut revoked = administrator();
        revoked.revoked_at = Some(Utc::now());
        assert_eq!(state_of(Some(&revoked), "other"), State::Revoked);
        assert_eq!(state_of(None, "right"), State::Created);
    }
}
