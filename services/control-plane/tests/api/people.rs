//! Users of a test's own.

use serde_json::{Value, json};
use test_support::Client;

use crate::rig::Rig;

pub(crate) const AUTH: &str = "/api/v1/auth";
pub(crate) const PASSWORD: &str = "Correct-Horse-7";

pub(crate) const REVOKED: &str = "AUTHENTICATION_ERROR.REVOKED_TOKEN";
pub(crate) const INVALID: &str = "AUTHENTICATION_ERROR.INVALID_TOKEN";
pub(crate) const WRONG: &str = "AUTHENTICATION_ERROR.INVALID_CREDENTIALS";
pub(crate) const FORBIDDEN: &str = "AUTHORIZATION_ERROR.INSUFFICIENT_PERMISSIONS";

/// A user who has signed in.
pub(crate) struct Person {
    pub(crate) id: String,
    pub(crate) username: String,
    /// The answer to the last login.
    pub(crate) tokens: Value,
    /// Signed in.
    pub(crate) client: Client,
    anonymous: Client,
}

impl Person {
    /// Begins another session; [`Person::client`] goes on with that one.
    pub(crate) async fn sign_in(&mut self) {
        self.tokens = login(&self.anonymous, &self.username, PASSWORD).await;
        self.client = self.anonymous.bearer(self.tokens["access_token"].as_str().unwrap());
    }

    pub(crate) fn refresh_token(&self) -> &str {
        self.tokens["refresh_token"].as_str().unwrap()
    }
}

/// What is to be registered under this name.
pub(crate) fn body(username: &str) -> Value {
    let email = format!("{username}@example.com");
    json!({"username": username, "email": email, "full_name": "Ada Lovelace", "password": PASSWORD})
}

/// Registers somebody with this role, and signs in.
pub(crate) async fn person(rig: &Rig, username: &str, role: &str) -> Person {
    let mut new = body(username);
    new["role"] = json!(role);
    let user = rig.admin().post(&format!("{AUTH}/register"), &new).await.data(201);
    let anonymous = rig.service.client();
    let id = user["id"].as_str().unwrap().to_owned();
    let client = anonymous.clone();
    let mut person = Person { id, username: username.to_owned(), tokens: Value::Null, client, anonymous };
    person.sign_in().await;
    person
}

/// The answer to a login that succeeds.
pub(crate) async fn login(client: &Client, name: &str, password: &str) -> Value {
    client.post(&format!("{AUTH}/login"), &json!({"username": name, "password": password})).await.data(200)
}

/// All events of this kind so far, wherever they are by now, oldest first.
pub(crate) fn events(rig: &Rig, kind: &str) -> Vec<Value> {
    let both =
        "SELECT at, kind, jsonb_build_object('aggregate', aggregate, 'actor', actor, 'payload', payload) AS event";
    let sql = format!(
        "SELECT event::text AS value FROM ({both} FROM outbox UNION ALL {both} FROM events) AS every \
         WHERE kind = '{kind}' ORDER BY at"
    );
    rig.texts(&sql).iter().map(|text| serde_json::from_str(text).unwrap()).collect()
}
