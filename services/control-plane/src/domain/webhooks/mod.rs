//! Webhooks: one engine behind three doors. Who subscribes, what receivers get, and how it gets there.

pub(crate) mod dispatcher;
pub(crate) mod message;
pub(crate) mod sending;
pub(crate) mod settings;
pub(crate) mod subscribing;
pub(crate) mod upkeep;
pub(crate) mod work;

use std::sync::Arc;

use api_client::task_router::TaskRouter;
use api_core::{platform::Platform, settings::Error};
use dispatcher::Wake;
use sending::Sender;
use settings::WebhookSettings;

/// What handlers and workers share of webhooks.
#[derive(Debug)]
pub(crate) struct Webhooks {
    pub(crate) sender: Sender,
    pub(crate) wake: Wake,
    /// Attempts at once.
    pub(crate) concurrency: usize,
    /// The same to receivers that are slow.
    pub(crate) slow_concurrency: usize,
    /// Who knows whose a worker is.
    pub(crate) task_router: TaskRouter,
}

impl Webhooks {
    /// # Errors
    /// Names the setting that cannot be read.
    pub(crate) fn new(platform: &Arc<Platform>) -> Result<Self, Error> {
        let settings = WebhookSettings::read(&platform.settings)?;
        Ok(Self {
            sender: Sender::new(platform, &settings)?,
            wake: Wake::default(),
            concurrency: settings.concurrency,
            slow_concurrency: settings.slow_concurrency,
            task_router: TaskRouter(platform.client(crate::NAME, "task-router", &settings.task_router_url)),
        })
    }
}

/// Through which door a webhook was made; it says what its receiver gets, and how often it is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Door {
    Ains,
    /// The native door.
    Mesh,
    Caxton,
}

impl Door {
    /// As the table has it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Ains => "ains",
            Self::Mesh => "mesh",
            Self::Caxton => "caxton",
        }
    }

    /// The door of that name; the table holds no others.
    pub(crate) fn of(name: &str) -> Self {
        match name {
            "ains" => Self::Ains,
            "caxton" => Self::Caxton,
            _ => Self::Mesh,
        }
    }
}
