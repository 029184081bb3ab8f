//! What goes on in the background.

use std::{sync::Arc, time::Duration};

use api_core::{idempotency, service::Worker};
use chrono::Utc;
use tokio_util::sync::CancellationToken;

use crate::{
    Announcement, App,
    domain::{
        audit,
        events::{live, upkeep},
        intake,
        start::{self, FirstKey, Prepared, State},
        usage,
        users::FirstAdministrator,
        webhooks,
    },
};

/// How long to wait before trying again what the database could not do.
const AGAIN: Duration = Duration::from_secs(1);
/// How long own events may lie in the outbox when nobody says that they are there.
const RELAY_PAUSE: Duration = Duration::from_millis(500);
/// How often the log is looked after, and when again if that failed.
const KEEP_PAUSE: Duration = Duration::from_secs(3600);
const KEEP_AGAIN: Duration = Duration::from_secs(60);
/// How often ended sessions and failed logins are looked for that no longer count.
const SESSIONS_PURGE_PAUSE: Duration = Duration::from_secs(60);

type Announce = Box<dyn Fn(Announcement<'_>) + Send + Sync>;

pub(crate) fn all(app: &Arc<App>, announce: Announce) -> Vec<Worker> {
    let (preparing, relaying, keeping, following) =
        (Arc::clone(app), Arc::clone(app), Arc::clone(app), Arc::clone(app));
    let (settling, cutting) = (Arc::clone(app), Arc::clone(app));
    let (delivering, thinning) = (Arc::clone(app), Arc::clone(app));
    let (db, counts) = (app.db.clone(), app.db.clone());
    let sessions = Arc::clone(app);
    vec![
        Box::new(move |stop| Box::pin(prepare(preparing, announce, stop))),
        Box::new(move |stop| Box::pin(relay(relaying, stop))),
        Box::new(move |stop| Box::pin(keep(keeping, stop))),
        Box::new(move |stop| Box::pin(live::follow(following, stop))),
        Box::new(move |stop| Box::pin(purge_sessions(sessions, stop))),
        Box::new(move |stop| Box::pin(webhooks::dispatcher::run(delivering, stop))),
        Box::new(move |stop| Box::pin(webhooks::upkeep::run(thinning, stop))),
        Box::new(move |stop| Box::pin(audit::settling(settling, stop))),
        Box::new(move |stop| Box::pin(audit::cutting(cutting, stop))),
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
    let keys = || start::prepare(&app.db, app.config.administrator.clone(), Utc::now());
    let Some(prepared) = until_done("keys", &stop, keys).await else { return };
    tell(&app, prepared, &announce);
    let Some(first) = until_done("users", &stop, || app.users.first_administrator(Utc::now())).await else { return };
    if let Some(FirstAdministrator { username, password }) = first {
        announce(Announcement::Administrator { username: &username, password: &password });
        tracing::info!(username, "the first administrator was made; the password was printed, and is not kept");
    }
    app.set_prepared();
}

/// Tries until it works; `None` when there is no reason to go on.
async fn until_done<T, E: Into<anyhow::Error>, F: Future<Output = Result<T, E>>>(
    what: &'static str,
    stop: &CancellationToken,
    work: impl Fn() -> F,
) -> Option<T> {
    loop {
        match work().await {
            Ok(done) => return Some(done),
            Err(error) => tracing::warn!(error = format!("{:#}", error.into()), "{what} are not ready yet"),
        }
        if !rest(AGAIN, stop).await {
            return None;
        }
    }
}

fn tell(app: &App, Prepared { administrator, first_key }: Prepared, announce: &Announce) {
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
        FirstKey::Announced(token) => announce(Announcement::BootstrapToken(&token)),
        FirstKey::Awaited => tracing::info!(
            "no API key exists; the first start printed the bootstrap token, and BOOTSTRAP_ADMIN_KEY works without it"
        ),
        FirstKey::Made => {}
    }
}

/// Moves the service's own events to where everybody's are: it is their receiver, so it needs no HTTP for that.
async fn relay(app: Arc<App>, stop: CancellationToken) {
    loop {
        let pause = match intake::take_in_own(&app).await {
            Ok(taken) if taken.count == 0 => RELAY_PAUSE,
            Ok(_some) => Duration::ZERO,
            Err(error) => {
                tracing::warn!(error = format!("{:#}", anyhow::Error::from(error)), "events wait in the outbox");
                AGAIN
            }
        };
        let woken = tokio::time::timeout(pause, app.db.event_noted());
        tokio::select! {
            () = stop.cancelled() => return,
            _ = woken => {}
        }
    }
}

/// Makes room for the events of the days to come, and lets go of the days that are past their time.
async fn keep(app: Arc<App>, stop: CancellationToken) {
    loop {
        let now = Utc::now();
        let kept = async {
            upkeep::prepare(&app.db, now).await?;
            upkeep::purge(&app.db, app.config.event_retention_days, now).await
        };
        let pause = match kept.await {
            Ok(()) => KEEP_PAUSE,
            Err(error) => {
                tracing::warn!(error = format!("{:#}", anyhow::Error::from(error)), "old events stay a while longer");
                KEEP_AGAIN
            }
        };
        if !rest(pause, &stop).await {
            return;
        }
    }
}

/// Lets go of sessions, refresh tokens and failed logins that no longer count.
async fn purge_sessions(app: Arc<App>, stop: CancellationToken) {
    loop {
        let pause = match app.users.purge(Utc::now()).await {
            Ok(0) => SESSIONS_PURGE_PAUSE,
            Ok(_some) => Duration::ZERO,
            Err(error) => {
                tracing::warn!(error = format!("{:#}", anyhow::Error::from(error)), "old sessions stay a while longer");
                SESSIONS_PURGE_PAUSE
            }
        };
        if !rest(pause, &stop).await {
            return;
        }
    }
}
