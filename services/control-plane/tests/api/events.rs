//! Reading and reporting events.

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};
use test_support::{Client, jwt};

use crate::rig::Rig;

pub(crate) const PATH: &str = "/api/v1/observability/events";

/// An event of one of our services, as its outbox hands it over. Its number is its id.
#[expect(clippy::needless_pass_by_value, reason = "reads better where it is called")]
pub(crate) fn event(number: usize, kind: &str, payload: Value) -> Value {
    json!({
        "id": format!("00000000-0000-7000-8000-{number:012x}"), "kind": kind, "aggregate": "thing:1", "service": "agent-builder",
        "actor": "k_1", "client_id": "acme", "request_id": "r_1", "at": api_types::time::format(Utc::now()),
        "payload": payload,
    })
}

/// Hands events over as a service does; returns how many were new.
pub(crate) async fn take_in(rig: &Rig, events: Vec<Value>) -> Value {
    let service = rig.service.client().service("agent-builder");
    service.post("/internal/v1/events", &json!({"events": events})).await.data(200)["accepted"].clone()
}

/// The types of the events that a query finds, in order, but for those that the rig itself wrote.
async fn kinds(client: &Client, query: &str) -> Vec<String> {
    let found = client.get(&format!("{PATH}?{query}")).await.data(200);
    let kinds = found.as_array().unwrap().iter().map(|event| event["event_type"].as_str().unwrap().to_owned());
    kinds.filter(|kind| kind != "key.created").collect()
}

/// One with the role `developer`.
pub(crate) fn developer(rig: &Rig) -> Client {
    rig.service.client().bearer(&jwt("dev", &[api_types::auth::Role::Service], &[]))
}

#[tokio::test]
async fn an_event_shows_what_the_contract_names() {
    let rig = Rig::start(&[]).await;
    let payload =
        json!({"agent_id": "ada", "workflow_id": "flow_1", "execution_id": "exe_1", "tool_id": "tool_1", "count": 3});
    let mut sent = event(7, "agent.failed", payload.clone());
    sent["aggregate"] = json!("agent:ada");
    sent["trace_id"] = json!("0af7651916cd43dd8448eb211c80319c");
    sent["at"] = json!("2026-01-02T03:04:05.678Z");
    let at = Utc::now() - TimeDelta::hours(3);
    sent["at"] = json!(api_types::time::format(at));
    take_in(&rig, vec![sent]).await;
    let found = rig.admin().get(&format!("{PATH}?event_type=agent.failed")).await;
    let event = found.data(200)[0].clone();
    assert_eq!(event["id"], "evt_70008000000000000007");
    assert_eq!((&event["event_type"], &event["level"]), (&json!("agent.failed"), &json!("error")));
    assert_eq!((&event["source"], &event["message"]), (&json!("agent-builder"), &json!("Agent ada: failed")));
    assert_eq!(event["data"], payload);
    for (name, value) in [
        ("user_id", "k_1"),
        ("agent_id", "ada"),
        ("workflow_id", "flow_1"),
        ("tool_id", "tool_1"),
        ("execution_id", "exe_1"),
        ("trace_id", "0af7651916cd43dd8448eb211c80319c"),
        ("request_id", "r_1"),
        ("occurred_at", &api_types::time::format(at)),
    ] {
        assert_eq!(event[name], value, "{name}");
    }
    let recorded = api_types::time::parse(event["recorded_at"].as_str().unwrap()).unwrap();
    assert!((Utc::now() - recorded).num_seconds() < 60, "{recorded}");
    assert_eq!(event.as_object().unwrap().len(), 15);
    assert_eq!(found.meta()["pagination"]["total"], 1);
}

#[tokio::test]
async fn texts_that_webhooks_are_sent_are_shown_to_nobody_else() {
    let rig = Rig::start(&[]).await;
    let payload = json!({"task_id": "t_1", "result_data": {"answer": "geheim"}, "error_message": "geheim"});
    take_in(&rig, vec![event(1, "task.completed", payload.clone()), event(2, "task.failed", json!(["geheim"]))]).await;
    let found = rig.admin().get(&format!("{PATH}?event_type=task.completed")).await;
    assert_eq!(found.data(200)[0]["data"], json!({"task_id": "t_1"}));
    assert!(!found.text.contains("geheim"));
    // What others call so is theirs.
    developer(&rig).post(PATH, &json!({"event_type": "shop.x", "data": payload})).await.data(201);
    let found = rig.admin().get(&format!("{PATH}?event_type=shop.x")).await.data(200);
    assert_eq!(found[0]["data"], payload);
}

