//! agent-builder from outside, against a real Postgres and builders that do as they are told.

#![cfg(test)]

mod backup;
mod builders;
mod change;
mod create;
mod faults;
mod input;
mod legacy;
mod read;
mod resume;
mod upkeep;

use std::{sync::Arc, time::Duration};

use agent_builder::Deps;
use api_core::{platform::Platform, settings::Settings};
use api_types::auth::Role;
use diesel::{PgConnection, RunQueryDsl as _, sql_query, sql_types::BigInt};
use migrations::Service;
use serde_json::{Value, json};
use test_support::{Answer, Client, FakeKeys, TestDb, TestService, jwt};
use tokio::time::{Instant, sleep};

use builders::Builders;

/// A running service with its builders and its database. Fields are let go in their order.
struct Rig {
    builders: Builders,
    service: TestService,
    db: TestDb,
    settings: Vec<(String, String)>,
}

impl Rig {
    async fn new() -> Self {
        Self::with(&[]).await
    }

    /// With further settings.
    async fn with(settings: &[(&str, &str)]) -> Self {
        let builders = Builders::start();
        let db = TestDb::schema(Service::AgentBuilder);
        let mut all = vec![
            ("SKILL_BUILDER_URL".to_owned(), builders.url.clone()),
            ("KNOWLEDGE_BUILDER_URL".to_owned(), builders.url.clone()),
            ("CONTROL_PLANE_URL".to_owned(), "http://127.0.0.1:9".to_owned()),
        ];
        all.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let service = start(&db, &all).await;
        Self { builders, service, db, settings: all }
    }

    /// Another process on the same database.
    async fn another(&self) -> TestService {
        start(&self.db, &self.settings).await
    }

    /// An administrator.
    fn admin(&self) -> Client {
        self.service.client().admin()
    }

    /// A plain user, who sees only what is its own.
    fn user(&self, name: &str) -> Client {
        self.service.client().bearer(&jwt(name, &[Role::User], &[]))
    }

    /// Makes an agent and waits for it.
    async fn agent(&self, agent_id: &str) -> Value {
        self.admin().post("/api/v1/agents", &body(agent_id)).await.data(201)
    }

    fn conn(&self) -> PgConnection {
        self.db.connect()
    }

    fn count(&self, query: &str) -> i64 {
        let query = format!("SELECT count(*) AS count FROM {query}");
        sql_query(query).get_result::<Count>(&mut self.conn()).unwrap().count
    }
}

#[derive(diesel::QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

async fn start(db: &TestDb, settings: &[(String, String)]) -> TestService {
    let pairs = settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let platform = Platform::with_key_source(Settings::from_pairs(pairs).unwrap(), FakeKeys::new()).unwrap();
    let deps = Deps { platform: Arc::clone(&platform), database_url: db.url() };
    TestService::start(&platform, || agent_builder::start(deps)).await
}

/// The least that makes an agent.
fn body(agent_id: &str) -> Value {
    json!({"agent_id": agent_id, "role_model": {"name": "Ada Lovelace", "occupation": "Mathematician"}})
}

/// Waits until `check` gives something.
async fn until<T, F: Future<Output = Option<T>>>(what: &str, check: impl Fn() -> F) -> T {
    let deadline = Instant::now() + Duration::from_secs(40);
    loop {
        if let Some(value) = check().await {
            return value;
        }
        assert!(Instant::now() < deadline, "{what}: not in time");
        sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until the agent's build has the status.
async fn until_build(client: &Client, agent_id: &str, status: &str) -> Value {
    until(&format!("build {status}"), || async {
        let answer = client.get(&format!("/api/v1/agents/{agent_id}")).await;
        (answer.status == 200 && answer.body["data"]["build"]["status"] == status).then(|| answer.data(200))
    })
    .await
}

/// Sends in the background.
fn spawn_post(client: &Client, path: &str, body: Value) -> tokio::task::JoinHandle<Answer> {
    let (client, path) = (client.clone(), path.to_owned());
    tokio::spawn(async move { client.post(&path, &body).await })
}
