//! Chat models: hosted, self-hosted, and the built-in offline one, behind one trait.
//!
//! With nothing configured the built-in model answers: deterministic, offline, and honest about what it is.

mod builtin;
mod hosted;

use std::{fmt, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use serde::Deserialize;

pub use builtin::BuiltIn;
pub use hosted::Hosted;

/// Which model answers, from the settings.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Name of the hosted model; empty for the built-in one.
    pub default_model: String,
    /// Address of a server that speaks the OpenAI protocol; empty for the provider that the model's name implies.
    pub model_base_url: String,
    /// Its key; empty for the provider's usual variable (`OPENAI_API_KEY`, `ANTHROPIC_API_KEY`, …) or none.
    pub model_api_key: String,
}

/// Who said something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaker {
    User,
    Assistant,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub speaker: Speaker,
    pub text: String,
}

/// What a model is asked.
#[derive(Debug, Clone)]
pub struct Request {
    /// How it shall behave.
    pub system: String,
    pub messages: Vec<Message>,
    pub max_tokens: u32,
    /// For the whole answer.
    pub timeout: Duration,
}

impl Request {
    /// One question, with room for a page of answer and a minute to give it.
    pub fn ask(system: impl Into<String>, question: impl Into<String>) -> Self {
        Self {
            system: system.into(),
            messages: vec![Message { speaker: Speaker::User, text: question.into() }],
            max_tokens: 1024,
            timeout: Duration::from_secs(60),
        }
    }
}

/// Tokens as the provider counts them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    pub input_tokens: u32,
    pub output_tokens: u32,
}

/// Why a model stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinishReason {
    Stop,
    Length,
    Other,
}

/// What a model answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    pub text: String,
    pub usage: Usage,
    pub finish_reason: FinishReason,
}

/// Why there is no answer. No variant shows an address or a key.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the model did not answer in time")]
    Timeout,
    #[error("the model's provider failed")]
    Provider(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the model answered nothing")]
    Empty,
}

/// A model that one can talk to.
pub trait ChatModel: Send + Sync + fmt::Debug {
    /// `built-in`, or the kind of provider.
    fn provider(&self) -> &str;

    fn name(&self) -> &str;

    /// Whether the model knows things of its own: what it says can add to what Imago has found.
    fn has_knowledge(&self) -> bool;

    /// Answers a request as a whole.
    fn complete(&self, request: Request) -> BoxFuture<'_, Result<Completion, Error>>;
}

/// The model that the settings name.
///
/// # Errors
/// When the client for a hosted model cannot be set up.
pub fn from_config(config: &Config, http: reqwest::Client) -> Result<Arc<dyn ChatModel>, Error> {
    if config.default_model.is_empty() {
        return Ok(Arc::new(BuiltIn));
    }
    Ok(Arc::new(Hosted::new(config, http)?))
}
