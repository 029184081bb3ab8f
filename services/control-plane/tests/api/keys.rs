//! Making, reading and using keys.

use futures_util::future::join_all;
use serde_json::{Value, json};
use test_support::{Answer, Client, jwt};

use crate::rig::{ADMIN, Rig};

pub(crate) const PATH: &str = "/api/v1/auth/keys";

/// Makes a key; returns its token and itself.
pub(crate) async fn make(client: &Client, body: Value) -> (String, Value) {
    let made = client.post(PATH, &body).await.data(201);
    (made["token"].as_str().unwrap().to_owned(), made["key"].clone())
}

fn path_of(key: &Value) -> String {
    format!("{PATH}/{}", key["id"].as_str().unwrap())
}

/// What an answer to an identified caller without a scope is: who calls is known then, and nothing else was looked at.
fn is_identified(answer: &Answer) {
    answer.error(403, "AUTHORIZATION_ERROR.INSUFFICIENT_PERMISSIONS");
}

#[tokio::test]
async fn a_key_lives_from_its_making_to_its_revocation() {
    let rig = Rig::start(&[]).await;
    let admin = rig.admin();
    let (token, key) = make(&admin, json!({"name": "mine"})).await;
    let (id, secret) = (key["id"].as_str().unwrap(), key["secret"].as_str().unwrap());
    assert_eq!(token, format!("{id}.{secret}"));
    assert_eq!((&key["roles"], &key["permissions"]), (&json!(["service"]), &json!([])));
    assert_eq!((&key["client_id"], &key["expires_at"]), (&key["id"], &Value::Null));
    assert_eq!((&key["rate_limit_per_minute"], &key["rate_limit_per_hour"]), (&Value::Null, &Value::Null));
    let client = rig.service.client().bearer(&token);
    is_identified(&client.get(PATH).await);

    let shown = admin.get(&path_of(&key)).await.data(200);
    assert_eq!((&shown["active"], &shown["name"], &shown["revoked_at"]), (&json!(true), &json!("mine"), &Value::Null));
    assert_eq!(shown["created_at"], key["created_at"]);
    assert!(shown.get("secret").is_none() && shown["last_used_at"].is_string(), "{shown}");

    let revoked = admin.delete(&path_of(&key)).await.data(200);
    assert_eq!((&revoked["revoked"], &revoked["id"]), (&json!(true), &key["id"]));
    assert_eq!(admin.delete(&path_of(&key)).await.data(200), revoked);
    client.get(PATH).await.error(401, "AUTHENTICATION_ERROR.REVOKED_TOKEN");
    let shown = admin.get(&path_of(&key)).await.data(200);
    assert_eq!((&shown["active"], &shown["revoked_at"]), (&json!(false), &revoked["revoked_at"]));
}

#[tokio::test]
async fn a_key_is_made_as_it_is_asked_for() {
    let rig = Rig::start(&[]).await;
    let asked = json!({
        "name": "all", "roles": ["user", "service"], "permissions": ["agents:read", "keys:manage"], "client_id": "acme",
        "expires_at": "2199-01-01T00:00:00.000Z", "rate_limit_per_minute": 7, "rate_limit_per_hour": 70,
    });
    let (token, key) = make(&rig.admin(), asked.clone()).await;
    let shown = rig.admin().get(&path_of(&key)).await.data(200);
    for (name, value) in asked.as_object().unwrap() {
        assert_eq!((&key[name], &shown[name]), (value, value), "{name}");
    }
    let answer = rig.service.client().bearer(&token).get(PATH).await;
    answer.data(200);
    assert_eq!(answer.header("x-ratelimit-limit"), "7");
}

#[tokio::test]
async fn a_wrong_secret_and_an_unknown_key_are_the_same() {
    let rig = Rig::start(&[]).await;
    let (token, key) = make(&rig.admin(), json!({"name": "n"})).await;
    let id = key["id"].as_str().unwrap();
    for bad in [format!("{id}.wrong"), format!("{token}x"), "k_000000000000000000.x".to_owned(), format!("{id}.")] {
        let client = rig.service.client().bearer(&bad);
        client.get(PATH).await.error(401, "AUTHENTICATION_ERROR.INVALID_TOKEN");
    }
}

