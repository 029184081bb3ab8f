//! Skills as clients write them: an object with `name`, an object with `skill` (YAML), or a plain text.

use std::collections::HashSet;

use serde_json::{Map, Value};
use serde_yaml_ng::Value as Yaml;

use super::{Category, NAME_CHARS_MAX, Skill, SkillSource, skill_id};

/// YAML longer than this is taken as plain text: parsing costs more than its length.
const YAML_BYTES_MAX: usize = 64 * 1024;
const ROUND_MAX: u64 = 11;

/// Which rule a written skill breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// A value of the wrong type, or nothing that a skill could be made of.
    Type,
    /// A value of the right type out of its range.
    Range,
    /// A name that is not on its list.
    Format,
}

/// Why a value is not a skill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub kind: FaultKind,
    /// The key below the skill that is to blame; `None` when it is the skill as a whole.
    pub key: Option<&'static str>,
    /// What must hold, to stand after the field's name: `must be …`.
    pub rule: String,
}

impl Fault {
    fn new(kind: FaultKind, key: impl Into<Option<&'static str>>, rule: impl Into<String>) -> Self {
        Self { kind, key: key.into(), rule: rule.into() }
    }

    fn not_a_skill() -> Self {
        Self::new(FaultKind::Type, None, "must be a skill: an object with 'name' or 'skill', or a text")
    }
}

/// What is known of a skill before the missing parts are derived.
#[derive(Default)]
struct Parts {
    name: Option<String>,
    description: Option<String>,
    triggers: Option<Vec<String>>,
    artifacts: Option<Vec<String>>,
    constraints: Option<Vec<String>>,
    evidence: Option<Vec<String>>,
    confidence: Option<f64>,
    category: Option<Category>,
    source: Option<SkillSource>,
    esco_uri: Option<String>,
    round: Option<u32>,
}

/// The skill that a client wrote. The value's own fields win over its YAML, and what neither gives is derived.
///
/// # Errors
/// When it is none of the three forms, or one of its fields breaks a rule.
pub fn written(value: &Value) -> Result<Skill, Fault> {
    let parts = match value {
        Value::String(name) => Parts { name: Some(name.clone()), ..Parts::default() },
        Value::Object(fields) => from_object(fields)?,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => {
            return Err(Fault::not_a_skill());
        }
    };
    complete(parts)
}

fn complete(parts: Parts) -> Result<Skill, Fault> {
    let name = parts.name.ok_or_else(Fault::not_a_skill)?;
    let name = name.trim();
    if name.is_empty() || name.chars().count() > NAME_CHARS_MAX {
        let rule = format!("must have 1 to {NAME_CHARS_MAX} characters");
        return Err(Fault::new(FaultKind::Range, "name", rule));
    }
    let confidence = parts.confidence.unwrap_or(1.0);
    if !(0.0..=1.0).contains(&confidence) {
        return Err(Fault::new(FaultKind::Range, "confidence", "must be a number between 0 and 1"));
    }
    let skill = Skill {
        skill_id: skill_id(name),
        name: name.to_owned(),
        description: parts.description.unwrap_or_default(),
        category: parts.category.unwrap_or(Category::Domain),
        triggers: parts.triggers.unwrap_or_default(),
        artifacts: parts.artifacts.unwrap_or_default(),
        constraints: parts.constraints.unwrap_or_default(),
        evidence: parts.evidence.unwrap_or_default(),
        confidence: (confidence * 100.0).round() / 100.0,
        source: parts.source.unwrap_or(SkillSource::User),
        esco_uri: parts.esco_uri,
        round: parts.round.unwrap_or(0),
        skill: String::new(),
        embedding: None,
        embedding_model: None,
    };
    Ok(skill.rendered())
}

fn from_object(fields: &Map<String, Value>) -> Result<Parts, Fault> {
    let yaml = match text(fields, "skill")? {
        Some(yaml) => from_yaml(&yaml),
        None => Parts::default(),
    };
    Ok(Parts {
        name: text(fields, "name")?.or(yaml.name),
        description: text(fields, "description")?.or(yaml.description),
        triggers: texts(fields, "triggers")?.or(yaml.triggers),
        artifacts: texts(fields, "artifacts")?.or(yaml.artifacts),
        constraints: texts(fields, "constraints")?.or(yaml.constraints),
        evidence: texts(fields, "evidence")?.or(yaml.evidence),
        confidence: number(fields, "confidence")?.or(yaml.confidence),
        category: named(fields, "category", Category::named)?,
        source: named(fields, "source", SkillSource::named)?,
        esco_uri: text(fields, "esco_uri")?,
        round: round(fields)?,
    })
}

