//! Knowledge: records about an entity, their items, the sources that were asked, and documents.
//!
//! What is derived from a text and its origin (ids, schema types, scores) is worked out in the modules below, since
//! agent-builder accepts items written by clients just as knowledge-builder does.

mod ids;
mod items;
mod schema_types;
mod scores;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::id::Id;

pub use ids::{item_id, knowledge_id};
pub use items::{
    ITEMS_MAX, ItemDraft, ItemFault, ItemProblem, Subject, build_item, expand_records, item_entries, parse_items,
};
pub use schema_types::{SchemaType, resolve, shown_type};
pub use scores::{Origin, completeness, confidence, contains_phrase, ends_a_sentence, quality, round2, trust};

#[derive(Debug)]
pub struct KnowledgeKind;
/// The id of a record: `person:ada_lovelace`.
pub type KnowledgeId = Id<KnowledgeKind>;

#[derive(Debug)]
pub struct ItemKind;
/// The id of an item: `kn_` and 20 hex digits.
pub type ItemId = Id<ItemKind>;

#[derive(Debug)]
pub struct DocumentKind;
/// The id of a document: `doc_` and 24 hex digits.
pub type DocumentId = Id<DocumentKind>;

/// What the item's text is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Entity {
    #[schema(value_type = String, example = "person:ada_lovelace")]
    pub id: KnowledgeId,
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub text: String,
    pub quality_score: f64,
    pub trust_score: f64,
    pub completeness_score: f64,
}

/// The schema.org type of an entity and what one would like to know of such a thing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Resolved {
    pub name: String,
    #[schema(example = "schema:Person")]
    pub schema_type: String,
    #[schema(example = "https://schema.org/Person")]
    pub schema_uri: String,
    pub confidence: f64,
    pub mandatory_attrs: Vec<String>,
    pub optional_attrs: Vec<String>,
    pub search_hints: Vec<String>,
}

/// Where an item comes from; null where unknown. Further keys are those of clients who wrote the item.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ItemMetadata {
    pub source_id: Option<String>,
    pub url: Option<String>,
    pub title: Option<String>,
    #[schema(value_type = Option<String>)]
    pub document_id: Option<DocumentId>,
    /// The place among the passages of its text, from 0.
    pub passage: Option<u32>,
    /// The round of deepening that found it, from 0.
    pub round: Option<u32>,
    pub language: Option<String>,
    #[serde(flatten)]
    #[schema(value_type = Object)]
    pub further: Map<String, Value>,
}

/// A piece of knowledge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct KnowledgeItem {
    #[schema(value_type = String, example = "kn_0123456789abcdef0123")]
    pub knowledge_id: ItemId,
    pub entity: Entity,
    pub text: String,
    pub source: String,
    /// From 0 to 1, two decimals.
    pub confidence: f64,
    #[serde(with = "crate::time")]
    #[schema(value_type = String)]
    pub timestamp: DateTime<Utc>,
    #[schema(value_type = Object)]
    pub attributes: Map<String, Value>,
    pub resolved: Resolved,
    pub metadata: ItemMetadata,
    /// 384 numbers, only when asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedding: Option<Vec<f32>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedding_model: Option<String>,
}

/// The sources of knowledge, in the order of reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SourceName {
    Documents,
    Taxonomy,
    Wikipedia,
    Wikidata,
    Tavily,
    Brave,
    Exa,
    Firecrawl,
}

impl SourceName {
    pub const ALL: [Self; 8] = [
        Self::Documents,
        Self::Taxonomy,
        Self::Wikipedia,
        Self::Wikidata,
        Self::Tavily,
        Self::Brave,
        Self::Exa,
        Self::Firecrawl,
    ];

    /// The name as requests and reports write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Documents => "documents",
            Self::Taxonomy => "taxonomy",
            Self::Wikipedia => "wikipedia",
            Self::Wikidata => "wikidata",
            Self::Tavily => "tavily",
            Self::Brave => "brave",
            Self::Exa => "exa",
            Self::Firecrawl => "firecrawl",
        }
    }

    /// The source of that exact name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|name| name.as_str() == text)
    }
}

