//! Who may go, and that somebody stays.

use futures_util::future::join_all;
use serde_json::json;

use crate::{
    keys::{PATH, make},
    rig::Rig,
};

/// Another administrator's key, which no caller can make.
pub(crate) const SECOND: &str = "INSERT INTO keys (id, name, secret_sha256, roles, permissions, client_id, created_at) \
                      VALUES ('second', 'second', '', '{admin}', '{*}', 'second', now())";

#[tokio::test]
async fn the_last_administrators_key_stays() {
    let rig = Rig::start(&[]).await;
    make(&rig.admin(), json!({"name": "n", "permissions": ["*"]})).await;
    let path = format!("{PATH}/admin-key");
    rig.admin().delete(&path).await.error(409, "CONFLICT_ERROR.RESOURCE_CONFLICT");
    assert_eq!(rig.admin().get(&path).await.data(200)["active"], true);
    rig.execute(SECOND);
    rig.admin().delete(&path).await.data(200);
}

#[tokio::test]
async fn an_administrator_that_cannot_sign_in_any_more_does_not_count() {
    for end in ["expires_at = now() - interval '1 second'", "revoked_at = now()"] {
        let rig = Rig::start(&[]).await;
        rig.execute(&format!("{SECOND}; UPDATE keys SET {end} WHERE id = 'second'"));
        rig.admin().delete(&format!("{PATH}/admin-key")).await.error(409, "CONFLICT_ERROR.RESOURCE_CONFLICT");
        rig.admin().delete(&format!("{PATH}/second")).await.data(200);
    }
}

#[tokio::test]
async fn of_the_last_two_administrators_only_one_goes_however_they_hurry() {
    let rig = Rig::start(&[]).await;
    let admin = rig.service.client().admin();
    rig.execute(SECOND);
    for _ in 0..10 {
        rig.execute("UPDATE keys SET revoked_at = NULL");
        let paths = ["admin-key", "second"].map(|id| format!("{PATH}/{id}"));
        let mut statuses: Vec<u16> =
            join_all(paths.iter().map(|path| admin.delete(path))).await.iter().map(|a| a.status).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409]);
    }
}

#[tokio::test]
async fn keys_that_the_settings_make_administrators_count() {
    let rig = Rig::start(&[("ADMIN_KEY_IDS", "named")]).await;
    rig.execute(&SECOND.replace("'second'", "'named'").replace("{admin}", "{user}").replace("{*}", "{}"));
    rig.admin().delete(&format!("{PATH}/admin-key")).await.data(200);
    let admin = rig.service.client().admin();
    admin.delete(&format!("{PATH}/named")).await.error(409, "CONFLICT_ERROR.RESOURCE_CONFLICT");
}

#[tokio::test]
async fn a_key_may_revoke_itself_and_is_refused_from_then_on() {
    let rig = Rig::start(&[]).await;
    let (token, key) = make(&rig.admin(), json!({"name": "n", "permissions": ["keys:manage"]})).await;
    let client = rig.service.client().bearer(&token);
    let path = format!("{PATH}/{}", key["id"].as_str().unwrap());
    client.delete(&path).await.data(200);
    client.delete(&path).await.error(401, "AUTHENTICATION_ERROR.REVOKED_TOKEN");
}

#[tokio::test]
async fn of_many_revocations_of_one_key_all_say_the_same() {
    let rig = Rig::start(&[]).await;
    let (_, key) = make(&rig.admin(), json!({"name": "n"})).await;
    let (admin, path) = (rig.admin(), format!("{PATH}/{}", key["id"].as_str().unwrap()));
    let answers: Vec<_> = join_all((0..8).map(|_| admin.delete(&path))).await.iter().map(|a| a.data(200)).collect();
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    // Wherever it is by now.
    let events = "SELECT kind AS value FROM (SELECT kind FROM outbox UNION ALL SELECT kind FROM events) AS every";
    assert_eq!(rig.texts(events).iter().filter(|kind| *kind == "key.revoked").count(), 1);
}
