//! Bodies of webhooks, field by field.

use std::collections::HashSet;

use api_core::{
    error::ApiError,
    input::{Boolean, Fields, Integer, Object, Problem, Rule, Text},
    secret::Secret,
};
use api_types::{error::Code, kinds};
use egress::{Policy, Refusal};
use serde_json::Value;

use crate::domain::webhooks::{
    message::{Credential, new_secret},
    subscribing::Change,
};

const SECRET: Text = Text::chars(8..=256);
const DESCRIPTION: Text = Text::chars(0..=4000);
const AGENT_ID: Text = Text::chars(1..=128);
const CLIENT_ID: Text = Text::chars(1..=64);
/// What the server sets, and what may come back from an answer.
const SERVERS: &[&str] = &["id", "created_by", "created_at", "updated_at", "disabled_at"];

/// An address that may be called, as far as its text shows.
struct Address<'a> {
    policy: &'a Policy,
    chars_max: usize,
    /// Whether plain `http` will do.
    is_http_allowed: bool,
}

impl Rule for Address<'_> {
    type Out = String;

    fn read(&self, field: &str, value: &Value) -> Result<String, Vec<Problem>> {
        let text = Text::chars(1..=self.chars_max).read(field, value)?;
        let problem = match self.policy.check_url(&text) {
            Ok(url) if url.scheme() == "https" || self.is_http_allowed => return Ok(text),
            Ok(_) => "must be an https URL",
            Err(Refusal::InvalidUrl | Refusal::Scheme) => "must be an absolute http or https URL",
            Err(Refusal::UserInfo) => "must not have a user part",
            Err(Refusal::Address) => "must not point to an address that is not allowed",
        };
        Err(vec![Problem::new(Code::InvalidFormat, format!("{field} {problem}"))])
    }
}

/// Names of events to hear of.
struct Events {
    is_known: fn(&str) -> bool,
    max: usize,
    /// Whether naming one twice is an error; else it counts once.
    no_repeats: bool,
}

impl Rule for Events {
    type Out = Vec<String>;

    fn read(&self, field: &str, value: &Value) -> Result<Vec<String>, Vec<Problem>> {
        let Value::Array(values) = value else {
            return Err(vec![Problem::new(Code::InvalidType, format!("{field} must be a list"))]);
        };
        if values.is_empty() || values.len() > self.max {
            let message = format!("{field} must have 1 to {} entries", self.max);
            return Err(vec![Problem::new(Code::InvalidRange, message)]);
        }
        let (mut events, mut seen, mut problems) = (Vec::with_capacity(values.len()), HashSet::new(), Vec::new());
        for (index, value) in values.iter().enumerate() {
            let problem = match value {
                Value::String(text) if !(self.is_known)(text) => (Code::InvalidFormat, "is no known event"),
                Value::String(text) if seen.insert(text.as_str()) => {
                    events.push(text.clone());
                    continue;
                }
                Value::String(_) if self.no_repeats => (Code::InvalidFormat, "is there twice"),
                Value::String(_) => continue,
                _ => (Code::InvalidType, "must be a text"),
            };
            let part = format!("[{index}]");
            problems.push(Problem::new(problem.0, format!("{field}{part} {}", problem.1)).at(&part));
        }
        if problems.is_empty() { Ok(events) } else { Err(problems) }
    }
}

const MESH_EVENTS: Events = Events { is_known: kinds::is_pattern, max: 50, no_repeats: false };
const AINS_EVENTS: Events = Events { is_known: |text| kinds::AINS.contains(&text), max: 14, no_repeats: true };

fn mesh_address(policy: &Policy) -> Address<'_> {
    Address { policy, chars_max: 2048, is_http_allowed: true }
}

fn ains_address(policy: &Policy, is_production: bool) -> Address<'_> {
    Address { policy, chars_max: 512, is_http_allowed: !is_production }
}

/// A webhook of the native door to be made.
pub(super) struct NewMesh {
    pub(super) url: String,
    pub(super) events: Vec<String>,
    pub(super) secret: Secret,
    pub(super) description: Option<String>,
    pub(super) active: bool,
}

/// Reads a webhook of the native door to be made; its secret is made up when it brings none.
pub(super) fn new_mesh(body: &Object, policy: &Policy) -> Result<NewMesh, ApiError> {
    let mut fields = Fields::of(body);
    let read = NewMesh {
        url: fields.required("url", &mesh_address(policy)),
        events: fields.required("events", &MESH_EVENTS),
        secret: fields.optional("secret", &SECRET).map_or_else(new_secret, Secret::new),
        description: fields.optional("description", &DESCRIPTION),
        active: fields.optional("active", &Boolean).unwrap_or(true),
    };
    ignore_servers(&mut fields);
    fields.raw("revision");
    fields.finish()?;
    Ok(read)
}

