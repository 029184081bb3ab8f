//! Firecrawl: reads a page of the web as Markdown.

use std::time::{Duration, Instant};

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
use crate::domain::extract::markdown;

/// How long a page may take to read once it is here.
const READING: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Firecrawl {
    client: Client,
    base: String,
    key: Secret,
}

#[derive(Deserialize)]
struct Answer {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    #[serde(default)]
    markdown: String,
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Default, Deserialize)]
struct Metadata {
    title: Option<String>,
    language: Option<String>,
}

impl Firecrawl {
    pub(super) fn new(client: Client, base: String, key: Secret) -> Self {
        Self { client, base, key }
    }
}

impl Source for Firecrawl {
    fn name(&self) -> SourceName {
        SourceName::Firecrawl
    }

    fn fetch<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Result<Found, Failure>> {
        Box::pin(async move {
            let Some(url) = question.page.as_deref() else { return Ok(Found::default()) };
            let request = Request::post(address(&self.base, "v1/scrape"))
                .bearer(self.key.expose())
                .json(&json!({"url": url, "formats": ["markdown"], "onlyMainContent": true}));
            let answer: Answer = json(&self.client, request).await?;
            let deadline = Instant::now() + READING;
            let read = markdown::read(&answer.data.markdown, deadline).ok().ok_or_else(Failure::invalid)?;
            let metadata = &answer.data.metadata;
            let page = Page {
                url,
                title: metadata.title.as_deref().or(read.title.as_deref()),
                text: &read.text,
                language: metadata.language.as_deref(),
                ..Page::default()
            };
            let texts = page::found(self.name(), "Firecrawl", &page).into_iter().collect();
            Ok(Found { texts, linked: Vec::new() })
        })
    }
}
