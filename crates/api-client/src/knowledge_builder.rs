//! The knowledge builder, as other services use it.

use std::time::Duration;

use api_types::{
    knowledge::{KnowledgeRecord, NewKnowledge},
    skills::{EmbedRequest, Embedded},
};

use crate::{CallContext, ClientError, Retry, ServiceClient, control_plane::post};

/// For one attempt of what a build waits for.
const BUILD_TIMEOUT: Duration = Duration::from_secs(120);
const BUILD_RETRY: Retry = Retry { pauses: &[Duration::from_secs(1), Duration::from_secs(2)] };

/// A client of the knowledge builder.
#[derive(Debug, Clone)]
pub struct KnowledgeBuilder(pub ServiceClient);

impl KnowledgeBuilder {
    /// Gathers knowledge about an entity and stores it; the record comes back with the embeddings of its items.
    ///
    /// # Errors
    /// When the knowledge builder does not answer, or refuses the request.
    pub async fn gather(&self, context: &CallContext, new: &NewKnowledge) -> Result<KnowledgeRecord, ClientError> {
        let call = post("/api/v1/knowledge?include=embeddings", new)?.within(BUILD_TIMEOUT).retried(BUILD_RETRY);
        self.0.send(context, &call).await
    }

    /// The vectors of texts, in their order; at most [`api_types::skills::EMBED_TEXTS_MAX`] texts.
    ///
    /// # Errors
    /// When the knowledge builder does not answer.
    pub async fn embed(&self, context: &CallContext, texts: Vec<String>) -> Result<Embedded, ClientError> {
        let call = post("/internal/v1/embeddings", &EmbedRequest { texts })?.within(BUILD_TIMEOUT).retried(BUILD_RETRY);
        self.0.send(context, &call).await
    }
}
