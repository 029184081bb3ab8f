//! The other builders, as this service needs them.

use api_client::CallContext;
use api_types::{
    error::Code,
    knowledge::{KnowledgeItem, NewKnowledge, SourceReport},
    skills::{Embedded, GenerateRequest, Matched, Skill},
};
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

/// One of the services that a build needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Builder {
    Skills,
    Knowledge,
}

impl Builder {
    /// The field that is to blame when it fails.
    pub(crate) const fn field(self) -> &'static str {
        match self {
            Self::Skills => "skillbuilder",
            Self::Knowledge => "knowledgebuilder",
        }
    }
}

/// Why a builder gave nothing that can be used, after all attempts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It cannot be reached, answers 5xx, or answers nonsense.
    Unavailable(Builder),
    Timeout(Builder),
    /// It cannot be done with what was asked (422).
    Refused {
        code: Code,
        message: String,
        suggestions: Vec<String>,
    },
}

/// What was found, each item with its embedding.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Gathered {
    pub(crate) knowledge_items: Vec<KnowledgeItem>,
    pub(crate) sources: Vec<SourceReport>,
}

/// What a call gives in the end.
pub(crate) type Given<'a, T> = BoxFuture<'a, Result<T, Fault>>;

/// Calls to the other builders. Retries and time limits are the implementation's.
pub(crate) trait Builders: Send + Sync {
    /// Which occupation a text stands for.
    fn match_occupation<'a>(&'a self, context: &'a CallContext, occupation: String) -> Given<'a, Matched>;

    /// Gathers knowledge, which the knowledge builder also keeps as its own.
    fn gather<'a>(&'a self, context: &'a CallContext, request: NewKnowledge) -> Given<'a, Gathered>;

    /// Derives skills, each with its embedding.
    fn generate<'a>(&'a self, context: &'a CallContext, request: GenerateRequest) -> Given<'a, Vec<Skill>>;

    /// The vectors of up to 512 texts, in their order.
    fn embed<'a>(&'a self, context: &'a CallContext, builder: Builder, texts: Vec<String>) -> Given<'a, Embedded>;
}
