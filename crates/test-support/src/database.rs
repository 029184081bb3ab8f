//! A database for each test, as small as the test allows.
//!
//! * [`rolled_back`]: one connection whose changes are never committed. For single queries; a few milliseconds.
//! * [`TestDb::schema`]: a schema of its own. For whatever commits, uses several connections, locks or retries.
//! * [`TestDatabase`]: a database with the schemas of all services. For journeys across services.
//!
//! The server is the one at `TEST_DATABASE_URL`, which `with-postgres` starts and sets.

use std::{fmt::Display, sync::OnceLock};

use diesel::{Connection, PgConnection, connection::SimpleConnection};
use migrations::Service;

/// A freshly migrated schema for one service. Gone when dropped.
#[derive(Debug)]
pub struct TestDb {
    service: Service,
    schema: String,
}

impl TestDb {
    /// Makes the schema.
    ///
    /// # Panics
    /// When there is no test server.
    #[must_use]
    pub fn schema(service: Service) -> Self {
        let admin = provisioned();
        let schema = format!("test_{}", random_name());
        execute(admin, &format!("CREATE SCHEMA {schema} AUTHORIZATION {}", service.role()));
        // Made first, so that it is dropped even if the migrations fail.
        let db = Self { service, schema };
        or_panic("migrate", migrations::migrate_schema(admin, service, &db.schema));
        db
    }

    /// The schema's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.schema
    }

    /// The address under which the service reaches its schema, as its own role.
    #[must_use]
    pub fn url(&self) -> String {
        let url = or_panic("make the URL", migrations::schema_url(server(), self.service, &self.schema));
        // Says whose the connections are, for when the schema goes.
        format!("{url}%20-c%20application_name%3D{}", self.schema)
    }

    /// A connection as the service has it.
    ///
    /// # Panics
    /// When the test server is away.
    #[must_use]
    pub fn connect(&self) -> PgConnection {
        or_panic("connect", PgConnection::establish(&self.url()))
    }
}

impl Drop for TestDb {
    fn drop(&mut self) {
        // A pool that the test leaked must not keep the schema's locks, or its place among the connections.
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = ";
        let sql = format!("{end}'{0}'; SET lock_timeout = '10s'; DROP SCHEMA IF EXISTS {0} CASCADE", self.schema);
        clean_up(&sql);
    }
}

/// A fresh database with the schemas of all services. Gone when dropped.
#[derive(Debug)]
pub struct TestDatabase {
    name: String,
    url: String,
}

impl TestDatabase {
    /// Makes the database and migrates it for every service.
    ///
    /// # Panics
    /// When there is no test server.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "making a database is no default")]
    pub fn new() -> Self {
        let db = Self::empty();
        or_panic("provision", migrations::provision(&db.url));
        for service in Service::ALL {
            or_panic("migrate", migrations::migrate(&db.url, *service));
        }
        db
    }

    /// Makes a database with nothing in it.
    ///
    /// # Panics
    /// When there is no test server.
    #[must_use]
    pub fn empty() -> Self {
        let name = format!("test_{}", random_name());
        execute(server(), &format!("CREATE DATABASE {name}"));
        Self { url: with_database(server(), &name), name }
    }

    /// The administrator's address, as an operator would give it in `DATABASE_URL`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        clean_up(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
    }
}

/// A connection as the service has it, in a transaction that is never committed.
///
/// All tests of a service share one schema for this, so nothing of theirs may depend on a table being empty of what
/// they did not put there; no test puts anything there for good.
///
/// # Panics
/// When there is no test server.
#[must_use]
pub fn rolled_back(service: Service) -> PgConnection {
    let admin = provisioned();
    or_panic("migrate", migrations::migrate(admin, service));
    let url = or_panic("make the URL", migrations::service_url(admin, service));
    let mut conn = or_panic("connect", PgConnection::establish(&url));
    or_panic("begin", conn.begin_test_transaction());
    conn
}

/// The administrator's address on the test server.
fn server() -> &'static str {
    static URL: OnceLock<String> = OnceLock::new();
    URL.get_or_init(|| {
        #[expect(clippy::disallowed_methods, reason = "tests have no configuration but this")]
        let url = std::env::var("TEST_DATABASE_URL");
        url.unwrap_or_else(|_| {
            panic!(
                "no test server: run `make test`, or \
                 `cargo run -q -p test-support --bin with-postgres -- cargo test -p <crate>`"
            )
        })
    })
}

/// The same, after making sure once per process that roles and extensions are there.
fn provisioned() -> &'static str {
    static DONE: OnceLock<()> = OnceLock::new();
    DONE.get_or_init(|| or_panic("provision", migrations::provision(server())));
    server()
}

fn execute(url: &str, sql: &str) {
    let mut conn = or_panic("connect", PgConnection::establish(url));
    or_panic("prepare", conn.batch_execute(sql));
}

/// Never fails a test: the server is thrown away in the end, and a panic while panicking would hide the first one.
fn clean_up(sql: &str) {
    if let Ok(mut conn) = PgConnection::establish(server()) {
        let _result = conn.batch_execute(sql);
    }
}

#[track_caller]
fn or_panic<T, E: Display>(what: &str, result: Result<T, E>) -> T {
    result.unwrap_or_else(|error| panic!("cannot {what} on the test server: {error}"))
}

fn random_name() -> String {
    hex::encode(rand::random::<[u8; 8]>())
}

/// The address of another database on the same server.
fn with_database(url: &str, name: &str) -> String {
    let (base, query) = url.split_once('?').map_or((url, String::new()), |(base, query)| (base, format!("?{query}")));
    let (server, _) = base.rsplit_once('/').unwrap_or((base, ""));
    format!("{server}/{name}{query}")
}