/// The field's value; an absent one and null are the same.
fn given<'a>(fields: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    fields.get(key).filter(|value| !value.is_null())
}

fn wrong_type(key: &'static str, what: &str) -> Fault {
    Fault::new(FaultKind::Type, None, format!("has a '{key}' that is not {what}"))
}

fn text(fields: &Map<String, Value>, key: &'static str) -> Result<Option<String>, Fault> {
    match given(fields, key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(wrong_type(key, "a text")),
    }
}

fn texts(fields: &Map<String, Value>, key: &'static str) -> Result<Option<Vec<String>>, Fault> {
    let Some(value) = given(fields, key) else { return Ok(None) };
    let list = value
        .as_array()
        .and_then(|list| list.iter().map(|one| one.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>());
    list.map(Some).ok_or_else(|| wrong_type(key, "an array of texts"))
}

fn number(fields: &Map<String, Value>, key: &'static str) -> Result<Option<f64>, Fault> {
    match given(fields, key) {
        None => Ok(None),
        Some(value) => value.as_f64().map(Some).ok_or_else(|| wrong_type(key, "a number")),
    }
}

fn named<T>(
    fields: &Map<String, Value>,
    key: &'static str,
    find: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, Fault> {
    let Some(name) = text(fields, key)? else { return Ok(None) };
    let unknown = || Fault::new(FaultKind::Format, key, format!("is not a known {key}"));
    find(&name).map(Some).ok_or_else(unknown)
}

fn round(fields: &Map<String, Value>) -> Result<Option<u32>, Fault> {
    let Some(value) = given(fields, "round") else { return Ok(None) };
    let Some(round) = value.as_i64() else { return Err(wrong_type("round", "an integer")) };
    let round = u64::try_from(round).ok().filter(|round| *round <= ROUND_MAX);
    let round = round.and_then(|round| u32::try_from(round).ok());
    let rule = || format!("must be an integer between 0 and {ROUND_MAX}");
    round.map(Some).ok_or_else(|| Fault::new(FaultKind::Range, "round", rule()))
}

/// What a YAML text says of a skill. One that is not a YAML mapping is prose: its first line is the name, the whole
/// the description.
fn from_yaml(text: &str) -> Parts {
    let Some(mapping) = mapping(text) else { return from_prose(text) };
    let get = |key: &str| mapping.get(key).filter(|value| !value.is_null());
    Parts {
        name: get("skill").or_else(|| get("name")).and_then(scalar),
        description: get("description").and_then(scalar),
        triggers: get("triggers").map(scalars),
        artifacts: get("artifacts").map(scalars),
        constraints: get("constraints").map(scalars),
        evidence: get("evidence").map(scalars),
        confidence: get("confidence").and_then(Yaml::as_f64),
        ..Parts::default()
    }
}

fn mapping(text: &str) -> Option<serde_yaml_ng::Mapping> {
    if text.len() > YAML_BYTES_MAX || has_aliases(text) {
        return None;
    }
    match serde_yaml_ng::from_str(text) {
        Ok(Yaml::Mapping(mapping)) => Some(mapping),
        _ => None,
    }
}

fn from_prose(text: &str) -> Parts {
    let first = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    Parts {
        name: Some(first.chars().take(NAME_CHARS_MAX).collect()),
        description: Some(text.trim().to_owned()),
        ..Parts::default()
    }
}

/// Whether an anchor (`&a`) may be repeated by an alias (`*a`). A few such lines can stand for gigabytes, and no
/// skill needs them.
fn has_aliases(text: &str) -> bool {
    let marked = |mark: char| {
        let words = text.split(|c: char| c.is_whitespace() || matches!(c, ',' | '[' | ']' | '{' | '}'));
        words.filter_map(move |word| word.strip_prefix(mark)).filter(|name| !name.is_empty())
    };
    let anchors: HashSet<&str> = marked('&').collect();
    !anchors.is_empty() && marked('*').any(|name| anchors.contains(name.trim_end_matches(':')))
}

fn scalar(value: &Yaml) -> Option<String> {
    let text = match value {
        Yaml::String(text) => text.clone(),
        Yaml::Number(number) => number.to_string(),
        Yaml::Bool(bool) => bool.to_string(),
        Yaml::Null | Yaml::Sequence(_) | Yaml::Mapping(_) | Yaml::Tagged(_) => return None,
    };
    // An escape can smuggle in what no JSON body may hold and no database text can.
    Some(text.trim().replace('\0', ""))
}

/// A list of texts, where one text stands for a list of one.
fn scalars(value: &Yaml) -> Vec<String> {
    match value {
        Yaml::Sequence(list) => list.iter().filter_map(scalar).collect(),
        other => scalar(other).into_iter().collect(),
    }
}
