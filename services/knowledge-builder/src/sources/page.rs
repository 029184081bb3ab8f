//! Pages of the web as search engines hand them over.

use api_types::knowledge::{ItemMetadata, Origin, SourceName, trust};
use serde_json::Map;
use url::Url;

use crate::domain::{
    documents,
    items::{FoundIn, FoundText},
    sanitise,
};

/// What is kept of a page, in characters: what comes later in a long page is seldom about the same thing.
const CHARACTERS_MAX: usize = 20_000;

/// A page as it was found.
#[derive(Debug, Default)]
pub(super) struct Page<'a> {
    pub(super) url: &'a str,
    pub(super) title: Option<&'a str>,
    pub(super) text: &'a str,
    pub(super) id: Option<&'a str>,
    pub(super) language: Option<&'a str>,
}

/// The found text of a page, unless it says nothing or its address is none.
pub(super) fn found(by: SourceName, label: &str, page: &Page<'_>) -> Option<FoundText> {
    let url = Url::parse(page.url).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    let host = url.host_str()?.to_owned();
    let text: String = sanitise::foreign(page.text).chars().take(CHARACTERS_MAX).collect();
    if text.trim().is_empty() {
        return None;
    }
    let title = page.title.map(|title| documents::title(Some(&sanitise::foreign(title)), None, None));
    Some(FoundText {
        found_in: FoundIn::Web { by, host },
        label: label.to_owned(),
        text,
        summary: None,
        attributes: Map::new(),
        metadata: ItemMetadata {
            source_id: page.id.map(str::to_owned),
            url: Some(url.into()),
            title,
            language: page.language.map(str::to_owned),
            ..ItemMetadata::default()
        },
    })
}

/// The page most to be trusted among found texts; of equals the first.
pub(super) fn best<'f>(found: impl Iterator<Item = &'f FoundText>) -> Option<String> {
    let mut best: Option<(f64, &str)> = None;
    for text in found {
        let trust = match &text.found_in {
            FoundIn::Documents | FoundIn::Taxonomy | FoundIn::Wikidata => continue,
            FoundIn::Wikipedia => trust(Origin::Wikipedia),
            FoundIn::Web { host, .. } => trust(Origin::Web(host)),
        };
        if let Some(url) = &text.metadata.url
            && best.is_none_or(|(so_far, _)| trust > so_far)
        {
            best = Some((trust, url));
        }
    }
    best.map(|(_, url)| url.to_owned())
}

/// Whether an address lies in one of these domains.
pub(super) fn is_within(address: &str, domains: &[String]) -> bool {
    let Some(host) = Url::parse(address).ok().and_then(|url| url.host_str().map(str::to_lowercase)) else {
        return false;
    };
    domains.iter().any(|domain| {
        let domain = domain.trim_start_matches("*.").trim_matches('.').to_lowercase();
        host == domain || host.strip_suffix(&domain).is_some_and(|rest| rest.ends_with('.'))
    })
}
