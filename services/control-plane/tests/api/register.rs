//! Becoming a user.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::{
    keys::make,
    people::{AUTH, FORBIDDEN, PASSWORD, body, events, person},
    rig::Rig,
};

fn path() -> String {
    format!("{AUTH}/register")
}

fn with(username: &str, more: &Value) -> Value {
    let mut body = body(username);
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

#[tokio::test]
async fn anybody_becomes_a_user_while_registration_is_open() {
    let rig = Rig::start(&[]).await;
    let asked = with("ADA_1", &json!({"avatar_url": "https://a.example/a.png", "preferences": {"theme": "dark"}}));
    let answer = rig.service.client().post(&path(), &asked).await;
    let user = answer.data(201);
    let id = user["id"].as_str().unwrap();
    let hex = id.strip_prefix("usr_").unwrap();
    assert!(hex.len() == 20 && hex.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase()), "{id}");
    for (name, value) in [
        ("username", json!("ada_1")),
        ("email", json!("ada_1@example.com")),
        ("full_name", json!("Ada Lovelace")),
        ("role", json!("user")),
        ("is_active", json!(true)),
        ("avatar_url", asked["avatar_url"].clone()),
        ("preferences", asked["preferences"].clone()),
        ("last_login", Value::Null),
        ("login_count", json!(0)),
        ("revision", json!(1)),
        ("created_by", json!(id)),
        ("updated_at", user["created_at"].clone()),
    ] {
        assert_eq!(user[name], value, "{name}");
    }
    assert_eq!(rig.admin().get(&format!("{AUTH}/users/{id}")).await.data(200), user);
    let told = &events(&rig, "user.registered")[1];
    assert_eq!((&told["actor"], &told["payload"]["user_id"]), (&json!(id), &json!(id)));
    // The hash is stored, and nothing else of the password anywhere.
    let stored = rig.texts(&format!("SELECT password_hash AS value FROM users WHERE id = '{id}'"));
    assert!(stored[0].starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored:?}");
    assert!(!answer.text.contains("argon2") && !answer.text.contains(PASSWORD));
    assert!(!rig.everything_stored().contains(PASSWORD));
}

#[tokio::test]
async fn a_name_or_an_address_is_given_once_whatever_its_case() {
    let rig = Rig::start(&[]).await;
    let client = rig.service.client();
    client.post(&path(), &body("ada")).await.data(201);
    for (more, field) in [(json!({"email": "x@example.com"}), "username"), (json!({"username": "bob"}), "email")] {
        let mut again = with("Ada", &more);
        again["email"] = json!(again["email"].as_str().unwrap().to_uppercase());
        let answer = client.post(&path(), &again).await;
        answer.error(409, "CONFLICT_ERROR.DUPLICATE_RESOURCE");
        assert_eq!(answer.fields(), [field]);
    }
    let (path, hurried) = (path(), body("grace"));
    let answers = join_all((0..6).map(|_| client.post(&path, &hurried))).await;
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409, 409, 409, 409]);
}

#[tokio::test]
async fn only_who_manages_users_gives_roles() {
    let rig = Rig::start(&[]).await;
    let (developer, _) = make(&rig.admin(), json!({"name": "d", "roles": ["service"]})).await;
    let developer = rig.service.client().bearer(&developer);
    for (client, role) in [(rig.service.client(), "developer"), (developer, "admin")] {
        let error = client.post(&path(), &with("ada", &json!({"role": role}))).await.error(403, FORBIDDEN);
        assert_eq!(error["message"], "Permission 'users:manage' required");
    }
    let (manager, key) = make(&rig.admin(), json!({"name": "m", "permissions": ["users:manage"]})).await;
    let manager = rig.service.client().bearer(&manager);
    for (number, (asked, role)) in
        [("viewer", "user"), ("service", "developer"), ("admin", "admin")].into_iter().enumerate()
    {
        let asked = with(&format!("user_{number}"), &json!({"role": asked, "is_active": false}));
        let user = manager.post(&path(), &asked).await.data(201);
        assert_eq!((&user["role"], &user["is_active"], &user["created_by"]), (&json!(role), &json!(false), &key["id"]));
    }
}

