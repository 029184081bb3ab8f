//! Bodies and parameters of `/ains/api-keys`, field by field.

use api_core::{
    error::ApiError,
    input::{Fields, Integer, List, Object, Problem, Rule, Text},
};
use api_types::{
    ains::parse_end,
    auth::{Role, Scope},
    error::Code,
    keys::KeyForm,
};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::input::{PERMISSIONS_MAX, ScopeName, without_repeats};
use crate::domain::{
    keys::{Change, Wanted},
    usage::Period,
};

const NAME: Text = Text::chars(1..=255);
const CLIENT_ID: Text = Text::chars(1..=64)
    .of_form(is_client_id, "begin with a letter or digit and hold letters, digits, '.', '_' and '-'");
const PER_MINUTE: Integer = Integer(1..=1_000_000);
const PER_HOUR: Integer = Integer(1..=60_000_000);
const PER_MINUTE_DEFAULT: i64 = 60;
const PER_HOUR_DEFAULT: i64 = 1000;
const DAYS: Integer = Integer(1..=3650);

fn is_client_id(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

/// A time that lies ahead; a date alone means the end of that day.
struct End {
    after: DateTime<Utc>,
}

impl Rule for End {
    type Out = DateTime<Utc>;

    fn read(&self, field: &str, value: &Value) -> Result<DateTime<Utc>, Vec<Problem>> {
        let (code, must) = match value.as_str().map(parse_end) {
            Some(Some(end)) if end > self.after => return Ok(end),
            Some(Some(_past)) => (Code::InvalidRange, "must lie in the future"),
            Some(None) => (Code::InvalidFormat, "must be an RFC 3339 time or date"),
            None => (Code::InvalidType, "must be a text"),
        };
        Err(vec![Problem::new(code, format!("{field} {must}"))])
    }
}

/// Scopes as asked for; none stands for all that are not administrative.
fn scopes(fields: &mut Fields<'_>) -> Option<Vec<Scope>> {
    let asked = fields.optional("scopes", &List { each: ScopeName, max: PERMISSIONS_MAX }).map(without_repeats)?;
    Some(if asked.is_empty() { ordinary() } else { asked })
}

fn ordinary() -> Vec<Scope> {
    Role::Service.scopes().iter().map(|scope| Scope::from((*scope).to_owned())).collect()
}

/// Reads a key to be made.
pub(super) fn new_key(body: &Object, now: DateTime<Utc>) -> Result<Wanted, ApiError> {
    let mut fields = Fields::of(body);
    let client_id = fields.required("client_id", &CLIENT_ID);
    let name = fields.required("name", &NAME);
    let permissions = scopes(&mut fields).unwrap_or_else(ordinary);
    let rate_limit_per_minute = fields.optional("rate_limit_per_minute", &PER_MINUTE).or(Some(PER_MINUTE_DEFAULT));
    let rate_limit_per_hour = fields.optional("rate_limit_per_hour", &PER_HOUR).or(Some(PER_HOUR_DEFAULT));
    let expires_at = fields.optional("expires_at", &End { after: now });
    let in_days = fields.optional("expires_in_days", &DAYS);
    if expires_at.is_some() && in_days.is_some() {
        let message = "expires_in_days must not stand beside expires_at";
        fields.problem("expires_in_days", Problem::new(Code::InvalidFormat, message));
    }
    fields.finish()?;
    Ok(Wanted {
        form: KeyForm::Ains,
        name,
        roles: vec![Role::Service],
        permissions,
        client_id: Some(client_id),
        expires_at: expires_at.or_else(|| in_days.map(|days| now + TimeDelta::days(days))),
        rate_limit_per_minute,
        rate_limit_per_hour,
    })
}

/// Reads what is to become of a key.
pub(super) fn change(body: &Object, now: DateTime<Utc>) -> Result<Change, ApiError> {
    let mut fields = Fields::of(body);
    let name = fields.optional("name", &NAME);
    let scopes = scopes(&mut fields);
    let rate_limit_per_minute = fields.optional("rate_limit_per_minute", &PER_MINUTE);
    let rate_limit_per_hour = fields.optional("rate_limit_per_hour", &PER_HOUR);
    // Null says something here: that the key has no end.
    let expires_at = match fields.raw("expires_at") {
        Some(Value::Null) => Some(None),
        _ => fields.optional("expires_at", &End { after: now }).map(Some),
    };
    fields.finish()?;
    let change = Change { name, scopes, rate_limit_per_minute, rate_limit_per_hour, expires_at };
    if change.is_empty() {
        return Err(ApiError::field(Code::RequiredField, "body", "The body must name something to change"));
    }
    Ok(change)
}

/// Reads `?period=`.
pub(super) fn period(text: Option<&str>) -> Result<Period, ApiError> {
    text.map_or(Some(Period::WEEK), Period::named)
        .ok_or_else(|| ApiError::field(Code::InvalidFormat, "period", "period must be one of 1d, 7d, 30d, 90d"))
}

#[cfg(test)]
mod tests {
    use api_types::{
        auth::{Role, Scope},
        time::parse,
    };
    use chrono::{DateTime, TimeDelta, Utc};
    use serde_json::{Value, json};

    use super::{change, new_key, ordinary};

    fn now() -> DateTime<Utc> {
        parse("2026-03-09T14:50:00Z").unwrap()
    }

    fn fields(body: &Value) -> Vec<String> {
        let error = new_key(body.as_object().unwrap(), now()).unwrap_err();
        error.details().iter().map(|detail| detail.field.clone()).collect()
    }

    #[test]
    fn what_is_absent_has_its_default() {
        let read = new_key(json!({"client_id": "c", "name": "n"}).as_object().unwrap(), now()).unwrap();
        assert_eq!((read.rate_limit_per_minute, read.rate_limit_per_hour), (Some(60), Some(1000)));
        assert_eq!((read.expires_at, read.roles), (None, vec![Role::Service]));
        assert_eq!(read.permissions.iter().map(Scope::as_str).collect::<Vec<_>>(), Role::Service.scopes());
        let empty = json!({"client_id": "c", "name": "n", "scopes": []});
        assert_eq!(new_key(empty.as_object().unwrap(), now()).unwrap().permissions, ordinary());
    }

    #[test]
    fn all_problems_are_found_in_the_order_of_the_fields() {
        let body = json!({
            "client_id": "-c", "name": "", "scopes": ["agents:read", "fly:high"], "rate_limit_per_minute": 0,
            "rate_limit_per_hour": 60_000_001, "expires_at": "soon", "expires_in_days": 3651,
        });
        let expected = [
            "client_id",
            "name",
            "scopes[1]",
            "rate_limit_per_minute",
            "rate_limit_per_hour",
            "expires_at",
            "expires_in_days",
        ];
        assert_eq!(fields(&body), expected);
        let both = json!({"client_id": "c", "name": "n", "expires_at": "2027-01-01", "expires_in_days": 3});
        assert_eq!(fields(&both), ["expires_in_days"]);
        for bad in ["", "a b", "ä", ".a", "_a", &"a".repeat(65)] {
            assert_eq!(fields(&json!({"client_id": bad, "name": "n"})), ["client_id"], "{bad}");
        }
    }

    #[test]
    fn an_end_is_a_time_a_day_or_a_number_of_days() {
        let end = |field: &str, value: Value| {
            let body = json!({"client_id": "c", "name": "n", field: value});
            new_key(body.as_object().unwrap(), now()).map(|read| read.expires_at.unwrap())
        };
        assert_eq!(end("expires_in_days", json!(1)).unwrap(), now() + TimeDelta::days(1));
        assert_eq!(end("expires_at", json!("2026-03-09T16:50:01+02:00")).unwrap(), now() + TimeDelta::seconds(1));
        // Today still lasts.
        assert!(end("expires_at", json!("2026-03-09")).is_ok() && end("expires_at", json!("2026-03-08")).is_err());
        assert!(end("expires_at", json!("2026-03-09T14:50:00Z")).is_err());
    }

    #[test]
    fn a_change_must_change_something_and_null_takes_the_end_away() {
        for nothing in [json!({}), json!({"name": null}), json!({"client_id": "other"})] {
            let error = change(nothing.as_object().unwrap(), now()).unwrap_err();
            assert_eq!(error.details()[0].field, "body", "{nothing}");
        }
        let endless = change(json!({"expires_at": null}).as_object().unwrap(), now()).unwrap();
        assert_eq!(endless.expires_at, Some(None));
        let all = change(json!({"scopes": []}).as_object().unwrap(), now()).unwrap();
        assert_eq!(all.scopes, Some(ordinary()));
    }
}
