//! One agent of the file.

use api_types::{
    agents::{AGENT_ID_CHARS_MAX, AgentStatus, Build, BuildError, BuildStatus, has_agent_id_form},
    error::Code,
    knowledge::{KnowledgeItem, parse_items},
    skills::{Skill, written},
    time,
};
use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::domain::{agents::subject, role_model::RoleModel};

/// Numbers of a vector, as the database stores them.
const DIMENSIONS: usize = 384;

/// What a file says of an agent; what it does not say is `None`.
#[derive(Debug)]
pub(crate) struct Given {
    pub(crate) agent_id: String,
    pub(crate) role_model: Option<RoleModel>,
    /// Never pending: what builds such an agent is not part of a backup.
    pub(crate) status: Option<AgentStatus>,
    pub(crate) deepening_cycles: Option<i32>,
    pub(crate) mode: Option<String>,
    pub(crate) metadata: Option<Value>,
    /// Null takes the match away.
    pub(crate) occupation_match: Option<Value>,
    pub(crate) sources: Option<Value>,
    pub(crate) capabilities: Option<Vec<String>>,
    pub(crate) skills: Option<Vec<Skill>>,
    pub(crate) items: Option<Vec<KnowledgeItem>>,
    pub(crate) build: Option<Build>,
    pub(crate) created_by: Option<String>,
    pub(crate) created_at: Option<DateTime<Utc>>,
    pub(crate) updated_at: Option<DateTime<Utc>>,
    pub(crate) completed_at: Option<DateTime<Utc>>,
}

/// Reads one agent.
///
/// # Errors
/// The text goes after the agent's place, as in `.role_model.name must be a text`.
pub(super) fn agent(value: Value) -> Result<Given, String> {
    let Value::Object(mut object) = value else { return Err(" is not an object".to_owned()) };
    if object.iter().any(|(key, value)| key.contains('\0') || holds_nul(value)) {
        return Err(" holds the character U+0000".to_owned());
    }
    let agent_id: String = taken(&mut object, "agent_id")?.ok_or(".agent_id is missing")?;
    if agent_id.len() > AGENT_ID_CHARS_MAX || !has_agent_id_form(&agent_id) {
        return Err(".agent_id is not an id".to_owned());
    }
    let role_model = role_model(&mut object)?;
    let name = role_model.as_ref().map_or(agent_id.as_str(), RoleModel::name).to_owned();
    Ok(Given {
        agent_id,
        role_model,
        status: taken(&mut object, "status")?.map(settled),
        deepening_cycles: cycles(&mut object)?,
        mode: taken(&mut object, "mode")?,
        metadata: of_kind(&mut object, "metadata", Value::is_object, "an object")?,
        occupation_match: of_kind(&mut object, "occupation_match", |v| v.is_object() || v.is_null(), "an object")?,
        sources: of_kind(&mut object, "sources", Value::is_array, "a list")?,
        capabilities: taken(&mut object, "capabilities")?,
        skills: list(&mut object, "generated_skills", skill)?,
        items: list(&mut object, "generated_knowledge", |value| item(value, &name))?,
        build: build(&mut object)?,
        created_by: taken(&mut object, "created_by")?,
        created_at: point_in_time(&mut object, "created_at")?,
        updated_at: point_in_time(&mut object, "updated_at")?,
        completed_at: point_in_time(&mut object, "completed_at")?,
    })
}

/// Nothing goes on building a restored agent.
fn settled(status: AgentStatus) -> AgentStatus {
    if status == AgentStatus::Pending { AgentStatus::Failed } else { status }
}

fn cycles(object: &mut Map<String, Value>) -> Result<Option<i32>, String> {
    match taken::<i32>(object, "deepening_cycles")? {
        Some(cycles) if !(0..=11).contains(&cycles) => Err(".deepening_cycles must be between 0 and 11".to_owned()),
        cycles => Ok(cycles),
    }
}

