//! `/ains/webhooks`

use serde_json::{Value, json};

use super::{
    AINS, NATIVE, deliveries, is_absent, make_ains, publish,
    receiver::{Answer, Got, Receiver},
    start, task,
};
use crate::{keys::make, rig::Rig};

const URL: &str = "https://a.example/h";

/// A client with a key of this tenant.
async fn of(rig: &Rig, client_id: &str) -> test_support::Client {
    let body = json!({"name": "n", "client_id": client_id, "permissions": ["webhooks:manage"]});
    rig.service.client().bearer(&make(&rig.admin(), body).await.0)
}

fn path(hook: &Value) -> String {
    format!("{AINS}/{}", hook["webhook_id"].as_str().unwrap())
}

#[tokio::test]
async fn a_webhook_lives_from_its_making_to_its_deletion() {
    let rig = start(&[]).await;
    let admin = rig.admin();
    let made = make_ains(&admin, URL, json!({"secret": "webhook_secret_key"})).await;
    let id = made["webhook_id"].as_str().unwrap();
    assert!(id.len() == 35 && id.starts_with("wh_"), "{id}");
    let shape: Vec<_> = made.as_object().unwrap().keys().cloned().collect();
    let keys = ["webhook_id", "agent_id", "client_id", "url", "events", "active", "has_secret", "created_at"];
    assert_eq!(shape, keys);
    assert_eq!((&made["agent_id"], &made["client_id"]), (&Value::Null, &json!("acme")));
    assert_eq!((&made["active"], &made["has_secret"]), (&json!(true), &json!(true)));
    assert_eq!(admin.get(&path(&made)).await.ains(200), made);

    let changed = admin.patch(&path(&made), &json!({"active": false, "events": ["task.retry"], "secret": null})).await;
    let changed = changed.ains(200);
    assert_eq!((&changed["active"], &changed["has_secret"]), (&json!(false), &json!(false)));
    assert_eq!((&changed["events"], &changed["url"]), (&json!(["task.retry"]), &json!(URL)));
    let empty = admin.get(&format!("{}/deliveries", path(&made))).await.ains(200);
    assert_eq!((&empty["webhook_id"], &empty["deliveries"]), (&made["webhook_id"], &json!([])));
    let none = json!({"total": 0, "limit": 50, "offset": 0, "has_more": false, "next_offset": null});
    assert_eq!(empty["pagination"], none);

    let gone = admin.delete(&path(&made)).await.ains(200);
    let expected = json!({"webhook_id": id, "deleted": true, "message": "Webhook deleted successfully"});
    assert_eq!(gone, expected);
    is_absent(&admin.delete(&path(&made)).await);
    is_absent(&admin.get(&path(&made)).await);
    is_absent(&admin.get(&format!("{}/deliveries", path(&made))).await);
    let sql = format!("SELECT kind AS value FROM events WHERE aggregate = 'webhook:{id}' ORDER BY seq");
    super::until(&rig, &sql, &["webhook.created", "webhook.updated", "webhook.deleted"]).await;
}

