//! Wikidata: the entity of a name, its statements as attributes, and the entities that they link to.

mod statements;

use std::collections::BTreeMap;

use api_types::knowledge::{ItemMetadata, SourceName};
use egress::{Client, Request};
use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Map, Value};

use self::statements::{Claims, Facts};
use super::{Failure, Found, Question, Source, address, concerns, json};
use crate::domain::{
    items::{FoundIn, FoundText},
    sanitise,
};

/// Names that one request may ask for.
const LABELS_MAX: usize = 50;

#[derive(Debug)]
pub(super) struct Wikidata {
    client: Client,
    base: String,
}

#[derive(Deserialize)]
struct Answer {
    search: Vec<Hit>,
}

#[derive(Deserialize)]
struct Hit {
    id: String,
    label: Option<String>,
    description: Option<String>,
    #[serde(default, rename = "match")]
    matched: Matched,
}

#[derive(Default, Deserialize)]
struct Matched {
    text: Option<String>,
}

#[derive(Deserialize)]
struct Entities {
    entities: BTreeMap<String, Entity>,
}

#[derive(Deserialize)]
struct Entity {
    #[serde(default)]
    labels: Texts,
    #[serde(default)]
    descriptions: Texts,
    #[serde(default)]
    claims: Claims,
}

type Texts = BTreeMap<String, Text>;

#[derive(Deserialize)]
struct Text {
    value: String,
}

impl Wikidata {
    pub(super) fn new(client: Client, base: String) -> Self {
        Self { client, base }
    }

    fn request(&self, action: &str, language: &str) -> Request {
        Request::get(address(&self.base, "w/api.php"))
            .query("action", action)
            .query("format", "json")
            .query("uselang", language)
    }

    async fn search(&self, question: &Question) -> Result<Option<Hit>, Failure> {
        let request = self
            .request("wbsearchentities", &question.language)
            .query("search", &question.identifier)
            .query("language", &question.language)
            .query("type", "item")
            .query("limit", "3");
        let answer: Answer = json(&self.client, request).await?;
        Ok(answer.search.into_iter().find(|hit| {
            let texts = [&hit.label, &hit.description, &hit.matched.text];
            let texts: Vec<&str> = texts.into_iter().flatten().map(String::as_str).collect();
            concerns(&question.identifier, &texts)
        }))
    }

    async fn entities(&self, ids: &str, props: &str, language: &str) -> Result<Entities, Failure> {
        let request = self
            .request("wbgetentities", language)
            .query("ids", ids)
            .query("props", props)
            // Names that are the same in all languages stand under `mul`.
            .query("languages", format!("{language}|mul|en"));
        json(&self.client, request).await
    }

    async fn labels(&self, ids: &[String], language: &str) -> Result<BTreeMap<String, String>, Failure> {
        if ids.is_empty() {
            return Ok(BTreeMap::new());
        }
        let ids = ids.iter().take(LABELS_MAX).map(String::as_str).collect::<Vec<_>>().join("|");
        let answer = self.entities(&ids, "labels", language).await?;
        let named = answer.entities.into_iter().filter_map(|(id, entity)| Some((id, text(&entity.labels, language)?)));
        Ok(named.collect())
    }
}

impl Source for Wikidata {
    fn name(&self) -> SourceName {
        SourceName::Wikidata
    }

    fn fetch<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Result<Found, Failure>> {
        Box::pin(async move {
            let language = question.language.as_str();
            let Some(hit) = self.search(question).await? else { return Ok(Found::default()) };
            let mut answer = self.entities(&hit.id, "labels|descriptions|claims", language).await?;
            let entity = answer.entities.remove(&hit.id).ok_or_else(Failure::invalid)?;
            let wanted = statements::wanted(&entity.claims);
            let names = self.labels(&wanted, language).await?;
            let Facts { attributes, linked } = statements::read(&entity.claims, &names);
            let label = text(&entity.labels, language).or(hit.label);
            let label = label.unwrap_or_else(|| question.identifier.clone());
            let description = text(&entity.descriptions, language).or(hit.description);
            let texts = text_of(&hit.id, &label, description.as_deref(), attributes, language);
            Ok(Found { texts: texts.into_iter().collect(), linked })
        })
    }
}

/// The text in the language, else the one for all languages, else English.
fn text(texts: &Texts, language: &str) -> Option<String> {
    let found = [language, "mul", "en"].into_iter().find_map(|language| texts.get(language))?;
    Some(sanitise::foreign(&found.value)).filter(|text| !text.is_empty())
}

/// What the entity's page says, in words.
fn text_of(
    id: &str,
    label: &str,
    description: Option<&str>,
    attributes: Map<String, Value>,
    language: &str,
) -> Option<FoundText> {
    let label = sanitise::foreign(label);
    let description = description.map(sanitise::foreign);
    if description.is_none() && attributes.is_empty() {
        return None;
    }
    let mut text = match &description {
        Some(description) => format!("{label}: {description}."),
        None => format!("{label}."),
    };
    for (key, value) in &attributes {
        if let Some(value) = statements::in_words(value) {
            text.push_str(&format!(" {}: {value}.", statements::title(key)));
        }
    }
    Some(FoundText {
        found_in: FoundIn::Wikidata,
        label: "Wikidata".to_owned(),
        text,
        summary: description,
        attributes,
        metadata: ItemMetadata {
            source_id: Some(id.to_owned()),
            url: Some(format!("https://www.wikidata.org/wiki/{id}")),
            title: Some(label),
            language: Some(language.to_owned()),
            ..ItemMetadata::default()
        },
    })
}
