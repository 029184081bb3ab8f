//! What receivers get, how often, and in which order.

use std::time::Duration;

use serde_json::{Value, json};
use standardwebhooks::Webhook;

use super::{
    AINS, NATIVE, all_are, deliveries, event, make_ains, make_native, publish,
    receiver::{Answer, Got, Receiver},
    start, task, until,
};

const SECRET: &str = "webhook_secret_key";

/// As a receiver with the library of Standard Webhooks does it.
fn verify(secret: &[u8], got: &Got) -> bool {
    let mut headers = http::HeaderMap::new();
    for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        headers.insert(name, got.header(name).parse().unwrap());
    }
    Webhook::from_bytes(secret.to_vec()).unwrap().verify(&got.body, &headers).is_ok()
}

fn hex_hmac(bytes: &[u8]) -> String {
    use hmac::{Hmac, KeyInit as _, Mac as _};
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(bytes);
    hex::encode(mac.finalize().into_bytes())
}

#[tokio::test]
async fn events_of_a_client_arrive_signed_and_in_order() {
    let rig = start(&[]).await;
    let inbox = Receiver::always(Answer::Status(200)).await;
    publish(&rig.service, vec![task("task.created", "acme", 0)]).await;
    let hook = make_ains(&rig.admin(), &inbox.url("/hook?x=1"), json!({"secret": SECRET})).await;
    let events = vec![
        task("task.created", "acme", 1),
        task("task.created", "other", 2),
        task("task.started", "acme", 3),
        task("task.completed", "acme", 4),
    ];
    let event_id = events[0]["id"].as_str().unwrap().replace('-', "");
    publish(&rig.service, events).await;
    let got = inbox.wait(2).await;
    assert_eq!(got.iter().map(Got::event).collect::<Vec<_>>(), ["task.created", "task.completed"]);
    let (first, body) = (&got[0], got[0].json());
    assert_eq!((first.method.as_str(), first.path.as_str()), ("POST", "/hook?x=1"));
    assert_eq!(body["data"]["task_id"], "task_1");
    assert_eq!((&body["webhook_id"], &body["delivery_attempt"]), (&hook["webhook_id"], &json!(1)));
    assert_eq!(body["event_id"], format!("evt_{event_id}"));
    assert_eq!(first.header("content-type"), "application/json");
    assert!(first.header("user-agent").starts_with("imago/"));
    assert_eq!(first.header("x-webhook-id"), hook["webhook_id"].as_str().unwrap());
    assert_eq!(first.header("x-webhook-event"), "task.created");
    assert_eq!(first.header("webhook-id"), body["event_id"].as_str().unwrap());
    for got in &got {
        assert!(verify(SECRET.as_bytes(), got) && !verify(b"another secret", got));
        assert_eq!(got.header("x-webhook-signature"), hex_hmac(&got.body));
    }
    let rows = deliveries(&rig.admin(), &hook, |rows| rows.len() == 2 && all_are("success")(rows)).await;
    assert_eq!((&rows[0]["event"], &rows[1]["event"]), (&json!("task.completed"), &json!("task.created")));
    assert_eq!((&rows[1]["attempt_count"], &rows[1]["response_code"]), (&json!(1), &json!(200)));
    assert!(rows[1]["delivered_at"].is_string() && rows[1]["next_attempt_at"].is_null() && rows[1]["error"].is_null());
    assert_eq!(rows[1]["delivery_id"], first.header("x-webhook-delivery"));
    let metrics = rig.service.client().get("/metrics").await.text;
    assert!(metrics.contains("ains_webhook_deliveries_total{event=\"task.created\",status=\"success\"}"), "{metrics}");
    assert!(metrics.contains("imago_webhook_deliveries_total{status=\"success\"}"), "{metrics}");
}

#[tokio::test]
async fn an_event_that_arrives_twice_is_delivered_once() {
    let rig = start(&[]).await;
    let inbox = Receiver::always(Answer::Status(200)).await;
    let hook = make_ains(&rig.admin(), &inbox.url("/"), json!({})).await;
    let one = task("task.created", "acme", 1);
    publish(&rig.service, vec![one.clone(), one.clone()]).await;
    publish(&rig.service, vec![one, task("task.completed", "acme", 1)]).await;
    inbox.wait(2).await;
    let rows = deliveries(&rig.admin(), &hook, all_are("success")).await;
    assert_eq!((rows.len(), inbox.got().len()), (2, 2));
}

