//! The service on a free port, with a schema and settings of its own.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::sync::Arc;

use api_core::{platform::Platform, settings::Settings};
use api_types::auth::Role;
use embedding::Embedder;
use knowledge_builder::{Deps, start};
use migrations::Service;
use serde_json::{Value, json};
use test_support::{Client, FakeKeys, TestDb, TestService, jwt};

/// All sources in the order of reports.
pub(crate) const SOURCES: [&str; 8] =
    ["documents", "taxonomy", "wikipedia", "wikidata", "tavily", "brave", "exa", "firecrawl"];

pub(crate) struct Rig {
    /// Let go before the database.
    pub(crate) service: TestService,
    pub(crate) admin: Client,
    pub(crate) db: TestDb,
}

impl Rig {
    /// A service that asks nobody outside.
    pub(crate) async fn start() -> Self {
        Self::with(&[]).await
    }

    /// A service with these settings on top.
    pub(crate) async fn with(settings: &[(&str, &str)]) -> Self {
        let db = TestDb::schema(Service::KnowledgeBuilder);
        let service = launch(&db, settings);
        service.ready().await;
        let admin = service.client().admin();
        Self { service, admin, db }
    }

    /// Another process on the same database.
    pub(crate) async fn another(&self) -> TestService {
        let service = launch(&self.db, &[]);
        service.ready().await;
        service
    }

    /// A client of the role `user`, which may write knowledge besides.
    pub(crate) fn user(&self, name: &str) -> Client {
        self.service.client().bearer(&jwt(name, &[Role::User], &["knowledge:write", "knowledge:read"]))
    }

    /// Gathers from documents alone, unless the body says otherwise.
    pub(crate) async fn gather(&self, body: Value) -> Value {
        let mut body = body;
        body.as_object_mut().unwrap().entry("sources").or_insert(json!(["documents"]));
        self.admin.post("/api/v1/knowledge", &body).await.data(201)
    }

    /// A record with one text of a client.
    pub(crate) async fn note(&self, identifier: &str, entity_type: &str, text: &str) -> Value {
        let body = json!({"identifier": identifier, "entity_type": entity_type, "text": text});
        self.admin.post("/api/v1/knowledge", &body).await.data(201)
    }

    pub(crate) async fn document(&self, title: &str, text: &str) -> Value {
        self.admin.post("/api/v1/knowledge/documents", &json!({"title": title, "text": text})).await.data(201)
    }

    /// The same document once more.
    pub(crate) async fn document_again(&self, title: &str, text: &str) -> Value {
        self.admin.post("/api/v1/knowledge/documents", &json!({"title": title, "text": text})).await.data(200)
    }
}

fn launch(db: &TestDb, settings: &[(&str, &str)]) -> TestService {
    let nobody = ("knowledge_sources", "");
    let settings = Settings::from_pairs([nobody].iter().chain(settings).copied()).unwrap();
    let platform = Platform::with_key_source(settings, FakeKeys::new()).unwrap();
    let deps = Deps { platform: Arc::clone(&platform), database_url: db.url(), embedder: Embedder::lexical() };
    TestService::launch(&platform, || start(deps))
}

/// What stands under a name in each of the entries.
pub(crate) fn each<'a>(entries: &'a Value, name: &str) -> Vec<&'a str> {
    entries.as_array().unwrap().iter().map(|entry| entry[name].as_str().unwrap()).collect()
}

/// The report of one source.
pub(crate) fn report<'a>(record: &'a Value, source: &str) -> &'a Value {
    let reports = record["sources"].as_array().unwrap();
    reports.iter().find(|report| report["source"] == source).unwrap()
}

/// A path segment as clients write it.
pub(crate) fn escaped(segment: &str) -> String {
    segment
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b':' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}
