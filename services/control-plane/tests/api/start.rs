//! The administrator's key of the settings.

use api_core::{platform::Platform, settings::Settings};
use control_plane::Deps;
use migrations::Service;
use test_support::TestDb;

use crate::{
    keys::PATH,
    rig::{Rig, Tokens, on},
};

#[tokio::test]
async fn the_settings_make_an_administrators_key_and_then_no_token_is_printed() {
    let rig = Rig::start(&[]).await;
    let key = rig.admin().get(&format!("{PATH}/admin-key")).await.data(200);
    assert_eq!((&key["roles"], &key["active"]), (&serde_json::json!(["admin"]), &serde_json::json!(true)));
    assert!(rig.tokens.lock().unwrap().is_empty());
}

#[tokio::test]
async fn another_secret_in_the_settings_replaces_the_first() {
    let (db, tokens) = (TestDb::schema(Service::ControlPlane), Tokens::default());
    drop(on(&db, &[("BOOTSTRAP_ADMIN_KEY", "boss.one")], &tokens).await);
    let service = on(&db, &[("BOOTSTRAP_ADMIN_KEY", "boss.two.with.dots")], &tokens).await;
    service.client().bearer("boss.two.with.dots").get(PATH).await.data(200);
    service.client().bearer("boss.one").get(PATH).await.error(401, "AUTHENTICATION_ERROR.INVALID_TOKEN");
}

#[tokio::test]
async fn a_revoked_key_stays_revoked_whatever_the_settings_say() {
    let rig = Rig::start(&[]).await;
    rig.execute("UPDATE keys SET revoked_at = now() WHERE id = 'admin-key'");
    for key in ["admin-key.right", "admin-key.other"] {
        let service = on(&rig.db, &[("BOOTSTRAP_ADMIN_KEY", key)], &rig.tokens).await;
        assert_eq!(service.client().bearer(key).get(PATH).await.status, 401);
        service.client().bearer("admin-key.right").get(PATH).await.error(401, "AUTHENTICATION_ERROR.REVOKED_TOKEN");
    }
    assert!(rig.tokens.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_key_that_was_nobodys_administrator_becomes_one() {
    let rig = Rig::start(&[]).await;
    rig.execute("UPDATE keys SET roles = '{user}', permissions = '{}' WHERE id = 'admin-key'");
    let service = on(&rig.db, &[("BOOTSTRAP_ADMIN_KEY", "admin-key.right")], &rig.tokens).await;
    service.client().bearer("admin-key.right").get(PATH).await.data(200);
}

#[tokio::test]
async fn ids_in_the_settings_make_administrators_of_keys_with_the_right_secret_only() {
    let rig = Rig::start(&[("ADMIN_KEY_IDS", "plain, nobody")]).await;
    // The digest of `right`.
    rig.execute(
        "INSERT INTO keys (id, name, secret_sha256, roles, permissions, client_id, created_at) \
         SELECT 'plain', 'plain', secret_sha256, '{user}', '{agents:read}', 'plain', now() FROM keys",
    );
    let client = rig.service.client();
    client.bearer("plain.right").get(PATH).await.data(200);
    client.bearer("plain.wrong").get(PATH).await.error(401, "AUTHENTICATION_ERROR.INVALID_TOKEN");
    client.bearer("nobody.right").get(PATH).await.error(401, "AUTHENTICATION_ERROR.INVALID_TOKEN");
}

#[tokio::test]
async fn a_malformed_key_in_the_settings_stops_the_start() {
    let settings = Settings::from_pairs([("BOOTSTRAP_ADMIN_KEY", "nodot")]).unwrap();
    let platform = Platform::new(settings).unwrap();
    let error =
        control_plane::start(Deps { platform, database_url: "postgres://127.0.0.1:1/none".to_owned() }).unwrap_err();
    assert!(error.to_string().contains("BOOTSTRAP_ADMIN_KEY"), "{error}");
}
