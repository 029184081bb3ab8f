//! The first key, for whoever has the token that the first start printed.

use api_core::{db::Db, outbox};
use api_types::{
    auth::Role,
    keys::{CreatedKey, FirstKey, KeyForm},
};
use chrono::{DateTime, Utc};

use super::{CREATED, Error, Issued, NewStored, Wanted, aggregate, payload, stored::everything};
use crate::{
    domain::secrets::{self, Fresh},
    store,
};

/// Makes the first key in the native form, an administrator's.
///
/// # Errors
/// When a key was ever made, or the token is wrong.
pub(crate) async fn bootstrap(
    db: &Db,
    name: String,
    token: Option<String>,
    now: DateTime<Utc>,
) -> Result<CreatedKey<FirstKey>, Error> {
    let id = secrets::new_id(KeyForm::Native);
    let Issued { stored, fresh } = make(db, NewStored::administrator(id, name, now), token).await?;
    let key = stored.key;
    Ok(CreatedKey {
        token: fresh.token,
        key: FirstKey {
            id: key.id,
            secret: fresh.secret,
            name: key.name,
            roles: key.roles,
            permissions: key.permissions,
            created_at: key.created_at,
        },
    })
}

/// Makes the first key as it is asked for, but an administrator's.
///
/// # Errors
/// As [`bootstrap`].
pub(crate) async fn first(db: &Db, wanted: Wanted, token: String, now: DateTime<Utc>) -> Result<Issued, Error> {
    let id = secrets::new_id(wanted.form);
    let key = NewStored {
        client_id: wanted.client_id.unwrap_or_else(|| id.to_string()),
        id,
        form: wanted.form,
        name: wanted.name,
        roles: vec![Role::Admin],
        permissions: vec![everything()],
        maker_client: None,
        expires_at: wanted.expires_at,
        rate_limit_per_minute: wanted.rate_limit_per_minute,
        rate_limit_per_hour: wanted.rate_limit_per_hour,
        created_at: now,
    };
    make(db, key, Some(token)).await
}

/// Whether a text is the bootstrap token and still good.
///
/// # Errors
/// Those of the database.
pub(crate) async fn is_bootstrap_token(db: &Db, token: &str) -> Result<bool, Error> {
    let presented = secrets::digest(token);
    db.run(move |conn| {
        let expected = if store::keys::is_any(conn)? { None } else { store::bootstrap::find(conn)? };
        Ok(expected.is_some_and(|expected| secrets::is_same(&expected, &presented)))
    })
    .await
}

async fn make(db: &Db, key: NewStored, token: Option<String>) -> Result<Issued, Error> {
    let fresh = Fresh::new(key.form, &key.id);
    let digest = fresh.digest();
    let presented = token.map(|token| secrets::digest(&token));
    let stored = db
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
            store::bootstrap::set(conn, None)?;
            let stored = store::keys::insert(conn, &key, &digest)?;
            outbox::push(conn, CREATED, &aggregate(&key.id), Some(&key.id), payload(&key))?;
            Ok(stored)
        })
        .await?;
    Ok(Issued { stored, fresh })
}
