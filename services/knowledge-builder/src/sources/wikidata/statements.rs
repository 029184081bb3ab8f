//! Statements of Wikidata as attributes in the words of schema.org.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::domain::sanitise;

/// Values kept of one attribute.
const VALUES_MAX: usize = 10;

/// Which property fills which attribute, in the order in which they are told; and whether the entities it names are
/// worth following (a person's teachers are, a person's gender is not).
const PROPERTIES: [(&str, &str, bool); 49] = [
    ("P31", "instanceOf", false),
    ("P106", "occupation", false),
    ("P569", "birthDate", false),
    ("P19", "birthPlace", false),
    ("P570", "deathDate", false),
    ("P20", "deathPlace", false),
    ("P27", "nationality", false),
    ("P800", "notableWork", true),
    ("P101", "knowsAbout", true),
    ("P69", "alumniOf", true),
    ("P108", "affiliation", true),
    ("P166", "award", false),
    ("P26", "spouse", true),
    ("P22", "parent", true),
    ("P25", "parent", true),
    ("P40", "children", true),
    ("P1066", "studentOf", true),
    ("P802", "student", true),
    ("P737", "influencedBy", true),
    ("P463", "memberOf", true),
    ("P571", "foundingDate", false),
    ("P112", "founder", true),
    ("P159", "location", false),
    ("P452", "industry", false),
    ("P169", "leader", true),
    ("P1128", "numberOfEmployees", false),
    ("P749", "parentOrganization", true),
    ("P17", "country", false),
    ("P131", "containedInPlace", true),
    ("P625", "geo", false),
    ("P1082", "population", false),
    ("P2046", "area", false),
    ("P176", "manufacturer", true),
    ("P50", "creator", true),
    ("P170", "creator", true),
    ("P86", "creator", true),
    ("P577", "datePublished", false),
    ("P136", "genre", false),
    ("P407", "inLanguage", false),
    ("P123", "publisher", true),
    ("P921", "about", true),
    ("P580", "startDate", false),
    ("P582", "endDate", false),
    ("P276", "location", false),
    ("P710", "participant", true),
    ("P279", "broader", true),
    ("P361", "partOf", true),
    ("P61", "discoverer", true),
    ("P856", "url", false),
];

/// Statements by property.
pub(super) type Claims = BTreeMap<String, Vec<Claim>>;

#[derive(Debug, Deserialize)]
pub(super) struct Claim {
    mainsnak: Snak,
    #[serde(default)]
    rank: String,
}

#[derive(Debug, Deserialize)]
struct Snak {
    /// Absent for "no value" and "unknown value".
    datavalue: Option<DataValue>,
}

#[derive(Debug, Deserialize)]
struct DataValue {
    #[serde(rename = "type")]
    kind: String,
    value: Value,
}

/// What the statements say.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) attributes: Map<String, Value>,
    /// Names of the entities worth following.
    pub(super) linked: Vec<String>,
}

/// The entities whose names are needed to read the statements.
pub(super) fn wanted(claims: &Claims) -> Vec<String> {
    let mut ids: Vec<String> = Vec::new();
    for (property, ..) in PROPERTIES {
        for id in values(claims, property).filter_map(entity_id) {
            if !ids.iter().any(|known| known == id) {
                ids.push(id.to_owned());
            }
        }
    }
    ids
}

/// Reads the statements; entities without a name are left out.
pub(super) fn read(claims: &Claims, names: &BTreeMap<String, String>) -> Facts {
    let mut facts = Facts::default();
    for (property, attribute, followed) in PROPERTIES {
        for value in values(claims, property) {
            let name = entity_id(value).map(|id| names.get(id));
            let read = match name {
                Some(name) => name.map(|name| Value::String(name.clone())),
                None => plain(value),
            };
            if let Some(Some(name)) = name.filter(|_| followed)
                && !facts.linked.contains(name)
            {
                facts.linked.push(name.clone());
            }
            if let Some(read) = read {
                add(&mut facts.attributes, attribute, read);
            }
        }
    }
    facts
}

