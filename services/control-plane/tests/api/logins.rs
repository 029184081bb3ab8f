//! Signing in.

use futures_util::future::join_all;
use serde_json::{Value, json};
use test_support::{Answer, Client};

use crate::{
    people::{AUTH, PASSWORD, WRONG, events, login, person},
    rig::Rig,
};

const FORM: &str = "application/x-www-form-urlencoded";

fn path() -> String {
    format!("{AUTH}/login")
}

async fn try_login(client: &Client, name: &str, password: &str) -> Answer {
    client.post(&path(), &json!({"username": name, "password": password})).await
}

fn claims(token: &Value) -> Value {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let part = token.as_str().unwrap().split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

#[tokio::test]
async fn a_login_answers_two_tokens_and_the_user() {
    let rig = Rig::start(&[]).await;
    let ada = person(&rig, "ada", "developer").await;
    let tokens = &ada.tokens;
    for (name, value) in [
        ("token_type", json!("bearer")),
        ("expires_in", json!(1800)),
        ("refresh_expires_in", json!(604_800)),
        ("scope", json!("developer")),
    ] {
        assert_eq!(tokens[name], value, "{name}");
    }
    assert_eq!((&tokens["user"]["id"], &tokens["user"]["login_count"]), (&json!(ada.id), &json!(1)));
    assert!(tokens["user"]["last_login"].is_string());
    assert!(ada.refresh_token().starts_with("rt_") && ada.refresh_token().len() == 46);
    let claims = claims(&tokens["access_token"]);
    for (name, value) in [
        ("sub", json!(ada.id)),
        ("username", json!("ada")),
        ("role", json!("developer")),
        ("roles", json!(["developer"])),
        ("type", json!("access")),
    ] {
        assert_eq!(claims[name], value, "{name}");
    }
    assert!(claims["sid"].is_string() && claims["jti"].is_string());
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 1800);
    let event = &events(&rig, "user.login")[0];
    assert_eq!((&event["actor"], &event["payload"]["session_id"]), (&json!(ada.id), &claims["sid"]));
    let stored = rig.everything_stored();
    assert!(!stored.contains(ada.refresh_token()) && !stored.contains(tokens["access_token"].as_str().unwrap()));
    let metrics = rig.service.client().get("/metrics").await.text;
    assert!(metrics.contains("imago_logins_total{status=\"success\"}"), "{metrics}");
}

#[tokio::test]
async fn the_name_may_be_the_address_and_the_body_a_form() {
    let rig = Rig::start(&[]).await;
    let ada = person(&rig, "ada", "user").await;
    let client = rig.service.client();
    assert_eq!(login(&client, "ADA@Example.com", PASSWORD).await["user"]["id"], ada.id);
    let form = format!("grant_type=password&username=Ada&password={PASSWORD}&scope=&client_id=x&client_secret=y");
    let answer = client.raw("POST", &path(), Some(FORM), form.into_bytes()).await;
    assert_eq!(answer.data(200)["user"]["login_count"], 3);
    assert!(answer.meta()["warnings"].is_null());
    for bad in ["grant_type=client_credentials&username=ada&password=x", "username=ada"] {
        assert_eq!(client.raw("POST", &path(), Some(FORM), bad.as_bytes().to_vec()).await.status, 422, "{bad}");
    }
    let text = client.raw("POST", &path(), Some("text/plain"), b"username=ada".to_vec()).await;
    text.error(415, "VALIDATION_ERROR.UNSUPPORTED_MEDIA_TYPE");
    let missing = client.post(&path(), &json!({})).await;
    missing.error(422, "VALIDATION_ERROR.REQUIRED_FIELD");
    assert_eq!(missing.fields(), ["username", "password"]);
}

