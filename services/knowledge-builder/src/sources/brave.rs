//! Brave: a search engine of the web.

use api_core::secret::Secret;
use api_types::knowledge::SourceName;
use egress::{Client, Request};
use futures_util::future::BoxFuture;
use serde::Deserialize;

use super::{
    Failure, Found, Question, Source, address, json,
    page::{self, Page},
};

const RESULTS: &str = "5";

#[derive(Debug)]
pub(super) struct Brave {
    client: Client,
    base: String,
    key: Secret,
}

#[derive(Deserialize)]
struct Answer {
    /// Says what was searched; always there, while `web` is missing when nothing was found.
    #[serde(rename = "type")]
    _kind: String,
    #[serde(default)]
    web: Web,
}

#[derive(Default, Deserialize)]
struct Web {
    #[serde(default)]
    results: Vec<Hit>,
}

#[derive(Deserialize)]
struct Hit {
    url: String,
    title: Option<String>,
    description: Option<String>,
    #[serde(default)]
    extra_snippets: Vec<String>,
    language: Option<String>,
}

impl Brave {
    pub(super) fn new(client: Client, base: String, key: Secret) -> Self {
        Self { client, base, key }
    }
}

impl Source for Brave {
    fn name(&self) -> SourceName {
        SourceName::Brave
    }

    fn fetch<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Result<Found, Failure>> {
        Box::pin(async move {
            let request = Request::get(address(&self.base, "res/v1/web/search"))
                .query("q", &question.identifier)
                .query("count", RESULTS)
                .header("accept", "application/json")
                .header("x-subscription-token", self.key.expose());
            let answer: Answer = json(&self.client, request).await?;
            let mut texts = Vec::new();
            for hit in &answer.web.results {
                let snippets = hit.description.iter().chain(&hit.extra_snippets);
                let text = snippets.map(String::as_str).collect::<Vec<_>>().join("\n\n");
                let page = Page {
                    url: &hit.url,
                    title: hit.title.as_deref(),
                    text: &text,
                    language: hit.language.as_deref(),
                    ..Page::default()
                };
                texts.extend(page::found(self.name(), "Brave", &page));
            }
            Ok(Found { texts, linked: Vec::new() })
        })
    }
}
