//! Giving a key another secret while its holders still use the one they have.

use api_core::outbox;
use api_types::keys::{KeyId, PreviousSecret};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use super::{Error, Issued, Manager, aggregate, managed, payload};
use crate::{
    domain::{grants, secrets::Fresh},
    store,
};

/// How long the replaced secret stays good when nobody says, and at most: a day, and a week.
pub(crate) const OVERLAP_S: i64 = 86_400;
pub(crate) const OVERLAP_MAX_S: i64 = 604_800;

impl Manager<'_> {
    /// Gives a key another secret. The one that it had stays good for `overlap`, and no longer than the key; one that a
    /// rotation before had replaced ends now, so that at most two are ever good. Also returned: until when.
    ///
    /// # Errors
    /// When there is no such key, it is no longer good, or it could do more than the manager, who sees the new secret.
    pub(crate) async fn rotate(
        &self,
        id: String,
        overlap: TimeDelta,
        now: DateTime<Utc>,
    ) -> Result<(Issued, DateTime<Utc>), Error> {
        let (platform, manager) = (self.app.platform.clone(), self.principal.clone());
        let (issued, until) = self
            .app
            .db
            .transaction::<_, Error>(move |conn| {
                let found = store::keys::find_for_update(conn, &KeyId::new(id.clone()))?;
                let found = managed(found, id, &manager)?;
                let (holder, _) = platform.auth.rights_of(&found.record(now));
                grants::check_scopes(&manager, &holder.scopes())?;
                if !found.is_active(now) {
                    return Err(Error::NoLongerGood);
                }
                let key = &found.key;
                let until = now + overlap;
                let until = key.expires_at.map_or(until, |end| until.min(end));
                let fresh = Fresh::new(key.form, &key.id);
                let previous = PreviousSecret { sha256: found.secret_sha256, until };
                let stored = store::keys::replace_secret(conn, &key.id, &fresh.digest(), &previous)?;
                let mut payload = payload(key);
                payload["previous_valid_until"] = json!(api_types::time::format(until));
                outbox::push(conn, "key.rotated", &aggregate(&key.id), Some(&manager.id), payload)?;
                Ok((Issued { stored, fresh }, until))
            })
            .await?;
        self.forget(&issued.stored.key.id);
        Ok((issued, until))
    }
}