#[tokio::test]
async fn the_state_of_a_key_is_told_only_to_holders_of_its_secret() {
    let rig = Rig::start(&[]).await;
    let (token, key) = make(&rig.admin(), json!({"name": "n"})).await;
    rig.admin().delete(&path_of(&key)).await.data(200);
    let client = rig.service.client();
    client.bearer(&format!("{token}x")).get(PATH).await.error(401, "AUTHENTICATION_ERROR.INVALID_TOKEN");
    client.bearer(&token).get(PATH).await.error(401, "AUTHENTICATION_ERROR.REVOKED_TOKEN");
}

#[tokio::test]
async fn an_expired_key_is_refused_as_such() {
    let rig = Rig::start(&[]).await;
    let (token, key) = make(&rig.admin(), json!({"name": "n", "expires_at": "2199-01-01T00:00:00Z"})).await;
    rig.execute("UPDATE keys SET expires_at = now() - interval '1 second' WHERE expires_at IS NOT NULL");
    let client = rig.service.client();
    client.bearer(&token).get(PATH).await.error(401, "AUTHENTICATION_ERROR.EXPIRED_TOKEN");
    client.bearer(&format!("{token}x")).get(PATH).await.error(401, "AUTHENTICATION_ERROR.INVALID_TOKEN");
    let shown = rig.admin().get(&path_of(&key)).await.data(200);
    assert_eq!((&shown["active"], shown["expires_at"].is_string()), (&json!(false), true));
}

#[tokio::test]
async fn a_key_that_expires_while_it_is_remembered_is_refused_all_the_same() {
    let rig = Rig::start(&[]).await;
    let soon = api_types::time::format(chrono::Utc::now() + chrono::TimeDelta::seconds(1));
    let (token, _) = make(&rig.admin(), json!({"name": "n", "expires_at": soon})).await;
    let client = rig.service.client().bearer(&token);
    is_identified(&client.get(PATH).await);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while client.get(PATH).await.status != 401 {
        assert!(std::time::Instant::now() < deadline, "still good");
    }
    client.get(PATH).await.error(401, "AUTHENTICATION_ERROR.EXPIRED_TOKEN");
}

#[tokio::test]
async fn input_is_checked_field_by_field() {
    let rig = Rig::start(&[]).await;
    for (body, field, reason) in [
        (json!({}), "name", "REQUIRED_FIELD"),
        (json!({"name": null}), "name", "REQUIRED_FIELD"),
        (json!({"name": ""}), "name", "INVALID_RANGE"),
        (json!({"name": " "}), "name", "INVALID_RANGE"),
        (json!({"name": 3}), "name", "INVALID_TYPE"),
        (json!({"name": "x".repeat(101)}), "name", "INVALID_RANGE"),
        (json!({"name": "x", "roles": "admin"}), "roles", "INVALID_TYPE"),
        (json!({"name": "x", "roles": ["emperor"]}), "roles[0]", "INVALID_FORMAT"),
        (json!({"name": "x", "permissions": ["not a scope"]}), "permissions[0]", "INVALID_FORMAT"),
        (json!({"name": "x", "client_id": "c".repeat(65)}), "client_id", "INVALID_RANGE"),
        (json!({"name": "x", "expires_at": "2001-01-01T00:00:00Z"}), "expires_at", "INVALID_RANGE"),
        (json!({"name": "x", "expires_at": "tomorrow"}), "expires_at", "INVALID_FORMAT"),
        (json!({"name": "x", "rate_limit_per_minute": 0}), "rate_limit_per_minute", "INVALID_RANGE"),
        (json!({"name": "x", "rate_limit_per_minute": 1_000_001}), "rate_limit_per_minute", "INVALID_RANGE"),
        (json!({"name": "x", "rate_limit_per_hour": 1.5}), "rate_limit_per_hour", "INVALID_TYPE"),
        (json!({"name": "x", "rate_limit_per_hour": 60_000_001}), "rate_limit_per_hour", "INVALID_RANGE"),
    ] {
        let answer = rig.admin().post(PATH, &body).await;
        answer.error(422, &format!("VALIDATION_ERROR.{reason}"));
        assert_eq!(answer.fields(), [field], "{body}");
    }
    assert_eq!(rig.texts("SELECT id AS value FROM keys"), ["admin-key"]);
}

