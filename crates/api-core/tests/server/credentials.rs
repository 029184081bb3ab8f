//! Who calls.

use api_core::settings::DEVELOPMENT_JWT_SECRET;
use api_types::auth::Role;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use test_support::{Answer, jwt};

use crate::tiny::{ADMIN, LEGACY, READER, THINGS, Tiny};

const PATH: &str = "/api/v1/things/a";

fn signed(header: &Header, claims: &Value, secret: &str) -> String {
    jsonwebtoken::encode(header, claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
}

fn caller(answer: &Answer) -> String {
    answer.data(200)["caller"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_key_comes_in_either_header_and_the_first_counts() {
    let tiny = Tiny::start(&[]).await;
    let client = tiny.client();
    for scheme in ["Bearer", "bearer", "BEARER"] {
        assert_eq!(caller(&client.header("authorization", &format!("{scheme} {READER}")).get(PATH).await), "reader");
    }
    assert_eq!(caller(&client.header("x-api-key", READER).get(PATH).await), "reader");
    assert_eq!(caller(&client.header("x-api-key", READER).bearer(ADMIN).get(PATH).await), "admin");
    let answer = client.header("x-api-key", READER).bearer("admin.wrong").get(PATH).await;
    answer.error(401, "AUTHENTICATION_ERROR.INVALID_TOKEN");
}

#[tokio::test]
async fn keys_of_both_forms_come_in_either_header() {
    let tiny = Tiny::start(&[]).await;
    let key = format!("ains_{}", "k".repeat(43));
    tiny.keys.add(&key, &[Role::Service], &["agents:read"]);
    let client = tiny.client();
    for by in [client.bearer(&key), client.header("x-api-key", &key)] {
        assert!(caller(&by.get(PATH).await).starts_with("key_"));
    }
    let before = tiny.keys.asked();
    let (shorter, longer, upper) = (&key[..47], format!("{key}k"), key.replacen("ains_", "AINS_", 1));
    for bad in [shorter, &longer, &upper, &key[5..]] {
        client.bearer(bad).get(PATH).await.error(401, "AUTHENTICATION_ERROR.INVALID_TOKEN");
    }
    assert_eq!(tiny.keys.asked(), before);
    let other = key.replacen("_k", "_K", 1);
    for _ in 0..3 {
        client.bearer(&other).get(PATH).await.error(401, "AUTHENTICATION_ERROR.INVALID_TOKEN");
    }
    assert_eq!(tiny.keys.asked(), before + 1);
}

#[tokio::test]
async fn what_is_no_credential_is_told_from_none() {
    let tiny = Tiny::start(&[]).await;
    let client = tiny.client();
    client.get(PATH).await.error(401, "AUTHENTICATION_ERROR.MISSING_AUTHORIZATION");
    client.header("x-api-key", "").get(PATH).await.error(401, "AUTHENTICATION_ERROR.MISSING_AUTHORIZATION");
    for bad in ["nodot", "unknown-key.secret", ".x", "x.", "a.b.c", "admin.secretx", "admin.anything", "admin.se cret"]
    {
        client.bearer(bad).get(PATH).await.error(401, "AUTHENTICATION_ERROR.INVALID_TOKEN");
    }
    client.header("authorization", "Basic YTpi").get(PATH).await.error(401, "AUTHENTICATION_ERROR.INVALID_TOKEN");
}

#[tokio::test]
async fn a_key_with_a_dot_in_its_secret_is_no_token() {
    let tiny = Tiny::start(&[]).await;
    // Its first part happens to be base64.
    tiny.keys.add("abcd.se.cret", &[Role::Admin], &[]);
    assert_eq!(caller(&tiny.client().bearer("abcd.se.cret").get(PATH).await), "abcd");
}

#[tokio::test]
async fn keys_end() {
    let tiny = Tiny::start(&[]).await;
    for (id, code) in [("old", "EXPIRED_TOKEN"), ("gone", "REVOKED_TOKEN")] {
        tiny.keys.add(&format!("{id}.secret"), &[Role::Admin], &[]);
        tiny.keys.change(id, |key| match id {
            "old" => key.expires_at = Some(chrono::Utc::now()),
            _ => key.revoked_at = Some(chrono::Utc::now()),
        });
        let client = tiny.client();
        client.bearer(&format!("{id}.secret")).get(PATH).await.error(401, &format!("AUTHENTICATION_ERROR.{code}"));
        client.bearer(&format!("{id}.wrong")).get(PATH).await.error(401, "AUTHENTICATION_ERROR.INVALID_TOKEN");
    }
}

#[tokio::test]
async fn a_key_that_was_seen_works_on_while_nobody_can_be_asked() {
    let tiny = Tiny::start(&[]).await;
    assert_eq!(caller(&tiny.reader().get(PATH).await), "reader");
    tiny.keys.set_away(true);
    assert_eq!(caller(&tiny.reader().get(PATH).await), "reader");
    let error = tiny.admin().get(PATH).await.error(503, "SERVICE_ERROR.SERVICE_UNAVAILABLE");
    assert_eq!(error["retry_after"], 1);
    tiny.client().bearer("reader.wrong").get(PATH).await.error(401, "AUTHENTICATION_ERROR.INVALID_TOKEN");
}

#[tokio::test]
async fn a_token_names_its_subject_and_rights() {
    let tiny = Tiny::start(&[]).await;
    let client = tiny.client();
    assert_eq!(caller(&client.bearer(&jwt("ada", &[], &["agents:read"])).get(PATH).await), "ada");
    let reader = client.bearer(&jwt("ada", &[Role::Admin], &["agents:read"]));
    reader.post(THINGS, &json!({})).await.error(403, "AUTHORIZATION_ERROR.INSUFFICIENT_PERMISSIONS");
    let stranger = client.bearer(&jwt("ada", &[Role::Admin], &["ghosts:see"]));
    stranger.get(PATH).await.error(403, "AUTHORIZATION_ERROR.INSUFFICIENT_PERMISSIONS");
}

#[tokio::test]
async fn a_bad_token_is_refused() {
    let tiny = Tiny::start(&[]).await;
    let now = chrono::Utc::now().timestamp();
    let claims = json!({"sub": "ada", "iat": now, "exp": now + 60, "roles": ["admin"]});
    let good = Header::new(Algorithm::HS256);
    let without = |name: &str| {
        let mut claims = claims.clone();
        claims.as_object_mut().unwrap().remove(name);
        signed(&good, &claims, DEVELOPMENT_JWT_SECRET)
    };
    // {"alg":"none","typ":"JWT"}, the claims, and no signature.
    let body = signed(&good, &claims, "x").split('.').nth(1).unwrap().to_owned();
    for token in [
        signed(&good, &claims, "some other secret of enough length"),
        signed(&Header::new(Algorithm::HS512), &claims, DEVELOPMENT_JWT_SECRET),
        format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{body}."),
        without("exp"),
        without("sub"),
        without("iat"),
    ] {
        tiny.client().bearer(&token).get(PATH).await.error(401, "AUTHENTICATION_ERROR.INVALID_TOKEN");
    }
    let old = json!({"sub": "ada", "iat": now - 7200, "exp": now - 3600});
    let old = tiny.client().bearer(&signed(&good, &old, DEVELOPMENT_JWT_SECRET));
    old.get(PATH).await.error(401, "AUTHENTICATION_ERROR.EXPIRED_TOKEN");
}

#[tokio::test]
async fn who_holds_the_jwt_secret_is_no_service_for_that() {
    let tiny = Tiny::start(&[]).await;
    let now = chrono::Utc::now().timestamp();
    let claims =
        json!({"iss": "chat", "aud": "imago-services", "sub": "x", "iat": now, "exp": now + 60, "roles": ["admin"]});
    let mut header = Header::new(Algorithm::HS256);
    let plain = signed(&header, &claims, DEVELOPMENT_JWT_SECRET);
    header.kid = Some(api_client::token::KEY_ID.to_owned());
    let marked = signed(&header, &claims, DEVELOPMENT_JWT_SECRET);
    assert_eq!(tiny.client().bearer(&plain).get(PATH).await.data(200)["is_service"], false);
    tiny.client().bearer(&marked).get(PATH).await.error(401, "AUTHENTICATION_ERROR.INVALID_TOKEN");
}

#[tokio::test]
async fn only_a_service_is_believed_where_a_request_has_been() {
    let tiny = Tiny::start(&[]).await;
    let via = async |client: test_support::Client| {
        client.header("x-imago-via", "agent-builder, chat").get(PATH).await.data(200)["via"].clone()
    };
    assert_eq!(via(tiny.admin()).await, json!([]));
    assert_eq!(via(tiny.client().service("chat")).await, json!(["agent-builder", "chat"]));
}

#[tokio::test]
async fn ids_of_the_settings_are_administrators() {
    let tiny = Tiny::start(&[("ADMIN_KEY_IDS", "reader")]).await;
    tiny.reader().post(THINGS, &json!({"name": "a"})).await.data(201);
    tiny.client().bearer("reader.wrong").get(PATH).await.error(401, "AUTHENTICATION_ERROR.INVALID_TOKEN");
}

#[tokio::test]
async fn a_door_is_open_when_the_operator_says_so_and_only_that_one() {
    let tiny = Tiny::start(&[("AUTH_OPEN_DOORS", "legacy")]).await;
    let client = tiny.client();
    assert_eq!(client.post(LEGACY, &json!({})).await.data(201)["caller"], "anonymous");
    client.bearer("bad").post(LEGACY, &json!({})).await.error(401, "AUTHENTICATION_ERROR.INVALID_TOKEN");
    client.get(PATH).await.error(401, "AUTHENTICATION_ERROR.MISSING_AUTHORIZATION");
    let closed = Tiny::start(&[]).await;
    closed.client().post(LEGACY, &json!({})).await.error(401, "AUTHENTICATION_ERROR.MISSING_AUTHORIZATION");
}