fn role_model(object: &mut Map<String, Value>) -> Result<Option<RoleModel>, String> {
    let Some(given) = taken::<Map<String, Value>>(object, "role_model")? else { return Ok(None) };
    let is_name = |value: &Value| value.as_str().is_some_and(|text| (1..=200).contains(&text.trim().chars().count()));
    if !given.get("name").is_some_and(is_name) {
        return Err(".role_model.name must be a text of 1 to 200 characters".to_owned());
    }
    // Agents that were made through other doors have no occupation.
    if given.get("occupation").is_some_and(|value| !value.is_null() && !is_name(value)) {
        return Err(".role_model.occupation must be a text of 1 to 200 characters".to_owned());
    }
    let model = RoleModel(given);
    if model.is_too_large() { Err(".role_model is too large".to_owned()) } else { Ok(Some(model)) }
}

fn build(object: &mut Map<String, Value>) -> Result<Option<Build>, String> {
    let Some(mut build) = taken::<Build>(object, "build")? else { return Ok(None) };
    if build.status.is_open() {
        build.status = BuildStatus::Failed;
        build.error = Some(BuildError {
            code: Code::InternalError.as_str().to_owned(),
            message: "The build was running when the backup was made".to_owned(),
        });
    }
    build.progress = build.progress.clamp(0, 100);
    Ok(Some(build))
}

fn skill(mut value: Value) -> Result<Skill, String> {
    let vector = vector(&mut value)?;
    let model = value.get("embedding_model").and_then(Value::as_str).map(str::to_owned);
    let mut skill = match serde_json::from_value::<Skill>(value.clone()) {
        Ok(skill) => skill,
        Err(_) => written(&value).map_err(|fault| {
            let key = fault.key.map(|key| format!(".{key}")).unwrap_or_default();
            format!("{key} {}", fault.rule)
        })?,
    };
    skill.embedding_model = vector.is_some().then_some(model).flatten();
    skill.embedding = vector;
    Ok(skill)
}

fn item(mut value: Value, name: &str) -> Result<KnowledgeItem, String> {
    let vector = vector(&mut value)?;
    let model = value.get("embedding_model").and_then(Value::as_str).map(str::to_owned);
    let mut item = match serde_json::from_value::<KnowledgeItem>(value.clone()) {
        Ok(item) => item,
        Err(_) => {
            let entries = [(String::new(), &value)];
            let parsed = parse_items(&entries, &subject(name), Utc::now());
            let mut items = parsed.map_err(|problems| {
                problems.first().map(|problem| format!("{} {}", problem.field, problem.message)).unwrap_or_default()
            })?;
            items.pop().ok_or(" is not an item")?
        }
    };
    item.embedding_model = vector.is_some().then_some(model).flatten();
    item.embedding = vector;
    Ok(item)
}

/// Takes the vector out; it is far too long to be read twice.
fn vector(value: &mut Value) -> Result<Option<Vec<f32>>, String> {
    let taken = value.as_object_mut().and_then(|object| object.remove("embedding"));
    let Some(taken) = taken.filter(|value| !value.is_null()) else { return Ok(None) };
    let vector: Vec<f32> = serde_json::from_value(taken).map_err(|error| format!(".embedding: {error}"))?;
    let is_good = vector.len() == DIMENSIONS && vector.iter().all(|number| number.is_finite());
    if is_good { Ok(Some(vector)) } else { Err(format!(".embedding must be {DIMENSIONS} numbers")) }
}

fn list<T>(
    object: &mut Map<String, Value>,
    key: &str,
    read: impl Fn(Value) -> Result<T, String>,
) -> Result<Option<Vec<T>>, String> {
    let Some(values) = taken::<Vec<Value>>(object, key)? else { return Ok(None) };
    let entries = values.into_iter().enumerate();
    let read = entries.map(|(index, value)| read(value).map_err(|fault| format!(".{key}[{index}]{fault}")));
    read.collect::<Result<_, _>>().map(Some)
}

