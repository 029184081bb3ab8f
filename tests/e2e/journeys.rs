//! What a person does with a fresh stack.

use reqwest::Method;
use rustix::process::Signal;
use serde_json::json;

use crate::stack::Stack;

#[test]
fn an_agent_is_built_from_a_role_and_is_there_after_a_restart() {
    let mut stack = Stack::start();
    let body = json!({
        "agent_id": "ada",
        "role_model": {"name": "Ada Lovelace", "occupation": "Mathematician", "bio": "She wrote notes on the Analytical Engine."},
        "deepening_cycles": 1,
        "sources": ["documents", "taxonomy"],
    });
    let (status, created) = stack.send(Method::POST, "/api/v1/agents", Some(&body));
    assert_eq!(status, 201, "{created}");
    let agent = &created["data"];
    assert_eq!(agent["status"], "completed");
    assert_eq!(agent["occupation_match"]["label"], "mathematician");
    assert!(agent["generated_skills"].as_array().unwrap().len() > 20, "{}", agent["generated_skills"]);
    let texts: Vec<&str> =
        agent["generated_knowledge"].as_array().unwrap().iter().filter_map(|i| i["text"].as_str()).collect();
    assert!(texts.contains(&"She wrote notes on the Analytical Engine."), "{texts:?}");

    assert!(stack.stop(Signal::TERM).success());
    stack.up();
    let (status, found) = stack.get("/api/v1/agents/ada");
    assert_eq!((status, &found["data"]), (200, agent));
}

#[test]
fn what_one_service_stores_the_others_find() {
    let stack = Stack::start();
    let document =
        json!({"title": "Gazette", "text": "Quelvin Arrowsmith mended the tide clock of Port Salter in 1901."});
    let (status, answer) = stack.send(Method::POST, "/api/v1/knowledge/documents", Some(&document));
    assert_eq!(status, 201, "{answer}");
    let body = json!({
        "agent_id": "quelvin",
        "role_model": {"name": "Quelvin Arrowsmith", "occupation": "Electrician"},
        "sources": ["documents", "taxonomy"],
    });
    let (status, created) = stack.send(Method::POST, "/api/v1/agents", Some(&body));
    assert_eq!(status, 201, "{created}");
    let sources: Vec<&str> = created["data"]["generated_knowledge"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|i| i["source"].as_str())
        .collect();
    assert!(sources.contains(&"Gazette"), "{sources:?}");
    let (status, found) = stack.send(Method::POST, "/api/v1/knowledge/search", Some(&json!({"query": "tide clock"})));
    assert_eq!(status, 200, "{found}");
    assert_eq!(found["data"]["results"][0]["identifier"], "Quelvin Arrowsmith", "{found}");
}

#[test]
fn a_key_made_at_one_service_opens_the_others_and_closes_when_revoked() {
    let stack = Stack::start();
    let body = json!({"name": "reader", "permissions": ["agents:read"]});
    let (status, made) = stack.send(Method::POST, "/api/v1/auth/keys", Some(&body));
    assert_eq!(status, 201, "{made}");
    let token = made["data"]["token"].as_str().unwrap();
    assert_eq!(stack.status_as(token, "/api/v1/agents"), 200);
    assert_eq!(stack.status_as(token, "/api/v1/skills"), 403);
    let path = format!("/api/v1/auth/keys/{}", made["data"]["key"]["id"].as_str().unwrap());
    let (_, revoked) = stack.send(Method::DELETE, &path, None);
    assert_eq!(revoked["data"]["revoked"], true);
    // The process that revoked it refuses it at once.
    assert_eq!(stack.status_as(token, "/api/v1/agents"), 401);
}
