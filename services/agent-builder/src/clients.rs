//! The other builders over HTTP.

use api_client::{CallContext, ClientError, knowledge_builder::KnowledgeBuilder, skill_builder::SkillBuilder};
use api_types::{
    error::Code,
    knowledge::NewKnowledge,
    skills::{Embedded, GenerateRequest, MatchRequest, Matched, Skill},
};

use crate::domain::ports::{Builder, Builders, Fault, Gathered, Given};

/// Numbers of a vector, as the database stores them.
const DIMENSIONS: usize = 384;

pub(crate) struct HttpBuilders {
    pub(crate) skills: SkillBuilder,
    pub(crate) knowledge: KnowledgeBuilder,
}

impl Builders for HttpBuilders {
    fn match_occupation<'a>(&'a self, context: &'a CallContext, occupation: String) -> Given<'a, Matched> {
        Box::pin(async move {
            let request = MatchRequest { occupation, occupation_uri: None };
            self.skills.match_occupation(context, &request).await.map_err(|error| fault(Builder::Skills, &error))
        })
    }

    fn gather<'a>(&'a self, context: &'a CallContext, request: NewKnowledge) -> Given<'a, Gathered> {
        Box::pin(async move {
            let record = self.knowledge.gather(context, &request).await;
            let record = record.map_err(|error| fault(Builder::Knowledge, &error))?;
            let vectors = record.knowledge_items.iter().map(|item| item.embedding.as_deref());
            checked(Builder::Knowledge, vectors)?;
            Ok(Gathered { knowledge_items: record.knowledge_items, sources: record.sources })
        })
    }

    fn generate<'a>(&'a self, context: &'a CallContext, request: GenerateRequest) -> Given<'a, Vec<Skill>> {
        Box::pin(async move {
            let set = self.skills.generate(context, &request).await;
            let set = set.map_err(|error| fault(Builder::Skills, &error))?;
            checked(Builder::Skills, set.skills.iter().map(|skill| skill.embedding.as_deref()))?;
            Ok(set.skills)
        })
    }

    fn embed<'a>(&'a self, context: &'a CallContext, builder: Builder, texts: Vec<String>) -> Given<'a, Embedded> {
        Box::pin(async move {
            let wanted = texts.len();
            let embedded = match builder {
                Builder::Skills => self.skills.embed(context, texts).await,
                Builder::Knowledge => self.knowledge.embed(context, texts).await,
            };
            let embedded = embedded.map_err(|error| fault(builder, &error))?;
            if embedded.vectors.len() != wanted {
                return Err(nonsense(builder));
            }
            checked(builder, embedded.vectors.iter().map(|vector| Some(vector.as_slice())))?;
            Ok(embedded)
        })
    }
}

/// What is stored must be what can be stored: a vector for each, of the right length, of numbers.
fn checked<'a>(builder: Builder, vectors: impl Iterator<Item = Option<&'a [f32]>>) -> Result<(), Fault> {
    let is_good = |vector: Option<&[f32]>| {
        vector.is_some_and(|vector| vector.len() == DIMENSIONS && vector.iter().all(|number| number.is_finite()))
    };
    for vector in vectors {
        if !is_good(vector) {
            return Err(nonsense(builder));
        }
    }
    Ok(())
}

fn nonsense(builder: Builder) -> Fault {
    tracing::error!(service = builder.field(), "the answer makes no sense");
    Fault::Unavailable(builder)
}

fn fault(builder: Builder, error: &ClientError) -> Fault {
    match error {
        ClientError::Api { status: 422, error, .. } => Fault::Refused {
            code: Code::from_wire(422, &error.code).unwrap_or(Code::InvalidFormat),
            message: error.message.clone(),
            suggestions: error.suggestions.clone(),
        },
        ClientError::Timeout { .. } => {
            tracing::warn!(service = builder.field(), "the call timed out");
            Fault::Timeout(builder)
        }
        error => {
            let source = std::error::Error::source(error).map(ToString::to_string);
            tracing::warn!(service = builder.field(), source, "the call failed: {error}");
            Fault::Unavailable(builder)
        }
    }
}
