//! An agent as it is answered.

use api_types::agents::{AgentStatus, Build};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::value::RawValue;

/// The record of an agent. Its large parts are JSON already, as they were written when they last changed.
#[derive(Debug, Serialize)]
pub(crate) struct Record {
    pub(crate) agent_id: String,
    pub(crate) role_model: Box<RawValue>,
    pub(crate) generated_skills: Box<RawValue>,
    pub(crate) generated_knowledge: Box<RawValue>,
    pub(crate) status: AgentStatus,
    pub(crate) deepening_cycles: i32,
    pub(crate) occupation_match: Option<Box<RawValue>>,
    pub(crate) sources: Box<RawValue>,
    pub(crate) mode: String,
    pub(crate) metadata: Box<RawValue>,
    pub(crate) capabilities: Vec<String>,
    pub(crate) build: Option<Build>,
    pub(crate) created_by: String,
    #[serde(with = "api_types::time")]
    pub(crate) created_at: DateTime<Utc>,
    #[serde(with = "api_types::time")]
    pub(crate) updated_at: DateTime<Utc>,
    #[serde(with = "api_types::time::option")]
    pub(crate) completed_at: Option<DateTime<Utc>>,
}

/// The part of a record that says what the agent can do and knows.
#[derive(Debug, Serialize)]
pub(crate) struct Capabilities<'a> {
    agent_id: &'a str,
    skills: &'a RawValue,
    knowledge: &'a RawValue,
    capabilities: &'a [String],
}

impl Record {
    pub(crate) fn capabilities(&self) -> Capabilities<'_> {
        Capabilities {
            agent_id: &self.agent_id,
            skills: &self.generated_skills,
            knowledge: &self.generated_knowledge,
            capabilities: &self.capabilities,
        }
    }
}

/// Whether a record shows the vectors of its skills and items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Vectors {
    Hidden,
    Shown,
}
