//! Tavily: a search engine for language models.

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

const RESULTS: u32 = 10;

#[derive(Debug)]
pub(super) struct Tavily {
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
    title: Option<String>,
    content: Option<String>,
}

impl Tavily {
    pub(super) fn new(client: Client, base: String, key: Secret) -> Self {
        Self { client, base, key }
    }
}

impl Source for Tavily {
    fn name(&self) -> SourceName {
        SourceName::Tavily
    }

    fn fetch<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Result<Found, Failure>> {
        Box::pin(async move {
            let request = Request::post(address(&self.base, "search"))
                .bearer(self.key.expose())
                .json(&json!({"query": question.identifier, "max_results": RESULTS, "search_depth": "basic"}));
            let answer: Answer = json(&self.client, request).await?;
            let pages = answer.results.iter().map(|hit| Page {
                url: &hit.url,
                title: hit.title.as_deref(),
                text: hit.content.as_deref().unwrap_or_default(),
                ..Page::default()
            });
            let texts = pages.filter_map(|page| page::found(self.name(), "Tavily", &page)).collect();
            Ok(Found { texts, linked: Vec::new() })
        })
    }
}
