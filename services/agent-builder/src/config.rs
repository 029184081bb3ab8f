//! Settings of this service.

use api_core::settings::{Error, Settings};
use serde::Deserialize;

#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub(crate) struct Config {
    pub(crate) skill_builder_url: String,
    pub(crate) knowledge_builder_url: String,
    /// How long a caller is kept waiting for a build before it is told to come back.
    pub(crate) agent_build_wait_seconds: u64,
    /// Builds at once in one process.
    pub(crate) max_workers: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            skill_builder_url: "http://127.0.0.1:5001".to_owned(),
            knowledge_builder_url: "http://127.0.0.1:5002".to_owned(),
            agent_build_wait_seconds: 290,
            max_workers: 4,
        }
    }
}

impl Config {
    pub(crate) fn read(settings: &Settings) -> Result<Self, Error> {
        let config: Self = settings.section()?;
        if config.max_workers == 0 {
            return Err(Error::new("max_workers", "must be at least 1"));
        }
        Ok(config)
    }
}
