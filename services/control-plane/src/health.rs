//! Whether the service is well.

use std::sync::Arc;

use api_core::health::{self, Check, Database, Dependency};
use futures_util::future::BoxFuture;

use crate::App;

#[derive(Debug)]
pub(crate) struct Health {
    pub(crate) app: Arc<App>,
    pub(crate) database: Database,
}

impl health::Health for Health {
    fn dependencies(&self) -> BoxFuture<'_, Vec<Dependency>> {
        Box::pin(async { vec![self.database.dependency().await] })
    }

    fn checks(&self) -> BoxFuture<'_, Vec<Check>> {
        Box::pin(async {
            let mut checks = self.database.checks().await;
            // Who calls before that could be refused with a key that is about to be made.
            let ok = self.app.is_prepared();
            let note = if ok { "in place" } else { "not looked at yet" };
            checks.push(Check { name: "keys", ok, note: note.to_owned() });
            checks
        })
    }
}
