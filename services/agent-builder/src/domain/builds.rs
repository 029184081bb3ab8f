//! A build: what it starts from, what it has found so far, and how it stands.

use std::time::{Duration, Instant};

use api_client::CallContext;
use api_core::context;
use api_types::{
    agents::BuildStatus,
    auth::Principal,
    knowledge::{DocumentInput, SourceName},
    skills::Matched,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Failure, ports::Gathered};

/// The kind of our jobs.
pub(crate) const JOB: &str = "agent-build";

/// What a build starts from, besides the role model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Inputs {
    pub(crate) deepening_cycles: i32,
    pub(crate) mode: String,
    /// All when `None`.
    pub(crate) sources: Option<Vec<SourceName>>,
    pub(crate) documents: Vec<DocumentInput>,
}

/// What a request gives of [`Inputs`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct GivenInputs {
    pub(crate) deepening_cycles: Option<i32>,
    pub(crate) mode: Option<String>,
    pub(crate) sources: Option<Vec<SourceName>>,
    pub(crate) documents: Option<Vec<DocumentInput>>,
}

impl GivenInputs {
    /// With `stored` where nothing is given.
    pub(crate) fn over(self, stored: Inputs) -> Inputs {
        Inputs {
            deepening_cycles: self.deepening_cycles.unwrap_or(stored.deepening_cycles),
            mode: self.mode.unwrap_or(stored.mode),
            sources: self.sources.or(stored.sources),
            documents: self.documents.unwrap_or(stored.documents),
        }
    }

    /// With the defaults where nothing is given.
    pub(crate) fn complete(self) -> Inputs {
        self.over(Inputs { deepening_cycles: 0, mode: "balanced".to_owned(), sources: None, documents: Vec::new() })
    }
}

/// All that a process needs to carry out a build whose request it has never seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) principal: Principal,
    pub(crate) request_id: Uuid,
    traceparent: Option<String>,
    pub(crate) inputs: Inputs,
}

impl Request {
    /// Of the request being served.
    pub(crate) fn new(principal: Principal, inputs: Inputs) -> Self {
        let CallContext { request_id, traceparent, .. } = context::call_context();
        Self { principal, request_id, traceparent, inputs }
    }

    /// What calls for this build carry; they end within `limit`.
    pub(crate) fn call_context(&self, limit: Duration) -> CallContext {
        CallContext {
            request_id: self.request_id,
            principal: Some(self.principal.clone()),
            deadline: Some(Instant::now() + limit),
            traceparent: self.traceparent.clone(),
            via: Vec::new(),
        }
    }
}

/// The results of finished stages. Skills are not among them: they are stored as soon as they are there, and writing them down
/// here first would take as long as storing them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Partial {
    pub(crate) matched: Option<Matched>,
    pub(crate) gathered: Option<Gathered>,
}

/// A build to be queued.
#[derive(Debug)]
pub(crate) struct NewBuild {
    pub(crate) build_id: Uuid,
    pub(crate) agent_id: String,
    /// Whether the agent stands and falls with it.
    pub(crate) creates: bool,
    pub(crate) request: Request,
    /// Whether somebody waits for it.
    pub(crate) is_awaited: bool,
}

/// How a build stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) status: BuildStatus,
    pub(crate) failure: Option<Failure>,
}
