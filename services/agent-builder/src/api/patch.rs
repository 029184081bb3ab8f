//! Reading changes of an agent.

use api_core::{
    error::ApiError,
    input::{Fields, Object, Problem, Rule, Values},
};
use api_types::{
    error::Code,
    knowledge::{ITEMS_MAX, ItemFault, expand_records, parse_items},
    skills::{Fault, FaultKind, Skill, written},
};
use chrono::Utc;
use serde_json::{Map, Value};

use super::input::{METADATA, ROLE_MODEL, capabilities_rule, cycles, name_rule};
use crate::domain::agents::{Change, subject};

const LIST: Values = Values { max: ITEMS_MAX };
const KEYS: [&str; 5] = ["role_model", "deepening_cycles", "generated_skills", "generated_knowledge", "metadata"];

/// What to change of an agent.
pub(super) fn change(body: &Object) -> Result<Change, ApiError> {
    let mut fields = Fields::of(body);
    if KEYS.iter().all(|key| body.get(*key).is_none_or(Value::is_null)) {
        fields.problem("body", Problem::new(Code::RequiredField, "Field 'body' is required"));
        let refused =
            fields.finish().err().map(|error| error.suggest(format!("Give at least one of {}", KEYS.join(", "))));
        return refused.map_or_else(|| Ok(Change::default()), Err);
    }
    let role_model = fields.optional("role_model", &RoleModelChange);
    let deepening_cycles = cycles(&mut fields, "deepening_cycles");
    let skills = fields.optional("generated_skills", &Skills);
    let knowledge = fields.optional("generated_knowledge", &Knowledge);
    let metadata = fields.optional("metadata", &METADATA);
    fields.finish()?;
    Ok(Change { role_model, deepening_cycles, skills, knowledge, metadata })
}

/// Keys to merge. What they say of name, occupation and capabilities must be valid by itself: the agent's own are.
struct RoleModelChange;

impl Rule for RoleModelChange {
    type Out = Map<String, Value>;

    fn read(&self, field: &str, value: &Value) -> Result<Self::Out, Vec<Problem>> {
        let mut change = ROLE_MODEL.read(field, value)?;
        let mut problems = Vec::new();
        for key in ["name", "occupation"] {
            let Some(value) = change.get(key) else { continue };
            let name = format!("{field}.{key}");
            if value.is_null() {
                let problem = Problem::new(Code::RequiredField, format!("Field '{name}' is required"));
                problems.push(problem.at(&format!(".{key}")));
                continue;
            }
            match name_rule().read(&name, value) {
                Ok(text) => drop(change.insert(key.to_owned(), Value::from(text))),
                Err(found) => problems.extend(found.into_iter().map(|problem| problem.at(&format!(".{key}")))),
            }
        }
        if let Some(value) = change.get("capabilities").filter(|value| !value.is_null())
            && let Err(found) = capabilities_rule().read(&format!("{field}.capabilities"), value)
        {
            problems.extend(found.into_iter().map(|problem| problem.at(".capabilities")));
        }
        if problems.is_empty() { Ok(change) } else { Err(problems) }
    }
}

/// Skills, or a skill set whose skills are taken.
struct Skills;

impl Rule for Skills {
    type Out = Vec<Skill>;

    fn read(&self, field: &str, value: &Value) -> Result<Vec<Skill>, Vec<Problem>> {
        let (part, list) = match value.get("skills").filter(|_| value.is_object()) {
            Some(list) => (".skills", list),
            None => ("", value),
        };
        let values = LIST.read(&format!("{field}{part}"), list).map_err(|found| at(part, found))?;
        let mut skills = Vec::with_capacity(values.len());
        let mut problems = Vec::new();
        for (index, value) in values.iter().enumerate() {
            let place = format!("{part}[{index}]");
            match written(value) {
                Ok(skill) => skills.push(skill),
                Err(fault) => problems.push(skill_problem(field, &place, &fault)),
            }
        }
        if problems.is_empty() { Ok(skills) } else { Err(problems) }
    }
}

fn at(part: &str, problems: Vec<Problem>) -> Vec<Problem> {
    problems.into_iter().map(|problem| problem.at(part)).collect()
}

fn skill_problem(field: &str, place: &str, fault: &Fault) -> Problem {
    let code = match fault.kind {
        FaultKind::Type => Code::InvalidType,
        FaultKind::Range => Code::InvalidRange,
        FaultKind::Format => Code::InvalidFormat,
    };
    let place = fault.key.map_or_else(|| place.to_owned(), |key| format!("{place}.{key}"));
    Problem::new(code, format!("{field}{place} {}", fault.rule)).at(&place)
}

/// Items, or knowledge records whose items are taken; each with its place.
struct Knowledge;

impl Rule for Knowledge {
    type Out = Vec<(String, Value)>;

    fn read(&self, field: &str, value: &Value) -> Result<Self::Out, Vec<Problem>> {
        let values = LIST.read(field, value)?;
        let entries = expand_records(&values);
        if entries.len() > ITEMS_MAX {
            let message = format!("{field} must have at most {ITEMS_MAX} items");
            return Err(vec![Problem::new(Code::InvalidRange, message)]);
        }
        // Read for their faults; whom they are about is known when the agent is.
        match parse_items(&entries, &subject("nobody"), Utc::now()) {
            Ok(_) => Ok(entries.into_iter().map(|(place, value)| (place, value.clone())).collect()),
            Err(problems) => Err(problems
                .into_iter()
                .map(|problem| {
                    let code = match problem.fault {
                        ItemFault::Type => Code::InvalidType,
                        ItemFault::Range => Code::InvalidRange,
                        ItemFault::Format => Code::InvalidFormat,
                    };
                    Problem::new(code, format!("{field}{} {}", problem.field, problem.message)).at(&problem.field)
                })
                .collect()),
        }
    }
}
