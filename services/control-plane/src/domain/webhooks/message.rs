//! What receivers get: bodies, headers and signatures. The bytes that are signed are the bytes that are sent.

use api_core::secret::Secret;
use api_types::{
    events::{ains_id, mesh_id},
    kinds::family_of,
    time,
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD},
};
use chrono::{DateTime, SecondsFormat, Utc};
use ring::hmac;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::Door;

/// The service whose events of agents are the AINS door's.
pub(crate) const AINS_SERVICE: &str = "task-router";
/// Under which name an event's payload carries what the Caxton door tells its receivers.
pub(crate) const CAXTON_KEY: &str = "caxton";
/// What readers of the native door are not shown of a payload: results and messages.
const PRIVATE: &[&str] = &["result_data", "error_message", CAXTON_KEY];

const CAXTON_AGENT: &str = concat!("caxton/", env!("CARGO_PKG_VERSION"));
/// How a secret says that it is written in base64 (Standard Webhooks).
const ENCODED: &str = "whsec_";

/// What an event of the AINS door tells, by family.
const AINS_DATA: &[(&str, &[&str])] = &[
    (
        "task",
        &[
            "task_id",
            "client_id",
            "task_type",
            "agent_id",
            "status",
            "priority",
            "attempt",
            "retry_count",
            "chain_id",
            "execution_time_seconds",
            "result_data",
            "error_message",
        ],
    ),
    ("agent", &["agent_id", "display_name", "status", "tags", "trust_score"]),
    ("chain", &["chain_id", "client_id", "name", "status", "current_step", "total_steps", "error_message"]),
];

/// An event that is delivered.
#[derive(Debug, Clone)]
pub(crate) struct Happened {
    pub(crate) id: Uuid,
    pub(crate) kind: String,
    pub(crate) at: DateTime<Utc>,
    pub(crate) payload: Value,
}

/// How a receiver knows that it is us.
#[derive(Debug, Clone)]
pub(crate) enum Credential {
    None,
    Hmac(Secret),
    Bearer(Secret),
    Basic { username: Secret, password: Secret },
}

/// The receiver.
#[derive(Debug, Clone)]
pub(crate) struct Hook {
    pub(crate) id: String,
    pub(crate) door: Door,
    pub(crate) url: String,
    pub(crate) credential: Credential,
}

/// A request, ready to be sent.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
}

/// The attempt number `attempt` (from 1) of delivery `delivery` at time `now`.
pub(crate) fn message(hook: &Hook, event: &Happened, delivery: &str, attempt: i16, now: DateTime<Utc>) -> Message {
    let event_id = event_id(hook.door, event.id);
    let mut headers = Vec::with_capacity(8);
    let body = match hook.door {
        Door::Ains | Door::Mesh => {
            headers.push(("x-webhook-id", hook.id.clone()));
            headers.push(("x-webhook-event", event.kind.clone()));
            headers.push(("x-webhook-delivery", delivery.to_owned()));
            let mut body = json!({
                "event": event.kind,
                "event_id": event_id,
                "webhook_id": hook.id,
                "timestamp": time::format(event.at),
                "data": data(hook.door, event),
                "delivery_attempt": attempt,
            })
            .to_string();
            if let Credential::Hmac(secret) = &hook.credential {
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
                let inner = hex::encode(hmac::sign(&key, body.as_bytes()));
                // The last member, in place of the closing brace.
                body.truncate(body.len() - 1);
                body.push_str(",\"signature\":\"");
                body.push_str(&inner);
                body.push_str("\"}");
                headers.push(("x-webhook-signature", hex::encode(hmac::sign(&key, body.as_bytes()))));
            }
            body
        }
        Door::Caxton => {
            headers.push(("user-agent", CAXTON_AGENT.to_owned()));
            let timestamp = event.at.to_rfc3339_opts(SecondsFormat::Secs, true);
            let data = data(hook.door, event);
            json!({"id": event_id, "type": event.kind, "timestamp": timestamp, "data": data}).to_string()
        }
    };
    match &hook.credential {
        Credential::None => {}
        Credential::Hmac(secret) => {
            headers.push(("webhook-signature", standard_signature(secret, &event_id, now, &body)));
        }
        Credential::Bearer(token) => headers.push(("authorization", format!("Bearer {}", token.expose()))),
        Credential::Basic { username, password } => {
            let pair = STANDARD.encode(format!("{}:{}", username.expose(), password.expose()));
            headers.push(("authorization", format!("Basic {pair}")));
        }
    }
    headers.push(("webhook-id", event_id));
    headers.push(("webhook-timestamp", now.timestamp().to_string()));
    Message { headers, body }
}