/// Reads a change of a webhook of the native door: what is absent stays, null is the default again.
pub(super) fn mesh_change(body: &Object, policy: &Policy) -> Result<Change, ApiError> {
    let mut fields = Fields::of(body);
    // What has no default that could be shown cannot be set back to it.
    for name in ["url", "events", "secret"] {
        if fields.raw(name).is_some_and(Value::is_null) {
            fields.problem(name, Problem::new(Code::RequiredField, format!("Field '{name}' is required")));
        }
    }
    let is_null = |name: &str| body.get(name).is_some_and(Value::is_null);
    let change = Change {
        url: fields.optional("url", &mesh_address(policy)),
        events: fields.optional("events", &MESH_EVENTS),
        credential: fields.optional("secret", &SECRET).map(|secret| Credential::Hmac(Secret::new(secret))),
        description: fields
            .optional("description", &DESCRIPTION)
            .map(Some)
            .or_else(|| is_null("description").then_some(None)),
        active: fields.optional("active", &Boolean).or_else(|| is_null("active").then_some(true)),
        revision: fields.optional("revision", &Integer(1..=i64::MAX)),
        sees_audited: false,
    };
    ignore_servers(&mut fields);
    fields.finish()?;
    Ok(change)
}

fn ignore_servers(fields: &mut Fields<'_>) {
    for name in SERVERS {
        fields.raw(name);
    }
}

/// Whose events a webhook of the AINS door gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Subject {
    Agent(String),
    Client(String),
}

/// A webhook of the AINS door to be made.
#[derive(Debug)]
pub(super) struct NewAins {
    pub(super) subject: Subject,
    pub(super) url: String,
    pub(super) events: Vec<String>,
    pub(super) credential: Credential,
    pub(super) active: bool,
}

/// Reads a webhook of the AINS door to be made.
pub(super) fn new_ains(body: &Object, policy: &Policy, is_production: bool) -> Result<NewAins, ApiError> {
    let mut fields = Fields::of(body);
    let agent_id = fields.optional("agent_id", &AGENT_ID);
    let client_id = fields.optional("client_id", &CLIENT_ID);
    if fields.is_good() {
        match (&agent_id, &client_id) {
            (None, None) => {
                let message = "Either agent_id or client_id is required";
                fields.problem("agent_id", Problem::new(Code::RequiredField, message));
            }
            (Some(_), Some(_)) => {
                let message = "agent_id and client_id cannot stand together";
                fields.problem("client_id", Problem::new(Code::InvalidFormat, message));
            }
            _ => {}
        }
    }
    let url = fields.required("url", &ains_address(policy, is_production));
    let events = fields.required("events", &AINS_EVENTS);
    let secret = fields.optional("secret", &SECRET);
    let active = fields.optional("active", &Boolean).unwrap_or(true);
    fields.finish()?;
    let subject = agent_id.map_or_else(|| Subject::Client(client_id.unwrap_or_default()), Subject::Agent);
    let credential = secret.map_or(Credential::None, |secret| Credential::Hmac(Secret::new(secret)));
    Ok(NewAins { subject, url, events, credential, active })
}

/// Reads a change of a webhook of the AINS door, which must change something; a secret that is null is taken away.
pub(super) fn ains_change(body: &Object, policy: &Policy, is_production: bool) -> Result<Change, ApiError> {
    let mut fields = Fields::of(body);
    let takes_secret_away = fields.raw("secret").is_some_and(Value::is_null);
    let change = Change {
        url: fields.optional("url", &ains_address(policy, is_production)),
        events: fields.optional("events", &AINS_EVENTS),
        credential: fields
            .optional("secret", &SECRET)
            .map(|secret| Credential::Hmac(Secret::new(secret)))
            .or_else(|| takes_secret_away.then_some(Credential::None)),
        active: fields.optional("active", &Boolean),
        ..Change::default()
    };
    let is_empty =
        change.url.is_none() && change.events.is_none() && change.credential.is_none() && change.active.is_none();
    if is_empty && fields.is_good() {
        let message = "Nothing to change: url, events, secret or active is required";
        fields.problem("body", Problem::new(Code::RequiredField, message));
    }
    fields.finish()?;
    Ok(change)
}

/// An address that the Caxton door has read; only the guard's part is left to check.
pub(super) fn caxton_url(url: String, policy: &Policy) -> Result<String, ApiError> {
    match mesh_address(policy).read("url", &Value::String(url)) {
        Ok(url) => Ok(url),
        Err(problems) => {
            let message = problems.into_iter().next().map(|problem| problem.message).unwrap_or_default();
            Err(ApiError::field(Code::InvalidFormat, "url", message))
        }
    }
}

#[cfg(test)]
mod tests;
