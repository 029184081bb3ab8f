//! The first key.

use futures_util::future::join_all;
use migrations::Service;
use serde_json::json;
use test_support::TestDb;

use crate::rig::{Rig, Tokens, on};

const PATH: &str = "/api/v1/auth/bootstrap";

fn token(rig: &Rig) -> String {
    rig.tokens.lock().unwrap().first().unwrap().clone()
}

#[tokio::test]
async fn the_printed_token_makes_an_administrators_key() {
    let rig = Rig::bare(&[]).await;
    let client = rig.service.client();
    let made = client.post(PATH, &json!({"bootstrap_token": token(&rig)})).await.data(201);
    let key = &made["key"];
    let (id, secret) = (key["id"].as_str().unwrap(), key["secret"].as_str().unwrap());
    assert_eq!(made["token"], format!("{id}.{secret}"));
    assert!(id.starts_with("k_") && id.len() == 20 && secret.len() == 43, "{id}");
    assert_eq!((&key["name"], &key["roles"], &key["permissions"]), (&json!("admin"), &json!(["admin"]), &json!(["*"])));
    let names: Vec<&String> = key.as_object().unwrap().keys().collect();
    assert_eq!(names.len(), 6, "{names:?}");
    let answer =
        client.bearer(made["token"].as_str().unwrap()).post("/api/v1/auth/keys", &json!({"name": "next"})).await;
    answer.data(201);
}

#[tokio::test]
async fn the_token_may_come_in_a_header_without_a_body() {
    let rig = Rig::bare(&[]).await;
    let answer = rig.service.client().header("x-bootstrap-token", &token(&rig)).send("POST", PATH, None).await;
    assert_eq!(answer.data(201)["key"]["name"], "admin");
}

#[tokio::test]
async fn a_wrong_or_missing_token_is_refused() {
    let rig = Rig::bare(&[]).await;
    let client = rig.service.client();
    for body in
        [json!({}), json!({"bootstrap_token": "x"}), json!({"bootstrap_token": ""}), json!({"bootstrap_token": null})]
    {
        client.post(PATH, &body).await.error(403, "AUTHORIZATION_ERROR.FORBIDDEN_RESOURCE");
    }
    let named = json!({"bootstrap_token": token(&rig), "name": "me"});
    assert_eq!(client.post(PATH, &named).await.data(201)["key"]["name"], "me");
}

#[tokio::test]
async fn what_is_no_name_or_token_is_named() {
    let rig = Rig::bare(&[]).await;
    let client = rig.service.client();
    let answer = client.post(PATH, &json!({"name": "", "bootstrap_token": 3})).await;
    answer.error(422, "VALIDATION_ERROR.INVALID_RANGE");
    assert_eq!(answer.fields(), ["name", "bootstrap_token"]);
    client.post(PATH, &json!([])).await.error(422, "VALIDATION_ERROR.INVALID_TYPE");
}

#[tokio::test]
async fn once_there_was_a_key_no_token_helps() {
    let rig = Rig::bare(&[]).await;
    let client = rig.service.client();
    let body = json!({"bootstrap_token": token(&rig)});
    client.post(PATH, &body).await.data(201);
    for body in [body, json!({}), json!({"bootstrap_token": "x"})] {
        let error = client.post(PATH, &body).await.error(409, "CONFLICT_ERROR.DUPLICATE_RESOURCE");
        assert_eq!(error["message"], "API keys already initialized");
    }
    // Nor when the key is no longer good.
    rig.execute("UPDATE keys SET revoked_at = now()");
    client.post(PATH, &json!({})).await.error(409, "CONFLICT_ERROR.DUPLICATE_RESOURCE");
}

#[tokio::test]
async fn of_sixteen_at_once_one_gets_the_key() {
    let rig = Rig::bare(&[]).await;
    let (client, body) = (rig.service.client(), json!({"bootstrap_token": token(&rig)}));
    let answers = join_all((0..16).map(|_| client.post(PATH, &body))).await;
    let (made, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 201);
    assert_eq!(made.len(), 1);
    for answer in refused {
        answer.error(409, "CONFLICT_ERROR.DUPLICATE_RESOURCE");
    }
    assert_eq!(rig.texts("SELECT id AS value FROM keys").len(), 1);
}

#[tokio::test]
async fn of_several_that_start_at_once_one_prints_a_token_and_it_is_good_at_all_of_them() {
    let (db, tokens) = (TestDb::schema(Service::ControlPlane), Tokens::default());
    let services = join_all((0..3).map(|_| on(&db, &[], &tokens))).await;
    let printed = tokens.lock().unwrap().clone();
    assert_eq!(printed.len(), 1, "{printed:?}");
    let body = json!({"bootstrap_token": printed[0]});
    let answers =
        join_all(services.iter().map(|service| async { service.client().post(PATH, &body).await.status })).await;
    assert_eq!(answers.iter().filter(|status| **status == 201).count(), 1, "{answers:?}");
    drop(services);
    // A later start has nothing to print, with a key or without.
    let later = on(&db, &[], &tokens).await;
    assert_eq!(tokens.lock().unwrap().len(), 1);
    drop(later);
}

