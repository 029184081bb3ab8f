//! A control plane of each test's own.

use std::{
    net::TcpListener,
    sync::{Arc, Mutex},
};

use api_core::{db::Db, platform::Platform, settings::Settings};
use control_plane::{Announcement, Deps, StoreKeys, start_announcing};
use diesel::{QueryableByName, RunQueryDsl as _, connection::SimpleConnection as _, sql_query, sql_types::Text};
use migrations::Service;
use test_support::{Client, TestDb, TestService};

/// The key that a rig's settings make an administrator's, unless they say otherwise.
pub(crate) const ADMIN: &str = "admin-key.right";

/// A running control plane and its database. The service goes first.
pub(crate) struct Rig {
    pub(crate) service: TestService,
    /// The bootstrap tokens that it printed.
    pub(crate) tokens: Tokens,
    /// The passwords of first administrators that it printed.
    pub(crate) passwords: Tokens,
    pub(crate) db: TestDb,
}

pub(crate) type Tokens = Arc<Mutex<Vec<String>>>;

impl Rig {
    /// One with an administrator's key.
    pub(crate) async fn start(settings: &[(&str, &str)]) -> Self {
        let settings = [&[("BOOTSTRAP_ADMIN_KEY", ADMIN)], settings].concat();
        Self::bare(&settings).await
    }

    /// One without any key.
    pub(crate) async fn bare(settings: &[(&str, &str)]) -> Self {
        let (db, tokens, passwords) = (TestDb::schema(Service::ControlPlane), Tokens::default(), Tokens::default());
        Self { service: printing(&db, settings, (&tokens, &passwords)).await, tokens, passwords, db }
    }

    /// Another one on the same database.
    pub(crate) async fn replica(&self, settings: &[(&str, &str)]) -> TestService {
        printing(&self.db, settings, (&self.tokens, &self.passwords)).await
    }

    /// A client with the administrator's key.
    pub(crate) fn admin(&self) -> Client {
        self.service.client().bearer(ADMIN)
    }

    pub(crate) fn execute(&self, sql: &str) {
        self.db.connect().batch_execute(sql).unwrap();
    }

    /// The texts that a query with one column `value` finds.
    pub(crate) fn texts(&self, sql: &str) -> Vec<String> {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = Text)]
            value: String,
        }
        let rows: Vec<Row> = sql_query(sql).load(&mut self.db.connect()).unwrap();
        rows.into_iter().map(|row| row.value).collect()
    }

    /// The kinds of the events about a key, in their order, wherever they are by now.
    pub(crate) fn events_of(&self, key_id: &str) -> Vec<String> {
        self.texts(&format!(
            "SELECT kind AS value FROM (SELECT kind, at, id, aggregate FROM outbox \
             UNION ALL SELECT kind, at, id, aggregate FROM events) AS every WHERE aggregate = 'key:{key_id}' ORDER BY at, id"
        ))
    }

    /// Every value of every row of every table, as one text.
    pub(crate) fn everything_stored(&self) -> String {
        let tables = [
            "keys",
            "bootstrap",
            "events",
            "outbox",
            "idempotency_keys",
            "users",
            "sessions",
            "refresh_tokens",
            "ended_sessions",
            "login_failures",
            "webhooks",
            "webhook_events",
            "webhook_deliveries",
            "audit_log",
            "audit_uses",
            "audit_windows",
        ];
        let rows = tables.iter().flat_map(|table| self.texts(&format!("SELECT {table}::text AS value FROM {table}")));
        rows.collect::<Vec<_>>().join("\n")
    }
}

/// A control plane on a database, beside others perhaps.
pub(crate) async fn on(db: &TestDb, settings: &[(&str, &str)], tokens: &Tokens) -> TestService {
    printing(db, settings, (tokens, &Tokens::default())).await
}

/// The same, with the passwords that it prints.
async fn printing(db: &TestDb, settings: &[(&str, &str)], (tokens, passwords): (&Tokens, &Tokens)) -> TestService {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let itself = format!("http://{}", listener.local_addr().unwrap());
    let settings = [&[("CONTROL_PLANE_URL", itself.as_str())], settings].concat();
    let settings = Settings::from_pairs(settings).unwrap();
    let source = Arc::new(StoreKeys::new(Db::lazy(&db.url(), 4)));
    let platform = Platform::with_key_source(settings, source).unwrap();
    let deps = Deps { platform: Arc::clone(&platform), database_url: db.url() };
    let (tokens, passwords) = (Arc::clone(tokens), Arc::clone(passwords));
    let announce = move |announcement: Announcement<'_>| match announcement {
        Announcement::BootstrapToken(token) => tokens.lock().unwrap().push(token.expose().to_owned()),
        Announcement::Administrator { password, .. } => passwords.lock().unwrap().push(password.expose().to_owned()),
    };
    TestService::start_on(listener, &platform, || start_announcing(deps, announce)).await
}