#[tokio::test]
async fn unknown_fields_are_ignored_with_a_warning() {
    let rig = Rig::start(&[]).await;
    let answer = rig.admin().post(PATH, &json!({"name": "n", "colour": "red"})).await;
    answer.data(201);
    assert_eq!(answer.meta()["warnings"], json!(["Unknown field 'colour' was ignored"]));
}

#[tokio::test]
async fn keys_are_managed_with_their_scope_alone() {
    let rig = Rig::start(&[]).await;
    let (token, key) = make(&rig.admin(), json!({"name": "n"})).await;
    let client = rig.service.client().bearer(&token);
    for answer in [
        client.get(PATH).await,
        client.get(&path_of(&key)).await,
        client.delete(&path_of(&key)).await,
        client.post(PATH, &json!({})).await,
    ] {
        let error = answer.error(403, "AUTHORIZATION_ERROR.INSUFFICIENT_PERMISSIONS");
        assert_eq!(error["message"], "Permission 'keys:manage' required");
    }
}

#[tokio::test]
async fn nobody_gives_what_they_have_not() {
    let rig = Rig::start(&[]).await;
    let some = json!({"name": "some", "permissions": ["keys:manage", "agents:write"]});
    let (token, _) = make(&rig.admin(), some).await;
    let manager = rig.service.client().bearer(&token);
    for beyond in [
        json!({"name": "n"}),
        json!({"name": "n", "roles": ["admin"], "permissions": ["agents:read"]}),
        json!({"name": "n", "roles": []}),
        json!({"name": "n", "permissions": ["agents:read", "skills:read"]}),
        json!({"name": "n", "permissions": ["*"]}),
        json!({"name": "n", "permissions": ["agents:read"], "client_id": "another"}),
    ] {
        manager.post(PATH, &beyond).await.error(403, "AUTHORIZATION_ERROR.FORBIDDEN_RESOURCE");
    }
    make(&manager, json!({"name": "n", "permissions": ["agents:read", "keys:manage"]})).await;
    rig.admin()
        .post(PATH, &json!({"name": "n", "roles": ["admin"]}))
        .await
        .error(403, "AUTHORIZATION_ERROR.FORBIDDEN_RESOURCE");
    assert_eq!(rig.texts("SELECT id AS value FROM keys").len(), 3);
}

#[tokio::test]
async fn holders_of_tokens_manage_keys_as_their_roles_allow() {
    let rig = Rig::start(&[]).await;
    let admin = rig.service.client().bearer(&jwt("boss", &[api_types::auth::Role::Admin], &[]));
    make(&admin, json!({"name": "n"})).await;
    let user = rig.service.client().bearer(&jwt("someone", &[], &[]));
    is_identified(&user.post(PATH, &json!({"name": "n"})).await);
}

#[tokio::test]
async fn an_unknown_key_is_not_found() {
    let rig = Rig::start(&[]).await;
    for id in ["k_nobody", "%00", "k_%00", "%FF", "a%2Fb"] {
        let path = format!("{PATH}/{id}");
        rig.admin().get(&path).await.error(404, "NOT_FOUND_ERROR.RESOURCE_NOT_FOUND");
        rig.admin().delete(&path).await.error(404, "NOT_FOUND_ERROR.RESOURCE_NOT_FOUND");
    }
}

#[tokio::test]
async fn lists_are_filtered_sorted_and_paged() {
    let rig = Rig::start(&[]).await;
    let admin = rig.admin();
    let mut made = Vec::new();
    for name in ["b", "a", "c", "B"] {
        made.push(make(&admin, json!({"name": name})).await.1);
    }
    let names = |answer: &Answer| -> Vec<String> {
        let rows = answer.data(200);
        rows.as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&admin.get(PATH).await), ["admin", "b", "a", "c", "B"]);
    assert_eq!(names(&admin.get(&format!("{PATH}?sort=-name&filter[id][ne]=admin-key")).await), ["c", "b", "a", "B"]);
    assert_eq!(names(&admin.get(&format!("{PATH}?filter[name][in]=a,c&sort=name")).await), ["a", "c"]);
    assert_eq!(names(&admin.get(&format!("{PATH}?filter[name][contains]=b")).await), ["b", "B"]);
    let second = &made[1];
    let same_time = format!("{PATH}?filter[created_at]={}", second["created_at"].as_str().unwrap());
    assert!(names(&admin.get(&same_time).await).contains(&"a".to_owned()));
    let page = admin.get(&format!("{PATH}?per_page=2&page=3")).await;
    assert_eq!(names(&page), ["B"]);
    let expected = json!({
        "page": 3, "per_page": 2, "total": 5, "total_pages": 3, "has_next": false, "has_prev": true,
    });
    assert_eq!(page.meta()["pagination"], expected);
    assert!(!page.text.contains("secret"));
    // Those that were never used come last ascending and first descending.
    assert_eq!(names(&admin.get(&format!("{PATH}?sort=last_used_at")).await)[0], "admin");
    assert_eq!(names(&admin.get(&format!("{PATH}?sort=-last_used_at")).await)[4], "admin");
    let bad = admin.get(&format!("{PATH}?filter[secret_sha256]=x")).await;
    bad.error(422, "VALIDATION_ERROR.INVALID_FORMAT");
    assert_eq!(bad.fields(), ["filter[secret_sha256]"]);
}

