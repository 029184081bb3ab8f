use api_core::secret::Secret;
use chrono::Utc;
use serde_json::{Value, json};
use standardwebhooks::Webhook;

use super::{Credential, Happened, Hook, Message, delivery_id, delivery_number, message, new_secret};
use crate::domain::webhooks::Door;

const SECRET: &str = "webhook_secret_key";

fn hook(door: Door, credential: Credential) -> Hook {
    Hook { id: "wh_1".to_owned(), door, url: "https://a.example/h".to_owned(), credential }
}

fn hmac(secret: &str) -> Credential {
    Credential::Hmac(Secret::new(secret))
}

fn event(kind: &str, payload: Value) -> Happened {
    let id = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
    Happened { id, kind: kind.to_owned(), at: api_types::time::parse("2026-01-02T03:04:05.678Z").unwrap(), payload }
}

fn task() -> Happened {
    let payload = json!({
        "status": "COMPLETED", "task_id": "task_1", "agent_id": "a", "client_id": "c", "attempt": 1, "lease": "x",
        "result_data": {"note": "größer", "n": 0.94},
    });
    event("task.completed", payload)
}

fn sent(door: Door, credential: Credential, event: &Happened) -> Message {
    message(&hook(door, credential), event, "dlv_1", 2, Utc::now())
}

fn header<'a>(message: &'a Message, name: &str) -> Option<&'a str> {
    message.headers.iter().find(|(own, _)| *own == name).map(|(_, value)| value.as_str())
}

/// As a receiver with the library of Standard Webhooks does it.
fn verify(webhook: &Webhook, message: &Message) -> bool {
    let mut headers = http::HeaderMap::new();
    for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        if let Some(value) = header(message, name) {
            headers.insert(name, value.parse().unwrap());
        }
    }
    webhook.verify(message.body.as_bytes(), &headers).is_ok()
}

#[test]
fn an_ains_body_has_its_members_in_order_and_the_signature_last() {
    let message = sent(Door::Ains, hmac(SECRET), &task());
    let start = concat!(
        r#"{"event":"task.completed","event_id":"evt_01890a5dac96774bbcceb302099a8057","webhook_id":"wh_1","#,
        r#""timestamp":"2026-01-02T03:04:05.678Z","data":{"task_id":"task_1","client_id":"c","task_type":null,"#,
        r#""agent_id":"a","status":"COMPLETED","priority":null,"attempt":1,"retry_count":null,"chain_id":null,"#,
        r#""execution_time_seconds":null,"result_data":{"note":"größer","n":0.94},"error_message":null},"#,
        r#""delivery_attempt":2,"signature":""#,
    );
    assert!(message.body.starts_with(start), "{}", message.body);
    assert_eq!(message.body.len(), start.len() + 64 + 2);
    assert_eq!(header(&message, "x-webhook-id"), Some("wh_1"));
    assert_eq!(header(&message, "x-webhook-event"), Some("task.completed"));
    assert_eq!(header(&message, "x-webhook-delivery"), Some("dlv_1"));
    assert_eq!(header(&message, "webhook-id"), Some("evt_01890a5dac96774bbcceb302099a8057"));
}

