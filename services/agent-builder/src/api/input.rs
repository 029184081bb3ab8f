//! Reading bodies into what the domain works with.

use api_core::{
    error::ApiError,
    input::{Choice, Fields, Integer, JsonObject, List, Object, Problem, Rule, Text, any},
};
use api_types::{
    agents::{AGENT_ID_CHARS_MAX, has_agent_id_form},
    error::Code,
    knowledge::SourceName,
};
use serde_json::{Map, Value};

use super::documents::Document;
use crate::domain::{
    agents::Definition,
    builds::GivenInputs,
    role_model::{self, RoleModel},
};

pub(super) const CYCLES: Integer = Integer(0..=11);
pub(super) const METADATA: JsonObject = JsonObject { bytes_max: 16 << 10 };
pub(super) const ROLE_MODEL: JsonObject = JsonObject { bytes_max: role_model::BYTES_MAX };
const MODES: Choice = Choice(&["balanced", "taxonomy", "essential", "corpus"]);
const SOURCES_MAX: usize = 50;
const DOCUMENTS_MAX: usize = 20;
const CAPABILITIES_MAX: usize = 50;

pub(super) const fn name_rule() -> Text {
    Text::chars(1..=200).trimmed()
}

fn agent_id_rule() -> Text {
    let form = "begin with a letter or digit and consist of letters, digits, '.', '_', ':' and '-'";
    Text::chars(1..=AGENT_ID_CHARS_MAX).of_form(has_agent_id_form, form)
}

pub(super) fn capabilities_rule() -> List<Text> {
    List { each: Text::chars(0..=role_model::BYTES_MAX), max: CAPABILITIES_MAX }
}

/// An agent to be made.
pub(super) fn new_agent(body: &Object) -> Result<(String, Definition), ApiError> {
    let mut fields = Fields::of(body);
    let given = fields.required("role_model", &Given);
    let agent_id = fields.required("agent_id", &agent_id_rule());
    let definition = definition(&mut fields, given);
    fields.finish()?;
    Ok((agent_id, definition))
}

/// A definition for the agent that the path names.
pub(super) fn replacement(agent_id: &str, body: &Object) -> Result<Definition, ApiError> {
    let mut fields = Fields::of(body);
    let given = fields.required("role_model", &Given);
    if let Err(problems) = agent_id_rule().read("agent_id", &Value::from(agent_id)) {
        problems.into_iter().for_each(|problem| fields.problem("agent_id", problem));
    }
    let definition = definition(&mut fields, given);
    fields.finish()?;
    Ok(definition)
}

fn definition(fields: &mut Fields<'_>, given: Option<Map<String, Value>>) -> Definition {
    let role_model = role_model(fields, "role_model", given);
    let inputs = given_inputs(fields).complete();
    let metadata = fields.optional("metadata", &METADATA).unwrap_or_default();
    Definition { role_model, inputs, metadata }
}

/// The inputs of a build, in their order.
fn given_inputs(fields: &mut Fields<'_>) -> GivenInputs {
    GivenInputs {
        deepening_cycles: cycles(fields, "deepening_cycles"),
        mode: fields.optional("mode", &MODES),
        sources: fields.optional("sources", &List { each: Source, max: SOURCES_MAX }).map(without_repeats),
        documents: fields.optional("documents", &List { each: Document, max: DOCUMENTS_MAX }),
    }
}

pub(super) fn cycles(fields: &mut Fields<'_>, name: &'static str) -> Option<i32> {
    fields.optional(name, &CYCLES).and_then(|cycles| i32::try_from(cycles).ok())
}

/// What to build an agent from this time.
pub(super) fn rebuild(body: &Object) -> Result<GivenInputs, ApiError> {
    let mut fields = Fields::of(body);
    let given = given_inputs(&mut fields);
    fields.finish()?;
    Ok(given)
}

/// An agent to be made, as older clients ask for it.
pub(super) fn legacy_build(body: &Object) -> Result<(String, Definition), ApiError> {
    if matches!(body.get("agentId"), None | Some(Value::Null)) || body.get("agentId") == Some(&Value::from("")) {
        return Err(ApiError::field(Code::MissingLegacyField, "agentId", "Missing 'agentId' field"));
    }
    let mut fields = Fields::of(body);
    let agent_id = fields.required("agentId", &agent_id_rule());
    let given = fields.required("roleModel", &Given);
    let role_model = role_model(&mut fields, "roleModel", given);
    let deepening_cycles = cycles(&mut fields, "deepeningCycles");
    fields.ignored("apiKeys");
    fields.finish()?;
    let inputs = GivenInputs { deepening_cycles, ..GivenInputs::default() }.complete();
    Ok((agent_id, Definition { role_model, inputs, metadata: Map::new() }))
}

/// The role model as it was given; `None` when it is none, which is a problem already.
struct Given;

impl Rule for Given {
    type Out = Option<Map<String, Value>>;

    fn read(&self, field: &str, value: &Value) -> Result<Self::Out, Vec<Problem>> {
        ROLE_MODEL.read(field, value).map(Some)
    }
}

/// The role model with its name and occupation checked and trimmed.
fn role_model(fields: &mut Fields<'_>, name: &'static str, given: Option<Map<String, Value>>) -> RoleModel {
    let Some(mut given) = given else { return RoleModel::default() };
    let parts = any(|fields| {
        let texts = [
            ("name", fields.required("name", &name_rule())),
            ("occupation", fields.required("occupation", &name_rule())),
        ];
        fields.optional("capabilities", &capabilities_rule());
        texts
    });
    match parts.read(name, &Value::Object(given.clone())) {
        Ok(texts) => {
            given.extend(texts.map(|(key, text)| (key.to_owned(), Value::from(text))));
        }
        Err(problems) => problems.into_iter().for_each(|problem| fields.problem(name, problem)),
    }
    RoleModel(given)
}

struct Source;

impl Rule for Source {
    type Out = SourceName;

    fn read(&self, field: &str, value: &Value) -> Result<SourceName, Vec<Problem>> {
        const NAMES: [&str; SourceName::ALL.len()] = {
            let mut names = [""; SourceName::ALL.len()];
            let mut index = 0;
            while index < names.len() {
                names[index] = SourceName::ALL[index].as_str();
                index += 1;
            }
            names
        };
        let name = Choice(&NAMES).read(field, value)?;
        // One of the names is a source's.
        SourceName::parse(&name).ok_or_else(Vec::new)
    }
}

fn without_repeats(mut sources: Vec<SourceName>) -> Vec<SourceName> {
    sources.sort_unstable();
    sources.dedup();
    sources
}