#[tokio::test]
async fn input_is_checked_field_by_field() {
    let rig = start(&[]).await;
    let table = [
        (json!({"url": URL, "events": ["task.created"]}), "MISSING_REQUIRED_FIELD", "agent_id"),
        (json!({"client_id": "c", "events": ["task.created"]}), "MISSING_REQUIRED_FIELD", "url"),
        (json!({"client_id": "c", "url": URL}), "MISSING_REQUIRED_FIELD", "events"),
        (
            json!({"client_id": "c", "agent_id": "a", "url": URL, "events": ["task.created"]}),
            "INVALID_FIELD_VALUE",
            "client_id",
        ),
        (json!({"client_id": "c", "url": "nonsense", "events": ["task.created"]}), "INVALID_FIELD_VALUE", "url"),
        (
            json!({"client_id": "c", "url": "http://169.254.169.254/", "events": ["task.created"]}),
            "INVALID_FIELD_VALUE",
            "url",
        ),
        (json!({"client_id": "c", "url": URL, "events": []}), "INVALID_FIELD_VALUE", "events"),
        (json!({"client_id": "c", "url": URL, "events": ["task.exploded"]}), "INVALID_FIELD_VALUE", "events[0]"),
        (
            json!({"client_id": "c", "url": URL, "events": ["task.created"], "secret": "short"}),
            "INVALID_FIELD_VALUE",
            "secret",
        ),
    ];
    for (body, code, field) in table {
        let error = rig.admin().post(AINS, &body).await.ains_error(400, code);
        assert_eq!(error["details"]["field"], field, "{body}");
    }
    let made = make_ains(&rig.admin(), URL, json!({})).await;
    let error = rig.admin().patch(&path(&made), &json!({"color": 1})).await.ains_error(400, "MISSING_REQUIRED_FIELD");
    assert_eq!(error["details"]["field"], "body");
    rig.admin()
        .patch(&format!("{AINS}/wh_none"), &json!({"active": false}))
        .await
        .ains_error(404, "RESOURCE_NOT_FOUND");
    rig.admin().get(&format!("{AINS}?limit=101")).await.ains_error(400, "INVALID_FIELD_VALUE");
}

#[tokio::test]
async fn a_client_sees_and_makes_only_its_own() {
    let rig = start(&[]).await;
    let (acme, other) = (of(&rig, "acme").await, of(&rig, "other").await);
    let made = make_ains(&acme, URL, json!({})).await;
    let body = json!({"client_id": "acme", "url": URL, "events": ["task.created"]});
    other.post(AINS, &body).await.ains_error(403, "INSUFFICIENT_PERMISSIONS");
    for (method, path, body) in [
        ("GET", path(&made), None),
        ("PATCH", path(&made), Some(json!({"active": false}))),
        ("DELETE", path(&made), None),
        ("GET", format!("{}/deliveries", path(&made)), None),
        ("POST", format!("{}/deliveries/dlv_x/redeliver", path(&made)), None),
    ] {
        is_absent(&other.send(method, &path, body.as_ref()).await);
    }
    assert_eq!(other.get(AINS).await.ains(200)["webhooks"], json!([]));
    assert_eq!(other.get(&format!("{AINS}?client_id=acme")).await.ains(200)["webhooks"], json!([]));
    assert_eq!(acme.get(AINS).await.ains(200)["webhooks"], json!([made]));
    assert_eq!(rig.admin().get(AINS).await.ains(200)["webhooks"], json!([made]));
}

#[tokio::test]
async fn lists_are_oldest_first_and_can_be_narrowed() {
    let rig = start(&[]).await;
    let admin = rig.admin();
    let mut made = Vec::new();
    for client in ["a", "b", "a"] {
        made.push(make_ains(&admin, URL, json!({"client_id": client})).await);
    }
    let ids = async |query: &str| {
        let answer = admin.get(&format!("{AINS}{query}")).await.ains(200);
        let ids: Vec<_> =
            answer["webhooks"].as_array().unwrap().iter().map(|hook| hook["webhook_id"].clone()).collect();
        (ids, answer["pagination"].clone())
    };
    let of = |which: &[usize]| which.iter().map(|index| made[*index]["webhook_id"].clone()).collect::<Vec<_>>();
    assert_eq!(ids("").await.0, of(&[0, 1, 2]));
    assert_eq!(ids("?client_id=a").await.0, of(&[0, 2]));
    assert_eq!(ids("?agent_id=a").await.0, of(&[]));
    let (first, pagination) = ids("?client_id=a&limit=1").await;
    let expected = json!({"total": 2, "limit": 1, "offset": 0, "has_more": true, "next_offset": 1});
    assert_eq!((first, pagination), (of(&[0]), expected));
}

