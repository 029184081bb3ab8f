//! Oneself.

use serde_json::{Value, json};
use test_support::jwt;

use crate::{
    keys::make,
    people::{AUTH, PASSWORD, REVOKED, WRONG, events, login, person},
    rig::Rig,
};

fn path() -> String {
    format!("{AUTH}/me")
}

#[tokio::test]
async fn it_says_who_calls_and_what_they_may() {
    let rig = Rig::start(&[]).await;
    let ada = person(&rig, "ada", "user").await;
    let me = ada.client.get(&path()).await.data(200);
    assert_eq!((&me["id"], &me["type"], &me["roles"]), (&json!(ada.id), &json!("user"), &json!(["user"])));
    assert_eq!((&me["user"], me["session_id"].is_string()), (&ada.tokens["user"], true));
    let has = |scope: &str| me["permissions"].as_array().unwrap().contains(&json!(scope));
    assert!(has("chat:write") && has("templates:read") && !has("workflows:read") && !has("templates:write"));

    let key = rig.admin().get(&path()).await.data(200);
    assert_eq!(
        (&key["type"], &key["permissions"], &key["id"]),
        (&json!("api_key"), &json!(["*"]), &json!("admin-key"))
    );
    assert_eq!((&key["user"], &key["session_id"], &key["roles"]), (&Value::Null, &Value::Null, &json!(["admin"])));
    let (service, _) = make(&rig.admin(), json!({"name": "s", "permissions": ["agents:read"]})).await;
    let service = rig.service.client().bearer(&service).get(&path()).await.data(200);
    assert_eq!((&service["roles"], &service["permissions"]), (&json!(["developer"]), &json!(["agents:read"])));

    // A token of another issuer, also one that names somebody here.
    for subject in ["somebody", ada.id.as_str()] {
        let token = jwt(subject, &[api_types::auth::Role::Service], &[]);
        let me = rig.service.client().bearer(&token).get(&path()).await.data(200);
        assert_eq!((&me["type"], &me["user"], &me["session_id"]), (&json!("token"), &Value::Null, &Value::Null));
    }
}

#[tokio::test]
async fn a_user_changes_itself_but_not_what_it_may() {
    let rig = Rig::start(&[]).await;
    let ada = person(&rig, "ada", "user").await;
    person(&rig, "bob", "user").await;
    let changed =
        ada.client.put(&path(), &json!({"full_name": "Ada King", "preferences": {"theme": "dark"}})).await.data(200);
    assert_eq!((&changed["full_name"], &changed["preferences"]), (&json!("Ada King"), &json!({"theme": "dark"})));
    assert_eq!((&changed["revision"], &changed["email"]), (&json!(2), &json!("ada@example.com")));

    // What was answered can be sent back, and changes nothing.
    let answer = ada.client.put(&path(), &changed).await;
    assert_eq!((answer.data(200), answer.meta()["warnings"].is_null()), (changed.clone(), true));
    assert_eq!(events(&rig, "user.updated").len(), 1);
    let outdated = ada.client.put(&path(), &json!({"full_name": "X Y", "revision": 1})).await;
    let error = outdated.error(409, "CONFLICT_ERROR.RESOURCE_CONFLICT");
    assert_eq!(error["message"], "Revision 1 is outdated, current is 2");

    let promoted = ada.client.put(&path(), &json!({"role": "admin", "password": "Better-Horse-8"})).await;
    assert_eq!(
        (promoted.data(200)["role"].clone(), &promoted.meta()["warnings"]),
        (json!("user"), &json!(["Unknown field 'password' was ignored"]))
    );
    let taken = ada.client.put(&path(), &json!({"email": "BOB@example.com"})).await;
    taken.error(409, "CONFLICT_ERROR.DUPLICATE_RESOURCE");
    assert_eq!(taken.fields(), ["email"]);
    let nulls = ada.client.put(&path(), &json!({"full_name": null, "preferences": null, "avatar_url": null})).await;
    nulls.error(422, "VALIDATION_ERROR.REQUIRED_FIELD");
    assert_eq!(ada.client.put(&path(), &json!({"preferences": null})).await.data(200)["preferences"], json!({}));
    // The session goes on through all of it.
    ada.client.get(&path()).await.data(200);
}

#[tokio::test]
async fn who_is_no_user_cannot_be_changed() {
    let rig = Rig::start(&[]).await;
    rig.admin().put(&path(), &json!({"full_name": "A Key"})).await.error(409, "CONFLICT_ERROR.RESOURCE_CONFLICT");
    let passwords = json!({"current_password": PASSWORD, "new_password": "Better-Horse-8"});
    let answer = rig.admin().put(&format!("{AUTH}/me/password"), &passwords).await;
    answer.error(409, "CONFLICT_ERROR.RESOURCE_CONFLICT");
}

#[tokio::test]
async fn another_password_ends_the_other_sessions() {
    let rig = Rig::start(&[]).await;
    let mut ada = person(&rig, "ada", "user").await;
    let (other, other_refresh) = (ada.client.clone(), ada.refresh_token().to_owned());
    ada.sign_in().await;
    let path = format!("{AUTH}/me/password");
    let wrong =
        ada.client.put(&path, &json!({"current_password": "Wrong-Horse-7", "new_password": "Better-Horse-8"})).await;
    wrong.error(422, "VALIDATION_ERROR.INVALID_FORMAT");
    assert_eq!(wrong.fields(), ["current_password"]);
    let weak = ada.client.put(&path, &json!({"current_password": PASSWORD, "new_password": "weak"})).await;
    assert!(weak.status == 422 && weak.fields().iter().all(|field| field == "new_password"), "{}", weak.text);
    other.get(&format!("{AUTH}/me")).await.data(200);

    let right = json!({"current_password": PASSWORD, "new_password": "Better-Horse-8"});
    assert_eq!(ada.client.put(&path, &right).await.data(200), json!({"changed": true}));
    ada.client.get(&format!("{AUTH}/me")).await.data(200);
    other.get(&format!("{AUTH}/me")).await.error(401, REVOKED);
    let body = json!({"refresh_token": other_refresh});
    rig.service.client().post(&format!("{AUTH}/refresh"), &body).await.error(401, REVOKED);
    let old = json!({"username": "ada", "password": PASSWORD});
    rig.service.client().post(&format!("{AUTH}/login"), &old).await.error(401, WRONG);
    login(&rig.service.client(), "ada", "Better-Horse-8").await;
    let told = &events(&rig, "user.updated")[0]["payload"];
    assert_eq!((&told["changed"], &told["revoked_sessions"]), (&json!(["password"]), &json!(1)));
    assert!(!rig.everything_stored().contains("Better-Horse-8"));
}

#[tokio::test]
async fn a_stolen_token_is_no_way_to_guess_the_password() {
    let rig = Rig::start(&[]).await;
    let ada = person(&rig, "ada", "user").await;
    let path = format!("{AUTH}/me/password");
    let guess = json!({"current_password": "Wrong-Horse-7", "new_password": "Better-Horse-8"});
    for _ in 0..10 {
        ada.client.put(&path, &guess).await.error(422, "VALIDATION_ERROR.INVALID_FORMAT");
    }
    ada.client.put(&path, &guess).await.error(429, "RATE_LIMIT_ERROR.TOO_MANY_REQUESTS");
}
