//! Keys and sessions for the control plane itself, without asking anybody over HTTP.

use api_core::{
    auth::{KeySource, KeySourceError, SessionKeeper, SessionSource, SessionSourceError},
    db::{self, Db},
};
use api_types::{
    keys::{KeyLookup, KeyRecord},
    users::{EndedAfter, EndedSessions, SessionId},
};
use chrono::Utc;
use futures_util::future::BoxFuture;

use crate::{domain::users::sessions, store};

/// Looks keys up in the service's own tables: for `Platform::with_key_source`, when the control plane runs alone.
#[derive(Debug, Clone)]
pub struct StoreKeys(Db);

impl StoreKeys {
    /// `db` reaches the control plane's schema as its role.
    #[must_use]
    pub fn new(db: Db) -> Self {
        Self(db)
    }
}

impl KeySource for StoreKeys {
    fn find(&self, lookup: KeyLookup) -> BoxFuture<'_, Result<Option<KeyRecord>, KeySourceError>> {
        Box::pin(async move { look_up(&self.0, lookup).await.map_err(|error| KeySourceError(error.into())) })
    }
}

/// The record of a key. A matching secret counts as a use of it.
///
/// # Errors
/// Those of the database.
pub(crate) async fn look_up(db: &Db, lookup: KeyLookup) -> Result<Option<KeyRecord>, db::Error> {
    db.run(move |conn| Ok(store::keys::look_up(conn, &lookup, Utc::now())?)).await
}

/// The sessions, in the service's own tables.
#[derive(Debug, Clone)]
pub(crate) struct StoreSessions(pub(crate) Db);

impl SessionSource for StoreSessions {
    fn ended_after(&self, after: EndedAfter) -> BoxFuture<'_, Result<EndedSessions, SessionSourceError>> {
        Box::pin(async move {
            sessions::ended_after(&self.0, after, Utc::now()).await.map_err(|error| SessionSourceError(error.into()))
        })
    }
}

impl SessionKeeper for StoreSessions {
    fn has_ended(&self, id: SessionId) -> BoxFuture<'_, Result<bool, SessionSourceError>> {
        Box::pin(async move {
            let ended = self.0.run::<_, db::Error>(move |conn| Ok(store::users::sessions::has_ended(conn, &id)?)).await;
            ended.map_err(|error| SessionSourceError(error.into()))
        })
    }
}
