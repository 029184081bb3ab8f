//! The first administrator among the users.

use futures_util::future::join_all;
use serde_json::json;

use crate::{
    people::{AUTH, WRONG, body, events, login},
    rig::Rig,
};

fn password(rig: &Rig) -> String {
    let printed = rig.passwords.lock().unwrap().clone();
    assert_eq!(printed.len(), 1, "{printed:?}");
    printed[0].clone()
}

#[tokio::test]
async fn the_first_start_prints_a_password_that_makes_an_administrator() {
    let rig = Rig::start(&[]).await;
    let tokens = login(&rig.service.client(), "admin", &password(&rig)).await;
    assert_eq!((&tokens["scope"], &tokens["user"]["role"]), (&json!("admin"), &json!("admin")));
    let client = rig.service.client().bearer(tokens["access_token"].as_str().unwrap());
    assert_eq!(client.get(&format!("{AUTH}/users")).await.data(200).as_array().unwrap().len(), 1);
    assert!(!rig.everything_stored().contains(&password(&rig)));
    assert_eq!(events(&rig, "user.registered").len(), 1);
}

#[tokio::test]
async fn later_starts_and_replicas_print_nothing_and_keep_the_password() {
    let rig = Rig::start(&[]).await;
    let replicas = join_all((0..2).map(|_| rig.replica(&[]))).await;
    let password = password(&rig);
    for replica in &replicas {
        login(&replica.client(), "admin", &password).await;
    }
}

#[tokio::test]
async fn of_several_that_start_at_once_one_makes_the_administrator() {
    let rig = Rig::start(&[]).await;
    rig.execute("TRUNCATE users CASCADE");
    rig.passwords.lock().unwrap().clear();
    let replicas = join_all((0..3).map(|_| rig.replica(&[]))).await;
    login(&replicas[0].client(), "admin", &password(&rig)).await;
    assert_eq!(rig.texts("SELECT username AS value FROM users"), ["admin"]);
}

#[tokio::test]
async fn whoever_registers_first_is_no_administrator_for_that() {
    let rig = Rig::start(&[]).await;
    let user = rig.service.client().post(&format!("{AUTH}/register"), &body("ada")).await.data(201);
    assert_eq!(user["role"], "user");
    let answer = rig.service.client().post(&format!("{AUTH}/register"), &body("admin")).await;
    answer.error(409, "CONFLICT_ERROR.DUPLICATE_RESOURCE");
}

#[tokio::test]
async fn who_lost_the_password_is_given_another_by_an_administrators_key() {
    let rig = Rig::start(&[]).await;
    let users = rig.admin().get(&format!("{AUTH}/users?search=ADMIN")).await.data(200);
    let path = format!("{AUTH}/users/{}", users[0]["id"].as_str().unwrap());
    rig.admin().put(&path, &json!({"password": "Better-Horse-8"})).await.data(200);
    login(&rig.service.client(), "admin", "Better-Horse-8").await;
    let old = json!({"username": "admin", "password": password(&rig)});
    rig.service.client().post(&format!("{AUTH}/login"), &old).await.error(401, WRONG);
}
