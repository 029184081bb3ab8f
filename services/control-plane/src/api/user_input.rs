//! Bodies about users, field by field.

use api_core::{
    error::ApiError,
    input::{Boolean, Choice, Fields, Integer, JsonObject, Object, Problem, Rule, Text},
    secret::Secret,
};
use api_types::{error::Code, users::UserRole};
use serde_json::{Map, Value};
use url::Url;

use crate::domain::users::{Change, Registration};

const USERNAME: Text = Text::chars(3..=50).of_form(is_username, "consist of letters, digits and _");
const EMAIL: Text = Text::chars(1..=254).of_form(is_email, "be an email address");
const FULL_NAME: Text = Text::chars(2..=100);
const AVATAR_URL: Text = Text::chars(1..=2048).of_form(is_web_address, "be an http or https address");
const PREFERENCES: JsonObject = JsonObject { bytes_max: 16 << 10 };
/// What somebody types as name, password or token. Whether it is right is not the reader's to say; this only keeps absurd ones out.
const TYPED: Text = Text::chars(0..=4096);
/// Fields of a user that the server sets.
const SET_BY_SERVER: &[&str] = &["id", "created_by", "created_at", "updated_at", "last_login", "login_count"];

fn is_username(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// One `@` with text on both sides and a dot after it; no blanks.
fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else { return false };
    let is_text = |part: &str| !part.is_empty() && !part.chars().any(|c| c.is_whitespace() || c.is_control());
    is_text(local) && is_text(domain) && domain.contains('.') && !domain.contains('@')
}

fn is_web_address(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
}

/// A password to be: every kind of character that is missing is a problem of its own.
struct NewPassword;

impl Rule for NewPassword {
    type Out = Option<Secret>;

    fn read(&self, field: &str, value: &Value) -> Result<Option<Secret>, Vec<Problem>> {
        let Value::String(text) = value else {
            return Err(vec![Problem::new(Code::InvalidType, format!("{field} must be a text"))]);
        };
        let mut problems = Vec::new();
        if !(8..=128).contains(&text.chars().count()) {
            problems.push(Problem::new(Code::InvalidRange, format!("{field} must have 8 to 128 characters")));
        }
        let kinds = [
            (text.chars().any(char::is_uppercase), "uppercase letter"),
            (text.chars().any(char::is_lowercase), "lowercase letter"),
            (text.chars().any(|c| c.is_ascii_digit()), "digit"),
        ];
        for (_, kind) in kinds.iter().filter(|(is_there, _)| !is_there) {
            let message = format!("Password must contain at least one {kind}");
            problems.push(Problem::new(Code::InvalidFormat, message));
        }
        if problems.is_empty() { Ok(Some(Secret::new(text.clone()))) } else { Err(problems) }
    }
}

struct Role;

impl Rule for Role {
    type Out = UserRole;

    fn read(&self, field: &str, value: &Value) -> Result<UserRole, Vec<Problem>> {
        let problem = match value {
            Value::String(text) => match text.parse() {
                Ok(role) => return Ok(role),
                Err(()) => Problem::new(Code::InvalidFormat, format!("{field} must be one of admin, developer, user")),
            },
            _ => Problem::new(Code::InvalidType, format!("{field} must be a text")),
        };
        Err(vec![problem])
    }
}

/// Reads a user to be; only `manages` users may say whether it is active.
pub(super) fn registration(body: &Object, manages: bool) -> Result<Registration, ApiError> {
    let mut fields = Fields::of(body);
    fields.set_by_server(SET_BY_SERVER);
    fields.set_by_server(&["revision"]);
    let read = Registration {
        username: fields.required("username", &USERNAME).to_ascii_lowercase(),
        email: fields.required("email", &EMAIL).to_lowercase(),
        full_name: fields.required("full_name", &FULL_NAME),
        password: fields.required("password", &NewPassword).unwrap_or_default(),
        role: fields.optional("role", &Role).unwrap_or_default(),
        is_active: if manages {
            fields.optional("is_active", &Boolean).unwrap_or(true)
        } else {
            fields.ignored("is_active");
            true
        },
        avatar_url: fields.optional("avatar_url", &AVATAR_URL),
        preferences: fields.optional("preferences", &PREFERENCES).unwrap_or_default(),
    };
    fields.finish()?;
    Ok(read)
}

/// Reads what an administrator changes of a user.
pub(super) fn change(body: &Object) -> Result<Change, ApiError> {
    let mut fields = Fields::of(body);
    fields.set_by_server(SET_BY_SERVER);
    fields.set_by_server(&["username"]);
    let read = Change {
        full_name: fields.changed("full_name", &FULL_NAME, None),
        email: email(&mut fields),
        role: fields.changed("role", &Role, Some(UserRole::default())),
        is_active: fields.changed("is_active", &Boolean, Some(true)),
        password: fields.changed("password", &NewPassword, None).flatten(),
        preferences: fields.changed("preferences", &PREFERENCES, Some(Map::new())),
        avatar_url: avatar_url(&mut fields),
        revision: fields.optional("revision", &Integer(1..=i64::MAX)),
    };
    fields.finish()?;
    Ok(read)
}

