//! What the handlers share.

use std::{fmt, sync::Arc, time::Duration};

use api_core::{db::Db, platform::Platform};
use work_queue::Wake;

use crate::domain::{ports::Builders, waiting::Waiters};

#[derive(Clone)]
pub(crate) struct App {
    pub(crate) platform: Arc<Platform>,
    pub(crate) db: Db,
    pub(crate) builders: Arc<dyn Builders>,
    pub(crate) waiters: Waiters,
    /// Wakes the builds of this process.
    pub(crate) wake: Wake,
    /// How long a caller is kept waiting for a build.
    pub(crate) wait: Duration,
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("wait", &self.wait).finish_non_exhaustive()
    }
}
