//! Making items: from what a source found, and from what a client wrote.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::{
    Entity, ItemMetadata, KnowledgeId, KnowledgeItem, Origin, SchemaType, completeness, confidence,
    ids::item_id,
    quality, round2,
    schema_types::{resolve, shown_type},
    trust,
};

/// The most items a client may write at once.
pub const ITEMS_MAX: usize = 5_000;

/// The longest text of an item that a client writes, in characters.
const TEXT_CHARACTERS_MAX: usize = 100_000;

/// The longest name of a source that a client gives, in characters.
const SOURCE_CHARACTERS_MAX: usize = 200;

/// Whom the items are about.
#[derive(Debug, Clone)]
pub struct Subject<'a> {
    pub record: KnowledgeId,
    pub name: &'a str,
    pub entity_type: Option<&'a str>,
    /// Whether items written by clients may belong to other records, as they may on an agent.
    pub keeps_entity_ids: bool,
}

/// What is known of an item before the rest is derived.
#[derive(Debug, Clone)]
pub struct ItemDraft<'a> {
    pub text: String,
    pub source: String,
    pub origin: Origin<'a>,
    /// The entity followed in a later round; else it is the subject.
    pub name: Option<String>,
    /// Given rather than derived.
    pub confidence: Option<f64>,
    pub timestamp: DateTime<Utc>,
    pub attributes: Map<String, Value>,
    pub metadata: ItemMetadata,
}

/// Derives the whole item.
#[must_use]
pub fn build_item(subject: &Subject<'_>, draft: ItemDraft<'_>) -> KnowledgeItem {
    let name = draft.name.unwrap_or_else(|| subject.name.to_owned());
    let quality = quality(&draft.text, &name);
    let trust = trust(draft.origin);
    let schema = SchemaType::of(subject.entity_type);
    let round = draft.metadata.round.unwrap_or(0);
    KnowledgeItem {
        knowledge_id: item_id(&subject.record, &draft.source, &draft.text),
        confidence: draft.confidence.map_or_else(|| confidence(trust, quality, round), round2),
        resolved: resolve(&name, subject.entity_type),
        entity: Entity {
            id: subject.record.clone(),
            name,
            kind: shown_type(subject.entity_type),
            text: draft.text.clone(),
            quality_score: round2(quality),
            trust_score: round2(trust),
            completeness_score: round2(completeness(schema, &draft.attributes)),
        },
        text: draft.text,
        source: draft.source,
        timestamp: draft.timestamp,
        attributes: draft.attributes,
        metadata: draft.metadata,
        embedding: None,
        embedding_model: None,
    }
}

/// What is wrong with an item that a client wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ItemFault {
    Type,
    Range,
    Format,
}

/// Where it is wrong: `field` continues the name of the list, as in `[2].confidence`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemProblem {
    pub field: String,
    pub fault: ItemFault,
    pub message: String,
}

/// Replaces the records in a list by their items; every value comes with its place.
#[must_use]
pub fn expand_records(values: &[Value]) -> Vec<(String, &Value)> {
    let mut entries = Vec::with_capacity(values.len());
    for (field, value) in numbered(values) {
        match value.get("knowledge_items").and_then(Value::as_array) {
            Some(items) => {
                entries.extend(numbered(items).map(|(index, item)| (format!("{field}.knowledge_items{index}"), item)));
            }
            None => entries.push((field, value)),
        }
    }
    entries
}

/// The values of a list with their places.
#[must_use]
pub fn item_entries(values: &[Value]) -> Vec<(String, &Value)> {
    numbered(values).collect()
}

fn numbered(values: &[Value]) -> impl Iterator<Item = (String, &Value)> {
    values.iter().enumerate().map(|(index, value)| (format!("[{index}]"), value))
}

/// Reads items written by a client: objects with `text` or `entity.text`, or plain texts. What they leave out is
/// derived; equal texts are one item, the first.
///
/// # Errors
/// All problems, in the order of the list.
pub fn parse_items(
    entries: &[(String, &Value)],
    subject: &Subject<'_>,
    now: DateTime<Utc>,
) -> Result<Vec<KnowledgeItem>, Vec<ItemProblem>> {
    let mut problems = Vec::new();
    let mut items: Vec<KnowledgeItem> = Vec::with_capacity(entries.len());
    let mut seen = HashSet::new();
    for (field, value) in entries {
        let mut reader = Reader { field, problems: &mut problems };
        if let Some(item) = reader.item(value, subject, now)
            && seen.insert((item.entity.id.clone(), item.text.clone()))
        {
            items.push(item);
        }
    }
    if problems.is_empty() { Ok(items) } else { Err(problems) }
}

/// Reads one item and notes what is wrong with it.
struct Reader<'a> {
    field: &'a str,
    problems: &'a mut Vec<ItemProblem>,
}

