//! Vectors from a service that speaks the `OpenAI` embeddings API.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Error, RemoteProblem, Source};
use crate::vectors::unit;
use crate::{DIMENSIONS, Vector};

const TIMEOUT: Duration = Duration::from_secs(30);
/// Texts in one request. Services take up to 2,048; smaller ones keep answers prompt and small.
const BATCH_TEXTS: usize = 64;
/// No honest answer to a batch is larger: a number printed in full takes some 25 bytes.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Where to get vectors from, and as whom.
#[derive(Clone)]
pub struct RemoteConfig {
    /// The address before `/embeddings`, usually ending in `/v1`.
    pub base_url: String,
    pub model: String,
    /// Sent as a bearer token.
    pub api_key: Option<String>,
    /// For one request of at most 64 texts.
    pub timeout: Duration,
}

impl RemoteConfig {
    /// With the default timeout of 30 seconds.
    #[must_use]
    pub fn new(base_url: String, model: String, api_key: Option<String>) -> Self {
        Self { base_url, model, api_key, timeout: TIMEOUT }
    }
}

impl fmt::Debug for RemoteConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteConfig")
            .field("base_url", &self.base_url)
            .field("model", &self.model)
            .field("api_key", &self.api_key.as_ref().map(|_| "***"))
            .field("timeout", &self.timeout)
            .finish()
    }
}

pub(crate) struct Remote {
    pub(crate) config: RemoteConfig,
    client: reqwest::Client,
}

#[derive(Serialize)]
struct Request<'a> {
    model: &'a str,
    input: &'a [String],
    dimensions: usize,
}

#[derive(Deserialize)]
struct Answer {
    data: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    index: usize,
    embedding: Vec<f32>,
}

impl Remote {
    pub(crate) fn new(config: RemoteConfig, client: reqwest::Client) -> Self {
        Self { config, client }
    }

    pub(crate) async fn embed(&self, texts: &[String]) -> Result<Vec<Vector>, Error> {
        let mut vectors = Vec::with_capacity(texts.len());
        for batch in texts.chunks(BATCH_TEXTS) {
            let answer = tokio::time::timeout(self.config.timeout, self.ask(batch))
                .await
                .map_err(|elapsed| failed(RemoteProblem::TimedOut, Some(Arc::new(elapsed))))??;
            vectors.extend(in_order(answer, batch.len())?);
        }
        Ok(vectors)
    }

    async fn ask(&self, texts: &[String]) -> Result<Answer, Error> {
        let base = self.config.base_url.trim_end_matches('/');
        let mut request = self.client.post(format!("{base}/embeddings")).json(&Request {
            model: &self.config.model,
            input: texts,
            dimensions: DIMENSIONS,
        });
        if let Some(key) = &self.config.api_key {
            request = request.bearer_auth(key);
        }
        let mut response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        if !status.is_success() {
            return Err(failed(RemoteProblem::Status(status.as_u16()), None));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(bad_answer("it is too large"));
            }
            body.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&body).map_err(|error| {
            let problem = RemoteProblem::BadAnswer("it is not a list of embeddings");
            failed(problem, Some(Arc::new(error)))
        })
    }
}

/// Services may answer in any order; `index` says which text an embedding belongs to.
fn in_order(answer: Answer, texts: usize) -> Result<Vec<Vector>, Error> {
    let mut slots: Vec<Option<Vector>> = vec![None; texts];
    for item in answer.data {
        let slot = slots.get_mut(item.index).ok_or_else(|| bad_answer("it has an embedding for a text never sent"))?;
        if item.embedding.len() != DIMENSIONS {
            return Err(bad_answer("an embedding does not have 384 dimensions"));
        }
        let vector = unit(item.embedding).ok_or_else(|| bad_answer("an embedding is zero"))?;
        if slot.replace(vector).is_some() {
            return Err(bad_answer("it has two embeddings for one text"));
        }
    }
    slots.into_iter().collect::<Option<_>>().ok_or_else(|| bad_answer("it lacks the embedding of a text"))
}

fn unreachable(error: reqwest::Error) -> Error {
    let problem = if error.is_timeout() { RemoteProblem::TimedOut } else { RemoteProblem::Unreachable };
    // The address may carry credentials, and the log has no need of it.
    failed(problem, Some(Arc::new(error.without_url())))
}

fn bad_answer(what: &'static str) -> Error {
    failed(RemoteProblem::BadAnswer(what), None)
}

fn failed(problem: RemoteProblem, source: Option<Source>) -> Error {
    Error::Remote { problem, source }
}
