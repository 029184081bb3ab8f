//! Wikipedia: the encyclopedia's search, and the summary of the page that fits.

use api_types::knowledge::{ItemMetadata, SourceName};
use egress::{Client, Request};
use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::Map;

use super::{Failure, Found, Question, Source, address, concerns, json};
use crate::domain::{
    items::{FoundIn, FoundText},
    sanitise,
};

/// Pages looked at before giving up.
const CANDIDATES: &str = "3";

#[derive(Debug)]
pub(super) struct Wikipedia {
    client: Client,
    base: String,
}

#[derive(Deserialize)]
struct Answer {
    query: Hits,
}

#[derive(Deserialize)]
struct Hits {
    search: Vec<Hit>,
}

#[derive(Deserialize)]
struct Hit {
    title: String,
}

#[derive(Deserialize)]
struct Summary {
    #[serde(rename = "type", default)]
    kind: String,
    title: String,
    #[serde(default)]
    extract: String,
    description: Option<String>,
    pageid: Option<u64>,
    #[serde(default)]
    content_urls: ContentUrls,
}

#[derive(Default, Deserialize)]
struct ContentUrls {
    desktop: Option<ContentUrl>,
}

#[derive(Deserialize)]
struct ContentUrl {
    page: String,
}

impl Wikipedia {
    pub(super) fn new(client: Client, base: String) -> Self {
        Self { client, base }
    }

    async fn search(&self, identifier: &str) -> Result<Vec<Hit>, Failure> {
        let request = Request::get(address(&self.base, "w/api.php"))
            .query("action", "query")
            .query("list", "search")
            .query("srsearch", identifier)
            .query("srlimit", CANDIDATES)
            .query("format", "json");
        let answer: Answer = json(&self.client, request).await?;
        let mut hits = answer.query.search;
        // The page of exactly that name counts most, wherever the search puts it.
        hits.sort_by_key(|hit| !hit.title.eq_ignore_ascii_case(identifier));
        Ok(hits)
    }

    async fn summary(&self, title: &str) -> Result<Summary, Failure> {
        let title = title.replace(' ', "_");
        let name: String = url::form_urlencoded::byte_serialize(title.as_bytes()).collect();
        json(&self.client, Request::get(address(&self.base, &format!("api/rest_v1/page/summary/{name}")))).await
    }
}

impl Source for Wikipedia {
    fn name(&self) -> SourceName {
        SourceName::Wikipedia
    }

    fn fetch<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Result<Found, Failure>> {
        Box::pin(async move {
            for hit in self.search(&question.identifier).await? {
                let summary = self.summary(&hit.title).await?;
                let fits = concerns(&question.identifier, &[&summary.title, &hit.title, &summary.extract]);
                if fits && summary.kind != "disambiguation" {
                    let texts = text_of(summary, &question.language).into_iter().collect();
                    return Ok(Found { texts, linked: Vec::new() });
                }
            }
            Ok(Found::default())
        })
    }
}

fn text_of(summary: Summary, language: &str) -> Option<FoundText> {
    let text = sanitise::foreign(&summary.extract);
    (!text.is_empty()).then(|| FoundText {
        found_in: FoundIn::Wikipedia,
        label: "Wikipedia".to_owned(),
        text,
        summary: summary.description.map(|short| sanitise::foreign(&short)).filter(|short| !short.is_empty()),
        attributes: Map::new(),
        metadata: ItemMetadata {
            source_id: summary.pageid.map(|id| id.to_string()),
            url: summary.content_urls.desktop.map(|url| url.page),
            title: Some(sanitise::foreign(&summary.title)),
            language: Some(language.to_owned()),
            ..ItemMetadata::default()
        },
    })
}
