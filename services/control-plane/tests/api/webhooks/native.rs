//! `/api/v1/integration/webhooks`

use serde_json::{Value, json};

use super::{
    CREATE, NATIVE, event, make_native, publish,
    receiver::{Answer, Got, Receiver},
    start, until,
};
use crate::keys::make;

const URL: &str = "https://example.com/in";

fn path(hook: &Value) -> String {
    format!("{NATIVE}/{}", hook["id"].as_str().unwrap())
}

#[tokio::test]
async fn a_webhook_lives_from_its_making_to_its_deletion() {
    let rig = start(&[]).await;
    let admin = rig.admin();
    let made = make_native(&admin, URL, json!({"description": "Tools"})).await;
    let id = made["id"].as_str().unwrap();
    assert!(id.len() == 24 && id.starts_with("whk_"), "{id}");
    assert_eq!(
        (&made["secret"], &made["active"], &made["revision"]),
        (&json!("a-long-secret-1"), &json!(true), &json!(1))
    );
    assert_eq!((&made["created_by"], &made["description"]), (&json!("admin-key"), &json!("Tools")));
    let shown = admin.get(&path(&made)).await.data(200);
    assert!(shown.get("secret").is_none() && shown["url"] == URL);
    assert_eq!(admin.get(NATIVE).await.data(200), json!([shown]));

    let same = admin.put(&path(&made), &shown).await.data(200);
    assert_eq!(same, shown);
    let changed = admin.put(&path(&made), &json!({"active": false, "secret": "another secret"})).await.data(200);
    assert_eq!((&changed["active"], &changed["revision"]), (&json!(false), &json!(2)));
    assert!(changed.get("secret").is_none());
    let stale = admin.put(&path(&made), &json!({"revision": 1, "active": true})).await;
    let error = stale.error(409, "CONFLICT_ERROR.RESOURCE_CONFLICT");
    assert_eq!(error["message"], "Revision 1 is outdated, current is 2");
    let listed = async |query: &str| admin.get(&format!("{NATIVE}{query}")).await.data(200).as_array().unwrap().len();
    assert_eq!((listed("?active=false").await, listed("?active=true").await), (1, 0));
    admin.get(&format!("{NATIVE}?active=maybe")).await.error(422, "VALIDATION_ERROR.INVALID_FORMAT");

    assert_eq!(admin.delete(&path(&made)).await.data(200), json!({"deleted": true, "id": id}));
    let error = admin.get(&path(&made)).await.error(404, "NOT_FOUND_ERROR.RESOURCE_NOT_FOUND");
    assert_eq!(error["message"], format!("Webhook '{id}' not found"));
    let sql = format!("SELECT kind AS value FROM events WHERE aggregate = 'webhook:{id}' ORDER BY seq");
    until(&rig, &sql, &["webhook.created", "webhook.updated", "webhook.deleted"]).await;
}

#[tokio::test]
async fn secrets_are_stored_sealed_and_shown_once() {
    let rig = start(&[]).await;
    let made = make_native(&rig.admin(), URL, json!({})).await;
    let given = rig.admin().post(CREATE, &json!({"url": URL, "events": ["*"]})).await.data(201);
    let made_up = given["secret"].as_str().unwrap();
    assert!(made_up.starts_with("whsec_"));
    let stored = rig.everything_stored();
    assert!(stored.contains(made["id"].as_str().unwrap()));
    assert!(!stored.contains("a-long-secret-1") && !stored.contains(made_up));
    // Not even its replay under an idempotency key is kept in plain.
    let client = rig.admin().header("idempotency-key", "one");
    let first = make_native(&client, URL, json!({"secret": "yet another secret"})).await;
    assert_eq!(make_native(&client, URL, json!({"secret": "yet another secret"})).await, first);
    assert!(!rig.everything_stored().contains("yet another secret"));
}

