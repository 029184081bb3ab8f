//! A running service with a schema of its own.

use std::{sync::Arc, time::Duration};

use api_core::{platform::Platform, settings::Settings};
use diesel::{QueryableByName, RunQueryDsl as _, sql_query, sql_types::Text};
use embedding::Embedder;
use migrations::Service;
use serde_json::Value;
use skill_builder::Deps;
use test_support::{Client, FakeKeys, TestDb, TestService};

/// How long anything may take that is waited for.
const LIMIT: Duration = Duration::from_secs(30);

pub(crate) struct Rig {
    // In this order: the service goes before its database.
    pub(crate) service: TestService,
    pub(crate) db: TestDb,
    platform: Arc<Platform>,
}

impl Rig {
    pub(crate) async fn start() -> Self {
        Self::with_settings(&[]).await
    }

    pub(crate) async fn with_settings(settings: &[(&str, &str)]) -> Self {
        let db = TestDb::schema(Service::SkillBuilder);
        let mut all = vec![("IMAGO_ENV", "test"), ("CONTROL_PLANE_URL", "http://127.0.0.1:9")];
        all.extend_from_slice(settings);
        let settings = Settings::from_pairs(all).unwrap();
        let platform = Platform::with_key_source(settings, FakeKeys::new()).unwrap();
        let service = launch(&platform, &db).await;
        Self { service, db, platform }
    }

    /// The same with all vectors of the taxonomy in place.
    pub(crate) async fn with_vectors() -> Self {
        let rig = Self::start().await;
        rig.vectors().await;
        rig
    }

    /// Another process on the same database.
    pub(crate) async fn another(&self) -> TestService {
        launch(&self.platform, &self.db).await
    }

    /// An administrator.
    pub(crate) fn client(&self) -> Client {
        self.service.client().admin()
    }

    /// Waits until the taxonomy's vectors are there.
    pub(crate) async fn vectors(&self) {
        let client = self.client();
        until("the vectors are there", async || {
            let answer = client.get("/health/detailed").await;
            let taxonomy = &answer.body["data"]["dependencies"]["taxonomy"];
            taxonomy["labels"].as_i64().is_some_and(|count| count > 0)
                && taxonomy["labels"] == taxonomy["labels_embedded"]
                && taxonomy["skills"] == taxonomy["skills_embedded"]
        })
        .await;
    }

    /// The kinds of events that wait in the outbox, in their order.
    pub(crate) fn events(&self) -> Vec<String> {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = Text)]
            kind: String,
        }
        let rows = sql_query("SELECT kind FROM outbox ORDER BY seq").load::<Row>(&mut self.db.connect()).unwrap();
        rows.into_iter().map(|row| row.kind).collect()
    }
}

async fn launch(platform: &Arc<Platform>, db: &TestDb) -> TestService {
    let deps = || Deps { platform: Arc::clone(platform), database_url: db.url(), embedder: Embedder::lexical() };
    TestService::start(platform, || skill_builder::start(deps())).await
}

/// Waits until something holds.
pub(crate) async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let deadline = tokio::time::Instant::now() + LIMIT;
    while !holds().await {
        assert!(tokio::time::Instant::now() < deadline, "in time: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub(crate) fn names(set: &Value) -> Vec<String> {
    texts(set, "name")
}

/// A text of each skill of a set.
pub(crate) fn texts(set: &Value, key: &str) -> Vec<String> {
    let skills = set["skills"].as_array().unwrap();
    skills.iter().map(|skill| skill[key].as_str().unwrap_or_default().to_owned()).collect()
}

pub(crate) fn skill<'a>(set: &'a Value, name: &str) -> &'a Value {
    let mut skills = set["skills"].as_array().unwrap().iter();
    skills.find(|skill| skill["name"] == name).unwrap_or_else(|| panic!("no skill {name} in {:?}", names(set)))
}
