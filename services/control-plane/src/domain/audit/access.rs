//! What is written down of requests: uses of keys, and whatever was refused.

use api_types::access::{AccessCount, Refusal, RefusedAccess, Window, hour_of, minute_of};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::Entry;

/// The row of a key's requests to an endpoint from an address in a minute; its count grows while the minute runs.
pub(crate) fn of_use(seen: &AccessCount) -> Entry {
    Entry {
        at: seen.at,
        event_type: "authentication".to_owned(),
        action: "api_key_used".to_owned(),
        client_id: Some(seen.client_id.clone()),
        actor: Some(seen.key_id.to_string()),
        target: None,
        success: true,
        ip_address: seen.ip_address.clone(),
        user_agent: seen.user_agent.clone(),
        request_id: Some(seen.request_id.clone()),
        details: object(json!({"endpoint": seen.route, "method": seen.method, "count": seen.times()})),
        corrects: None,
    }
}

/// The row of a request that was refused.
pub(crate) fn of_refusal(refused: &RefusedAccess) -> Entry {
    let (endpoint, method) = (&refused.route, &refused.method);
    let (event_type, action, details) = match &refused.why {
        Refusal::Credential { reason } => (
            "authentication",
            "api_key_rejected",
            json!({"endpoint": endpoint, "method": method, "reason": reason.as_str()}),
        ),
        Refusal::Permission { required_scope } => (
            "authorization",
            "access_denied",
            json!({"endpoint": endpoint, "method": method, "required_scope": required_scope}),
        ),
        Refusal::Rate { window, limit } => {
            ("rate_limit_exceeded", "request_blocked", json!({"window": window.as_str(), "limit": limit}))
        }
    };
    let mut details = object(details);
    // Only when there were too many to write down each.
    if refused.times > 1 && !matches!(refused.why, Refusal::Rate { .. }) {
        details.insert("count".to_owned(), refused.times.into());
    }
    Entry {
        at: refused.at,
        event_type: event_type.to_owned(),
        action: action.to_owned(),
        client_id: refused.client_id.clone(),
        actor: refused.principal_id.clone(),
        target: None,
        success: false,
        ip_address: refused.ip_address.clone(),
        user_agent: refused.user_agent.clone(),
        request_id: Some(refused.request_id.clone()),
        details,
        corrects: None,
    }
}

/// The window of a rate limit that a refused request exceeded: whose, of which size, and when it began.
pub(crate) fn window_of(refused: &RefusedAccess) -> Option<(String, &'static str, DateTime<Utc>)> {
    let Refusal::Rate { window, .. } = refused.why else { return None };
    let begin = match window {
        Window::PerMinute => minute_of(refused.at),
        Window::PerHour => hour_of(refused.at),
    };
    let who = refused.principal_id.clone().or_else(|| refused.ip_address.clone()).unwrap_or_default();
    Some((who, window.as_str(), begin))
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}