/// How many tell of a new webhook, and the others in their order: between services no order is promised.
fn split(mut names: Vec<String>) -> (usize, Vec<String>) {
    let all = names.len();
    names.retain(|name| name != "webhook.created");
    (all - names.len(), names)
}

#[tokio::test]
async fn types_families_and_everything_can_be_subscribed_to() {
    let rig = start(&[]).await;
    let (one, family, all) = (
        Receiver::always(Answer::Status(200)).await,
        Receiver::always(Answer::Status(200)).await,
        Receiver::always(Answer::Status(200)).await,
    );
    let admin = rig.admin();
    publish(&rig.service, vec![event("skill-builder", "tool.deleted", json!({"tool_id": "before"}))]).await;
    make_native(&admin, &one.url("/"), json!({"events": ["tool.created", "agent.ready"]})).await;
    make_native(&admin, &family.url("/"), json!({"events": ["tool.*"]})).await;
    make_native(&admin, &all.url("/"), json!({"events": ["*", "tool.*"]})).await;
    let off = make_native(&admin, &one.url("/off"), json!({"events": ["*"], "active": false})).await;
    let events = ["tool.created", "tool.deleted", "chat.turn.completed", "tools.created"];
    publish(&rig.service, events.iter().map(|kind| event("x", kind, json!({"kind": kind}))).collect()).await;
    let names = |got: Vec<Got>| got.iter().map(Got::event).collect::<Vec<_>>();
    // The webhook that hears of everything hears of those that were made after it, and not of itself.
    assert_eq!(split(names(all.wait(5).await)), (1, events.map(str::to_owned).to_vec()));
    assert_eq!(names(family.wait(2).await), events[..2]);
    assert_eq!(names(one.wait(1).await), events[..1]);
    let history = admin.get(&format!("{}/deliveries", path(&off))).await;
    assert_eq!(history.data(200), json!([]));
    assert_eq!(all.got().len(), 5);
}

#[tokio::test]
async fn events_of_users_and_keys_are_for_those_who_may_see_them() {
    let rig = start(&[]).await;
    let body = json!({"name": "n", "permissions": ["webhooks:manage"]});
    let member = rig.service.client().bearer(&make(&rig.admin(), body).await.0);
    for events in [json!(["user.*"]), json!(["agent.created", "key.created"])] {
        let answer = member.post(CREATE, &json!({"url": URL, "events": events})).await;
        answer.error(403, "AUTHORIZATION_ERROR.INSUFFICIENT_PERMISSIONS");
    }
    let (low, high) = (Receiver::always(Answer::Status(200)).await, Receiver::always(Answer::Status(200)).await);
    make_native(&member, &low.url("/"), json!({"events": ["*"]})).await;
    let hook = make_native(&rig.admin(), &high.url("/"), json!({"events": ["*"]})).await;
    let told = || vec![event("x", "user.login", json!({})), event("x", "agent.ready", json!({}))];
    publish(&rig.service, told()).await;
    let names = |got: Vec<Got>| got.iter().map(Got::event).collect::<Vec<_>>();
    assert_eq!(names(high.wait(2).await), ["user.login", "agent.ready"]);
    assert_eq!(split(names(low.wait(2).await)), (1, vec!["agent.ready".to_owned()]));
    // Nor can somebody turn another's webhook around to hear of them.
    let elsewhere = Receiver::always(Answer::Status(200)).await;
    member.put(&path(&hook), &json!({"url": elsewhere.url("/")})).await.data(200);
    publish(&rig.service, told()).await;
    let got = names(elsewhere.wait(1).await);
    assert!(!got.contains(&"user.login".to_owned()), "{got:?}");
}