/// How a source did in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SourceStatus {
    /// It gave items.
    Ok,
    /// It answered and had nothing.
    Empty,
    /// It did not answer, or not usably.
    Failed,
    /// It was not asked; the reason says why.
    Skipped,
}

/// Why a source was not asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// No key is configured for it.
    NoKey,
    /// The operator has switched it off.
    Disabled,
    /// The request names other sources.
    NotRequested,
    /// There is nothing it could be asked.
    NotApplicable,
    /// It failed repeatedly and is left alone for a while.
    Resting,
}

/// How a source failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SourceErrorCode {
    Timeout,
    Unreachable,
    HttpError,
    RateLimited,
    Unauthorized,
    InvalidResponse,
}

impl SourceErrorCode {
    /// A sentence for people; it names neither addresses nor keys.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Self::Timeout => "The source did not answer in time",
            Self::Unreachable => "The source cannot be reached",
            Self::HttpError => "The source answered with an error",
            Self::RateLimited => "The source refuses further requests for now",
            Self::Unauthorized => "The source does not accept the configured key",
            Self::InvalidResponse => "The source's answer cannot be read",
        }
    }
}

/// An error of a source as reported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SourceError {
    pub code: SourceErrorCode,
    pub message: String,
}

impl From<SourceErrorCode> for SourceError {
    fn from(code: SourceErrorCode) -> Self {
        Self { code, message: code.message().to_owned() }
    }
}

/// What became of one source in a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SourceReport {
    pub source: SourceName,
    pub status: SourceStatus,
    pub items: i64,
    pub attempts: i64,
    pub duration_ms: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<SkipReason>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<SourceError>,
}

impl SourceReport {
    /// The report of a source that was not asked.
    #[must_use]
    pub fn skipped(source: SourceName, reason: SkipReason) -> Self {
        Self {
            source,
            status: SourceStatus::Skipped,
            items: 0,
            attempts: 0,
            duration_ms: 0,
            reason: Some(reason),
            error: None,
        }
    }

    /// The reports of a run that asked nobody.
    #[must_use]
    pub fn none_requested() -> Vec<Self> {
        SourceName::ALL.map(|source| Self::skipped(source, SkipReason::NotRequested)).to_vec()
    }
}

/// One round of a run: what was asked for and how many items that added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KnowledgeRound {
    pub round: u32,
    pub identifiers: Vec<String>,
    pub items: i64,
}

/// The record in the shape of an item's entity, for readers of rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RecordEntity {
    #[schema(value_type = String)]
    pub id: KnowledgeId,
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    /// The texts of all items joined by empty lines.
    pub text: String,
}

/// All that is known of one entity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct KnowledgeRecord {
    #[schema(value_type = String, example = "person:ada_lovelace")]
    pub knowledge_id: KnowledgeId,
    pub identifier: String,
    pub entity_type: Option<String>,
    pub knowledge_items: Vec<KnowledgeItem>,
    pub total_items: i64,
    pub deepening_cycles: i32,
    pub cycles_run: i32,
    pub stopped_early: bool,
    pub rounds: Vec<KnowledgeRound>,
    pub sources: Vec<SourceReport>,
    pub run_id: Uuid,
    /// True once items and embeddings are stored.
    pub memory_persisted: bool,
    pub entity: RecordEntity,
    pub text: String,
    /// Of the first item, like the two that follow; null without items.
    pub source: Option<String>,
    pub confidence: Option<f64>,
    #[serde(with = "crate::time::option")]
    #[schema(value_type = Option<String>)]
    pub timestamp: Option<DateTime<Utc>>,
    pub created_by: String,
    #[serde(with = "crate::time")]
    #[schema(value_type = String)]
    pub created_at: DateTime<Utc>,
    #[serde(with = "crate::time")]
    #[schema(value_type = String)]
    pub updated_at: DateTime<Utc>,
}

