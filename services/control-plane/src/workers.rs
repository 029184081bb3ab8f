//! What goes on in the background.

use std::{sync::Arc, time::Duration};

use api_core::{idempotency, secret::Secret, service::Worker};
use chrono::Utc;
use tokio_util::sync::CancellationToken;

use crate::{
    App,
    domain::{
        events,
        start::{self, FirstKey, Prepared, State},
        usage,
    },
};

/// How long to wait before trying again what the database could not do.
const AGAIN: Duration = Duration::from_secs(1);
/// How long own events may lie in the outbox when nothing else is going on.
const RELAY_PAUSE: Duration = Duration::from_millis(500);
const RELAY_AGAIN: Duration = Duration::from_secs(5);
/// How often old events are looked for.
const PURGE_PAUSE: Duration = Duration::from_secs(3600);

type Announce = Box<dyn FnOnce(&Secret) + Send>;

pub(crate) fn all(app: &Arc<App>, announce: Announce) -> Vec<Worker> {
    let (preparing, relaying, purging) = (Arc::clone(app), Arc::clone(app), Arc::clone(app));
    let (db, counts) = (app.db.clone(), app.db.clone());
    vec![
        Box::new(move |stop| Box::pin(prepare(preparing, announce, stop))),
        Box::new(move |stop| Box::pin(relay(relaying, stop))),
        Box::new(move |stop| Box::pin(purge(purging, stop))),
        Box::new(move |stop| Box::pin(idempotency::purger(db, stop))),
        Box::new(move |stop| Box::pin(usage::purger(counts, stop))),
    ]
}

/// Waits; whether there is reason to go on.
async fn rest(pause: Duration, stop: &CancellationToken) -> bool {
    tokio::select! {
        () = stop.cancelled() => false,
        () = tokio::time::sleep(pause) => true,
    }
}

/// Puts in place what nobody could sign in without; tries until the database is there.
async fn prepare(app: Arc<App>, announce: Announce, stop: CancellationToken) {
    loop {
        match start::prepare(&app.db, app.config.administrator.clone(), Utc::now()).await {
            Ok(prepared) => {
                tell(&app, prepared, announce);
                app.set_prepared();
                return;
            }
            Err(error) => tracing::warn!(error = format!("{:#}", anyhow::Error::from(error)), "keys are not ready yet"),
        }
        if !rest(AGAIN, &stop).await {
            return;
        }
    }
}

fn tell(app: &App, Prepared { administrator, first_key }: Prepared, announce: Announce) {
    let id = app.config.administrator.as_ref().map_or("", |key| key.id.as_str());
    match administrator {
        Some(State::Created) => {
            // Somebody may have tried it before.
            app.platform.auth.keys().forget(id);
            tracing::info!(key = id, "the administrator key was made");
        }
        Some(State::Replaced) => {
            app.platform.auth.keys().forget(id);
            tracing::info!(key = id, "the administrator key was given the secret and the rights of the settings");
        }
        Some(State::Revoked) => tracing::warn!(key = id, "BOOTSTRAP_ADMIN_KEY names a revoked key; it stays revoked"),
        Some(State::Unchanged) | None => {}
    }
    match first_key {
        FirstKey::Announced(token) => announce(&token),
        FirstKey::Awaited => tracing::info!(
            "no API key exists; the first start printed the bootstrap token, and BOOTSTRAP_ADMIN_KEY works without it"
        ),
        FirstKey::Made => {}
    }
}

/// Moves the service's own events to where everybody's are: it is their receiver, so it needs no HTTP for that.
async fn relay(app: Arc<App>, stop: CancellationToken) {
    loop {
        let pause = match events::take_in_own(&app.db).await {
            Ok(0) => RELAY_PAUSE,
            Ok(_some) => Duration::ZERO,
            Err(error) => {
                tracing::warn!(error = format!("{:#}", anyhow::Error::from(error)), "events wait in the outbox");
                RELAY_AGAIN
            }
        };
        if !rest(pause, &stop).await {
            return;
        }
    }
}

/// Lets go of events past their time.
async fn purge(app: Arc<App>, stop: CancellationToken) {
    loop {
        let pause = match events::purge(&app.db, app.config.event_retention_days, Utc::now()).await {
            Ok(0) => PURGE_PAUSE,
            Ok(_some) => Duration::ZERO,
            Err(error) => {
                tracing::warn!(error = format!("{:#}", anyhow::Error::from(error)), "old events stay a while longer");
                PURGE_PAUSE
            }
        };
        if !rest(pause, &stop).await {
            return;
        }
    }
}
