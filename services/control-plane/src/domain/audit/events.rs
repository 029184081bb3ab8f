//! Which events are written down, and as what.
//!
//! The rule: an event is a row when somebody changed something, or tried to. It is none when it tells how work goes on that
//! somebody ordered, or that something was used ([`PROGRESS`]): the order and the request are written down already; and when a
//! client reports it, since that says what the client says. Kinds that nobody thought of here are rows.

use serde_json::{Map, Value};

use super::Entry;
use crate::domain::{events::log::EXTERNAL, intake::StoredEvent};

/// Last words of kinds that tell how work goes on, or that something was used.
const PROGRESS: &[&str] = &[
    "assigned",
    "started",
    "completed",
    "complete",
    "failed",
    "timeout",
    "retry",
    "ready",
    "delivered",
    "response",
    "triggered",
    "executed",
    "interacted",
];

/// A kind of event with a row of its own form.
struct Known {
    kind: &'static str,
    event_type: &'static str,
    action: &'static str,
    /// What of the payload is kept. The first is the id of what was changed.
    details: &'static [&'static str],
    success: bool,
}

const fn known(
    kind: &'static str,
    event_type: &'static str,
    action: &'static str,
    details: &'static [&'static str],
) -> Known {
    Known { kind, event_type, action, details, success: true }
}

/// The AINS contract, section 8, and those whose names do not follow from the kind.
const KNOWN: &[Known] = &[
    known("key.created", "api_key_created", "create_api_key", &["key_id"]),
    known("key.updated", "api_key_updated", "update_api_key", &["key_id"]),
    known("key.rotated", "api_key_rotated", "rotate_api_key", &["key_id"]),
    known("key.revoked", "api_key_revoked", "revoke_api_key", &["key_id"]),
    known("trust.adjusted", "trust_adjusted", "adjust_trust", &["agent_id", "delta", "reason"]),
    known("agent.trust_adjusted", "trust_adjusted", "adjust_trust", &["agent_id", "delta", "reason"]),
    known("task.cancelled", "task_cancelled", "cancel_task", &["task_id", "reason"]),
    known("user.login", "user_login", "login_user", &["user_id"]),
    Known { success: false, ..known("user.login_failed", "user_login", "login_user", &["user_id"]) },
    known("user.logout", "user_logout", "logout_user", &["user_id"]),
];

/// What was done, by the word that says that it was.
const VERBS: &[(&str, &str)] = &[
    ("added", "add"),
    ("archived", "archive"),
    ("cancelled", "cancel"),
    ("cleared", "clear"),
    ("created", "create"),
    ("deactivated", "deactivate"),
    ("decided", "decide"),
    ("deleted", "delete"),
    ("deployed", "deploy"),
    ("exported", "export"),
    ("generated", "generate"),
    ("imported", "import"),
    ("instantiated", "instantiate"),
    ("registered", "register"),
    ("removed", "remove"),
    ("requested", "request"),
    ("resolved", "resolve"),
    ("restarted", "restart"),
    ("revoked", "revoke"),
    ("rotated", "rotate"),
    ("synced", "sync"),
    ("tested", "test"),
    ("undeployed", "undeploy"),
    ("updated", "update"),
];

/// `workflow.execution_cancelled` is `cancel_workflow_execution`, `agent.deleted` is `delete_agent`; a kind without a word that
/// is known here keeps its words.
fn action(family: &str, what: &str) -> String {
    let (of, last) = what.rsplit_once('_').unwrap_or(("", what));
    match VERBS.iter().find(|(past, _)| *past == last) {
        Some((_, present)) if of.is_empty() => format!("{present}_{family}"),
        Some((_, present)) => format!("{present}_{family}_{of}"),
        None => format!("{what}_{family}"),
    }
}

/// The row that an event is, if it is one; `client_id` is that of the actor.
pub(crate) fn of_event(event: &StoredEvent, client_id: Option<String>) -> Option<Entry> {
    if event.service.starts_with(EXTERNAL) {
        return None;
    }
    let known = KNOWN.iter().find(|known| known.kind == event.kind);
    let (event_type, action, kept, success) = match known {
        Some(known) => (known.event_type.to_owned(), known.action.to_owned(), Some(known.details), known.success),
        None => {
            let (family, what) = event.kind.split_once('.').unwrap_or((&event.kind, "changed"));
            let what = what.replace('.', "_");
            if what.rsplit('_').next().is_some_and(|last| PROGRESS.contains(&last)) {
                return None;
            }
            (format!("{family}_{what}"), action(family, &what), None, true)
        }
    };
    Some(Entry {
        at: event.at,
        event_type,
        action,
        client_id,
        actor: event.actor.clone(),
        target: Some(event.aggregate.clone()),
        success,
        ip_address: event.ip_address.clone(),
        user_agent: event.user_agent.clone(),
        request_id: event.request_id.clone(),
        details: details(event, kept),
        corrects: None,
    })
}

/// Those of a known kind, or all ids of an unknown one; texts and whatever else an event carries stay out.
fn details(event: &StoredEvent, kept: Option<&[&str]>) -> Map<String, Value> {
    let payload = event.payload.as_object();
    let mut details = Map::new();
    match kept {
        Some(names) => {
            for name in names {
                if let Some(value) = payload.and_then(|payload| payload.get(*name)).filter(|value| is_plain(value)) {
                    details.insert((*name).to_owned(), value.clone());
                }
            }
        }
        None => {
            let ids = payload.into_iter().flatten().filter(|(name, value)| name.ends_with("_id") && is_plain(value));
            details.extend(ids.map(|(name, value)| (name.clone(), value.clone())));
        }
    }
    // Some events name what they are about by their aggregate alone.
    let family = event.kind.split('.').next().unwrap_or_default();
    let id =
        kept.and_then(|names| names.first().map(|name| (*name).to_owned())).unwrap_or_else(|| format!("{family}_id"));
    let is_named = if kept.is_some() { details.contains_key(&id) } else { !details.is_empty() };
    if !is_named && let Some((_, name)) = event.aggregate.split_once(':') {
        details.insert(id, name.into());
    }
    details
}

fn is_plain(value: &Value) -> bool {
    matches!(value, Value::String(_) | Value::Number(_) | Value::Bool(_))
}
