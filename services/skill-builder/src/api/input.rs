//! What requests say.

use actix_web::web;
use api_core::{
    error::ApiError,
    input::{Choice, Fields, Integer, List, Object, Problem, Rule, Text},
};
use api_types::{
    error::Code,
    skills::{FaultKind, Skill, written},
};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    app::{Order, Replacement, Update},
    domain::modes,
};

const OCCUPATION: Text = Text::chars(1..=200).trimmed();
const OCCUPATION_URI: Text = Text::chars(1..=500).trimmed();
const CORPUS: Text = Text::chars(0..=1_000_000);
const CYCLES: Integer = Integer(0..=11);
const MODES: Choice = Choice(&["balanced", "taxonomy", "essential", "corpus"]);
const SKILLS: List<WrittenSkill> = List { each: WrittenSkill, max: 5_000 };

/// A skill as clients write it.
#[derive(Debug, Clone, Copy)]
struct WrittenSkill;

impl Rule for WrittenSkill {
    type Out = Skill;

    fn read(&self, field: &str, value: &Value) -> Result<Skill, Vec<Problem>> {
        written(value).map_err(|fault| {
            let code = match fault.kind {
                FaultKind::Type => Code::InvalidType,
                FaultKind::Range => Code::InvalidRange,
                FaultKind::Format => Code::InvalidFormat,
            };
            let below = fault.key.map(|key| format!(".{key}")).unwrap_or_default();
            vec![Problem::new(code, format!("{field}{below} {}", fault.rule)).at(&below)]
        })
    }
}

/// What `POST /api/v1/skills` asks for, and the mode's name. `apiKeys` is known to the deprecated endpoint only.
pub(super) fn order(body: &Object, knows_api_keys: bool) -> Result<(Order, String), ApiError> {
    let mut fields = Fields::of(body);
    let occupation = fields.required("occupation", &OCCUPATION);
    let cycles = fields.optional("deepening_cycles", &CYCLES).unwrap_or(0);
    // The mode says whether there must be a text, which comes before it in the list of fields.
    let needs_corpus = body.get("mode").and_then(Value::as_str) == Some("corpus");
    let corpus = if needs_corpus {
        Some(fields.required("corpus_text", &CORPUS))
    } else {
        fields.optional("corpus_text", &CORPUS)
    };
    let mode = fields.optional("mode", &MODES);
    let occupation_uri = fields.optional("occupation_uri", &OCCUPATION_URI);
    if knows_api_keys {
        fields.ignored("apiKeys");
    }
    fields.finish()?;
    let mode = mode.unwrap_or_else(|| modes::DEFAULT.to_owned());
    let configuration = modes::find(&mode).ok_or_else(|| unknown_mode(&mode))?.configuration;
    let cycles = u32::try_from(cycles).unwrap_or_default();
    Ok((Order { occupation, occupation_uri, matched: None, cycles, configuration, corpus }, mode))
}

/// A mode that is not there, as input.
pub(super) fn unknown_mode(mode: &str) -> ApiError {
    ApiError::field(Code::InvalidFormat, "mode", format!("mode '{mode}' does not exist"))
}

pub(super) fn update(body: &Object) -> Result<Update, ApiError> {
    let mut fields = Fields::of(body);
    let occupation = fields.optional("occupation", &OCCUPATION);
    let skills = fields.optional("skills", &SKILLS);
    let deepening_cycles = fields.optional("deepening_cycles", &CYCLES).and_then(|cycles| i32::try_from(cycles).ok());
    let is_empty = occupation.is_none() && skills.is_none() && deepening_cycles.is_none();
    if is_empty && fields.is_good() {
        let message = "At least one of occupation, skills, deepening_cycles is required";
        fields.problem("body", Problem::new(Code::RequiredField, message));
    }
    fields.finish()?;
    Ok(Update { occupation, skills, deepening_cycles })
}

pub(super) fn replacement(id: &str, body: &Object) -> Result<Replacement, ApiError> {
    let mut fields = Fields::of(body);
    let skill_id = id.parse::<Uuid>().ok();
    if skill_id.is_none() {
        fields.problem("skill_id", Problem::new(Code::InvalidFormat, "skill_id must be a UUID"));
    }
    let occupation = fields.required("occupation", &OCCUPATION);
    let skills = fields.required("skills", &SKILLS);
    let cycles = fields.optional("deepening_cycles", &CYCLES).unwrap_or(0);
    fields.finish()?;
    Ok(Replacement {
        skill_id: skill_id.unwrap_or_default(),
        occupation,
        skills,
        deepening_cycles: i32::try_from(cycles).unwrap_or_default(),
    })
}

/// The first value of a parameter of the query string, whatever characters it holds.
pub(super) fn query_value(query: &str, name: &str) -> Option<String> {
    let pairs = web::Query::<Vec<(String, String)>>::from_query(query).ok()?.into_inner();
    pairs.into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
}

/// A text of the query string.
pub(super) fn query_text(name: &str, value: Option<String>) -> Result<String, ApiError> {
    let Some(text) = value else {
        return Err(ApiError::field(Code::RequiredField, name, format!("Field '{name}' is required")));
    };
    if text.contains('\0') {
        return Err(ApiError::field(Code::InvalidFormat, name, format!("{name} must not contain U+0000")));
    }
    if text.trim().is_empty() || text.chars().count() > 200 {
        return Err(ApiError::field(Code::InvalidRange, name, format!("{name} must have 1 to 200 characters")));
    }
    Ok(text)
}

/// A whole number of the query string.
pub(super) fn query_number(
    name: &str,
    value: Option<String>,
    range: std::ops::RangeInclusive<usize>,
    default: usize,
) -> Result<usize, ApiError> {
    let Some(text) = value else { return Ok(default) };
    let message = format!("{name} must be an integer between {} and {}", range.start(), range.end());
    let digits = text.strip_prefix('-').unwrap_or(&text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ApiError::field(Code::InvalidType, name, message));
    }
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| ApiError::field(Code::InvalidRange, name, message))
}