#[test]
fn both_hex_signatures_are_as_another_library_makes_them() {
    use hmac::{Hmac, KeyInit as _, Mac as _};
    let hex_of = |text: &str| {
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
        mac.update(text.as_bytes());
        hex::encode(mac.finalize().into_bytes())
    };
    for door in [Door::Ains, Door::Mesh] {
        let message = sent(door, hmac(SECRET), &task());
        assert_eq!(header(&message, "x-webhook-signature"), Some(hex_of(&message.body).as_str()));
        let body: Value = serde_json::from_str(&message.body).unwrap();
        let inner = body["signature"].as_str().unwrap();
        let unsigned = message.body.replace(&format!(r#","signature":"{inner}""#), "");
        assert_eq!(inner, hex_of(&unsigned));
    }
}

#[test]
fn the_library_of_standard_webhooks_accepts_every_signed_message() {
    let made_up = new_secret();
    for door in [Door::Ains, Door::Mesh, Door::Caxton] {
        let plain = sent(door, hmac(SECRET), &task());
        assert!(verify(&Webhook::from_bytes(SECRET.as_bytes().to_vec()).unwrap(), &plain), "{door:?}");
        let encoded = sent(door, Credential::Hmac(made_up.clone()), &task());
        assert!(verify(&Webhook::new(made_up.expose()).unwrap(), &encoded), "{door:?}");
        assert!(!verify(&Webhook::from_bytes(b"another".to_vec()).unwrap(), &plain));
        let mut changed = plain.clone();
        changed.body = changed.body.replace("COMPLETED", "FAILED");
        changed.body.push(' ');
        assert!(!verify(&Webhook::from_bytes(SECRET.as_bytes().to_vec()).unwrap(), &changed));
    }
}

#[test]
fn without_a_secret_nothing_is_signed() {
    let message = sent(Door::Ains, Credential::None, &task());
    let body: Value = serde_json::from_str(&message.body).unwrap();
    assert!(body.get("signature").is_none() && message.body.ends_with(r#""delivery_attempt":2}"#));
    assert!(header(&message, "x-webhook-signature").is_none() && header(&message, "webhook-signature").is_none());
    assert!(header(&message, "webhook-id").is_some() && header(&message, "webhook-timestamp").is_some());
}

#[test]
fn an_agents_event_tells_what_the_ains_page_prints_and_no_more() {
    let payload = json!({"agent_id": "a", "client_id": "c", "display_name": "A", "status": "active", "tags": ["x:v1"], "trust_score": 0.5});
    let message = sent(Door::Ains, Credential::None, &event("agent.updated", payload));
    let body: Value = serde_json::from_str(&message.body).unwrap();
    let expected =
        json!({"agent_id": "a", "display_name": "A", "status": "active", "tags": ["x:v1"], "trust_score": 0.5});
    assert_eq!(body["data"], expected);
}

#[test]
fn results_and_messages_are_not_for_the_native_door() {
    let payload = json!({
        "task_id": "t", "result_data": {"a": 1}, "error_message": "e", "caxton": {"data": {}, "capabilities": []},
    });
    let message = sent(Door::Mesh, Credential::None, &event("task.failed", payload));
    let body: Value = serde_json::from_str(&message.body).unwrap();
    assert_eq!(body["data"], json!({"task_id": "t"}));
    assert_eq!(body["event_id"], "evt_774bbcceb302099a8057");
    assert_eq!(header(&message, "webhook-id"), Some("evt_774bbcceb302099a8057"));
}

#[test]
fn a_caxton_message_is_what_its_page_prints() {
    let data = json!({"conversation_id": "conv-1", "message": {"id": "msg-1"}, "capability": "x", "agent": "a"});
    let happened = event("message.response", json!({"caxton": {"data": data, "capabilities": ["x"]}, "other": 1}));
    let message = sent(Door::Caxton, Credential::None, &happened);
    let body: Value = serde_json::from_str(&message.body).unwrap();
    let id = "evt-01890a5dac96774bbcceb302099a8057";
    let expected = json!({"id": id, "type": "message.response", "timestamp": "2026-01-02T03:04:05Z", "data": data});
    assert_eq!(body, expected);
    assert_eq!(header(&message, "webhook-id"), Some(id));
    assert!(header(&message, "user-agent").unwrap().starts_with("caxton/"));
    assert!(header(&message, "x-webhook-id").is_none() && header(&message, "webhook-signature").is_none());
    let bearer = sent(Door::Caxton, Credential::Bearer(Secret::new("token")), &happened);
    assert_eq!(header(&bearer, "authorization"), Some("Bearer token"));
    let pair = Credential::Basic { username: Secret::new("Aladdin"), password: Secret::new("open sesame") };
    let basic = sent(Door::Caxton, pair, &happened);
    assert_eq!(header(&basic, "authorization"), Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="));
    assert!(header(&basic, "webhook-signature").is_none());
}

#[test]
fn another_attempt_has_the_same_id() {
    let ids = [1, 2, 3].map(|attempt| {
        let message = message(&hook(Door::Ains, hmac(SECRET)), &task(), "dlv_1", attempt, Utc::now());
        header(&message, "webhook-id").unwrap().to_owned()
    });
    assert!(ids[0] == ids[1] && ids[1] == ids[2]);
}

#[test]
fn delivery_ids_are_ordered_and_read_back() {
    let (first, second) = (delivery_id(1_700_000_000_000, 41), delivery_id(1_700_000_000_000, 42));
    assert!(first < second && second < delivery_id(1_700_000_000_001, 1));
    assert_eq!((first.len(), delivery_number(&first)), (36, Some(41)));
    for bad in ["", "dlv_", "dlv_zz", "evt_0000018bcfe568000000000000000029", "dlv_0000018BCFE568000000000000000029"] {
        assert_eq!(delivery_number(bad), None, "{bad}");
    }
}