#[tokio::test]
async fn who_registers_itself_is_active_and_what_it_says_otherwise_is_ignored() {
    let rig = Rig::start(&[]).await;
    let asked = with("ada", &json!({"is_active": false, "id": "usr_mine", "login_count": 9, "colour": "red"}));
    let answer = rig.service.client().post(&path(), &asked).await;
    let user = answer.data(201);
    assert!(user["is_active"] == true && user["id"] != "usr_mine" && user["login_count"] == 0, "{user}");
    let warnings = json!(["Unknown field 'colour' was ignored", "Field 'is_active' was ignored"]);
    let found = answer.meta()["warnings"].clone();
    for warning in warnings.as_array().unwrap() {
        assert!(found.as_array().unwrap().contains(warning), "{found}");
    }
    assert_eq!(found.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn closed_it_is_closed_before_anything_is_looked_at_except_for_who_manages_users() {
    for settings in [
        &[("AUTH_REGISTRATION", "closed")][..],
        &[("IMAGO_ENV", "production"), ("JWT_SECRET", "0123456789012345678901234567890123")],
    ] {
        let rig = Rig::start(settings).await;
        rig.service.client().post(&path(), &json!({})).await.error(403, FORBIDDEN);
        rig.service.client().post(&path(), &body("ada")).await.error(403, FORBIDDEN);
        rig.admin().post(&path(), &body("ada")).await.data(201);
    }
}

#[tokio::test]
async fn a_bad_credential_is_refused_also_where_none_is_needed() {
    let rig = Rig::start(&[]).await;
    let answer = rig.service.client().bearer("bad.key").post(&path(), &body("ada")).await;
    answer.error(401, "AUTHENTICATION_ERROR.INVALID_TOKEN");
}

#[tokio::test]
async fn problems_are_named_and_other_media_types_refused() {
    let rig = Rig::start(&[]).await;
    let client = rig.service.client();
    let answer =
        client.post(&path(), &with("a-b", &json!({"email": "x", "full_name": null, "password": "weak"}))).await;
    answer.error(422, "VALIDATION_ERROR.INVALID_FORMAT");
    let expected = ["username", "email", "full_name", "password", "password", "password"];
    assert_eq!(answer.fields(), expected);
    let form = client.raw("POST", &path(), Some("application/x-www-form-urlencoded"), b"username=ada".to_vec()).await;
    form.error(415, "VALIDATION_ERROR.UNSUPPORTED_MEDIA_TYPE");
}

#[tokio::test]
async fn the_same_request_again_is_answered_again_and_its_password_kept_nowhere() {
    let rig = Rig::start(&[]).await;
    let client = rig.service.client().header("idempotency-key", "k");
    let first = client.post(&path(), &body("ada")).await;
    first.data(201);
    let again = client.post(&path(), &body("ada")).await;
    assert_eq!((&again.text, again.header("idempotent-replayed")), (&first.text, "true"));
    client.post(&path(), &body("bob")).await.error(422, "VALIDATION_ERROR.IDEMPOTENCY_CONFLICT");
    // Not even a plain hash of a body that holds one.
    use sha2::{Digest as _, Sha256};
    let canonical = api_core::input::canonical(body("ada").as_object().unwrap());
    let stored = rig.everything_stored();
    assert!(!stored.contains(&hex::encode(Sha256::digest(canonical))) && !stored.contains(PASSWORD));
}

#[tokio::test]
async fn a_user_registers_others_as_anybody_does() {
    let rig = Rig::start(&[]).await;
    let ada = person(&rig, "ada", "developer").await;
    ada.client.post(&path(), &with("bob", &json!({"role": "developer"}))).await.error(403, FORBIDDEN);
    let bob = ada.client.post(&path(), &body("bob")).await.data(201);
    assert_eq!(bob["created_by"], bob["id"]);
}