#[tokio::test]
async fn the_token_makes_the_first_key_on_the_ains_door_too() {
    let rig = Rig::bare(&[]).await;
    let token = token(&rig);
    let client = rig.service.client();
    let body = json!({"client_id": "ops", "name": "first", "scopes": ["agents:read"], "rate_limit_per_minute": 500});
    // On this endpoint and in this header alone.
    client.header("x-api-key", &token).get("/ains/api-keys").await.ains_error(401, "INVALID_API_KEY");
    client.bearer(&token).post("/ains/api-keys", &body).await.ains_error(401, "INVALID_API_KEY");
    let wrong = token.chars().rev().collect::<String>();
    client.header("x-api-key", &wrong).post("/ains/api-keys", &body).await.ains_error(401, "INVALID_API_KEY");
    let first = client.header("x-api-key", &token);
    first.post("/ains/api-keys", &json!({})).await.ains_error(400, "MISSING_REQUIRED_FIELD");
    let made = first.post("/ains/api-keys", &body).await.ains(201);
    assert_eq!((&made["scopes"], &made["client_id"]), (&json!(["*"]), &json!("ops")));
    assert_eq!(made["rate_limit_per_minute"], 500);
    // It is an administrator's, so that it stays.
    let admin = client.header("x-api-key", made["api_key"].as_str().unwrap());
    admin.post("/ains/api-keys", &body).await.ains(201);
    let path = format!("/ains/api-keys/{}", made["key_id"].as_str().unwrap());
    assert_eq!(admin.delete(&path).await.status, 409);
    for body in [body, json!({})] {
        first.post("/ains/api-keys", &body).await.ains_error(401, "INVALID_API_KEY");
    }
    client.post(PATH, &json!({"bootstrap_token": token})).await.error(409, "CONFLICT_ERROR.DUPLICATE_RESOURCE");
    assert!(!rig.everything_stored().contains(made["api_key"].as_str().unwrap()));
}

#[tokio::test]
async fn of_sixteen_at_once_on_both_doors_one_gets_the_key() {
    let rig = Rig::bare(&[]).await;
    let (client, token) = (rig.service.client(), token(&rig));
    let (native, ains) = (json!({"bootstrap_token": token}), json!({"client_id": "c", "name": "n"}));
    let first = client.header("x-api-key", &token);
    let answers =
        join_all((0..16).map(|number| {
            if number % 2 == 0 { client.post(PATH, &native) } else { first.post("/ains/api-keys", &ains) }
        }))
        .await;
    let made = answers.iter().filter(|answer| answer.status == 201).count();
    let refused = answers.iter().filter(|answer| matches!(answer.status, 401 | 409)).count();
    assert_eq!((made, refused), (1, 15), "{answers:?}");
    assert_eq!(rig.texts("SELECT id AS value FROM keys").len(), 1);
}

#[tokio::test]
async fn a_restart_before_the_first_key_keeps_the_token() {
    let (db, tokens) = (TestDb::schema(Service::ControlPlane), Tokens::default());
    drop(on(&db, &[], &tokens).await);
    let again = on(&db, &[], &tokens).await;
    let printed = tokens.lock().unwrap().clone();
    assert_eq!(printed.len(), 1, "{printed:?}");
    again.client().post(PATH, &json!({"bootstrap_token": printed[0]})).await.data(201);
}

#[tokio::test]
async fn neither_token_nor_secret_is_stored() {
    let rig = Rig::bare(&[]).await;
    let token = token(&rig);
    assert!(!rig.everything_stored().contains(&token));
    let made = rig.service.client().post(PATH, &json!({"bootstrap_token": token})).await.data(201);
    assert!(!rig.everything_stored().contains(made["key"]["secret"].as_str().unwrap()));
}

#[tokio::test]
async fn an_address_cannot_try_without_end() {
    let rig = Rig::start(&[]).await;
    let (client, body) = (rig.service.client(), json!({}));
    // A minute may end in between, so two minutes' worth and one more.
    let mut statuses = Vec::new();
    for _ in 0..13 {
        statuses.extend(join_all((0..100).map(|_| client.post(PATH, &body))).await.into_iter().map(|a| a.status));
    }
    assert!(statuses.contains(&409) && statuses.contains(&429), "neither or not both");
}
