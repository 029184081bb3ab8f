use egress::Policy;
use serde_json::{Value, json};

use super::{Subject, ains_change, mesh_change, new_ains, new_mesh};
use crate::domain::webhooks::message::Credential;

fn object(value: &Value) -> &api_core::input::Object {
    value.as_object().unwrap()
}

fn blamed<T>(read: Result<T, api_core::error::ApiError>) -> Vec<(String, String)> {
    let Err(error) = read else { return Vec::new() };
    error.details().iter().map(|detail| (detail.field.clone(), detail.code.clone())).collect()
}

fn pair(field: &str, code: &str) -> Vec<(String, String)> {
    vec![(field.to_owned(), code.to_owned())]
}

#[test]
fn webhooks_of_the_native_door_are_checked_field_by_field() {
    let table = [
        (json!({"url": null}), "url", "REQUIRED_FIELD"),
        (json!({"url": 7}), "url", "INVALID_TYPE"),
        (json!({"url": "ftp://example.com"}), "url", "INVALID_FORMAT"),
        (json!({"url": "nonsense"}), "url", "INVALID_FORMAT"),
        (json!({"url": "https://a:b@example.com/"}), "url", "INVALID_FORMAT"),
        (json!({"url": "http://169.254.169.254/"}), "url", "INVALID_FORMAT"),
        (json!({"url": "http://2130706433/"}), "url", "INVALID_FORMAT"),
        (json!({"url": format!("https://example.com/{}", "x".repeat(2048))}), "url", "INVALID_RANGE"),
        (json!({"events": null}), "events", "REQUIRED_FIELD"),
        (json!({"events": []}), "events", "INVALID_RANGE"),
        (json!({"events": vec!["*"; 51]}), "events", "INVALID_RANGE"),
        (json!({"events": "agent.created"}), "events", "INVALID_TYPE"),
        (json!({"events": ["agent.created", "sun.rise"]}), "events[1]", "INVALID_FORMAT"),
        (json!({"events": [1]}), "events[0]", "INVALID_TYPE"),
        (json!({"secret": "short"}), "secret", "INVALID_RANGE"),
        (json!({"secret": "x".repeat(257)}), "secret", "INVALID_RANGE"),
        (json!({"description": "x".repeat(4001)}), "description", "INVALID_RANGE"),
        (json!({"active": "yes"}), "active", "INVALID_TYPE"),
    ];
    for (change, field, code) in table {
        let mut body = json!({"url": "https://example.com/in", "events": ["agent.created"]});
        body.as_object_mut().unwrap().extend(object(&change).clone());
        assert_eq!(blamed(new_mesh(object(&body), &Policy::strict())), pair(field, code), "{change}");
    }
}

#[test]
fn a_webhook_without_a_secret_is_given_one_and_events_named_twice_count_once() {
    let body = json!({"url": "https://example.com/in", "events": ["*", "agent.*", "*"]});
    let (one, other) = (new_mesh(object(&body), &Policy::strict()), new_mesh(object(&body), &Policy::strict()));
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_eq!(one.events, ["*", "agent.*"]);
    assert!(one.secret.expose().starts_with("whsec_") && one.secret != other.secret && one.active);
}

#[test]
fn a_put_keeps_what_is_absent_and_null_is_the_default() {
    let body = json!({"description": null, "active": null, "id": "x", "created_at": 3, "revision": 4});
    let change = mesh_change(object(&body), &Policy::strict()).unwrap();
    assert_eq!((change.description, change.active, change.revision), (Some(None), Some(true), Some(4)));
    assert!(change.url.is_none() && change.events.is_none() && change.credential.is_none());
    for name in ["url", "events", "secret"] {
        let body = json!({name: null});
        assert_eq!(blamed(mesh_change(object(&body), &Policy::strict())), pair(name, "REQUIRED_FIELD"));
    }
}

#[test]
fn webhooks_of_the_ains_door_have_a_worker_or_a_client() {
    let read = |change: Value| {
        let mut body = json!({"url": "https://a.example/h", "events": ["task.created"]});
        body.as_object_mut().unwrap().extend(object(&change).clone());
        new_ains(object(&body), &Policy::strict(), false)
    };
    assert_eq!(read(json!({"agent_id": "a"})).unwrap().subject, Subject::Agent("a".to_owned()));
    assert_eq!(read(json!({"client_id": "c"})).unwrap().subject, Subject::Client("c".to_owned()));
    let table = [
        (json!({}), "agent_id", "REQUIRED_FIELD"),
        (json!({"agent_id": "a", "client_id": "c"}), "client_id", "INVALID_FORMAT"),
        (json!({"client_id": "c".repeat(65)}), "client_id", "INVALID_RANGE"),
        (json!({"client_id": "c", "url": format!("https://a.example/{}", "x".repeat(512))}), "url", "INVALID_RANGE"),
        (json!({"client_id": "c", "events": ["agent.created"]}), "events[0]", "INVALID_FORMAT"),
        (json!({"client_id": "c", "events": ["task.*"]}), "events[0]", "INVALID_FORMAT"),
        (json!({"client_id": "c", "events": ["task.retry", "task.retry"]}), "events[1]", "INVALID_FORMAT"),
    ];
    for (change, field, code) in table {
        assert_eq!(blamed(read(change.clone())), pair(field, code), "{change}");
    }
}

#[test]
fn plain_http_is_for_development() {
    let body = json!({"client_id": "c", "url": "http://a.example/h", "events": ["task.created"]});
    assert!(new_ains(object(&body), &Policy::strict(), false).is_ok());
    assert_eq!(blamed(new_ains(object(&body), &Policy::strict(), true)), pair("url", "INVALID_FORMAT"));
}

#[test]
fn a_patch_changes_something_and_null_takes_the_secret_away() {
    let read = |body: Value| ains_change(object(&body), &Policy::strict(), false);
    assert_eq!(blamed(read(json!({}))), pair("body", "REQUIRED_FIELD"));
    assert_eq!(blamed(read(json!({"url": null, "color": 1}))), pair("body", "REQUIRED_FIELD"));
    assert_eq!(blamed(read(json!({"secret": "short"}))), pair("secret", "INVALID_RANGE"));
    assert!(matches!(read(json!({"secret": null})).unwrap().credential, Some(Credential::None)));
    assert!(matches!(read(json!({"secret": "long enough"})).unwrap().credential, Some(Credential::Hmac(_))));
    assert_eq!(read(json!({"active": false})).unwrap().active, Some(false));
}
