//! Internal routes answer our own services and nobody else, on whatever listener they are tried.
//!
//! Routes are taken from what each service says of itself, and listeners from `imago env`, so that neither can be forgotten here.

use api_client::token::{Request, TokenKey};
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{EncodingKey, Header};
use reqwest::Method;
use serde_json::{Value, json};

use crate::stack::{CLIENT, KEY, Stack};

/// The secret of stacks on a developer's machine.
const JWT_SECRET: &str = "dev-secret-change-in-production";
const BODY: &[u8] = b"{}";

/// A port of the stack.
struct Listener {
    /// `agent-builder`; empty where no single service listens.
    service: String,
    url: String,
}

struct Route {
    service: String,
    method: String,
    path: String,
    /// Whether a part of the path is somebody's name, for which there is `x`.
    names_a_thing: bool,
}

impl Route {
    fn signed<'a>(&'a self, audience: &'a str) -> Request<'a> {
        Request { audience, method: &self.method, target: &self.path, body: BODY }
    }
}

fn listeners(stack: &Stack) -> Vec<Listener> {
    let output = stack.imago(&["env"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let mut found: Vec<Listener> = Vec::new();
    for line in text.lines() {
        let (name, value) = line.trim_start_matches("export ").split_once('=').unwrap();
        let (Some(name), url) = (name.strip_suffix("_URL"), value.trim_matches('\'')) else { continue };
        if url.starts_with("http://") {
            let service = name.to_lowercase().replace('_', "-");
            found.push(Listener { service, url: url.to_owned() });
        }
    }
    found
}

fn key() -> TokenKey {
    TokenKey::derive(JWT_SECRET)
}

fn signed_at(now: DateTime<Utc>, request: &Request<'_>) -> String {
    key().sign_at(now, "chat", None, request).unwrap()
}

/// The routes that the service at this port tells our own services of.
fn routes(listener: &Listener) -> Vec<Route> {
    let path = "/internal/v1/openapi.json";
    let request = Request { audience: &listener.service, method: "GET", target: path, body: b"" };
    let answer =
        CLIENT.get(format!("{}{path}", listener.url)).bearer_auth(signed_at(Utc::now(), &request)).send().unwrap();
    if answer.status() != 200 {
        return Vec::new();
    }
    let document: Value = answer.json().unwrap();
    let mut found = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let names_a_thing = path.contains('{');
        let parts = path.split('/').map(|part| if part.starts_with('{') { "x" } else { part });
        let path = parts.collect::<Vec<_>>().join("/");
        for method in methods.as_object().unwrap().keys() {
            let (service, method) = (listener.service.clone(), method.to_uppercase());
            found.push(Route { service, method, path: path.clone(), names_a_thing });
        }
    }
    found
}

fn status(listener: &Listener, route: &Route, bearer: Option<&str>) -> u16 {
    let method: Method = route.method.parse().unwrap();
    let mut request = CLIENT.request(method, format!("{}{}", listener.url, route.path)).body(BODY);
    request = request.header("content-type", "application/json");
    if let Some(token) = bearer {
        request = request.bearer_auth(token);
    }
    request.send().unwrap().status().as_u16()
}

fn administrators_token() -> String {
    let now = Utc::now().timestamp();
    let claims = json!({"sub": "root", "iat": now, "exp": now + 600, "roles": ["admin"], "permissions": ["*"]});
    jsonwebtoken::encode(&Header::default(), &claims, &EncodingKey::from_secret(JWT_SECRET.as_bytes())).unwrap()
}

/// What an outsider could present to get at `route`, and whether it passes for an attempt at a service's token.
fn outsiders(route: &Route) -> Vec<(&'static str, Option<String>, bool)> {
    let now = Utc::now();
    let own = route.signed(&route.service);
    let good = signed_at(now, &own);
    let (signing, signature) = good.rsplit_once('.').unwrap();
    let payload = signing.split_once('.').unwrap().1;
    let tampered: String = signature.chars().rev().collect();
    let token = |token: String| Some(token);
    vec![
        ("no credential", None, false),
        ("an administrator's key", token(KEY.to_owned()), false),
        ("an administrator's token", token(administrators_token()), false),
        ("a token for another service", token(signed_at(now, &route.signed("nobody"))), true),
        ("a token for another path", token(signed_at(now, &Request { target: "/internal", ..own })), true),
        ("a token for another method", token(signed_at(now, &Request { method: "BREW", ..own })), true),
        ("an expired token", token(signed_at(now - TimeDelta::seconds(90), &own)), true),
        ("a token from the future", token(signed_at(now + TimeDelta::seconds(90), &own)), true),
        ("a tampered token", token(format!("{signing}.{tampered}")), true),
        // {"alg":"none","kid":"imago-service"}
        ("an unsigned token", token(format!("eyJhbGciOiJub25lIiwia2lkIjoiaW1hZ28tc2VydmljZSJ9.{payload}.")), true),
        ("a token by another secret", token(TokenKey::derive("other").sign("chat", None, &own).unwrap()), true),
    ]
}

#[test]
fn internal_routes_answer_nobody_from_outside() {
    let stack = Stack::start();
    let listeners = listeners(&stack);
    let routes: Vec<Route> = listeners.iter().flat_map(routes).collect();
    assert!(
        routes.iter().any(|route| route.path == "/internal/v1/keys/lookup"),
        "the control plane tells of its routes"
    );
    let services = crate::tidy::services().into_iter().map(|(name, _)| name);
    for service in services {
        assert!(
            routes.iter().any(|route| route.service == service),
            "{service} has no port, or tells nobody of its routes"
        );
    }
    for route in &routes {
        for listener in &listeners {
            let is_own = listener.service == route.service;
            let at = format!("{} {} at {}", route.method, route.path, listener.url);
            // What is not there is not there for anybody, our own services included. Some routes are in every service.
            let is_there =
                is_own || routes.iter().any(|other| other.path == route.path && other.service == listener.service);
            for (what, token, is_attempt) in outsiders(route) {
                let expected = if is_attempt && is_there { 401 } else { 404 };
                assert_eq!(status(listener, route, token.as_deref()), expected, "{what}, {at}");
            }
            let token = signed_at(Utc::now(), &route.signed(&route.service));
            let first = status(listener, route, Some(&token));
            if is_own {
                // What `{}` is to the route, or whether `x` exists, does not matter here; only that the caller was let in.
                let is_let_in = ![401, 403].contains(&first) && (first != 404 || route.names_a_thing);
                assert!(is_let_in, "{first}: a good token, {at}");
                assert_eq!(status(listener, route, Some(&token)), 401, "a token that was used, {at}");
            } else {
                assert_eq!(first, if is_there { 401 } else { 404 }, "a token for {}, {at}", route.service);
            }
        }
    }
}