#[tokio::test]
async fn a_failed_attempt_is_made_again_under_the_same_id_and_holds_nothing_up() {
    let rig = start(&[]).await;
    let inbox = Receiver::new(|got| {
        let is_first = got.json()["data"]["task_id"] == "task_1" && got.json()["delivery_attempt"] != 4;
        Answer::Status(if is_first { 500 } else { 200 })
    })
    .await;
    let hook = make_ains(&rig.admin(), &inbox.url("/"), json!({"secret": SECRET})).await;
    publish(&rig.service, (1..=5).map(|number| task("task.created", "acme", number)).collect()).await;
    let got = inbox.wait(8).await;
    let attempts = |got: &[Got], task: &str| {
        let of = got.iter().filter(|got| got.json()["data"]["task_id"] == task);
        of.map(|got| got.json()["delivery_attempt"].as_i64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(attempts(&got, "task_1"), [1, 2, 3, 4]);
    let others: Vec<_> = got.iter().filter(|got| got.json()["data"]["task_id"] != "task_1").collect();
    let order: Vec<_> = others.iter().map(|got| got.json()["data"]["task_id"].clone()).collect();
    assert_eq!(order, ["task_2", "task_3", "task_4", "task_5"]);
    let failed: Vec<_> = got.iter().filter(|got| got.json()["data"]["task_id"] == "task_1").collect();
    assert!(failed.iter().all(|got| got.header("webhook-id") == failed[0].header("webhook-id")));
    assert!(failed.iter().all(|got| verify(SECRET.as_bytes(), got)));
    assert!(failed[1].at - failed[0].at >= Duration::from_millis(190), "{:?}", failed[1].at - failed[0].at);
    let rows = deliveries(&rig.admin(), &hook, |rows| rows.len() == 5 && all_are("success")(rows)).await;
    assert_eq!((&rows[4]["attempt_count"], &rows[4]["response_code"]), (&json!(4), &json!(200)));
}

#[tokio::test]
async fn after_the_last_attempt_it_is_given_up() {
    let rig = start(&[("AINS_WEBHOOK_BACKOFF_SECONDS", "0.1,0.1")]).await;
    let inbox = Receiver::always(Answer::Status(503)).await;
    let hook = make_ains(&rig.admin(), &inbox.url("/"), json!({})).await;
    publish(&rig.service, vec![task("task.created", "acme", 1)]).await;
    let rows = deliveries(&rig.admin(), &hook, all_are("failed")).await;
    assert_eq!((&rows[0]["attempt_count"], &rows[0]["response_code"]), (&json!(3), &json!(503)));
    assert_eq!((&rows[0]["error"], &rows[0]["next_attempt_at"]), (&json!("the receiver answered 503"), &Value::Null));
    assert_eq!(inbox.got().len(), 3);
}

#[tokio::test]
async fn a_delivery_can_be_asked_for_again() {
    let rig = start(&[("AINS_WEBHOOK_BACKOFF_SECONDS", "")]).await;
    let inbox = Receiver::always(Answer::Status(500)).await;
    let hook = make_ains(&rig.admin(), &inbox.url("/"), json!({})).await;
    publish(&rig.service, vec![task("task.created", "acme", 1)]).await;
    let row = deliveries(&rig.admin(), &hook, all_are("failed")).await.remove(0);
    inbox.answer(|_| Answer::Status(200));
    let base = format!("{AINS}/{}/deliveries", hook["webhook_id"].as_str().unwrap());
    let path = format!("{base}/{}/redeliver", row["delivery_id"].as_str().unwrap());
    let again = rig.admin().send("POST", &path, None).await.ains(200);
    assert_eq!((&again["status"], &again["event_id"]), (&json!("pending"), &row["event_id"]));
    let got = inbox.wait(2).await;
    assert_eq!(got[0].header("webhook-id"), got[1].header("webhook-id"));
    assert_eq!(got[1].json()["delivery_attempt"], 2);
    let rows = deliveries(&rig.admin(), &hook, all_are("success")).await;
    assert_eq!(rows[0]["attempt_count"], 2);
    // What arrived, too, even when the webhook is off by now.
    let hook_path = format!("{AINS}/{}", hook["webhook_id"].as_str().unwrap());
    rig.admin().patch(&hook_path, &json!({"active": false})).await.ains(200);
    rig.admin().send("POST", &path, None).await.ains(200);
    inbox.wait(3).await;
    for bad in ["dlv_none", "dlv_00000000000000000000000000000001"] {
        let answer = rig.admin().send("POST", &format!("{base}/{bad}/redeliver"), None).await;
        answer.ains_error(404, "RESOURCE_NOT_FOUND");
    }
    let native = make_native(&rig.admin(), &inbox.url("/n"), json!({})).await;
    publish(&rig.service, vec![event("skill-builder", "tool.created", json!({"tool_id": "t"}))]).await;
    inbox.wait(4).await;
    let base = format!("{NATIVE}/{}/deliveries", native["id"].as_str().unwrap());
    // What arrived is known to have arrived a moment later; until then there is nothing to ask for again.
    until(&rig, "SELECT count(*)::text AS value FROM webhook_deliveries WHERE status = 'pending'", &["0"]).await;
    let row = rig.admin().get(&base).await.data(200)[0].clone();
    let path = format!("{base}/{}/redeliver", row["delivery_id"].as_str().unwrap());
    assert_eq!(rig.admin().send("POST", &path, None).await.data(200)["event_id"], row["event_id"]);
    assert_eq!(inbox.wait(5).await[4].header("webhook-id"), row["event_id"].as_str().unwrap());
}

#[tokio::test]
async fn who_is_gone_is_not_asked_again() {
    let rig = start(&[]).await;
    let inbox = Receiver::new(|got| {
        // What comes later waits until the answer is there.
        if got.json()["data"]["task_id"] == "task_1" {
            Answer::Late(Duration::from_millis(300), 410)
        } else {
            Answer::Status(200)
        }
    })
    .await;
    let hook = make_ains(&rig.admin(), &inbox.url("/"), json!({})).await;
    publish(&rig.service, (1..=3).map(|number| task("task.created", "acme", number)).collect()).await;
    let rows = deliveries(&rig.admin(), &hook, |rows| rows.len() == 3 && all_are("failed")(rows)).await;
    assert_eq!((&rows[2]["response_code"], &rows[2]["attempt_count"]), (&json!(410), &json!(1)));
    assert_eq!((&rows[0]["error"], &rows[0]["attempt_count"]), (&json!("the webhook was switched off"), &json!(0)));
    let path = format!("{AINS}/{}", hook["webhook_id"].as_str().unwrap());
    assert_eq!(rig.admin().get(&path).await.ains(200)["active"], false);
    publish(&rig.service, vec![task("task.created", "acme", 4)]).await;
    // Switched on again, it hears of what happens from then on.
    rig.admin().patch(&path, &json!({"active": true})).await.ains(200);
    publish(&rig.service, vec![task("task.created", "acme", 5)]).await;
    let tasks: Vec<_> = inbox.wait(2).await.iter().map(|got| got.json()["data"]["task_id"].clone()).collect();
    assert_eq!(tasks, ["task_1", "task_5"]);
}

#[tokio::test]
async fn a_deleted_webhook_gets_nothing_any_more() {
    let rig = start(&[]).await;
    let inbox = Receiver::new(|_| Answer::Late(Duration::from_millis(300), 500)).await;
    let hook = make_ains(&rig.admin(), &inbox.url("/"), json!({})).await;
    publish(&rig.service, (1..=3).map(|number| task("task.created", "acme", number)).collect()).await;
    inbox.wait(1).await;
    rig.admin().delete(&format!("{AINS}/{}", hook["webhook_id"].as_str().unwrap())).await.ains(200);
    until(&rig, "SELECT id::text AS value FROM webhook_deliveries", &[]).await;
    // The one that was on its way is the last of its turn, which knows nothing of the deletion for a second at the most.
    let other = make_ains(&rig.admin(), &inbox.url("/other"), json!({})).await;
    publish(&rig.service, vec![task("task.created", "acme", 9)]).await;
    deliveries(&rig.admin(), &other, |rows| rows.len() == 1 && rows[0]["attempt_count"] == 2).await;
    assert!(inbox.got().iter().filter(|got| got.path == "/").count() <= 3);
    assert!(inbox.got().iter().all(|got| got.path == "/other" || got.json()["delivery_attempt"] == 1));
}

#[tokio::test]
async fn many_events_keep_their_order_and_go_one_by_one() {
    let rig = start(&[]).await;
    let inbox = Receiver::always(Answer::Status(200)).await;
    make_ains(&rig.admin(), &inbox.url("/"), json!({})).await;
    for batch in 0..4 {
        publish(&rig.service, (1..=100).map(|number| task("task.created", "acme", batch * 100 + number)).collect())
            .await;
    }
    let got = inbox.wait(400).await;
    let order: Vec<_> = got.iter().map(|got| got.json()["data"]["result_data"]["n"].as_u64().unwrap()).collect();
    assert_eq!(order, (1..=400).collect::<Vec<_>>());
    assert_eq!(inbox.at_once(), 1);
}