#[tokio::test]
async fn a_workers_webhook_is_its_owners() {
    let router = Receiver::new(|got| match got.path.as_str() {
        "/internal/v1/workers/worker-1" => {
            let meta = json!({"request_id": "r", "timestamp": "t", "version": "v1"});
            let data = json!({"agent_id": "worker-1", "client_id": "acme"});
            Answer::Json(200, json!({"success": true, "data": data, "meta": meta}))
        }
        _ => {
            let error = json!({
                "code": "NOT_FOUND_ERROR.RESOURCE_NOT_FOUND", "category": "NOT_FOUND_ERROR", "message": "m", "details": [],
                "request_id": "r", "timestamp": "t", "documentation_url": "/docs", "retry_after": null, "suggestions": [],
            });
            Answer::Json(404, json!({"success": false, "error": error, "meta": {}}))
        }
    })
    .await;
    let rig = start(&[("TASK_ROUTER_URL", &router.url(""))]).await;
    let (acme, other) = (of(&rig, "acme").await, of(&rig, "other").await);
    let inbox = Receiver::always(Answer::Status(204)).await;
    let body =
        |agent: &str| json!({"agent_id": agent, "url": inbox.url("/"), "events": ["task.created", "agent.updated"]});
    let made = acme.post(AINS, &body("worker-1")).await.ains(201);
    assert_eq!((&made["agent_id"], &made["client_id"]), (&json!("worker-1"), &Value::Null));
    for unknown in ["worker-2", "../keys/lookup", "a b"] {
        acme.post(AINS, &body(unknown)).await.ains_error(404, "AGENT_NOT_FOUND");
    }
    other.post(AINS, &body("worker-1")).await.ains_error(403, "INSUFFICIENT_PERMISSIONS");
    is_absent(&other.get(&path(&made)).await);
    assert_eq!(acme.get(&format!("{AINS}?agent_id=worker-1")).await.ains(200)["pagination"]["total"], 1);

    // Tasks of any client that are the worker's, and what is said of the worker itself; not of an agent of that name.
    let agent = json!({"agent_id": "worker-1", "client_id": "acme", "display_name": "W"});
    let events = vec![
        task("task.created", "somebody", 1),
        super::event("agent-builder", "agent.updated", json!({"agent_id": "worker-1", "fields": []})),
        super::event(
            "task-router",
            "task.created",
            json!({"task_id": "t", "client_id": "acme", "agent_id": "worker-2"}),
        ),
        super::event("task-router", "agent.updated", agent),
    ];
    publish(&rig.service, events).await;
    let got = inbox.wait(2).await;
    assert_eq!(got.iter().map(Got::event).collect::<Vec<_>>(), ["task.created", "agent.updated"]);
    assert_eq!(got[1].json()["data"]["display_name"], "W");
    deliveries(&acme, &made, |rows| rows.len() == 2).await;
}

#[tokio::test]
async fn without_a_task_router_it_says_so() {
    let rig = start(&[("TASK_ROUTER_URL", "http://127.0.0.1:9")]).await;
    let body = json!({"agent_id": "worker-1", "url": URL, "events": ["task.created"]});
    let answer = rig.admin().post(AINS, &body).await;
    answer.ains_error(503, "SERVICE_UNAVAILABLE");
    assert!(!answer.header("retry-after").is_empty());
}

#[tokio::test]
async fn a_create_is_repeated_without_another_webhook() {
    let rig = start(&[]).await;
    let client = rig.admin().header("idempotency-key", "one");
    let first = make_ains(&client, URL, json!({})).await;
    assert_eq!(make_ains(&client, URL, json!({})).await, first);
    assert_eq!(rig.admin().get(AINS).await.ains(200)["pagination"]["total"], 1);
}

#[tokio::test]
async fn each_door_has_its_own_webhooks() {
    let rig = start(&[]).await;
    let made = make_ains(&rig.admin(), URL, json!({})).await;
    let id = made["webhook_id"].as_str().unwrap();
    rig.admin().get(&format!("{NATIVE}/{id}")).await.error(404, "NOT_FOUND_ERROR.RESOURCE_NOT_FOUND");
    assert_eq!(rig.admin().get(NATIVE).await.data(200), json!([]));
}
