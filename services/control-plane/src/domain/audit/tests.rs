use api_core::{seal::SignKey, secret::Secret};
use api_types::{
    access::{AccessCount, BadCredential, Refusal, RefusedAccess, Window},
    events::{Event, Level},
    time,
};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{Checkpoint, Entry, GENESIS, Place, Row, SIGNED_FOR, of_event, of_refusal, of_use, window_of};
use crate::domain::intake::StoredEvent;

fn at(text: &str) -> DateTime<Utc> {
    time::parse(text).unwrap()
}

fn event(kind: &str, aggregate: &str, payload: Value) -> StoredEvent {
    let event = Event {
        id: Uuid::now_v7(),
        kind: kind.to_owned(),
        aggregate: aggregate.to_owned(),
        service: "s".to_owned(),
        actor: Some("k_1".to_owned()),
        client_id: None,
        request_id: Some("r".to_owned()),
        ip_address: Some("192.0.2.1".to_owned()),
        user_agent: Some("me/1".to_owned()),
        trace_id: None,
        at: at("2026-01-01T00:00:00.1234Z"),
        payload,
    };
    StoredEvent { seq: 1, level: Level::Info, recorded_at: event.at, event }
}

fn entry(kind: &str, aggregate: &str, payload: Value) -> Option<Entry> {
    of_event(&event(kind, aggregate, payload), Some("acme".to_owned()))
}

