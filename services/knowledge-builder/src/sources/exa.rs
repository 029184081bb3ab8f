//! Exa: a search engine that returns the text of the pages it finds.

use api_core::secret::Secret;
use api_types::knowledge::SourceName;
use egress::{Client, Request};
use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::json;

use super::{
    Failure, Found, Question, Source, address, json,
    page::{self, Page},
};

const RESULTS: u32 = 5;

/// Text of one page, in characters.
const TEXT_CHARACTERS: u32 = 4_000;

#[derive(Debug)]
pub(super) struct Exa {
    client: Client,
    base: String,
    key: Secret,
}

#[derive(Deserialize)]
struct Answer {
    results: Vec<Hit>,
}

#[derive(Deserialize)]
struct Hit {
    url: String,
    id: Option<String>,
    title: Option<String>,
    text: Option<String>,
}

impl Exa {
    pub(super) fn new(client: Client, base: String, key: Secret) -> Self {
        Self { client, base, key }
    }
}

impl Source for Exa {
    fn name(&self) -> SourceName {
        SourceName::Exa
    }

    fn fetch<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Result<Found, Failure>> {
        Box::pin(async move {
            let query = json!({
                "query": question.identifier,
                "numResults": RESULTS,
                "contents": {"text": {"maxCharacters": TEXT_CHARACTERS}},
            });
            let request =
                Request::post(address(&self.base, "search")).header("x-api-key", self.key.expose()).json(&query);
            let answer: Answer = json(&self.client, request).await?;
            let pages = answer.results.iter().map(|hit| Page {
                url: &hit.url,
                title: hit.title.as_deref(),
                text: hit.text.as_deref().unwrap_or_default(),
                id: hit.id.as_deref(),
                ..Page::default()
            });
            let texts = pages.filter_map(|page| page::found(self.name(), "Exa", &page)).collect();
            Ok(Found { texts, linked: Vec::new() })
        })
    }
}
