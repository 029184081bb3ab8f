//! The items of a record: those that clients gave, and those that a run finds, without repeats.

use std::collections::{HashMap, HashSet};

use api_types::knowledge::{
    ItemDraft, ItemMetadata, KnowledgeItem, Origin, SchemaType, SourceName, Subject, build_item, completeness,
    confidence, quality, round2,
};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use unicode_normalization::UnicodeNormalization as _;

use super::passages;

/// The longest summary, in characters.
const SUMMARY_CHARACTERS_MAX: usize = 300;

/// Where a found text comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FoundIn {
    Documents,
    Taxonomy,
    Wikipedia,
    Wikidata,
    /// A page of the web, by its host, and who found it.
    Web {
        by: SourceName,
        host: String,
    },
}

impl FoundIn {
    /// The source that reports it.
    #[must_use]
    pub(crate) fn source(&self) -> SourceName {
        match self {
            Self::Documents => SourceName::Documents,
            Self::Taxonomy => SourceName::Taxonomy,
            Self::Wikipedia => SourceName::Wikipedia,
            Self::Wikidata => SourceName::Wikidata,
            Self::Web { by, .. } => *by,
        }
    }

    fn origin(&self) -> Origin<'_> {
        match self {
            Self::Documents => Origin::Document,
            Self::Taxonomy => Origin::Taxonomy,
            Self::Wikipedia => Origin::Wikipedia,
            Self::Wikidata => Origin::Wikidata,
            Self::Web { host, .. } => Origin::Web(host),
        }
    }

    /// Outside sources repeat each other with other punctuation and spacing.
    fn is_foreign(&self) -> bool {
        !matches!(self, Self::Documents | Self::Taxonomy)
    }
}

/// A text that a source found; longer ones become several items.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FoundText {
    pub(crate) found_in: FoundIn,
    /// The source as items name it: `Wikipedia`, or a document's title.
    pub(crate) label: String,
    pub(crate) text: String,
    /// What the source itself says in short.
    pub(crate) summary: Option<String>,
    /// Facts, for the first item made of the text.
    pub(crate) attributes: Map<String, Value>,
    /// `passage` is set when the text is one of many.
    pub(crate) metadata: ItemMetadata,
}

/// A text that a client gives: one item exactly as given.
#[must_use]
pub(crate) fn given(
    subject: &Subject<'_>,
    text: &str,
    source: &str,
    confidence: f64,
    now: DateTime<Utc>,
) -> KnowledgeItem {
    build_item(
        subject,
        ItemDraft {
            text: text.to_owned(),
            source: source.to_owned(),
            origin: Origin::User,
            name: None,
            confidence: Some(confidence),
            timestamp: now,
            attributes: Map::new(),
            metadata: ItemMetadata::default(),
        },
    )
}

/// The items that a run finds for a record, in the order in which it finds them.
#[derive(Debug)]
pub(crate) struct Collection<'a> {
    subject: Subject<'a>,
    now: DateTime<Utc>,
    items: Vec<KnowledgeItem>,
    given: Texts,
    found: Texts,
    /// Labels of the sources that have given an item already.
    summarised: HashSet<String>,
    counts: HashMap<SourceName, i64>,
}

impl<'a> Collection<'a> {
    /// Starts with the texts that clients gave: what a source finds again counts as found, but makes no second item.
    #[must_use]
    pub(crate) fn new(subject: Subject<'a>, given: &[String], now: DateTime<Utc>) -> Self {
        Self {
            subject,
            now,
            items: Vec::new(),
            given: Texts::of(given),
            found: Texts::default(),
            summarised: HashSet::new(),
            counts: HashMap::new(),
        }
    }

    /// Adds what a round found for an entity; returns the texts that this run had not found before.
    pub(crate) fn add(&mut self, round: u32, identifier: &str, found: &[FoundText]) -> Vec<String> {
        let mut added = Vec::new();
        for found in found {
            self.add_text(round, identifier, found, &mut added);
        }
        added
    }

    /// How many texts a source was the first to find.
    #[must_use]
    pub(crate) fn count(&self, source: SourceName) -> i64 {
        self.counts.get(&source).copied().unwrap_or(0)
    }

    #[must_use]
    pub(crate) fn into_items(self) -> Vec<KnowledgeItem> {
        self.items
    }