impl Reader<'_> {
    fn item(&mut self, value: &Value, subject: &Subject<'_>, now: DateTime<Utc>) -> Option<KnowledgeItem> {
        match value {
            Value::String(text) => {
                let text = self.text("", text, TEXT_CHARACTERS_MAX)?;
                Some(build_item(subject, draft_of(text, now)))
            }
            Value::Object(object) => self.object(object, subject, now),
            _ => self.wrong("", ItemFault::Type, "must be an item or a text"),
        }
    }

    fn object(
        &mut self,
        object: &Map<String, Value>,
        subject: &Subject<'_>,
        now: DateTime<Utc>,
    ) -> Option<KnowledgeItem> {
        let before = self.problems.len();
        let entity = self.map(object, "entity");
        let text = self.item_text(object, entity.as_ref());
        let source = self.optional_text(object, "source");
        let confidence = self.share(object, "confidence");
        let timestamp = self.time(object, "timestamp");
        let attributes = self.map(object, "attributes");
        let metadata = self.map(object, "metadata");
        if self.problems.len() > before {
            return None;
        }
        let entity = entity.unwrap_or_default();
        let given = |key: &str| entity.get(key)?.as_str().map(str::trim).filter(|t| !t.is_empty());
        let subject = Subject {
            record: match given("id").filter(|_| subject.keeps_entity_ids) {
                Some(id) => KnowledgeId::new(id),
                None => subject.record.clone(),
            },
            entity_type: given("type").or(subject.entity_type),
            ..*subject
        };
        let mut draft = draft_of(text?, timestamp.unwrap_or(now));
        draft.source = source.unwrap_or(draft.source);
        draft.confidence = confidence;
        draft.name = given("name").map(str::to_owned);
        draft.attributes = attributes.unwrap_or_default();
        draft.metadata = metadata.map(metadata_of).unwrap_or_default();
        let mut item = build_item(&subject, draft);
        for (key, score) in [
            ("quality_score", &mut item.entity.quality_score),
            ("trust_score", &mut item.entity.trust_score),
            ("completeness_score", &mut item.entity.completeness_score),
        ] {
            let given = entity.get(key).and_then(Value::as_f64);
            *score = given.filter(|given| (0.0..=1.0).contains(given)).map_or(*score, round2);
        }
        Some(item)
    }

    fn item_text(&mut self, object: &Map<String, Value>, entity: Option<&Map<String, Value>>) -> Option<String> {
        let own = present(object, "text").map(|value| (".text", value));
        let inner = || present(entity?, "text").map(|value| (".entity.text", value));
        match own.or_else(inner) {
            Some((place, Value::String(text))) => self.text(place, text, TEXT_CHARACTERS_MAX),
            Some((place, _)) => self.wrong(place, ItemFault::Type, "must be a text"),
            None => self.wrong("", ItemFault::Type, "must have a text"),
        }
    }

    fn text(&mut self, place: &str, text: &str, characters_max: usize) -> Option<String> {
        if text.trim().is_empty() {
            return self.wrong(place, ItemFault::Range, "must not be blank");
        }
        if text.chars().count() > characters_max {
            let message = format!("must have at most {characters_max} characters");
            return self.wrong(place, ItemFault::Range, &message);
        }
        Some(text.to_owned())
    }

    fn optional_text(&mut self, object: &Map<String, Value>, key: &str) -> Option<String> {
        let place = format!(".{key}");
        match present(object, key)? {
            Value::String(text) => self.text(&place, text.trim(), SOURCE_CHARACTERS_MAX),
            _ => self.wrong(&place, ItemFault::Type, "must be a text"),
        }
    }

    fn share(&mut self, object: &Map<String, Value>, key: &str) -> Option<f64> {
        let place = format!(".{key}");
        match present(object, key)?.as_f64() {
            Some(number) if (0.0..=1.0).contains(&number) => Some(number),
            Some(_) => self.wrong(&place, ItemFault::Range, "must be between 0 and 1"),
            None => self.wrong(&place, ItemFault::Type, "must be a number"),
        }
    }

    fn time(&mut self, object: &Map<String, Value>, key: &str) -> Option<DateTime<Utc>> {
        let place = format!(".{key}");
        match present(object, key)? {
            Value::String(text) => match crate::time::parse(text) {
                None => self.wrong(&place, ItemFault::Format, "must be a time like 2026-01-31T12:00:00.000Z"),
                time => time,
            },
            _ => self.wrong(&place, ItemFault::Type, "must be a text"),
        }
    }

    fn map(&mut self, object: &Map<String, Value>, key: &str) -> Option<Map<String, Value>> {
        match present(object, key)? {
            Value::Object(map) => Some(map.clone()),
            _ => self.wrong(&format!(".{key}"), ItemFault::Type, "must be an object"),
        }
    }

    fn wrong<T>(&mut self, place: &str, fault: ItemFault, message: &str) -> Option<T> {
        let field = format!("{}{place}", self.field);
        self.problems.push(ItemProblem { field, fault, message: message.to_owned() });
        None
    }
}

fn present<'a>(object: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    object.get(key).filter(|value| !value.is_null())
}

fn draft_of(text: String, timestamp: DateTime<Utc>) -> ItemDraft<'static> {
    ItemDraft {
        text,
        source: "User".to_owned(),
        origin: Origin::User,
        name: None,
        confidence: None,
        timestamp,
        attributes: Map::new(),
        metadata: ItemMetadata::default(),
    }
}

/// The metadata that a client gave: known keys of the right type, the others as they are.
fn metadata_of(mut given: Map<String, Value>) -> ItemMetadata {
    let mut text = |key: &str| match given.remove(key) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    };
    let (source_id, url, title) = (text("source_id"), text("url"), text("title"));
    let (document_id, language) = (text("document_id"), text("language"));
    let mut number = |key: &str| given.remove(key)?.as_u64()?.try_into().ok();
    let (passage, round) = (number("passage"), number("round"));
    ItemMetadata {
        source_id,
        url,
        title,
        document_id: document_id.map(Into::into),
        passage,
        round,
        language,
        further: given,
    }
}

#[cfg(test)]
mod tests;