#[tokio::test]
async fn a_test_is_sent_at_once_and_says_what_came_of_it() {
    let rig = start(&[]).await;
    let inbox = Receiver::always(Answer::Status(202)).await;
    let hook = make_native(&rig.admin(), &inbox.url("/in"), json!({"events": ["*"], "active": false})).await;
    let test = async || rig.admin().send("POST", &format!("{}/test", path(&hook)), None).await.data(200);
    let tested = test().await;
    assert_eq!(
        (&tested["delivered"], &tested["response_code"], &tested["error"]),
        (&json!(true), &json!(202), &Value::Null)
    );
    assert!(tested["duration_ms"].is_u64());
    let got = inbox.wait(1).await.remove(0);
    assert_eq!((got.event().as_str(), &got.json()["webhook_id"]), ("webhook.test", &hook["id"]));
    inbox.answer(|_| Answer::Status(500));
    let tested = test().await;
    assert_eq!((&tested["delivered"], &tested["response_code"]), (&json!(false), &json!(500)));
    let rows = rig.admin().get(&format!("{}/deliveries", path(&hook))).await.data(200);
    let statuses: Vec<_> =
        rows.as_array().unwrap().iter().map(|row| (row["status"].clone(), row["event"].clone())).collect();
    assert_eq!(statuses, [(json!("failed"), json!("webhook.test")), (json!("success"), json!("webhook.test"))]);
    assert_eq!(rows[1]["event_id"], got.json()["event_id"]);
    until(&rig, "SELECT kind AS value FROM events WHERE kind = 'webhook.test'", &["webhook.test", "webhook.test"])
        .await;
    let unreachable = make_native(&rig.admin(), "http://127.0.0.1:9/", json!({})).await;
    let tested = rig.admin().send("POST", &format!("{}/test", path(&unreachable)), None).await.data(200);
    assert_eq!((&tested["response_code"], &tested["error"]), (&Value::Null, &json!("the host cannot be reached")));
}

#[tokio::test]
async fn there_are_at_most_200() {
    let rig = start(&[]).await;
    let made = make_native(&rig.admin(), URL, json!({})).await;
    rig.execute(
        "INSERT INTO webhooks (id, door, client_id, url, events, authentication, active, sees_audited, created_by, created_at, updated_at)
         SELECT 'whk_' || n, 'mesh', 'c', 'https://example.com', '{*}', 'none', false, false, 'c', now(), now()
         FROM generate_series(1, 198) n",
    );
    let body = json!({"url": URL, "events": ["*"]});
    // Of several at once, too.
    let (client, other) = (rig.admin(), rig.admin());
    let (one, two) = tokio::join!(client.post(CREATE, &body), other.post(CREATE, &body));
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409]);
    rig.admin().post(CREATE, &body).await.error(409, "CONFLICT_ERROR.RESOURCE_CONFLICT");
    rig.admin().delete(&path(&made)).await.data(200);
    rig.admin().post(CREATE, &body).await.data(201);
}

#[tokio::test]
async fn input_is_checked_field_by_field() {
    let rig = start(&[]).await;
    for (change, reason, field) in [
        (json!({"url": null}), "REQUIRED_FIELD", "url"),
        (json!({"url": "ftp://example.com"}), "INVALID_FORMAT", "url"),
        (json!({"url": "http://169.254.169.254/"}), "INVALID_FORMAT", "url"),
        (json!({"events": []}), "INVALID_RANGE", "events"),
        (json!({"events": ["sun.rise"]}), "INVALID_FORMAT", "events[0]"),
        (json!({"secret": "short"}), "INVALID_RANGE", "secret"),
    ] {
        let mut body = json!({"url": URL, "events": ["agent.created"]});
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let answer = rig.admin().post(CREATE, &body).await;
        answer.error(422, &format!("VALIDATION_ERROR.{reason}"));
        assert_eq!(answer.fields(), [field], "{body}");
    }
    let user = rig.service.client().bearer(&test_support::jwt("u", &[api_types::auth::Role::User], &[]));
    user.post(CREATE, &json!({})).await.error(403, "AUTHORIZATION_ERROR.INSUFFICIENT_PERMISSIONS");
}
