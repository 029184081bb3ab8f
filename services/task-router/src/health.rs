//! How this service tells of itself.

use api_core::health::{Check, Database, Dependency, Health};
use futures_util::future::BoxFuture;

#[derive(Debug)]
pub(crate) struct Wellbeing {
    pub(crate) database: Database,
}

impl Health for Wellbeing {
    fn dependencies(&self) -> BoxFuture<'_, Vec<Dependency>> {
        Box::pin(async { vec![self.database.dependency().await] })
    }

    fn checks(&self) -> BoxFuture<'_, Vec<Check>> {
        Box::pin(self.database.checks())
    }
}
