//! A task router of each test's own.

use api_core::{platform::Platform, settings::Settings};
use migrations::Service;
use task_router::Deps;
use test_support::{Client, TestDb, TestService};

/// A running task router and its database. The service goes first.
pub(crate) struct Rig {
    pub(crate) service: TestService,
    pub(crate) db: TestDb,
}

impl Rig {
    pub(crate) async fn start(settings: &[(&str, &str)]) -> Self {
        let db = TestDb::schema(Service::TaskRouter);
        let service = on(&db, settings).await;
        Self { service, db }
    }

    pub(crate) fn admin(&self) -> Client {
        self.service.client().admin()
    }
}

/// A task router on a database, beside others perhaps.
pub(crate) async fn on(db: &TestDb, settings: &[(&str, &str)]) -> TestService {
    let settings = Settings::from_pairs(settings.iter().copied()).unwrap();
    let platform = Platform::new(settings).unwrap();
    let deps = Deps { platform: std::sync::Arc::clone(&platform), database_url: db.url() };
    TestService::start(&platform, || task_router::start(deps)).await
}