/// An event's id as the door's receivers know it. It is the message's id, too: the same at every attempt.
pub(crate) fn event_id(door: Door, id: Uuid) -> String {
    match door {
        Door::Ains => ains_id(id),
        Door::Mesh => mesh_id(id),
        Door::Caxton => format!("evt-{}", id.simple()),
    }
}

/// What the door tells of an event.
fn data(door: Door, event: &Happened) -> Value {
    match door {
        Door::Ains => {
            let family = family_of(&event.kind);
            let names = AINS_DATA.iter().find(|(name, _)| *name == family).map_or(&[][..], |(_, names)| names);
            let members = names.iter().map(|name| {
                let value = event.payload.get(*name).cloned().unwrap_or(Value::Null);
                ((*name).to_owned(), value)
            });
            Value::Object(members.collect())
        }
        Door::Mesh => match &event.payload {
            Value::Object(payload) => {
                let shown = payload.iter().filter(|(name, _)| !PRIVATE.contains(&name.as_str()));
                Value::Object(shown.map(|(name, value)| (name.clone(), value.clone())).collect::<Map<_, _>>())
            }
            other => other.clone(),
        },
        Door::Caxton => {
            event.payload.get(CAXTON_KEY).and_then(|notice| notice.get("data")).cloned().unwrap_or(Value::Null)
        }
    }
}

/// `v1,` and the HMAC-SHA256 in base64 of id, time and body (Standard Webhooks).
fn standard_signature(secret: &Secret, id: &str, now: DateTime<Utc>, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &standard_key(secret));
    let mut context = hmac::Context::with_key(&key);
    for part in [id, ".", &now.timestamp().to_string(), ".", body] {
        context.update(part.as_bytes());
    }
    format!("v1,{}", STANDARD.encode(context.sign()))
}

/// The secret's bytes; after the prefix, the content of its base64 where it is any.
fn standard_key(secret: &Secret) -> Vec<u8> {
    let text = secret.expose();
    let encoded = text.strip_prefix(ENCODED).map(|rest| rest.trim_end_matches('='));
    let decoded = encoded.and_then(|encoded| STANDARD_NO_PAD.decode(encoded).ok());
    decoded.unwrap_or_else(|| text.as_bytes().to_vec())
}

/// A secret that nobody can guess, in the form of Standard Webhooks.
pub(crate) fn new_secret() -> Secret {
    Secret::new(format!("{ENCODED}{}", STANDARD.encode(rand::random::<[u8; 32]>())))
}

/// A delivery's id: 16 hex digits of time and 16 of its number, so that ids are ordered as deliveries are.
pub(crate) fn delivery_id(created_ms: i64, id: i64) -> String {
    format!("dlv_{created_ms:016x}{id:016x}")
}

/// The number in a delivery's id; `None` for what is no such id.
pub(crate) fn delivery_number(id: &str) -> Option<i64> {
    let digits = id.strip_prefix("dlv_").filter(|digits| digits.len() == 32)?;
    let is_lower_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    digits.bytes().all(is_lower_hex).then(|| i64::from_str_radix(digits.get(16..)?, 16).ok())?
}

#[cfg(test)]
mod tests;
