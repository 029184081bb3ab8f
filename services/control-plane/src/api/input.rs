//! Bodies, field by field.

use api_core::{
    error::ApiError,
    input::{Fields, Integer, List, Object, Problem, Rule, Text, Time},
};
use api_types::{
    auth::{Role, Scope},
    error::Code,
    keys::{Bootstrap, KeyForm},
};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use crate::domain::keys::{OVERLAP_MAX_S, OVERLAP_S, Wanted};

const NAME: Text = Text::chars(1..=100);
const CLIENT_ID: Text = Text::chars(1..=64);
/// More entries than there are different ones.
const ROLES_MAX: usize = 16;
pub(super) const PERMISSIONS_MAX: usize = 256;
/// A token is a short text; this only keeps absurd ones out.
const TOKEN: Text = Text::chars(0..=1000);

/// Reads the body of a request for the first key.
pub(super) fn bootstrap(body: &Object) -> Result<Bootstrap, ApiError> {
    let mut fields = Fields::of(body);
    let read =
        Bootstrap { name: fields.optional("name", &NAME), bootstrap_token: fields.optional("bootstrap_token", &TOKEN) };
    fields.finish()?;
    Ok(read)
}

/// Reads a key to be made.
pub(super) fn new_key(body: &Object, now: DateTime<Utc>) -> Result<Wanted, ApiError> {
    let mut fields = Fields::of(body);
    let roles = |fields: &mut Fields<'_>| {
        let roles = fields.optional("roles", &List { each: RoleName, max: ROLES_MAX }).map(without_repeats);
        roles.unwrap_or_else(|| vec![Role::Service])
    };
    let read = Wanted {
        form: KeyForm::Native,
        name: fields.required("name", &NAME),
        roles: roles(&mut fields),
        permissions: fields
            .optional("permissions", &List { each: ScopeName, max: PERMISSIONS_MAX })
            .map(without_repeats)
            .unwrap_or_default(),
        client_id: fields.optional("client_id", &CLIENT_ID),
        expires_at: fields.optional("expires_at", &Time { after: Some(now) }),
        rate_limit_per_minute: fields.optional("rate_limit_per_minute", &Integer(1..=1_000_000)),
        rate_limit_per_hour: fields.optional("rate_limit_per_hour", &Integer(1..=60_000_000)),
    };
    fields.finish()?;
    Ok(read)
}

/// Reads how long a replaced secret stays good.
pub(super) fn overlap(body: &Object) -> Result<TimeDelta, ApiError> {
    let mut fields = Fields::of(body);
    let seconds = fields.optional("overlap_seconds", &Integer(0..=OVERLAP_MAX_S));
    fields.finish()?;
    Ok(TimeDelta::seconds(seconds.unwrap_or(OVERLAP_S)))
}

pub(super) fn without_repeats<T: PartialEq>(values: Vec<T>) -> Vec<T> {
    let mut kept = Vec::with_capacity(values.len());
    for value in values {
        if !kept.contains(&value) {
            kept.push(value);
        }
    }
    kept
}

struct RoleName;

impl Rule for RoleName {
    type Out = Role;

    fn read(&self, field: &str, value: &Value) -> Result<Role, Vec<Problem>> {
        named(field, value, "must be one of admin, service, user")
    }
}

pub(super) struct ScopeName;

impl Rule for ScopeName {
    type Out = Scope;

    fn read(&self, field: &str, value: &Value) -> Result<Scope, Vec<Problem>> {
        named(field, value, "must be a known scope such as agents:read")
    }
}

fn named<T: std::str::FromStr>(field: &str, value: &Value, must: &str) -> Result<T, Vec<Problem>> {
    let problem = match value {
        Value::String(text) => match text.parse() {
            Ok(named) => return Ok(named),
            Err(_unknown) => Problem::new(Code::InvalidFormat, format!("{field} {must}")),
        },
        _ => Problem::new(Code::InvalidType, format!("{field} must be a text")),
    };
    Err(vec![problem])
}

#[cfg(test)]
mod tests {
    use api_types::auth::{Role, Scope};
    use chrono::Utc;
    use serde_json::{Value, json};

    use super::new_key;

    fn problems(body: &Value) -> Vec<(String, String)> {
        let error = new_key(body.as_object().unwrap(), Utc::now()).unwrap_err();
        error.details().iter().map(|detail| (detail.field.clone(), detail.code.clone())).collect()
    }

    #[test]
    fn all_problems_are_found_in_the_order_of_the_fields() {
        let body = json!({
            "rate_limit_per_hour": 60_000_001, "rate_limit_per_minute": 0, "expires_at": "2001-01-01T00:00:00Z",
            "client_id": "", "permissions": ["agents:read", "agents:fly", 3], "roles": ["emperor"], "name": "n".repeat(101),
        });
        let expected = [
            ("name", "INVALID_RANGE"),
            ("roles[0]", "INVALID_FORMAT"),
            ("permissions[1]", "INVALID_FORMAT"),
            ("permissions[2]", "INVALID_TYPE"),
            ("client_id", "INVALID_RANGE"),
            ("expires_at", "INVALID_RANGE"),
            ("rate_limit_per_minute", "INVALID_RANGE"),
            ("rate_limit_per_hour", "INVALID_RANGE"),
        ];
        assert_eq!(problems(&body), expected.map(|(field, code)| (field.to_owned(), code.to_owned())));
    }

    #[test]
    fn names_are_read_in_all_their_spellings_and_once() {
        let body = json!({"name": "n", "roles": ["developer", "service"], "permissions": ["task:read", "tasks:read"]});
        let read = new_key(body.as_object().unwrap(), Utc::now()).unwrap();
        assert_eq!(read.roles, [Role::Service]);
        assert_eq!(read.permissions.iter().map(Scope::as_str).collect::<Vec<_>>(), ["tasks:read"]);
    }
}
