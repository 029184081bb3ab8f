//! What the service does: the rules of `domain` applied to what `store` holds and what the sources say.

mod documents;
mod gather;
mod records;
mod search;
mod turns;

use std::fmt;

use api_core::db::{self, Db, Unavailable};
use api_types::knowledge::KnowledgeItem;
use chrono::{DateTime, Utc};
use embedding::{Embedder, Priority};

pub(crate) use documents::{Handed, NewFile, Stored};
pub(crate) use records::{Asker, Given, NewRecord, Replacement, Update};
pub(crate) use search::Question;

use self::turns::Turns;
use crate::{domain::extract, sources::Runner};

/// Everything that requests share.
pub(crate) struct App {
    pub(crate) db: Db,
    pub(crate) embedder: Embedder,
    runner: Runner,
    turns: Turns,
    frequencies: search::Remembered,
}

impl App {
    pub(crate) fn new(db: Db, embedder: Embedder, runner: Runner) -> Self {
        Self { db, embedder, runner, turns: Turns::default(), frequencies: search::Remembered::default() }
    }

    /// Gives items their vectors.
    async fn embed(&self, items: &mut [KnowledgeItem]) -> Result<(), Error> {
        let texts = items.iter().map(|item| item.text.clone()).collect();
        let vectors = self.embedder.embed(texts, Priority::Interactive).await?;
        for (item, vector) in items.iter_mut().zip(vectors) {
            item.embedding = Some(vector);
            item.embedding_model = Some(self.embedder.model().to_owned());
        }
        Ok(())
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("embedder", &self.embedder).field("runner", &self.runner).finish_non_exhaustive()
    }
}

/// Now, in the precision in which times are shown and stored.
fn now() -> DateTime<Utc> {
    let now = Utc::now();
    DateTime::from_timestamp_millis(now.timestamp_millis()).unwrap_or(now)
}

/// Why something could not be done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("no record {0}")]
    NoRecord(String),
    #[error("no record is about {0}")]
    NoEntity(String),
    #[error("no document {0}")]
    NoDocument(String),
    /// A document that a request names is not there.
    #[error("{field} names no document")]
    UnknownDocument { field: String },
    /// A document that a request brings along cannot be read.
    #[error("the document in {field} cannot be read")]
    Unreadable {
        field: String,
        #[source]
        reason: extract::Error,
    },
    #[error("another process has taken over the entity")]
    TurnLost,
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