/// Reads what users change of themselves. The rest of what `GET` answered may come along, and changes nothing.
pub(super) fn change_of_self(body: &Object) -> Result<Change, ApiError> {
    let mut fields = Fields::of(body);
    fields.set_by_server(SET_BY_SERVER);
    fields.set_by_server(&["username", "role", "is_active"]);
    let read = Change {
        full_name: fields.changed("full_name", &FULL_NAME, None),
        email: email(&mut fields),
        avatar_url: avatar_url(&mut fields),
        preferences: fields.changed("preferences", &PREFERENCES, Some(Map::new())),
        revision: fields.optional("revision", &Integer(1..=i64::MAX)),
        ..Change::default()
    };
    fields.finish()?;
    Ok(read)
}

fn email(fields: &mut Fields<'_>) -> Option<String> {
    fields.changed("email", &EMAIL, None).map(|email| email.to_lowercase())
}

fn avatar_url(fields: &mut Fields<'_>) -> Option<Option<String>> {
    if fields.raw("avatar_url").is_some_and(Value::is_null) {
        return Some(None);
    }
    fields.changed("avatar_url", &AVATAR_URL, None).map(Some)
}

/// Reads the current password and a new one.
pub(super) fn passwords(body: &Object) -> Result<(Secret, Secret), ApiError> {
    let mut fields = Fields::of(body);
    let current = Secret::new(fields.required("current_password", &TYPED));
    let new = fields.required("new_password", &NewPassword).unwrap_or_default();
    fields.finish()?;
    Ok((current, new))
}

/// Reads a name and a password, as JSON or as OAuth 2 clients send them.
pub(super) fn login(body: &Object) -> Result<(String, Secret), ApiError> {
    let mut fields = Fields::of(body);
    fields.optional("grant_type", &Choice(&["password"]));
    fields.set_by_server(&["scope", "client_id", "client_secret"]);
    let name = fields.required("username", &TYPED);
    let password = Secret::new(fields.required("password", &TYPED));
    fields.finish()?;
    Ok((name, password))
}

/// Reads a refresh token; `query` is the one in the query string, for where the body has none.
pub(super) fn refresh(body: &Object, query: Option<String>) -> Result<Secret, ApiError> {
    let mut fields = Fields::of(body);
    fields.optional("grant_type", &Choice(&["refresh_token"]));
    fields.set_by_server(&["scope", "client_id", "client_secret"]);
    let token = match query.filter(|_| !body.contains_key("refresh_token")) {
        Some(token) => token,
        None => fields.required("refresh_token", &TYPED),
    };
    fields.finish()?;
    Ok(Secret::new(token))
}

/// Reads which sessions end: whether all of them do.
pub(super) fn logout(body: &Object) -> Result<bool, ApiError> {
    let mut fields = Fields::of(body);
    let all = fields.optional("all_sessions", &Boolean).unwrap_or(false);
    fields.finish()?;
    Ok(all)
}

#[cfg(test)]
mod tests {
    use api_core::error::ApiError;
    use api_types::users::UserRole;
    use serde_json::{Value, json};

    use super::{change, change_of_self, login, refresh, registration};

    fn problems<T>(result: Result<T, ApiError>) -> Vec<(String, String)> {
        let error = result.err().unwrap();
        error.details().iter().map(|detail| (detail.field.clone(), detail.code.clone())).collect()
    }

