//! What the service does: the rules of `domain` applied to what `store` holds, with the models that it was given.

mod generating;
mod matching;
mod sets;
mod taxonomies;
mod vectors;

use std::{fmt, sync::Arc};

use api_core::db::{self, Db, Unavailable};
use embedding::Embedder;
use llm::ChatModel;
use tokio::sync::RwLock;

pub(crate) use generating::Order;
pub(crate) use matching::shown;
pub(crate) use sets::{Replacement, Update};
pub(crate) use taxonomies::Taxonomy;

/// Everything that requests share.
pub(crate) struct App {
    pub(crate) db: Db,
    pub(crate) embedder: Embedder,
    pub(crate) model: Arc<dyn ChatModel>,
    /// From which score on a similar label is taken for the occupation, in hundredths.
    match_threshold: u32,
    taxonomy: RwLock<Option<Arc<Taxonomy>>>,
}

impl App {
    pub(crate) fn new(db: Db, embedder: Embedder, model: Arc<dyn ChatModel>, match_threshold: u32) -> Self {
        Self { db, embedder, model, match_threshold, taxonomy: RwLock::default() }
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("embedder", &self.embedder).field("model", &self.model).finish_non_exhaustive()
    }
}

/// Why something could not be done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("no set of skills {0}")]
    NoSet(String),
    #[error("no occupation matches {occupation} and there is nothing else")]
    NoMatch {
        occupation: String,
        /// The labels that come nearest.
        nearest: Vec<String>,
    },
    #[error("no occupation has this URI")]
    NoOccupation,
    #[error("no taxonomy is stored yet")]
    NoTaxonomy,
    #[error("texts could not be embedded")]
    Embedding(#[from] embedding::Error),
    #[error("a background task ended early")]
    Task(#[from] tokio::task::JoinError),
    #[error(transparent)]
    Db(#[from] db::Error),
}

impl From<diesel::result::Error> for Error {
    fn from(error: diesel::result::Error) -> Self {
        Self::Db(error.into())
    }
}

impl From<Unavailable> for Error {
    fn from(error: Unavailable) -> Self {
        Self::Db(error.into())
    }
}
