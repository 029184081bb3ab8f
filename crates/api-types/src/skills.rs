//! Skills: what an agent can do, the sets that skill-builder makes, and the taxonomy they come from.

mod labels;
mod render;
mod written;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

pub use labels::{normalise, skill_id, slug};
pub use written::{Fault, FaultKind, written};

/// Longest name of a skill, in characters.
pub const NAME_CHARS_MAX: usize = 200;

/// What kind of thing a skill is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub enum Category {
    Knowledge,
    Competence,
    Transversal,
    /// Of the agent's own field: everything that no taxonomy lists.
    Domain,
}

impl Category {
    pub const ALL: [Self; 4] = [Self::Knowledge, Self::Competence, Self::Transversal, Self::Domain];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Knowledge => "Knowledge",
            Self::Competence => "Competence",
            Self::Transversal => "Transversal",
            Self::Domain => "Domain",
        }
    }

    /// The category of that name, letter for letter.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == name)
    }
}

/// Where a skill was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SkillSource {
    /// An imported ESCO.
    Esco,
    /// The built-in taxonomy.
    Starter,
    Corpus,
    Model,
    /// A client wrote it.
    User,
}

impl SkillSource {
    pub const ALL: [Self; 5] = [Self::Esco, Self::Starter, Self::Corpus, Self::Model, Self::User];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Esco => "esco",
            Self::Starter => "starter",
            Self::Corpus => "corpus",
            Self::Model => "model",
            Self::User => "user",
        }
    }

    /// The source of that name, letter for letter.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == name)
    }
}

/// One thing that an agent can do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Skill {
    /// The same for the same normalised name everywhere, see [`skill_id`].
    #[schema(example = "sk_6f2b1c0d9e8a7b65")]
    pub skill_id: String,
    #[schema(example = "mathematical modelling")]
    pub name: String,
    pub description: String,
    pub category: Category,
    pub triggers: Vec<String>,
    pub artifacts: Vec<String>,
    pub constraints: Vec<String>,
    /// URIs: the concept's, `corpus:<line>`.
    pub evidence: Vec<String>,
    /// 0 to 1, two decimals.
    pub confidence: f64,
    pub source: SkillSource,
    /// The concept's URI, when the skill is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub esco_uri: Option<String>,
    /// The cycle that found it, from 0.
    pub round: u32,
    /// The same as YAML text, see [`Skill::yaml`].
    pub skill: String,
    /// Left out unless asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedding: Option<Vec<f32>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedding_model: Option<String>,
}

impl Skill {
    /// The text whose vector stands for this skill.
    #[must_use]
    pub fn embedding_text(&self) -> String {
        embedding_text(&self.name, &self.description)
    }
}

/// The text whose vector stands for a skill of this name and description.
#[must_use]
pub fn embedding_text(name: &str, description: &str) -> String {
    if description.is_empty() { name.to_owned() } else { format!("{name}: {description}") }
}

/// How an occupation was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MatchMethod {
    PreferredLabel,
    AlternativeLabel,
    Embedding,
    /// The caller named the concept.
    Uri,
}

/// The occupation of the taxonomy that a text stands for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OccupationMatch {
    pub uri: String,
    #[schema(example = "mathematician")]
    pub label: String,
    /// The ISCO-based code.
    #[schema(example = "2120.1")]
    pub code: String,
    /// 0 to 1, two decimals.
    pub score: f64,
    pub method: MatchMethod,
    /// Name and version.
    #[schema(example = "ESCO 1.1.1")]
    pub taxonomy: String,
    /// The next best, at most five.
    pub alternatives: Vec<OccupationAlternative>,
}

/// An occupation that would have been the next choice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OccupationAlternative {
    pub uri: String,
    pub label: String,
    pub score: f64,
}

/// One answer to the question which occupations a text may stand for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OccupationRow {
    pub uri: String,
    pub label: String,
    pub code: String,
    pub score: f64,
    pub method: MatchMethod,
    pub description: String,
    /// How many.
    pub essential_skills: i64,
    /// How many.
    pub optional_skills: i64,
}

