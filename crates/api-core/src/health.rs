//! Whether a service is well, and what it leans on.

use std::fmt;

use futures_util::future::BoxFuture;
use serde_json::{Map, Value, json};

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
