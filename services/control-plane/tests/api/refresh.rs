//! Going on with a session.

use futures_util::future::join_all;
use serde_json::{Value, json};
use test_support::{Answer, Client};

use crate::{
    people::{AUTH, INVALID, REVOKED, events, person},
    rig::Rig,
};

fn path() -> String {
    format!("{AUTH}/refresh")
}

async fn refresh(client: &Client, token: &str) -> Answer {
    client.post(&path(), &json!({"refresh_token": token})).await
}

fn token(answer: &Value) -> &str {
    answer["refresh_token"].as_str().unwrap()
}

#[tokio::test]
async fn a_refresh_token_gives_a_new_pair_in_any_of_three_ways() {
    let rig = Rig::start(&[]).await;
    let ada = person(&rig, "ada", "user").await;
    let client = rig.service.client();
    let first = refresh(&client, ada.refresh_token()).await.data(200);
    let names: Vec<&String> = first.as_object().unwrap().keys().collect();
    assert_eq!(names, ["access_token", "refresh_token", "token_type", "expires_in", "refresh_expires_in"]);
    assert_ne!(first["refresh_token"], ada.tokens["refresh_token"]);
    let by_access = client.bearer(first["access_token"].as_str().unwrap());
    assert_eq!(by_access.get(&format!("{AUTH}/me")).await.data(200)["id"], ada.id);
    let second = client.send("POST", &format!("{}?token={}", path(), token(&first)), None).await.data(200);
    let form = format!("grant_type=refresh_token&refresh_token={}", token(&second));
    let form = client.raw("POST", &path(), Some("application/x-www-form-urlencoded"), form.into_bytes()).await;
    assert!(!rig.everything_stored().contains(token(&form.data(200))));
}

#[tokio::test]
async fn what_is_no_refresh_token_is_told_from_one_that_is_missing() {
    let rig = Rig::start(&[]).await;
    let ada = person(&rig, "ada", "user").await;
    let client = rig.service.client();
    let missing = client.post(&path(), &json!({})).await;
    missing.error(422, "VALIDATION_ERROR.REQUIRED_FIELD");
    assert_eq!(missing.fields(), ["refresh_token"]);
    let access = ada.tokens["access_token"].as_str().unwrap();
    for bad in
        [&format!("rt_{}", "x".repeat(43)), access, "", &ada.refresh_token()[3..], &format!("{}x", ada.refresh_token())]
    {
        refresh(&client, bad).await.error(401, INVALID);
    }
    // And a refresh token is no credential.
    client.bearer(ada.refresh_token()).get(&format!("{AUTH}/me")).await.error(401, INVALID);
    client.header("x-api-key", ada.refresh_token()).get(&format!("{AUTH}/me")).await.error(401, INVALID);
}

#[tokio::test]
async fn a_token_that_comes_again_ends_all_that_descends_from_its_login() {
    let rig = Rig::start(&[]).await;
    let mut ada = person(&rig, "ada", "user").await;
    let client = rig.service.client();
    let first = ada.refresh_token().to_owned();
    let second = refresh(&client, &first).await.data(200);
    let third = refresh(&client, token(&second)).await.data(200);
    let others = ada.client.clone();
    ada.sign_in().await;
    refresh(&client, &first).await.error(401, REVOKED);
    refresh(&client, token(&third)).await.error(401, REVOKED);
    for access in [&second["access_token"], &third["access_token"]] {
        let by_access = client.bearer(access.as_str().unwrap());
        by_access.get(&format!("{AUTH}/me")).await.error(401, REVOKED);
    }
    others.get(&format!("{AUTH}/me")).await.error(401, REVOKED);
    // Another login is another matter.
    ada.client.get(&format!("{AUTH}/me")).await.data(200);
    refresh(&client, &first).await.error(401, REVOKED);
    let told = events(&rig, "user.session_revoked");
    assert_eq!((told.len(), &told[0]["payload"]["user_id"]), (1, &json!(ada.id)));
}

#[tokio::test]
async fn of_simultaneous_uses_exactly_one_succeeds() {
    let rig = Rig::start(&[]).await;
    let replica = rig.replica(&[]).await;
    for number in 0..3 {
        let ada = person(&rig, &format!("ada_{number}"), "user").await;
        let clients = [rig.service.client(), replica.client()];
        let answers = join_all((0..16).map(|n| refresh(&clients[n % 2], ada.refresh_token()))).await;
        let (good, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
        assert_eq!(good.len(), 1);
        for answer in refused {
            answer.error(401, REVOKED);
        }
        refresh(&clients[0], token(&good[0].data(200))).await.error(401, REVOKED);
    }
}

#[tokio::test]
async fn a_token_expires_after_seven_days() {
    let rig = Rig::start(&[]).await;
    let ada = person(&rig, "ada", "user").await;
    let week = "SELECT (expires_at - now() BETWEEN interval '167 hours' AND interval '168 hours')::text AS value FROM refresh_tokens";
    assert_eq!(rig.texts(week), ["true"]);
    rig.execute("UPDATE refresh_tokens SET expires_at = now()");
    let answer = refresh(&rig.service.client(), ada.refresh_token()).await;
    answer.error(401, "AUTHENTICATION_ERROR.EXPIRED_TOKEN");
}

#[tokio::test]
async fn a_new_access_token_has_the_present_role_and_a_closed_account_gets_none() {
    let rig = Rig::start(&[]).await;
    let mut ada = person(&rig, "ada", "user").await;
    let client = rig.service.client();
    // Past the rules, which would end the session.
    rig.execute("UPDATE users SET role = 'developer' WHERE username = 'ada'");
    let fresh = refresh(&client, ada.refresh_token()).await.data(200);
    let me = client.bearer(fresh["access_token"].as_str().unwrap()).get(&format!("{AUTH}/me")).await.data(200);
    assert_eq!(me["roles"], json!(["developer"]));
    ada.sign_in().await;
    rig.execute("UPDATE users SET is_active = false WHERE username = 'ada'");
    refresh(&client, ada.refresh_token()).await.error(401, REVOKED);
}

#[tokio::test]
async fn used_tokens_and_sessions_are_let_go_a_month_after_they_expire() {
    let rig = Rig::start(&[]).await;
    let ada = person(&rig, "ada", "user").await;
    person(&rig, "bob", "user").await;
    let old = "expires_at = now() - interval '31 days'";
    rig.execute(&format!("UPDATE sessions SET {old} WHERE user_id = '{}'", ada.id));
    let replica = rig.replica(&[]).await;
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while rig.texts("SELECT id AS value FROM sessions").len() > 1 {
        assert!(std::time::Instant::now() < deadline, "still there");
        tokio::task::yield_now().await;
    }
    assert_eq!(rig.texts("SELECT session_id AS value FROM refresh_tokens").len(), 1);
    refresh(&rig.service.client(), ada.refresh_token()).await.error(401, INVALID);
    drop(replica);
}