/// The values of a property: the preferred ones where there are any, never the deprecated.
fn values<'c>(claims: &'c Claims, property: &str) -> impl Iterator<Item = &'c DataValue> {
    let claims = claims.get(property).map(Vec::as_slice).unwrap_or_default();
    let best = if claims.iter().any(|claim| claim.rank == "preferred") { "preferred" } else { "normal" };
    let of_rank = claims.iter().filter(move |claim| claim.rank == best || claim.rank.is_empty());
    of_rank.filter_map(|claim| claim.mainsnak.datavalue.as_ref()).take(VALUES_MAX)
}

fn entity_id(value: &DataValue) -> Option<&str> {
    let id = value.value.get("id")?.as_str()?;
    let well_formed = id.starts_with('Q') && id[1..].bytes().all(|b| b.is_ascii_digit());
    (value.kind == "wikibase-entityid" && well_formed).then_some(id)
}

/// The value of a statement that names no entity.
fn plain(value: &DataValue) -> Option<Value> {
    let text = |text: &str| Some(sanitise::foreign(text)).filter(|text| !text.is_empty()).map(Value::String);
    match value.kind.as_str() {
        "string" => text(value.value.as_str()?),
        "monolingualtext" => text(value.value.get("text")?.as_str()?),
        "time" => time(&value.value).map(Value::String),
        "quantity" => {
            let amount = value.value.get("amount")?.as_str()?.trim_start_matches('+');
            amount.parse::<i64>().map(Value::from).or_else(|_| amount.parse::<f64>().map(Value::from)).ok()
        }
        "globecoordinate" => {
            let degrees = |key: &str| value.value.get(key)?.as_f64();
            Some(json!({"latitude": degrees("latitude")?, "longitude": degrees("longitude")?}))
        }
        _ => None,
    }
}

/// A date as precise as it is known: `1815-12-10`, `1815-12` or `1815`.
fn time(value: &Value) -> Option<String> {
    const YEAR: u64 = 9;
    const MONTH: u64 = 10;
    let time = value.get("time")?.as_str()?;
    let precision = value.get("precision")?.as_u64()?;
    let date = time.split('T').next()?;
    let (sign, digits) = match date.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", date.trim_start_matches('+')),
    };
    let mut parts = digits.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let digits_only = [year, month, day].iter().all(|part| part.bytes().all(|b| b.is_ascii_digit()));
    if !digits_only || precision < YEAR {
        return None;
    }
    Some(match precision {
        YEAR => format!("{sign}{year}"),
        MONTH => format!("{sign}{year}-{month}"),
        _ => format!("{sign}{year}-{month}-{day}"),
    })
}

/// One value stands alone, several as an array.
fn add(attributes: &mut Map<String, Value>, attribute: &str, value: Value) {
    match attributes.get_mut(attribute) {
        None => {
            attributes.insert(attribute.to_owned(), value);
        }
        Some(Value::Array(values)) => {
            if values.len() < VALUES_MAX && !values.contains(&value) {
                values.push(value);
            }
        }
        Some(single) if *single != value => *single = Value::Array(vec![single.take(), value]),
        Some(_) => {}
    }
}

/// `birthDate` as `Birth date`.
pub(super) fn title(attribute: &str) -> String {
    let mut title = String::with_capacity(attribute.len() + 4);
    for (place, c) in attribute.chars().enumerate() {
        match (place, c.is_uppercase()) {
            (0, _) => title.extend(c.to_uppercase()),
            (_, true) => {
                title.push(' ');
                title.extend(c.to_lowercase());
            }
            _ => title.push(c),
        }
    }
    title
}

/// A value in words; addresses and coordinates are none.
pub(super) fn in_words(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.starts_with("http") => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Array(values) => {
            let words: Vec<String> = values.iter().filter_map(in_words).collect();
            (!words.is_empty()).then(|| words.join(", "))
        }
        _ => None,
    }
}