#[tokio::test]
async fn every_filter_finds_its_own_and_nothing_else() {
    let rig = Rig::start(&[]).await;
    let at = |minutes: i64| json!(api_types::time::format(Utc::now() - TimeDelta::minutes(minutes)));
    let mut first = event(1, "workflow.execution_started", json!({"workflow_id": "w", "execution_id": "e"}));
    first["at"] = at(30);
    first["aggregate"] = json!("workflow:w");
    let mut second =
        event(2, "workflow.execution_failed", json!({"workflow_id": "w", "execution_id": "e", "tool_id": "t"}));
    second["at"] = at(20);
    second["trace_id"] = json!("ff");
    let mut third = event(3, "task.timeout", json!({"agent_id": "ada"}));
    third["at"] = at(10);
    third["actor"] = json!("k_2");
    third["service"] = json!("task-router");
    take_in(&rig, vec![third, first, second]).await;
    let admin = developer(&rig);
    let (started, failed, timeout) = ("workflow.execution_started", "workflow.execution_failed", "task.timeout");
    let between = format!("since={}&until={}", at(25).as_str().unwrap(), at(15).as_str().unwrap());
    for (query, expected) in [
        ("", vec![timeout, failed, started]),
        ("event_type=workflow.*", vec![failed, started]),
        ("event_type=workflow.execution_failed", vec![failed]),
        ("event_type=workflow", vec![]),
        ("event_type=", vec![timeout, failed, started]),
        ("filter[event_type]=workflow.*", vec![failed, started]),
        ("level=warning", vec![timeout, failed]),
        ("level=error", vec![failed]),
        ("level=critical", vec![]),
        ("filter[level]=warning", vec![timeout, failed]),
        ("source=task-router", vec![timeout]),
        ("user_id=k_2", vec![timeout]),
        ("agent_id=ada", vec![timeout]),
        ("workflow_id=w", vec![failed, started]),
        ("tool_id=t", vec![failed]),
        ("execution_id=e&level=debug", vec![failed, started]),
        ("trace_id=ff", vec![failed]),
        (&between, vec![failed]),
        ("search=EXECUTION%20STARTED", vec![started]),
        ("search=nothing", vec![]),
        ("search=w:", vec![started]),
        ("sort=created_at", vec![started, failed, timeout]),
        ("sort=event_type", vec![timeout, failed, started]),
        ("limit=1&offset=1", vec![failed]),
        ("limit=1&skip=2&search=e", vec![started]),
    ] {
        assert_eq!(kinds(&admin, query).await, expected, "{query}");
    }
    let page = admin.get(&format!("{PATH}?event_type=workflow.*&limit=1&offset=1")).await.meta()["pagination"].clone();
    let expected = json!({
        "page": 2, "per_page": 1, "total": 2, "total_pages": 2, "has_next": false, "has_prev": true, "offset": 1, "limit": 1,
    });
    assert_eq!(page, expected);
    for (query, field) in [
        ("level=loud", "level"),
        ("since=yesterday", "since"),
        ("until=tomorrow", "until"),
        ("filter[ghost]=1", "filter[ghost]"),
        ("sort=ghost", "sort"),
    ] {
        let answer = admin.get(&format!("{PATH}?{query}")).await;
        answer.error(422, "VALIDATION_ERROR.INVALID_FORMAT");
        assert_eq!(answer.fields(), [field]);
    }
    let long = "x".repeat(201);
    admin.get(&format!("{PATH}?search={long}")).await.error(422, "VALIDATION_ERROR.INVALID_RANGE");
}

#[tokio::test]
async fn the_newest_comes_first_and_of_the_same_moment_the_last_one_that_came() {
    let rig = Rig::start(&[]).await;
    let (mut first, mut second) = (event(9, "a.first", json!({})), event(1, "a.second", json!({})));
    second["at"] = first["at"].clone();
    take_in(&rig, vec![first.take(), second]).await;
    assert_eq!(kinds(&rig.admin(), "event_type=a.*").await, ["a.second", "a.first"]);
}

#[tokio::test]
async fn users_keys_and_secrets_are_shown_to_those_who_may_read_the_audit_log() {
    let rig = Rig::start(&[]).await;
    let of = |number: usize, kind: &str| event(number, kind, json!({"user_id": "usr_1"}));
    let all = ["user.login", "key.revoked", "secret.rotated", "keys.odd", "agent.created"];
    take_in(&rig, all.iter().enumerate().map(|(number, kind)| of(number + 1, kind)).collect()).await;
    let mut seen = kinds(&rig.admin(), "").await;
    // The start has made a first administrator.
    seen.retain(|kind| kind != "user.registered");
    seen.sort();
    assert_eq!(seen, ["agent.created", "key.revoked", "keys.odd", "secret.rotated", "user.login"]);
    let dev = developer(&rig);
    let mut seen = kinds(&dev, "").await;
    seen.sort();
    assert_eq!(seen, ["agent.created", "keys.odd"]);
    for query in ["event_type=user.*", "event_type=user.login&user_id=usr_1", "filter[event_type][ne]=agent.created"] {
        let seen = kinds(&dev, query).await;
        assert!(seen.iter().all(|kind| kind == "keys.odd"), "{query}: {seen:?}");
    }
    let auditor = rig.service.client().bearer(&jwt("a", &[], &["observability:read", "audit:read"]));
    assert!(kinds(&auditor, "event_type=user.*").await.contains(&"user.login".to_owned()));
    // The user concerned, not the one who did it.
    assert_eq!(kinds(&auditor, "user_id=usr_1").await, ["user.login"]);
}