    fn add_text(&mut self, round: u32, identifier: &str, found: &FoundText, added: &mut Vec<String>) {
        let texts = passages::cut(&found.text);
        let several = texts.len() > 1;
        let mut attributes = found.attributes.clone();
        for (number, text) in (0u32..).zip(texts) {
            if self.found.hold(text, &found.found_in) {
                continue;
            }
            self.found.insert(text);
            *self.counts.entry(found.found_in.source()).or_default() += 1;
            added.push(text.to_owned());
            if self.given.hold(text, &found.found_in) {
                continue;
            }
            if self.summarised.insert(found.label.clone()) {
                let summary = found.summary.as_deref().unwrap_or(text);
                attributes.entry("summary").or_insert_with(|| Value::String(summary_of(summary)));
            }
            let passage = found.metadata.passage.or_else(|| several.then_some(number));
            let item = build_item(
                &self.subject,
                ItemDraft {
                    text: text.to_owned(),
                    source: found.label.clone(),
                    origin: found.found_in.origin(),
                    name: (round > 0).then(|| identifier.to_owned()),
                    confidence: None,
                    timestamp: self.now,
                    attributes: std::mem::take(&mut attributes),
                    metadata: ItemMetadata { passage, round: Some(round), ..found.metadata.clone() },
                },
            );
            self.items.push(item);
        }
    }
}

/// Texts that are there already.
#[derive(Debug, Default)]
struct Texts {
    exact: HashSet<String>,
    /// Without case, punctuation and spacing.
    folded: HashSet<String>,
}

impl Texts {
    fn of(texts: &[String]) -> Self {
        let mut all = Self::default();
        for text in texts {
            all.insert(text);
        }
        all
    }

    fn insert(&mut self, text: &str) {
        self.exact.insert(text.to_owned());
        self.folded.insert(folded(text));
    }

    fn hold(&self, text: &str, found_in: &FoundIn) -> bool {
        self.exact.contains(text) || found_in.is_foreign() && self.folded.contains(&folded(text))
    }
}

/// Whom an item is about, as far as its scores depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct About<'a> {
    pub(crate) name: &'a str,
    pub(crate) entity_type: Option<&'a str>,
}

/// Derives the scores of an item anew after its entity has got another name or type. Scores that a client wrote differ
/// from what follows from the old ones, and stay. So does the confidence in an item of a client (`is_given`), which
/// may be the client's own; in a found one it is always derived.
pub(crate) fn rescore(item: &mut KnowledgeItem, [old, new]: [About<'_>; 2], is_given: bool) {
    let same = |left: f64, right: f64| (left - right).abs() < 1e-9;
    let entity = &mut item.entity;
    if old.name != new.name && same(entity.quality_score, round2(quality(&item.text, old.name))) {
        let quality = quality(&item.text, new.name);
        entity.quality_score = round2(quality);
        if !is_given {
            item.confidence = confidence(entity.trust_score, quality, item.metadata.round.unwrap_or(0));
        }
    }
    let completeness = |about: About<'_>| round2(completeness(SchemaType::of(about.entity_type), &item.attributes));
    if old.entity_type != new.entity_type && same(entity.completeness_score, completeness(old)) {
        entity.completeness_score = completeness(new);
    }
}

/// A text without case, punctuation and spacing.
fn folded(text: &str) -> String {
    text.nfkc().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// The start of a text, to the end of a sentence where there is one.
fn summary_of(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let Some((limit, _)) = line.char_indices().nth(SUMMARY_CHARACTERS_MAX) else { return line };
    let start = &line[..limit];
    match start.rfind(". ").or_else(|| start.rfind(' ')) {
        Some(end) => start[..=end].trim_end().to_owned(),
        None => start.to_owned(),
    }
}

/// All item texts joined by empty lines, at most 100,000 characters.
#[must_use]
pub(crate) fn joined_texts<'t>(texts: impl IntoIterator<Item = &'t str>) -> String {
    const CHARACTERS_MAX: usize = 100_000;
    let mut joined = String::new();
    let mut characters = 0;
    for text in texts {
        if characters > 0 {
            joined.push_str("\n\n");
            characters += 2;
        }
        let room = CHARACTERS_MAX.saturating_sub(characters);
        match text.char_indices().nth(room) {
            Some((end, _)) => {
                joined.push_str(&text[..end]);
                break;
            }
            None => {
                joined.push_str(text);
                characters += text.chars().count();
            }
        }
    }
    // The break between two texts may have crossed the limit.
    match joined.char_indices().nth(CHARACTERS_MAX) {
        Some((end, _)) => joined[..end].to_owned(),
        None => joined,
    }
}

#[cfg(test)]
mod tests;