/// A record found by a search, with the items that were found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FoundRecord {
    #[serde(flatten)]
    pub record: KnowledgeRecord,
    /// In (0, 1], four decimals.
    pub relevance_score: f64,
}

/// The answer to a search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SearchAnswer {
    pub query: String,
    pub results: Vec<FoundRecord>,
    /// Records found, before the limit.
    pub total: i64,
    pub method: String,
    pub embedding_model: String,
}

/// A document handed over with a request: one stored earlier, a text, or a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum DocumentInput {
    Stored {
        #[schema(value_type = String)]
        document_id: DocumentId,
    },
    Text {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        title: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        url: Option<String>,
        text: String,
    },
    File {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        title: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        url: Option<String>,
        content_base64: String,
        media_type: String,
    },
}

/// The matched concept of a taxonomy, given by agent-builder: its description becomes an item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Concept {
    pub uri: String,
    pub label: String,
    pub description: String,
}

/// What agent-builder asks of knowledge-builder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewKnowledge {
    pub identifier: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entity_type: Option<String>,
    pub deepening_cycles: i32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sources: Option<Vec<SourceName>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub documents: Vec<DocumentInput>,
    /// Texts of a role model: its own words about itself, as a document.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub role_model_texts: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concept: Option<Concept>,
}

/// What a client may ask for: `text` is one item as given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct KnowledgeRequest {
    #[schema(example = "Ada Lovelace")]
    pub identifier: String,
    #[schema(example = "Person")]
    pub entity_type: Option<String>,
    pub deepening_cycles: Option<i32>,
    pub sources: Option<Vec<SourceName>>,
    pub documents: Option<Vec<DocumentInput>>,
    pub text: Option<String>,
    pub source: Option<String>,
    pub confidence: Option<f64>,
}

/// A change of a record; at least one field.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct KnowledgePatch {
    pub identifier: Option<String>,
    pub entity_type: Option<String>,
    /// Items, or plain texts.
    #[schema(value_type = Option<Vec<Object>>)]
    pub knowledge_items: Option<Vec<Value>>,
    pub deepening_cycles: Option<i32>,
}

/// A record as a client writes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct KnowledgeReplacement {
    pub identifier: String,
    pub entity_type: Option<String>,
    /// Items, or plain texts.
    #[schema(value_type = Option<Vec<Object>>)]
    pub knowledge_items: Option<Vec<Value>>,
    pub deepening_cycles: Option<i32>,
}

/// A question to all that is known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SearchRequest {
    pub query: String,
    pub entity_type: Option<String>,
    /// 1 to 100, default 10.
    pub limit: Option<i64>,
}

/// A document to be stored: `text`, or `content_base64` with `media_type`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NewDocument {
    pub title: Option<String>,
    pub url: Option<String>,
    pub text: Option<String>,
    pub content_base64: Option<String>,
    pub media_type: Option<String>,
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<Map<String, Value>>,
}

/// The answer to deleting a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeletedKnowledge {
    pub deleted: bool,
    #[schema(value_type = String)]
    pub knowledge_id: KnowledgeId,
}

/// The answer to deleting a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeletedDocument {
    pub deleted: bool,
    #[schema(value_type = String)]
    pub document_id: DocumentId,
}

/// A stored document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Document {
    #[schema(value_type = String, example = "doc_0123456789abcdef01234567")]
    pub document_id: DocumentId,
    pub title: String,
    pub url: Option<String>,
    pub media_type: String,
    /// Of the content as it was sent.
    pub bytes: i64,
    /// Of the text read from it.
    pub characters: i64,
    pub passages: i64,
    /// Of the content as it was sent, in hex.
    pub sha256: String,
    #[schema(value_type = Object)]
    pub metadata: Map<String, Value>,
    pub created_by: String,
    #[serde(with = "crate::time")]
    #[schema(value_type = String)]
    pub created_at: DateTime<Utc>,
    /// Only when a single document is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}