fn refused(why: Refusal) -> RefusedAccess {
    RefusedAccess {
        at: at("2026-01-01T10:20:30.4Z"),
        why,
        service: "s".to_owned(),
        method: "GET".to_owned(),
        route: "/ains/tasks/{task_id}".to_owned(),
        principal_id: None,
        client_id: None,
        ip_address: Some("192.0.2.1".to_owned()),
        user_agent: None,
        request_id: "r".to_owned(),
        times: 1,
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a row for each published kind")]
fn published_kinds_are_rows_as_published() {
    for (kind, aggregate, payload, event_type, action, details) in [
        (
            "key.created",
            "key:k_2",
            json!({"key_id": "k_2", "name": "n"}),
            "api_key_created",
            "create_api_key",
            json!({"key_id": "k_2"}),
        ),
        (
            "key.updated",
            "key:k_2",
            json!({"key_id": "k_2"}),
            "api_key_updated",
            "update_api_key",
            json!({"key_id": "k_2"}),
        ),
        ("key.revoked", "key:k_2", json!({"id": "k_2"}), "api_key_revoked", "revoke_api_key", json!({"key_id": "k_2"})),
        (
            "agent.registered",
            "agent:a",
            json!({"agent_id": "a", "tags": []}),
            "agent_registered",
            "register_agent",
            json!({"agent_id": "a"}),
        ),
        (
            "agent.updated",
            "agent:a",
            json!({"agent_id": "a"}),
            "agent_updated",
            "update_agent",
            json!({"agent_id": "a"}),
        ),
        (
            "agent.deactivated",
            "agent:a",
            json!({"agent_id": "a"}),
            "agent_deactivated",
            "deactivate_agent",
            json!({"agent_id": "a"}),
        ),
        (
            "trust.adjusted",
            "agent:a",
            json!({"agent_id": "a", "delta": 0.1, "reason": "late", "score": 0.5}),
            "trust_adjusted",
            "adjust_trust",
            json!({"agent_id": "a", "delta": 0.1, "reason": "late"}),
        ),
        (
            "task.cancelled",
            "task:t",
            json!({"task_id": "t", "reason": "no"}),
            "task_cancelled",
            "cancel_task",
            json!({"task_id": "t", "reason": "no"}),
        ),
        (
            "webhook.created",
            "webhook:w",
            json!({"webhook_id": "w", "url": "x"}),
            "webhook_created",
            "create_webhook",
            json!({"webhook_id": "w"}),
        ),
        (
            "webhook.updated",
            "webhook:w",
            json!({"webhook_id": "w"}),
            "webhook_updated",
            "update_webhook",
            json!({"webhook_id": "w"}),
        ),
        (
            "webhook.deleted",
            "webhook:w",
            json!({"webhook_id": "w"}),
            "webhook_deleted",
            "delete_webhook",
            json!({"webhook_id": "w"}),
        ),
    ] {
        let entry = entry(kind, aggregate, payload).unwrap();
        assert_eq!((&*entry.event_type, &*entry.action, entry.success), (event_type, action, true), "{kind}");
        assert_eq!(Value::Object(entry.details), details, "{kind}");
        assert_eq!((entry.client_id.as_deref(), entry.actor.as_deref()), (Some("acme"), Some("k_1")));
        assert_eq!((entry.target.as_deref(), entry.user_agent.as_deref()), (Some(aggregate), Some("me/1")));
    }
}

#[test]
fn other_changes_are_rows_by_the_rule_and_carry_ids_alone() {
    let made =
        entry("chain.created", "chain:c", json!({"chain_id": "c", "agent_id": "a", "name": "n", "steps": 3})).unwrap();
    assert_eq!((&*made.event_type, &*made.action), ("chain_created", "create_chain"));
    assert_eq!(Value::Object(made.details), json!({"chain_id": "c", "agent_id": "a"}));
    let unknown = entry("oven.heated", "oven:o", json!({"degrees": 3, "deep_id": {"text": "x"}})).unwrap();
    assert_eq!((&*unknown.event_type, &*unknown.action), ("oven_heated", "heated_oven"));
    assert_eq!(Value::Object(unknown.details), json!({"oven_id": "o"}));
    for (kind, event_type, action) in [
        ("user.session_revoked", "user_session_revoked", "revoke_user_session"),
        ("workflow.execution_cancelled", "workflow_execution_cancelled", "cancel_workflow_execution"),
        ("agent.deleted", "agent_deleted", "delete_agent"),
        ("integration.agent_from_template", "integration_agent_from_template", "agent_from_template_integration"),
        ("odd", "odd_changed", "changed_odd"),
    ] {
        let entry = entry(kind, "x:y", json!({})).unwrap();
        assert_eq!((&*entry.event_type, &*entry.action), (event_type, action));
    }
    let failed = entry("user.login_failed", "user:u", json!({"user_id": "u"})).unwrap();
    assert_eq!((&*failed.event_type, failed.success), ("user_login", false));
}

#[test]
fn progress_of_work_is_no_row() {
    for kind in [
        "task.assigned",
        "task.started",
        "task.completed",
        "task.failed",
        "chain.completed",
        "agent.ready",
        "chat.turn.failed",
        "workflow.execution_started",
    ] {
        assert_eq!(entry(kind, "x:y", json!({})), None, "{kind}");
    }
}

#[test]
fn what_a_client_reports_is_no_row() {
    let mut reported = event("trust.adjusted", "external:k_1", json!({"agent_id": "a"}));
    reported.event.service = "external:k_1".to_owned();
    assert_eq!(of_event(&reported, None), None);
}

#[test]
fn refusals_are_rows_as_published() {
    let told = of_refusal(&refused(Refusal::Credential { reason: BadCredential::Malformed }));
    assert_eq!((&*told.event_type, &*told.action, told.success), ("authentication", "api_key_rejected", false));
    let expected = json!({"endpoint": "/ains/tasks/{task_id}", "method": "GET", "reason": "malformed"});
    assert_eq!(Value::Object(told.details), expected);
    let told = of_refusal(&refused(Refusal::Permission { required_scope: Some("tasks:read".to_owned()) }));
    assert_eq!((&*told.event_type, &*told.action), ("authorization", "access_denied"));
    assert_eq!(told.details["required_scope"], "tasks:read");
    let told = of_refusal(&refused(Refusal::Rate { window: Window::PerHour, limit: 9 }));
    assert_eq!((&*told.event_type, &*told.action), ("rate_limit_exceeded", "request_blocked"));
    assert_eq!(Value::Object(told.details), json!({"window": "per_hour", "limit": 9}));
}

#[test]
fn a_window_is_somebodys() {
    let mut over = refused(Refusal::Rate { window: Window::PerMinute, limit: 9 });
    let window = |over: &RefusedAccess| window_of(over).map(|(who, size, begin)| (who, size, time::format(begin)));
    assert_eq!(window(&over).unwrap(), ("192.0.2.1".to_owned(), "per_minute", "2026-01-01T10:20:00.000Z".to_owned()));
    over.principal_id = Some("k_1".to_owned());
    over.why = Refusal::Rate { window: Window::PerHour, limit: 9 };
    assert_eq!(window(&over).unwrap(), ("k_1".to_owned(), "per_hour", "2026-01-01T10:00:00.000Z".to_owned()));
    assert!(window(&refused(Refusal::Credential { reason: BadCredential::Missing })).is_none());
}

#[test]
fn the_hash_is_the_one_that_the_documentation_describes() {
    let made = entry("key.created", "key:k_2", json!({"key_id": "k_2"})).unwrap();
    let row = Row::after(&[7; 32], 3, made);
    let text = format!(
        "{}\n{}",
        "07".repeat(32),
        r#"[3,"2026-01-01T00:00:00.123Z","api_key_created","create_api_key","acme","k_1","key:k_2",true,"192.0.2.1","me/1","r","{\"key_id\":\"k_2\"}",null]"#
    );
    assert_eq!(hex::encode(&row.hash), hex::encode(Sha256::digest(text)));
    assert_eq!(row.log_id(), "log_019b76daa87b70008000000000000003");
}

#[test]
fn details_are_written_the_same_however_their_keys_came() {
    let text = |details: Value| {
        let mut made = entry("key.created", "key:k", json!({})).unwrap();
        made.details = details.as_object().unwrap().clone();
        Row::after(&GENESIS, 1, made).details
    };
    assert_eq!(text(json!({"b": 1, "a": {"d": [1.5], "c": null}})), r#"{"a":{"c":null,"d":[1.5]},"b":1}"#);
}

#[test]
fn no_text_of_a_row_holds_a_secret() {
    let secret = "ains_q7Zx0-Ab_3kLmN9pQrStUvWxYz012345678AbCdEfGh";
    let mut made =
        entry("trust.adjusted", secret, json!({"agent_id": secret, "reason": format!("as {secret} says")})).unwrap();
    for text in [&mut made.client_id, &mut made.actor, &mut made.ip_address, &mut made.user_agent, &mut made.request_id]
    {
        *text = Some(format!("x {secret}"));
    }
    let row = Row::after(&GENESIS, 1, made);
    assert!(!format!("{row:?}").contains("q7Zx0"), "{row:?}");
}

#[test]
fn a_row_follows_the_one_it_was_written_after_and_no_other() {
    let made = || entry("key.created", "key:k", json!({})).unwrap();
    let first = Row::after(&GENESIS, 1, made());
    let start = Place::start(None);
    let place = start.step(&first).unwrap();
    let second = Row::after(&place.hash, 2, made());
    assert!(place.step(&second).is_some() && start.step(&second).is_none());
    let changes: [fn(&mut Row); 14] = [
        |row| row.seq = 3,
        |row| row.created_at += TimeDelta::milliseconds(1),
        |row| row.event_type.push('x'),
        |row| row.action.push('x'),
        |row| row.client_id = None,
        |row| row.actor = None,
        |row| row.target = None,
        |row| row.success = false,
        |row| row.ip_address = None,
        |row| row.user_agent = None,
        |row| row.request_id = None,
        |row| row.details.push(' '),
        |row| row.corrects = Some(1),
        |row| row.hash[0] ^= 1,
    ];
    for (number, change) in changes.iter().enumerate() {
        let mut row = second.clone();
        change(&mut row);
        assert!(place.step(&row).is_none(), "{number}");
    }
}

#[test]
fn a_checkpoint_is_signed_with_all_that_it_says() {
    let key = SignKey::derive(&Secret::new("s"), SIGNED_FOR);
    let now = at("2026-01-01T00:00:00Z");
    let checkpoint = Checkpoint::sign(&key, (7, &[1; 32]), 5, now, now);
    assert!(checkpoint.is_signed(&key));
    assert!(!checkpoint.is_signed(&SignKey::derive(&Secret::new("other"), SIGNED_FOR)));
    let changes: [fn(&mut Checkpoint); 5] = [
        |checkpoint| checkpoint.seq = 6,
        |checkpoint| checkpoint.hash[0] = 0,
        |checkpoint| checkpoint.removed = 4,
        |checkpoint| checkpoint.before += TimeDelta::milliseconds(1),
        |checkpoint| checkpoint.made_at += TimeDelta::milliseconds(1),
    ];
    for change in changes {
        let mut changed = checkpoint.clone();
        change(&mut changed);
        assert!(!changed.is_signed(&key), "{changed:?}");
    }
}

#[test]
fn a_use_says_how_often() {
    let seen = AccessCount {
        key_id: "k_1".into(),
        client_id: "acme".to_owned(),
        at: at("2026-01-01T10:20:30.4Z"),
        service: "s".to_owned(),
        method: "POST".to_owned(),
        route: "/ains/tasks".to_owned(),
        ip_address: None,
        user_agent: None,
        request_id: "r".to_owned(),
        succeeded: 2,
        failed: 3,
        rate_limited: 1,
    };
    let told = of_use(&seen);
    assert_eq!((&*told.action, told.client_id.as_deref(), told.success), ("api_key_used", Some("acme"), true));
    assert_eq!(Value::Object(told.details), json!({"endpoint": "/ains/tasks", "method": "POST", "count": 5}));
}
