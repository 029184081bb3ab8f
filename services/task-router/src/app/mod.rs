//! What can be done with workers and tasks: one module for each kind of doing.

pub(crate) mod claim;
pub(crate) mod estimate;
pub(crate) mod heartbeat;
pub(crate) mod push;
pub(crate) mod queues;
pub(crate) mod reap;
pub(crate) mod report;
pub(crate) mod route;
pub(crate) mod submit;
pub(crate) mod tasks;
pub(crate) mod view;
pub(crate) mod workers;

use std::{
    fmt,
    sync::{Arc, atomic::AtomicI64},
};

use api_core::{auth::Caller, db::Db, platform::Platform, seal::SealKey};
use chrono::{DateTime, SubsecRound as _, Utc};
use tokio_util::sync::CancellationToken;

use crate::{config::Config, engine::After, hub::Hub, metrics};

/// What handlers and background work share.
pub(crate) struct App {
    pub(crate) db: Db,
    pub(crate) platform: Arc<Platform>,
    pub(crate) config: Config,
    pub(crate) hub: Arc<Hub>,
    /// Keeps delivery secrets.
    pub(crate) seal: SealKey,
    /// Tasks that wait, as last counted.
    pub(crate) pending: AtomicI64,
    /// The process stops: who waits for something waits no longer.
    pub(crate) stopping: CancellationToken,
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("config", &self.config).finish_non_exhaustive()
    }
}

impl App {
    /// What follows from a committed transaction: who waits for it is woken, and it is counted.
    pub(crate) fn after(&self, after: &After) {
        self.hub.tell(&after.news);
        if let Some(at) = after.retry_at {
            self.hub.retry_at(at);
        }
        metrics::count(after);
    }
}

/// Now, as precisely as times are shown and stored.
pub(crate) fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(3)
}

/// Who asks, as far as it matters in a transaction.
#[derive(Debug, Clone)]
pub(crate) struct Actor {
    pub(crate) id: String,
    pub(crate) client_id: String,
    /// The client that the caller is restricted to.
    pub(crate) only_client: Option<String>,
}

impl Actor {
    pub(crate) fn of(caller: &Caller) -> Self {
        Self {
            id: caller.id().to_owned(),
            client_id: caller.principal.client_id.clone(),
            only_client: caller.only_client().map(str::to_owned),
        }
    }

    /// Whether the caller may act for a client.
    pub(crate) fn acts_for(&self, client_id: &str) -> bool {
        self.only_client.as_deref().is_none_or(|own| own == client_id)
    }
}
