//! The skill builder, as other services use it.

use std::time::Duration;

use api_types::skills::{EmbedRequest, Embedded, GenerateRequest, MatchRequest, Matched, SkillSet};

use crate::{CallContext, ClientError, Retry, ServiceClient, control_plane::post};

/// For one attempt of what a build waits for.
const BUILD_TIMEOUT: Duration = Duration::from_secs(120);
const BUILD_RETRY: Retry = Retry { pauses: &[Duration::from_secs(1), Duration::from_secs(2)] };

/// A client of the skill builder.
#[derive(Debug, Clone)]
pub struct SkillBuilder(pub ServiceClient);

impl SkillBuilder {
    /// Which occupation a text stands for.
    ///
    /// # Errors
    /// When the skill builder does not answer, or knows no occupation with the URI that was given.
    pub async fn match_occupation(
        &self,
        context: &CallContext,
        request: &MatchRequest,
    ) -> Result<Matched, ClientError> {
        let call = post("/internal/v1/occupations/match", request)?.within(BUILD_TIMEOUT).retried(BUILD_RETRY);
        self.0.send(context, &call).await
    }

    /// Derives skills, each with its embedding, and stores nothing.
    ///
    /// # Errors
    /// When the skill builder does not answer, or there is nothing to derive skills from.
    pub async fn generate(&self, context: &CallContext, request: &GenerateRequest) -> Result<SkillSet, ClientError> {
        let call = post("/internal/v1/skills/generate", request)?.within(BUILD_TIMEOUT).retried(BUILD_RETRY);
        self.0.send(context, &call).await
    }

    /// The vectors of texts, in their order; at most [`api_types::skills::EMBED_TEXTS_MAX`] texts.
    ///
    /// # Errors
    /// When the skill builder does not answer.
    pub async fn embed(&self, context: &CallContext, texts: Vec<String>) -> Result<Embedded, ClientError> {
        let call = post("/internal/v1/embeddings", &EmbedRequest { texts })?.within(BUILD_TIMEOUT).retried(BUILD_RETRY);
        self.0.send(context, &call).await
    }
}
