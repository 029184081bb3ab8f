//! Calls between our own services.

use api_client::token::{Request, TokenKey};
use api_core::settings::DEVELOPMENT_JWT_SECRET;
use api_types::auth::{Principal, Role};
use serde_json::json;
use test_support::{Answer, Client, jwt};

use crate::tiny::{INTERNAL, THINGS, Tiny};

const POST: Request<'_> = Request { audience: "tiny", method: "POST", target: INTERNAL, body: b"{}" };

fn token(request: &Request<'_>) -> String {
    TokenKey::derive(DEVELOPMENT_JWT_SECRET).sign("chat", None, request).unwrap()
}

async fn post(client: &Client, token: &str, body: &[u8]) -> Answer {
    client.bearer(token).raw("POST", INTERNAL, Some("application/json"), body.to_vec()).await
}

#[tokio::test]
async fn an_internal_route_is_there_for_services_alone() {
    let tiny = Tiny::start(&[]).await;
    for outsider in [tiny.client(), tiny.admin(), tiny.client().admin(), tiny.client().bearer("bad")] {
        let answer = outsider.post(INTERNAL, &json!({})).await;
        answer.error(404, "NOT_FOUND_ERROR.ENDPOINT_NOT_FOUND");
        // Nothing tells it from a route that is not there, a body too large included.
        let (there, not) = (vec![b' '; 30 << 20], vec![b' '; 30 << 20]);
        let there = outsider.raw("POST", INTERNAL, None, there).await;
        let not = outsider.raw("POST", "/internal/v1/nothing", None, not).await;
        assert_eq!((there.status, &there.body["error"]["message"]), (404, &not.body["error"]["message"]));
        outsider.get("/internal/v1/openapi.json").await.error(404, "NOT_FOUND_ERROR.ENDPOINT_NOT_FOUND");
    }
    let data = tiny.client().service("chat").post(INTERNAL, &json!({})).await.data(200);
    assert_eq!(data["service"], "chat");
    let document = tiny.client().service("chat").get("/internal/v1/openapi.json").await;
    assert!(document.body["paths"][INTERNAL]["post"].is_object(), "{}", document.text);
}

#[tokio::test]
async fn a_token_is_good_for_one_request_once() {
    let tiny = Tiny::start(&[]).await;
    let client = tiny.client();
    let used = token(&POST);
    post(&client, &used, b"{}").await.data(200);
    for (case, token, body) in [
        ("replayed", used.clone(), &b"{}"[..]),
        ("another body", token(&POST), b"{\"a\":1}"),
        ("no body", token(&POST), b""),
        ("another service", token(&Request { audience: "chat", ..POST }), b"{}"),
        ("another path", token(&Request { target: THINGS, ..POST }), b"{}"),
        ("another query", token(&Request { target: "/internal/v1/things?a", ..POST }), b"{}"),
        ("another method", token(&Request { method: "GET", ..POST }), b"{}"),
        ("another secret", TokenKey::derive("other").sign("chat", None, &POST).unwrap(), b"{}"),
    ] {
        let answer = post(&client, &token, body).await;
        assert_eq!(answer.status, 401, "{case}: {}", answer.text);
        answer.error(401, "AUTHENTICATION_ERROR.INVALID_TOKEN");
    }
    // It does not matter that the first use failed.
    let broken = Request { body: b"{", ..POST };
    let broken = token(&broken);
    post(&client, &broken, b"{").await.error(400, "VALIDATION_ERROR.INVALID_FORMAT");
    post(&client, &broken, b"{").await.error(401, "AUTHENTICATION_ERROR.INVALID_TOKEN");
}

#[tokio::test]
async fn a_token_of_the_same_name_by_the_holder_of_the_jwt_secret_is_refused() {
    let tiny = Tiny::start(&[]).await;
    // An administrator's token is a user's, wherever it is shown.
    let admin = jwt("chat", &[Role::Admin], &[]);
    post(&tiny.client(), &admin, b"{}").await.error(404, "NOT_FOUND_ERROR.ENDPOINT_NOT_FOUND");
}

#[tokio::test]
async fn what_a_service_signs_is_checked_on_public_routes_too() {
    let tiny = Tiny::start(&[]).await;
    let client = tiny.client().service("chat");
    client.post(THINGS, &json!({"name": "a"})).await.data(201);
    let signed = Request { target: THINGS, body: br#"{"name":"a"}"#, ..POST };
    let other = tiny.client().bearer(&token(&signed)).post(THINGS, &json!({"name": "b"})).await;
    other.error(401, "AUTHENTICATION_ERROR.INVALID_TOKEN");
    assert_eq!(tiny.made(), 1);
}

#[tokio::test]
async fn a_service_may_call_for_somebody() {
    let tiny = Tiny::start(&[]).await;
    let ada =
        Principal { id: "ada".into(), client_id: "ada".into(), roles: [Role::User].into(), permissions: Vec::new() };
    let get = Request { method: "GET", target: "/api/v1/things/a?q=%C3%A4", body: b"", ..POST };
    let token = TokenKey::derive(DEVELOPMENT_JWT_SECRET).sign("chat", Some(&ada), &get).unwrap();
    let data = tiny.client().bearer(&token).get(get.target).await.data(200);
    assert_eq!((&data["caller"], &data["is_service"], &data["query"]), (&json!("ada"), &json!(true), &json!("ä")));
}
