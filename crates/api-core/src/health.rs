//! Whether a service is well, and what it leans on.

use std::{fmt, sync::Arc};

use diesel::{migration::MigrationSource, pg::Pg};
use futures_util::future::BoxFuture;
use serde_json::{Map, Value, json};

use crate::{
    db::{self, Db},
    settings,
};

/// How a dependency is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Healthy,
    Unhealthy,
    Unreachable,
}

impl Status {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::Unreachable => "unreachable",
        }
    }
}

/// Something that a service leans on.
#[derive(Debug, Clone)]
pub struct Dependency {
    pub name: &'static str,
    pub status: Status,
    /// What else to say of it: never a credential.
    pub facts: Map<String, Value>,
    /// Whether the service is degraded without it.
    pub essential: bool,
}

impl Dependency {
    #[must_use]
    pub fn new(name: &'static str, status: Status) -> Self {
        Self { name, status, facts: Map::new(), essential: true }
    }

    #[must_use]
    pub fn with(mut self, fact: &str, value: impl Into<Value>) -> Self {
        self.facts.insert(fact.to_owned(), value.into());
        self
    }

    /// One that the service can do without for a while.
    #[must_use]
    pub fn dispensable(mut self) -> Self {
        self.essential = false;
        self
    }

    #[must_use]
    pub fn as_json(&self) -> Value {
        let mut out = self.facts.clone();
        out.insert("status".to_owned(), json!(self.status.as_str()));
        Value::Object(out)
    }
}

/// One thing that must be in place before a service takes requests.
#[derive(Debug, Clone)]
pub struct Check {
    pub name: &'static str,
    pub ok: bool,
    pub note: String,
}

/// How a service tells of itself.
pub trait Health: Send + Sync + fmt::Debug {
    /// For `/health/detailed`.
    fn dependencies(&self) -> BoxFuture<'_, Vec<Dependency>>;

    /// For `/ready`.
    fn checks(&self) -> BoxFuture<'_, Vec<Check>>;
}

/// A service's own database, as `/ready` and `/health/detailed` tell of it.
#[derive(Debug, Clone)]
pub struct Database {
    db: Db,
    /// The migrations that the service was built with.
    versions: Arc<[String]>,
}

diesel::table! {
    __diesel_schema_migrations (version) {
        version -> Text,
    }
}

impl Database {
    /// `migrations` are those of the service.
    ///
    /// # Errors
    /// When the migrations cannot be read.
    pub fn new(db: Db, migrations: &impl MigrationSource<Pg>) -> Result<Self, settings::Error> {
        let migrations = migrations.migrations().map_err(|error| settings::Error::new("database_url", error))?;
        let versions = migrations.iter().map(|migration| migration.name().version().to_string()).collect();
        Ok(Self { db, versions })
    }

    /// `database`
    pub async fn dependency(&self) -> Dependency {
        let status = match self.applied().await {
            Ok(_) => Status::Healthy,
            Err(error) if error.is_connection_loss() => Status::Unreachable,
            Err(_) => Status::Unhealthy,
        };
        Dependency::new("database", status)
    }

    /// `database` and `migrations`
    pub async fn checks(&self) -> Vec<Check> {
        let (reached, note, missing) = match self.applied().await {
            Ok(applied) => {
                let missing = self.versions.iter().filter(|version| !applied.contains(version));
                (true, "reached", missing.cloned().collect())
            }
            Err(error) if error.is_connection_loss() => (false, "no connection", self.versions.to_vec()),
            Err(_) => (true, "reached", self.versions.to_vec()),
        };
        let migrations = match missing.as_slice() {
            [] => "all in place".to_owned(),
            missing => format!("missing: {}", missing.join(", ")),
        };
        vec![
            Check { name: "database", ok: reached, note: note.to_owned() },
            Check { name: "migrations", ok: missing.is_empty(), note: migrations },
        ]
    }

    async fn applied(&self) -> Result<Vec<String>, db::Error> {
        use diesel::{QueryDsl as _, RunQueryDsl as _};
        self.db
            .run(|conn| {
                let table = __diesel_schema_migrations::table;
                Ok(table.select(__diesel_schema_migrations::version).load(conn)?)
            })
            .await
    }
}