/// The value of a field; null is as good as absent.
fn taken<T: DeserializeOwned>(object: &mut Map<String, Value>, key: &str) -> Result<Option<T>, String> {
    let Some(value) = object.remove(key).filter(|value| !value.is_null()) else { return Ok(None) };
    serde_json::from_value(value).map(Some).map_err(|error| format!(".{key}: {error}"))
}

fn of_kind(
    object: &mut Map<String, Value>,
    key: &str,
    is_right: fn(&Value) -> bool,
    what: &str,
) -> Result<Option<Value>, String> {
    match object.remove(key) {
        Some(value) if !is_right(&value) => Err(format!(".{key} must be {what}")),
        value => Ok(value),
    }
}

fn point_in_time(object: &mut Map<String, Value>, key: &str) -> Result<Option<DateTime<Utc>>, String> {
    let Some(text) = taken::<String>(object, key)? else { return Ok(None) };
    time::parse(&text).map(Some).ok_or_else(|| format!(".{key} is not an RFC 3339 time"))
}

// Recursion is bounded: serde_json stops at 128 levels.
fn holds_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(values) => values.iter().any(holds_nul),
        Value::Object(object) => object.iter().any(|(key, value)| key.contains('\0') || holds_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use api_types::agents::{AgentStatus, BuildStatus};
    use serde_json::{Value, json};

    use super::agent;

    fn fault(value: Value) -> String {
        agent(value).unwrap_err()
    }

    #[test]
    fn what_is_not_said_is_left_alone() {
        let given = agent(json!({"agent_id": "a", "status": null, "unknown": 1})).unwrap();
        assert!(
            given.role_model.is_none() && given.status.is_none() && given.skills.is_none() && given.build.is_none()
        );
    }

    #[test]
    fn nothing_comes_back_unfinished() {
        let build = json!({"build_id": uuid::Uuid::nil(), "status": "running", "stage": "match", "progress": 10,
            "attempts": 1, "started_at": null, "finished_at": null, "error": null});
        let given = agent(json!({"agent_id": "a", "status": "pending", "build": build})).unwrap();
        assert_eq!(given.status, Some(AgentStatus::Failed));
        assert_eq!(given.build.unwrap().status, BuildStatus::Failed);
    }

    #[test]
    fn skills_and_items_may_be_in_short() {
        let given =
            agent(json!({"agent_id": "a", "generated_skills": ["Juggling"], "generated_knowledge": ["Balls fall."]}));
        let given = given.unwrap();
        assert_eq!(given.skills.unwrap()[0].name, "Juggling");
        assert_eq!(given.items.unwrap()[0].text, "Balls fall.");
    }

    #[test]
    fn faults_are_named_by_their_place() {
        for (value, expected) in [
            (json!({}), ".agent_id is missing"),
            (json!({"agent_id": "../x"}), ".agent_id is not an id"),
            (json!({"agent_id": "a", "metadata": 1}), ".metadata must be an object"),
            (json!({"agent_id": "a", "role_model": {}}), ".role_model.name"),
            (json!({"agent_id": "a", "role_model": {"name": "A", "occupation": 1}}), ".role_model.occupation"),
            (json!({"agent_id": "a", "status": "asleep"}), ".status"),
            (json!({"agent_id": "a", "deepening_cycles": 12}), ".deepening_cycles"),
            (json!({"agent_id": "a", "created_at": "yesterday"}), ".created_at"),
            (json!({"agent_id": "a", "mode": "\0"}), "U+0000"),
            (json!({"agent_id": "a", "generated_skills": ["ok", 1]}), ".generated_skills[1]"),
            (
                json!({"agent_id": "a", "generated_skills": [{"name": "x", "embedding": [1]}]}),
                "[0].embedding must be 384",
            ),
            (json!({"agent_id": "a", "generated_knowledge": [{}]}), ".generated_knowledge[0]"),
        ] {
            let found = fault(value);
            assert!(found.contains(expected), "{found}");
        }
    }
}
