//! Agents: who they are, what they can do and know, and how they are being built.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    id::Id,
    knowledge::{DocumentInput, KnowledgeItem, SourceName, SourceReport},
    skills::{OccupationMatch, Skill},
};

/// What is identified by an [`AgentId`].
#[derive(Debug)]
pub struct AgentKind;
/// The id of an agent, chosen by whoever makes it.
pub type AgentId = Id<AgentKind>;

/// Longest id of an agent, in characters.
pub const AGENT_ID_CHARS_MAX: usize = 100;

/// Whether a text has the form of an agent's id, its length aside: `[A-Za-z0-9][A-Za-z0-9._:-]*`.
#[must_use]
pub fn has_agent_id_form(text: &str) -> bool {
    let further = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b':' | b'-');
    text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric()) && text.bytes().all(further)
}

/// Whether an agent is there to be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AgentStatus {
    /// Its first build has not ended.
    Pending,
    Completed,
    /// Its first build failed, and no later one has succeeded.
    Failed,
}

impl AgentStatus {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }

    /// The status of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Pending, Self::Completed, Self::Failed].into_iter().find(|one| one.as_str() == name)
    }
}

/// Where a build stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum BuildStatus {
    Queued,
    Running,
    Completed,
    Failed,
    Cancelled,
}

impl BuildStatus {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The status of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let all = [Self::Queued, Self::Running, Self::Completed, Self::Failed, Self::Cancelled];
        all.into_iter().find(|one| one.as_str() == name)
    }

    /// Whether it has still to end.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Queued | Self::Running)
    }
}

/// What a build does at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum BuildStage {
    /// Finds the occupation.
    Match,
    /// Gathers knowledge.
    Knowledge,
    /// Derives skills.
    Skills,
    /// Stores the result.
    Store,
    Done,
}

impl BuildStage {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Match => "match",
            Self::Knowledge => "knowledge",
            Self::Skills => "skills",
            Self::Store => "store",
            Self::Done => "done",
        }
    }

    /// How much of a build is done when the stage begins, in percent.
    #[must_use]
    pub const fn progress(self) -> i16 {
        match self {
            Self::Match => 0,
            Self::Knowledge => 10,
            Self::Skills => 60,
            Self::Store => 95,
            Self::Done => 100,
        }
    }
}

/// The last build of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Build {
    pub build_id: Uuid,
    pub status: BuildStatus,
    pub stage: BuildStage,
    /// Percent.
    #[schema(minimum = 0, maximum = 100)]
    pub progress: i16,
    /// How many processes have worked on it.
    pub attempts: i32,
    #[serde(with = "crate::time::option")]
    #[schema(value_type = Option<String>)]
    pub started_at: Option<DateTime<Utc>>,
    #[serde(with = "crate::time::option")]
    #[schema(value_type = Option<String>)]
    pub finished_at: Option<DateTime<Utc>>,
    pub error: Option<BuildError>,
}

/// Why a build failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BuildError {
    /// `CATEGORY.REASON`
    #[schema(example = "UPSTREAM_ERROR.SERVICE_UNAVAILABLE")]
    pub code: String,
    pub message: String,
}

/// An agent as it is read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Agent {
    #[schema(value_type = String, example = "ada")]
    pub agent_id: AgentId,
    /// As given; `name` and `occupation` trimmed.
    #[schema(value_type = Object)]
    pub role_model: Map<String, Value>,
    pub generated_skills: Vec<Skill>,
    pub generated_knowledge: Vec<KnowledgeItem>,
    pub status: AgentStatus,
    pub deepening_cycles: i32,
    pub occupation_match: Option<OccupationMatch>,
    /// Of the last build.
    pub sources: Vec<SourceReport>,
    pub mode: String,
    #[schema(value_type = Object)]
    pub metadata: Map<String, Value>,
    /// What others find the agent by.
    #[schema(example = json!(["agent.ada:v1", "mathematician:v1"]))]
    pub capabilities: Vec<String>,
    pub build: Build,
    pub created_by: String,
    #[serde(with = "crate::time")]
    #[schema(value_type = String)]
    pub created_at: DateTime<Utc>,
    #[serde(with = "crate::time")]
    #[schema(value_type = String)]
    pub updated_at: DateTime<Utc>,
    /// Null until the first success.
    #[serde(with = "crate::time::option")]
    #[schema(value_type = Option<String>)]
    pub completed_at: Option<DateTime<Utc>>,
}

/// What an agent can do and knows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AgentCapabilities {
    #[schema(value_type = String)]
    pub agent_id: AgentId,
    pub skills: Vec<Skill>,
    pub knowledge: Vec<KnowledgeItem>,
    pub capabilities: Vec<String>,
}

/// An agent that is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AgentDeleted {
    pub deleted: bool,
    #[schema(value_type = String)]
    pub agent_id: AgentId,
}

/// Whom an agent is modelled on. Further keys are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RoleModel {
    #[schema(min_length = 1, max_length = 200, example = "Ada Lovelace")]
    pub name: String,
    #[schema(min_length = 1, max_length = 200, example = "Mathematician")]
    pub occupation: String,
    /// At most 50; they become tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub capabilities: Vec<String>,
    #[serde(flatten)]
    #[schema(value_type = Object)]
    pub further: Map<String, Value>,
}

/// What every build of an agent starts from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BuildInputs {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 11)]
    pub deepening_cycles: Option<i32>,
    /// `balanced` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// All when absent; an empty list asks none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sources: Option<Vec<SourceName>>,
    /// At most 20.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub documents: Option<Vec<DocumentInput>>,
}

/// An agent to be made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NewAgent {
    pub role_model: RoleModel,
    #[schema(value_type = String, min_length = 1, max_length = 100, pattern = "^[A-Za-z0-9][A-Za-z0-9._:-]*$")]
    pub agent_id: AgentId,
    #[serde(flatten)]
    pub inputs: BuildInputs,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schema(value_type = Object, required = false)]
    pub metadata: Map<String, Value>,
}

/// An agent to take the place of another, or to be made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AgentReplacement {
    pub role_model: RoleModel,
    #[serde(flatten)]
    pub inputs: BuildInputs,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schema(value_type = Object, required = false)]
    pub metadata: Map<String, Value>,
}

/// What to change of an agent; at least one field.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AgentPatch {
    /// Merged key by key; null removes a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub role_model: Option<Map<String, Value>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 11)]
    pub deepening_cycles: Option<i32>,
    /// Skills, or a skill set whose skills are taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generated_skills: Option<Value>,
    /// Items, or knowledge records whose items are taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generated_knowledge: Option<Vec<Value>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<Map<String, Value>>,
}

/// An agent to be made, as older clients ask for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LegacyBuild {
    pub agent_id: String,
    pub role_model: RoleModel,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 11)]
    pub deepening_cycles: Option<i32>,
    /// Ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_keys: Option<Value>,
}

#[cfg(test)]
mod tests {
    use super::has_agent_id_form;

    #[test]
    fn ids_begin_with_a_letter_or_digit_and_hold_no_surprises() {
        for good in ["a", "A1", "9lives", "test-001", "a.b_c:d-e"] {
            assert!(has_agent_id_form(good), "{good}");
        }
        for bad in ["", "-a", ".a", "_a", ":a", "a/b", "a b", "ä", "a\n", "a\0", "a\u{202e}b", "../x", "a'--"] {
            assert!(!has_agent_id_form(bad), "{bad:?}");
        }
    }
}