#[tokio::test]
async fn a_key_has_its_own_limits() {
    let rig = Rig::start(&[]).await;
    let body =
        json!({"name": "n", "permissions": ["keys:manage"], "rate_limit_per_minute": 1, "rate_limit_per_hour": 2});
    let (token, _) = make(&rig.admin(), body).await;
    let client = rig.service.client().bearer(&token);
    let mut answers = Vec::new();
    // A minute may end in between, the hour allows two in any case, or four when it ends in between.
    for _ in 0..5 {
        answers.push(client.get(PATH).await);
    }
    assert_eq!(answers[0].status, 200);
    let refused = answers.iter().find(|answer| answer.status == 429).unwrap();
    let error = refused.error(429, "RATE_LIMIT_ERROR.TOO_MANY_REQUESTS");
    assert_eq!(error["retry_after"].to_string(), refused.header("retry-after"));
}

#[tokio::test]
async fn the_same_request_again_makes_no_second_key() {
    let rig = Rig::start(&[]).await;
    let client = rig.admin().header("idempotency-key", "once");
    let first = client.post(PATH, &json!({"name": "n", "roles": ["user"]})).await;
    let again = client.post(PATH, &json!({"roles": ["user"], "name": "n"})).await;
    assert_eq!((again.status, &again.text), (201, &first.text));
    assert_eq!((first.header("idempotent-replayed"), again.header("idempotent-replayed")), ("", "true"));
    client.post(PATH, &json!({"name": "other"})).await.error(422, "VALIDATION_ERROR.IDEMPOTENCY_CONFLICT");
    assert_eq!(rig.texts("SELECT name AS value FROM keys ORDER BY created_at"), ["admin", "n"]);
    // What is kept to be answered again is no way to the secret for a reader of the database.
    assert!(!rig.everything_stored().contains(first.data(201)["key"]["secret"].as_str().unwrap()));
}

#[tokio::test]
async fn a_refused_request_leaves_its_idempotency_key_free() {
    let rig = Rig::start(&[]).await;
    let client = rig.admin().header("idempotency-key", "again");
    client
        .post(PATH, &json!({"name": "n", "roles": ["admin"]}))
        .await
        .error(403, "AUTHORIZATION_ERROR.FORBIDDEN_RESOURCE");
    client.post(PATH, &json!({"name": "n"})).await.data(201);
}

#[tokio::test]
async fn the_same_request_many_times_at_once_makes_one_key() {
    let rig = Rig::start(&[]).await;
    let client = rig.admin().header("idempotency-key", "at once");
    let body = json!({"name": "n"});
    let answers = join_all((0..16).map(|_| client.post(PATH, &body))).await;
    let fresh = answers.iter().filter(|a| a.status == 201 && a.header("idempotent-replayed").is_empty());
    assert_eq!(fresh.count(), 1);
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        let error = answer.error(409, "CONFLICT_ERROR.IDEMPOTENCY_IN_PROGRESS");
        assert_eq!(error["retry_after"], 1);
    }
    assert_eq!(rig.texts("SELECT id AS value FROM keys").len(), 2);
}

#[tokio::test]
async fn secrets_are_stored_nowhere() {
    let rig = Rig::start(&[]).await;
    let (_, key) = make(&rig.admin(), json!({"name": "n"})).await;
    let stored = rig.everything_stored();
    assert!(!stored.contains(key["secret"].as_str().unwrap()) && !stored.contains(ADMIN.split_once('.').unwrap().1));
}