    fn named(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(field, code)| ((*field).to_owned(), (*code).to_owned())).collect()
    }

    fn body(change: &Value) -> Value {
        let mut body = json!({
            "username": "Ada_1", "email": "Ada@Example.com", "full_name": "Ada Lovelace", "password": "Correct-Horse-7",
        });
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        body
    }

    #[test]
    fn names_and_addresses_are_read_in_lower_case() {
        let read = registration(body(&json!({"role": "viewer"})).as_object().unwrap(), false).unwrap();
        assert_eq!((read.username.as_str(), read.email.as_str()), ("ada_1", "ada@example.com"));
        assert_eq!((read.role, read.is_active, read.avatar_url), (UserRole::User, true, None));
        let read =
            registration(body(&json!({"role": "service", "is_active": false})).as_object().unwrap(), true).unwrap();
        assert_eq!((read.role, read.is_active), (UserRole::Developer, false));
    }

    #[test]
    fn every_field_is_checked() {
        for (change, expected) in [
            (json!({"username": "ab"}), ("username", "INVALID_RANGE")),
            (json!({"username": "a".repeat(51)}), ("username", "INVALID_RANGE")),
            (json!({"username": "a-b"}), ("username", "INVALID_FORMAT")),
            (json!({"username": "äbc"}), ("username", "INVALID_FORMAT")),
            (json!({"username": null}), ("username", "REQUIRED_FIELD")),
            (json!({"email": "nobody"}), ("email", "INVALID_FORMAT")),
            (json!({"email": "a@b"}), ("email", "INVALID_FORMAT")),
            (json!({"email": "a@b@c.d"}), ("email", "INVALID_FORMAT")),
            (json!({"email": "@b.c"}), ("email", "INVALID_FORMAT")),
            (json!({"email": "a.b@"}), ("email", "INVALID_FORMAT")),
            (json!({"email": format!("{}@b.c", "a".repeat(251))}), ("email", "INVALID_RANGE")),
            (json!({"full_name": "A"}), ("full_name", "INVALID_RANGE")),
            (json!({"full_name": 3}), ("full_name", "INVALID_TYPE")),
            (json!({"role": "emperor"}), ("role", "INVALID_FORMAT")),
            (json!({"avatar_url": "ftp://a.example"}), ("avatar_url", "INVALID_FORMAT")),
            (json!({"preferences": []}), ("preferences", "INVALID_TYPE")),
            (json!({"preferences": {"a": "x".repeat(17_000)}}), ("preferences", "INVALID_RANGE")),
            (json!({"is_active": "yes"}), ("is_active", "INVALID_TYPE")),
        ] {
            assert_eq!(
                problems(registration(body(&change).as_object().unwrap(), true)),
                named(&[expected]),
                "{change}"
            );
        }
    }

    #[test]
    fn each_kind_of_character_that_a_password_lacks_is_a_problem_of_its_own() {
        let of = |password: &str| {
            let body = body(&json!({"password": password}));
            let error = registration(body.as_object().unwrap(), false).err().unwrap();
            error.details().iter().map(|detail| detail.message.clone()).collect::<Vec<_>>()
        };
        let lacks = |kind: &str| format!("Password must contain at least one {kind}");
        assert_eq!(of("lower-case-7"), [lacks("uppercase letter")]);
        assert_eq!(of("UPPER-CASE-7"), [lacks("lowercase letter")]);
        assert_eq!(of("No-Digit-Here"), [lacks("digit")]);
        assert_eq!(of("--------"), [lacks("uppercase letter"), lacks("lowercase letter"), lacks("digit")]);
        assert_eq!(of("Sh0rt"), ["password must have 8 to 128 characters"]);
        assert_eq!(of(&format!("Aa1{}", "x".repeat(126))), ["password must have 8 to 128 characters"]);
    }

    #[test]
    fn of_a_change_what_is_absent_stays_and_null_restores_the_default() {
        let of = |body: Value| change(body.as_object().unwrap());
        let none = of(json!({})).unwrap();
        assert!(
            none.full_name.is_none() && none.role.is_none() && none.avatar_url.is_none() && none.password.is_none()
        );
        let nulls = of(json!({"role": null, "is_active": null, "preferences": null, "avatar_url": null})).unwrap();
        assert_eq!((nulls.role, nulls.is_active, nulls.avatar_url), (Some(UserRole::User), Some(true), Some(None)));
        assert_eq!(nulls.preferences, Some(serde_json::Map::new()));
        let required = problems(of(json!({"full_name": null, "email": null, "password": null})));
        let expected = ["full_name", "email", "password"].map(|field| (field, "REQUIRED_FIELD"));
        assert_eq!(required, named(&expected));
        assert_eq!(
            of(json!({"email": "B@Example.com", "revision": 3})).unwrap().email.as_deref(),
            Some("b@example.com")
        );
    }

    #[test]
    fn nobody_promotes_itself() {
        let body = json!({"role": "admin", "is_active": false, "username": "root", "full_name": "Ada King"});
        let read = change_of_self(body.as_object().unwrap()).unwrap();
        assert!(read.role.is_none() && read.is_active.is_none() && read.password.is_none());
        assert_eq!(read.full_name.as_deref(), Some("Ada King"));
    }

    #[test]
    fn a_login_has_a_name_a_password_and_at_most_one_kind() {
        let of = |body: Value| login(body.as_object().unwrap()).map(|(name, _)| name);
        let form = json!({"grant_type": "password", "username": "ada", "password": "", "scope": "", "client_id": "x"});
        assert_eq!(of(form).unwrap(), "ada");
        let missing = ["username", "password"].map(|field| (field, "REQUIRED_FIELD"));
        assert_eq!(problems(of(json!({}))), named(&missing));
        let other = json!({"grant_type": "client_credentials", "username": "ada", "password": "x"});
        assert_eq!(problems(of(other)), named(&[("grant_type", "INVALID_FORMAT")]));
    }

    #[test]
    fn a_refresh_token_comes_in_the_body_or_in_the_query() {
        let of = |body: Value, query: Option<&str>| {
            refresh(body.as_object().unwrap(), query.map(str::to_owned)).map(|token| token.expose().to_owned())
        };
        assert_eq!(of(json!({"refresh_token": "a"}), Some("b")).unwrap(), "a");
        assert_eq!(of(json!({}), Some("b")).unwrap(), "b");
        assert_eq!(problems(of(json!({}), None)), named(&[("refresh_token", "REQUIRED_FIELD")]));
        assert_eq!(problems(of(json!({"refresh_token": 3}), None)), named(&[("refresh_token", "INVALID_TYPE")]));
    }
}