/// One round of a generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SkillRound {
    pub round: u32,
    /// How many skills it added.
    pub added: u32,
}

/// What skills can be derived from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SourceName {
    Taxonomy,
    Corpus,
    Model,
}

/// How a source fared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SourceStatus {
    /// It gave something.
    Ok,
    Empty,
    Failed,
    Skipped,
}

/// What one source contributed to a set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SkillSourceReport {
    pub source: SourceName,
    pub status: SourceStatus,
    /// How many skills it found, known ones included.
    pub items: u32,
    /// Why it was skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<SkillSourceError>,
}

/// Why a source failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SkillSourceError {
    #[schema(example = "TIMEOUT")]
    pub code: String,
    pub message: String,
}

/// The skills that one request generated, as they are stored and read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SkillSet {
    pub skill_id: Uuid,
    pub occupation: String,
    pub skills: Vec<Skill>,
    pub total_skills: i64,
    pub run_id: Uuid,
    /// True once skills and embeddings are stored.
    pub memory_persisted: bool,
    pub deepening_cycles: i32,
    pub cycles_run: i32,
    /// True when a round added nothing, which ends the run.
    pub stopped_early: bool,
    pub rounds: Vec<SkillRound>,
    pub occupation_match: Option<OccupationMatch>,
    pub mode: String,
    pub sources: Vec<SkillSourceReport>,
    pub created_by: String,
    #[serde(with = "crate::time")]
    #[schema(value_type = String)]
    pub created_at: DateTime<Utc>,
    #[serde(with = "crate::time")]
    #[schema(value_type = String)]
    pub updated_at: DateTime<Utc>,
}

/// A way to generate: which sources and which relations take part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Mode {
    #[schema(example = "balanced")]
    pub mode_id: String,
    pub name: String,
    pub description: String,
    pub configuration: ModeConfiguration,
}

/// What takes part in a generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[expect(clippy::struct_excessive_bools, reason = "five independent switches, shown as such")]
pub struct ModeConfiguration {
    pub taxonomy: bool,
    pub optional: bool,
    pub related: bool,
    pub corpus: bool,
    pub model: bool,
}

/// The taxonomy in use. The counts are of stored rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TaxonomyInfo {
    #[schema(example = "ESCO")]
    pub name: String,
    #[schema(example = "1.1.1")]
    pub version: String,
    #[schema(example = "en")]
    pub language: String,
    pub builtin: bool,
    pub occupations: i64,
    pub skills: i64,
    pub skill_groups: i64,
    /// Between occupations and skills.
    pub relations: i64,
    /// Null for the built-in one.
    #[serde(with = "crate::time::option")]
    #[schema(value_type = Option<String>)]
    pub imported_at: Option<DateTime<Utc>>,
    pub attribution: Option<String>,
}

/// Asks which occupation a text stands for. Internal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MatchRequest {
    pub occupation: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occupation_uri: Option<String>,
}

/// The occupation that a text stands for, with what an agent's knowledge can use of it. Internal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Matched {
    /// Null when nothing is near enough.
    pub occupation_match: Option<OccupationMatch>,
    /// The taxonomy's description of the occupation; null without a match.
    pub description: Option<String>,
    /// The labels that come nearest.
    pub suggestions: Vec<String>,
}

/// Asks for skills that are not stored as a set. Internal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GenerateRequest {
    pub occupation: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occupation_uri: Option<String>,
    /// What [`Matched`] said before: taken as it is, unless the taxonomy has changed since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occupation_match: Option<OccupationMatch>,
    pub deepening_cycles: u32,
    pub mode: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corpus_text: Option<String>,
}

/// Asks for the vectors of texts. Internal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmbedRequest {
    /// At most [`EMBED_TEXTS_MAX`].
    pub texts: Vec<String>,
}

/// Texts that may be embedded in one call.
pub const EMBED_TEXTS_MAX: usize = 512;

/// Vectors in the order of their texts. Internal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Embedded {
    pub model: String,
    pub vectors: Vec<Vec<f32>>,
}

#[cfg(test)]
mod tests;
