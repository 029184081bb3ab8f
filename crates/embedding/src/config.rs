//! Which way vectors are made, from the settings.

use std::path::PathBuf;

use serde::Deserialize;

use crate::{Embedder, RemoteConfig};

/// The settings of this crate.
#[derive(Clone, Deserialize)]
#[serde(default)]
pub struct Config {
    /// The folder of the sentence model.
    pub imago_model_dir: PathBuf,
    /// Address of a service with the `OpenAI` embeddings API; empty for the model in this process.
    pub embedding_base_url: String,
    pub embedding_model: String,
    pub embedding_api_key: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            imago_model_dir: PathBuf::from(".imago/models/all-MiniLM-L6-v2"),
            embedding_base_url: String::new(),
            embedding_model: "text-embedding-3-small".to_owned(),
            embedding_api_key: String::new(),
        }
    }
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config").field("embedding_model", &self.embedding_model).finish_non_exhaustive()
    }
}

impl Embedder {
    /// The service that is configured, else the model on disk, else hashed words, with a warning.
    #[must_use]
    pub fn from_config(config: &Config, client: reqwest::Client) -> Self {
        if !config.embedding_base_url.is_empty() {
            let key = Some(config.embedding_api_key.clone()).filter(|key| !key.is_empty());
            return Self::remote(
                RemoteConfig::new(config.embedding_base_url.clone(), config.embedding_model.clone(), key),
                client,
            );
        }
        Self::minilm(&config.imago_model_dir).unwrap_or_else(|error| {
            tracing::warn!(exception = %error, "no sentence model; search finds shared words, not shared meaning");
            Self::lexical()
        })
    }
}
