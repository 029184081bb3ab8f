//! The outside sources of knowledge, and how they are asked.
//!
//! A source turns an identifier into texts. What they return is data of strangers: it comes in through the guarded
//! client, is cleaned before it goes on, and is never taken for an instruction.

mod brave;
mod circuit;
mod exa;
mod firecrawl;
mod page;
mod runner;
mod settings;
mod tavily;
mod wikidata;
mod wikipedia;

use std::fmt;

use api_types::knowledge::{SourceErrorCode, SourceName};
use egress::{Client, Request, StatusCode};
use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;

use crate::domain::items::FoundText;

pub(crate) use runner::{Answer, Run, Runner, Timing};
pub(crate) use settings::Settings;

/// What a source is asked.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) identifier: String,
    pub(crate) language: String,
    /// The best page that another source found, for the source that reads pages.
    pub(crate) page: Option<String>,
}

/// What a source found.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Found {
    pub(crate) texts: Vec<FoundText>,
    /// Names of entities that statements link to, the most telling first.
    pub(crate) linked: Vec<String>,
}

/// Why a source gave nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) code: SourceErrorCode,
    /// What the source itself asks to wait, in seconds.
    pub(crate) retry_after_s: Option<u64>,
    /// Whether asking again at once may help.
    pub(crate) passing: bool,
}

impl Failure {
    fn of(code: SourceErrorCode) -> Self {
        Self { code, retry_after_s: None, passing: code != SourceErrorCode::Unauthorized }
    }

    fn invalid() -> Self {
        Self::of(SourceErrorCode::InvalidResponse)
    }
}

/// A source that is asked over the network. One attempt: limits and repetition are the runner's.
pub(crate) trait Source: Send + Sync + fmt::Debug {
    fn name(&self) -> SourceName;

    /// Asks once.
    ///
    /// # Errors
    /// How it failed. Knowing nothing is no failure.
    fn fetch<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Result<Found, Failure>>;
}

/// Sends a request to a source and reads its JSON.
async fn json<T: DeserializeOwned>(client: &Client, request: Request) -> Result<T, Failure> {
    let body = body(client, request).await?;
    serde_json::from_slice(&body).ok().ok_or_else(Failure::invalid)
}

async fn body(client: &Client, request: Request) -> Result<Vec<u8>, Failure> {
    let answer = client.send(request).await.map_err(|error| Failure::of(code_of(&error)))?;
    let code = match answer.status {
        StatusCode::OK => return Ok(answer.body.to_vec()),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => SourceErrorCode::Unauthorized,
        StatusCode::TOO_MANY_REQUESTS => SourceErrorCode::RateLimited,
        _ => SourceErrorCode::HttpError,
    };
    let passing = code == SourceErrorCode::RateLimited || answer.status.is_server_error();
    Err(Failure { code, retry_after_s: answer.retry_after_s(), passing })
}

fn code_of(error: &egress::Error) -> SourceErrorCode {
    match error {
        egress::Error::Timeout => SourceErrorCode::Timeout,
        egress::Error::Refused(_) | egress::Error::Unreachable => SourceErrorCode::Unreachable,
        egress::Error::InvalidRequest => SourceErrorCode::HttpError,
        egress::Error::TooLarge { .. } | egress::Error::InvalidResponse => SourceErrorCode::InvalidResponse,
    }
}

/// A base address and a path, with one slash between them.
fn address(base: &str, path: &str) -> String {
    format!("{}/{path}", base.trim_end_matches('/'))
}

/// Whether every word of the identifier stands in one of the texts: search engines also return what is merely near.
fn concerns(identifier: &str, texts: &[&str]) -> bool {
    let words = |text: &str| -> Vec<String> {
        let lower = text.to_lowercase();
        lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
    };
    let known: std::collections::HashSet<String> = texts.iter().flat_map(|text| words(text)).collect();
    words(identifier).iter().all(|word| known.contains(word))
}

#[cfg(test)]
mod tests;