#[tokio::test]
async fn whoever_may_not_is_refused() {
    let rig = Rig::start(&[]).await;
    let member = rig.service.client().bearer(&jwt("m", &[api_types::auth::Role::User], &[]));
    for answer in [
        member.get(PATH).await,
        member.get(&format!("{PATH}/stream")).await,
        member.post(PATH, &json!({"event_type": "shop.x"})).await,
    ] {
        answer.error(403, "AUTHORIZATION_ERROR.INSUFFICIENT_PERMISSIONS");
    }
    let reader = rig.service.client().bearer(&jwt("r", &[], &["observability:read"]));
    reader.get(PATH).await.data(200);
    let refused = reader.post(PATH, &json!({"event_type": "shop.x"})).await;
    refused.error(403, "AUTHORIZATION_ERROR.INSUFFICIENT_PERMISSIONS");
}

#[tokio::test]
async fn a_reported_event_is_in_the_log_at_once() {
    let rig = Rig::start(&[]).await;
    let dev = developer(&rig);
    let occurred = api_types::time::format(Utc::now() - TimeDelta::hours(1));
    let body = json!({
        "event_type": "shop.low_stock", "level": "warning", "message": "Low stock", "data": {"left": 2}, "agent_id": "ada",
        "workflow_id": "flow_x", "tool_id": "t", "execution_id": "e", "trace_id": "x", "occurred_at": occurred,
    });
    let answer = dev.post(PATH, &body).await;
    let made = answer.data(201);
    for (name, value) in body.as_object().unwrap() {
        assert_eq!(&made[name], value, "{name}");
    }
    assert_eq!((&made["source"], &made["user_id"]), (&json!("external:dev"), &json!("dev")));
    assert_eq!(made["request_id"], answer.meta()["request_id"]);
    let found =
        dev.get(&format!("{PATH}?event_type=shop.*&search=low&level=warning&workflow_id=flow_x")).await.data(200);
    assert_eq!(found, json!([made]));
    assert_eq!(dev.get(&format!("{PATH}?event_type=shop.*&level=error")).await.data(200), json!([]));

    let bare = dev.post(PATH, &json!({"event_type": "shop"})).await.data(201);
    assert_eq!((&bare["level"], &bare["message"], &bare["data"]), (&json!("info"), &Value::Null, &json!({})));
}

#[tokio::test]
async fn an_event_of_a_family_of_ours_is_not_for_others_to_report() {
    let rig = Rig::start(&[]).await;
    for kind in ["agent.created", "agent", "user.login", "api_connection.x", "skills.generated", "key.created"] {
        let refused = developer(&rig).post(PATH, &json!({"event_type": kind})).await;
        refused.error(403, "AUTHORIZATION_ERROR.FORBIDDEN_RESOURCE");
    }
    // Not even for an administrator.
    let refused = rig.admin().post(PATH, &json!({"event_type": "system.x"})).await;
    refused.error(403, "AUTHORIZATION_ERROR.FORBIDDEN_RESOURCE");
    developer(&rig).post(PATH, &json!({"event_type": "agents.created"})).await.data(201);
}

#[tokio::test]
async fn a_report_that_is_sent_again_is_one_event() {
    let rig = Rig::start(&[]).await;
    let dev = developer(&rig).header("idempotency-key", "once");
    let first = dev.post(PATH, &json!({"event_type": "shop.x"})).await.data(201);
    assert_eq!(dev.post(PATH, &json!({"event_type": "shop.x"})).await.data(201), first);
    assert_eq!(kinds(&developer(&rig), "event_type=shop.x").await, ["shop.x"]);
}

#[tokio::test]
async fn a_report_from_before_what_is_kept_is_answered() {
    let rig = Rig::start(&[("EVENT_RETENTION_DAYS", "2")]).await;
    let old = json!({"event_type": "shop.x", "occurred_at": "2001-01-01T00:00:00Z"});
    assert_eq!(developer(&rig).post(PATH, &old).await.data(201)["occurred_at"], "2001-01-01T00:00:00.000Z");
    assert_eq!(kinds(&rig.admin(), "event_type=shop.x").await, [""; 0]);
}

#[tokio::test]
async fn events_are_counted_by_level() {
    let rig = Rig::start(&[]).await;
    let count = async |level: &str| -> f64 {
        let text = rig.service.client().get("/metrics").await.text;
        let line =
            text.lines().find_map(|line| line.strip_prefix(&format!("imago_events_total{{level=\"{level}\"}} ")));
        line.map_or(0.0, |count| count.parse().unwrap())
    };
    let before = count("critical").await;
    let body = json!({"event_type": "shop.fire", "level": "critical"});
    developer(&rig).post(PATH, &body).await.data(201);
    // Other tests of this process may be counting, too.
    assert!(count("critical").await > before);
}