#[tokio::test]
async fn every_wrong_login_looks_the_same() {
    let rig = Rig::start(&[]).await;
    let ada = person(&rig, "ada", "user").await;
    let bob = person(&rig, "bob", "user").await;
    rig.admin().put(&format!("{AUTH}/users/{}", bob.id), &json!({"is_active": false})).await.data(200);
    let client = rig.service.client();
    for (name, password) in [("ada", "Wrong-Horse-7"), ("nobody", PASSWORD), ("bob", PASSWORD), ("ada", "")] {
        let answer = try_login(&client, name, password).await;
        let error = answer.error(401, WRONG);
        assert_eq!((&error["message"], &error["details"]), (&json!("Invalid credentials"), &json!([])));
        assert!(answer.header("www-authenticate").starts_with("Bearer"));
    }
    let told = events(&rig, "user.login_failed");
    let reasons: Vec<&Value> = told.iter().map(|event| &event["payload"]["reason"]).collect();
    assert_eq!(reasons, ["wrong_password", "unknown_user", "inactive", "wrong_password"]);
    assert_eq!((&told[0]["payload"]["user_id"], &told[1]["payload"]["username"]), (&json!(ada.id), &Value::Null));
}

#[tokio::test]
async fn after_ten_failures_of_a_name_it_waits_and_nobody_else_does() {
    let rig = Rig::start(&[]).await;
    person(&rig, "ada", "user").await;
    person(&rig, "bob", "user").await;
    let client = rig.service.client();
    for _ in 0..10 {
        try_login(&client, "ada", "Wrong-Horse-7").await.error(401, WRONG);
    }
    // The right password helps no more, at a replica neither.
    let replica = rig.replica(&[]).await;
    for client in [&client, &replica.client()] {
        let answer = try_login(client, "Ada", PASSWORD).await;
        let error = answer.error(429, "RATE_LIMIT_ERROR.TOO_MANY_REQUESTS");
        let wait = error["retry_after"].as_u64().unwrap();
        assert!((800..=900).contains(&wait) && answer.header("retry-after") == wait.to_string(), "{wait}");
    }
    login(&client, "bob", PASSWORD).await;
    assert_eq!(events(&rig, "user.login_failed").len(), 10);
    rig.execute("UPDATE login_failures SET first_at = first_at - interval '15 minutes'");
    login(&client, "ada", PASSWORD).await;
}

#[tokio::test]
async fn a_success_clears_the_count() {
    let rig = Rig::start(&[]).await;
    person(&rig, "ada", "user").await;
    let client = rig.service.client();
    for _ in 0..2 {
        for _ in 0..9 {
            try_login(&client, "ada", "Wrong-Horse-7").await.error(401, WRONG);
        }
        login(&client, "ada", PASSWORD).await;
    }
    // Those of another name are another count.
    try_login(&client, "nobody", PASSWORD).await.error(401, WRONG);
    assert_eq!(rig.texts("SELECT failures::text AS value FROM login_failures"), ["1"]);
}

#[tokio::test]
async fn who_guesses_many_at_once_learns_no_more() {
    let rig = Rig::start(&[]).await;
    person(&rig, "ada", "user").await;
    let client = rig.service.client();
    let answers = join_all((0..24).map(|_| try_login(&client, "ada", "Wrong-Horse-7"))).await;
    let wrong = answers.iter().filter(|answer| answer.status == 401).count();
    assert_eq!(wrong, 10);
    // On a busy machine some are told that there is no room to hash them.
    assert!(answers.iter().all(|answer| [401, 429, 503].contains(&answer.status)));
}

#[tokio::test]
async fn of_many_right_logins_at_once_all_succeed() {
    let rig = Rig::start(&[]).await;
    person(&rig, "ada", "user").await;
    let client = rig.service.client();
    let answers = join_all((0..20).map(|_| try_login(&client, "ada", PASSWORD))).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    let count = login(&client, "ada", PASSWORD).await["user"]["login_count"].clone();
    assert_eq!(count, 22);
}

#[tokio::test]
async fn old_failures_are_let_go() {
    let rig = Rig::start(&[]).await;
    try_login(&rig.service.client(), "nobody", PASSWORD).await.error(401, WRONG);
    rig.execute("UPDATE login_failures SET first_at = first_at - interval '15 minutes'");
    // A start looks for them.
    let replica = rig.replica(&[]).await;
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while !rig.texts("SELECT address AS value FROM login_failures").is_empty() {
        assert!(std::time::Instant::now() < deadline, "still there");
        tokio::task::yield_now().await;
    }
    drop(replica);
}
