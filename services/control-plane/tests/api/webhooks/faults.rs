//! Receivers that misbehave, processes that die, and crowds.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{
    AINS, all_are, deliveries, make_ains, publish,
    receiver::{Answer, Got, Receiver},
    start, task,
};
use crate::rig;

#[tokio::test]
async fn redirects_are_failures_and_not_followed() {
    let rig = start(&[("AINS_WEBHOOK_BACKOFF_SECONDS", "")]).await;
    let target = Receiver::always(Answer::Status(200)).await;
    let inbox = Receiver::always(Answer::Redirect(target.url("/"))).await;
    let hook = make_ains(&rig.admin(), &inbox.url("/"), json!({})).await;
    publish(&rig.service, vec![task("task.created", "acme", 1)]).await;
    let rows = deliveries(&rig.admin(), &hook, all_are("failed")).await;
    assert_eq!(rows[0]["response_code"], 307);
    assert_eq!(rows[0]["error"], "the receiver answered 307; redirects are not followed");
    assert!(target.got().is_empty());
}

#[tokio::test]
async fn a_success_that_comes_too_late_is_none() {
    let rig = start(&[("AINS_WEBHOOK_TIMEOUT_SECONDS", "1"), ("AINS_WEBHOOK_BACKOFF_SECONDS", "")]).await;
    let inbox = Receiver::always(Answer::Late(Duration::from_millis(1500), 200)).await;
    let hook = make_ains(&rig.admin(), &inbox.url("/"), json!({})).await;
    publish(&rig.service, vec![task("task.created", "acme", 1)]).await;
    let rows = deliveries(&rig.admin(), &hook, all_are("failed")).await;
    assert_eq!((&rows[0]["response_code"], &rows[0]["error"]), (&Value::Null, &json!("no answer in time")));
}

#[tokio::test]
async fn an_answer_without_end_is_cut_off_and_counts_by_its_status() {
    let rig = start(&[]).await;
    let inbox = Receiver::always(Answer::Endless).await;
    let hook = make_ains(&rig.admin(), &inbox.url("/"), json!({})).await;
    publish(&rig.service, (1..=3).map(|number| task("task.created", "acme", number)).collect()).await;
    let rows = deliveries(&rig.admin(), &hook, |rows| rows.len() == 3 && all_are("success")(rows)).await;
    assert!(rows.iter().all(|row| row["attempt_count"] == 1));
}

#[tokio::test]
async fn who_hangs_up_is_tried_again() {
    let rig = start(&[]).await;
    let inbox =
        Receiver::new(|got| if got.json()["delivery_attempt"] == 1 { Answer::Close } else { Answer::Status(200) })
            .await;
    let hook = make_ains(&rig.admin(), &inbox.url("/"), json!({})).await;
    publish(&rig.service, vec![task("task.created", "acme", 1)]).await;
    let rows = deliveries(&rig.admin(), &hook, all_are("success")).await;
    assert_eq!(rows[0]["attempt_count"], 2);
}

#[tokio::test]
async fn names_are_judged_by_what_they_resolve_to() {
    // Neither is an address as it is written, and so both can be registered.
    let rig = rig::Rig::start(&[("AINS_WEBHOOK_BACKOFF_SECONDS", "")]).await;
    let inbox = Receiver::always(Answer::Status(200)).await;
    let url = inbox.url("/").replace("127.0.0.1", "localhost");
    let hook = make_ains(&rig.admin(), &url, json!({})).await;
    publish(&rig.service, vec![task("task.created", "acme", 1)]).await;
    let rows = deliveries(&rig.admin(), &hook, all_are("failed")).await;
    assert_eq!(rows[0]["error"], "egress refused: address not allowed");
    assert!(inbox.got().is_empty());
    let body = json!({"client_id": "acme", "url": inbox.url("/"), "events": ["task.created"]});
    rig.admin().post(AINS, &body).await.ains_error(400, "INVALID_FIELD_VALUE");
}

#[tokio::test]
async fn receivers_that_hang_delay_nobody_else() {
    // More of them than there are places for the prompt.
    let settings = [("WEBHOOK_CONCURRENCY", "4"), ("WEBHOOK_SLOW_CONCURRENCY", "32")];
    let rig = start(&settings).await;
    let stuck = Receiver::always(Answer::Hang).await;
    for number in 0..12 {
        make_ains(&rig.admin(), &stuck.url(&format!("/{number}")), json!({})).await;
    }
    let inbox = Receiver::always(Answer::Status(200)).await;
    make_ains(&rig.admin(), &inbox.url("/"), json!({"client_id": "other"})).await;
    publish(&rig.service, (1..=3).map(|number| task("task.created", "acme", number)).collect()).await;
    stuck.wait(12).await;
    // Each of them holds one place, among the slow, and the rest of its events wait.
    let started = Instant::now();
    for number in 1..=20 {
        publish(&rig.service, vec![task("task.created", "other", number)]).await;
    }
    inbox.wait(20).await;
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    assert_eq!(stuck.got().len(), 12);
}

#[tokio::test]
async fn ten_thousand_webhooks_hear_of_one_event() {
    const MANY: usize = 10_000;
    let rig = start(&[]).await;
    let inbox = Receiver::always(Answer::Status(200)).await;
    rig.execute(&format!(
        "WITH made AS (
             INSERT INTO webhooks
                 (id, door, client_id, url, events, authentication, active, sees_audited, created_by, created_at, updated_at)
             SELECT 'wh_' || n, 'ains', 'acme', '{}', '{{task.created,task.completed}}', 'none', true, false, 'c', now(), now()
             FROM generate_series(1, {MANY}) n RETURNING no
         ) INSERT INTO webhook_lanes (webhook_no) SELECT no FROM made",
        inbox.url("/crowd")
    ));
    let single = Receiver::always(Answer::Status(200)).await;
    make_ains(&rig.admin(), &single.url("/"), json!({"client_id": "other"})).await;
    let started = Instant::now();
    publish(&rig.service, vec![task("task.created", "acme", 1)]).await;
    assert!(started.elapsed() < Duration::from_secs(10), "taken in after {:?}", started.elapsed());
    // Nobody else has to wait until all of them are through.
    publish(&rig.service, vec![task("task.created", "other", 2)]).await;
    let told = Instant::now();
    single.wait(1).await;
    assert!(told.elapsed() < Duration::from_secs(5), "{:?}", told.elapsed());
    let deadline = Instant::now() + Duration::from_secs(180);
    while inbox.got().len() < MANY {
        assert!(Instant::now() < deadline, "{} came", inbox.got().len());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let ids: std::collections::HashSet<_> =
        inbox.got().iter().map(|got| got.json()["webhook_id"].to_string()).collect();
    assert_eq!((ids.len(), inbox.got().len()), (MANY, MANY));
    let left = "SELECT count(*)::text AS value FROM webhook_deliveries WHERE status <> 'success'";
    super::until(&rig, left, &["0"]).await;
}

/// The task ids that came, with how often.
fn told(got: &[Got]) -> std::collections::BTreeMap<String, usize> {
    let mut told = std::collections::BTreeMap::new();
    for got in got {
        *told.entry(got.json()["data"]["task_id"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    told
}

#[tokio::test]
async fn two_dispatchers_deliver_everything_once_and_in_order() {
    let rig = start(&[]).await;
    let other = rig::on(&rig.db, &[super::QUICK, &[("BOOTSTRAP_ADMIN_KEY", rig::ADMIN)]].concat(), &rig.tokens).await;
    let mut inboxes = Vec::new();
    for client in ["a", "b", "c"] {
        let inbox = Receiver::always(Answer::Status(200)).await;
        make_ains(&rig.admin(), &inbox.url("/"), json!({"client_id": client})).await;
        inboxes.push(inbox);
    }
    for batch in 0..20 {
        let service = if batch % 2 == 0 { &rig.service } else { &other };
        let events =
            (0..30).map(|number| task("task.created", ["a", "b", "c"][number % 3], batch * 30 + number)).collect();
        publish(service, events).await;
    }
    for inbox in &inboxes {
        let got = inbox.wait(200).await;
        let order: Vec<_> = got.iter().map(|got| got.json()["data"]["result_data"]["n"].as_u64().unwrap()).collect();
        assert!(order.is_sorted(), "{order:?}");
        assert_eq!((order.len(), inbox.at_once()), (200, 1));
    }
    super::until(&rig, "SELECT status AS value FROM webhook_deliveries WHERE status <> 'success'", &[]).await;
    assert!(inboxes.iter().all(|inbox| told(&inbox.got()).values().all(|times| *times == 1)));
    drop(other);
}

#[tokio::test]
async fn what_a_dead_process_delivered_and_did_not_record_is_delivered_again_under_the_same_id() {
    let rig = start(&[]).await;
    let inbox = Receiver::always(Answer::Status(200)).await;
    let hook = make_ains(&rig.admin(), &inbox.url("/"), json!({"secret": "secret-of-hook"})).await;
    publish(&rig.service, vec![task("task.created", "acme", 1)]).await;
    inbox.wait(1).await;
    deliveries(&rig.admin(), &hook, all_are("success")).await;
    // As a kill between the delivery and its record leaves it: nothing recorded, and the lane's lease still running.
    rig.execute(
        "UPDATE webhook_deliveries SET status = 'pending', attempts = 0, delivered_at = NULL, response_code = NULL;
         UPDATE webhook_lanes SET lease_id = gen_random_uuid(), lease_until = now() + interval '1500 milliseconds'",
    );
    let killed = Instant::now();
    let got = inbox.wait(2).await;
    assert!(killed.elapsed() > Duration::from_millis(1300), "{:?}", killed.elapsed());
    assert_eq!(got[0].header("webhook-id"), got[1].header("webhook-id"));
    assert_eq!(got[0].body, got[1].body);
    let rows = deliveries(&rig.admin(), &hook, all_are("success")).await;
    assert_eq!(rows[0]["attempt_count"], 1);
}

#[tokio::test]
async fn who_lost_its_lease_records_nothing() {
    let rig = start(&[]).await;
    let inbox = Receiver::new(|got| {
        let is_first = got.json()["data"]["task_id"] == "task_1";
        if is_first { Answer::Late(Duration::from_millis(700), 500) } else { Answer::Status(200) }
    })
    .await;
    let hook = make_ains(&rig.admin(), &inbox.url("/"), json!({})).await;
    publish(&rig.service, vec![task("task.created", "acme", 1)]).await;
    inbox.wait(1).await;
    // Somebody else takes the lane over, delivers, and records.
    rig.execute(
        "UPDATE webhook_lanes SET lease_id = gen_random_uuid(), lease_until = now() + interval '1 hour';
         UPDATE webhook_deliveries SET status = 'success', attempts = 1, response_code = 204, delivered_at = now()",
    );
    let metrics = async || {
        let text = rig.service.client().get("/metrics").await.text;
        text.lines().any(|line| line.starts_with("imago_webhook_wait_seconds_count"))
    };
    assert!(metrics().await);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let rows = deliveries(&rig.admin(), &hook, all_are("success")).await;
    assert_eq!((&rows[0]["response_code"], &rows[0]["attempt_count"]), (&json!(204), &json!(1)));
}

#[tokio::test]
async fn a_secret_that_cannot_be_read_fails_the_delivery_and_says_so() {
    let rig = start(&[]).await;
    let inbox = Receiver::always(Answer::Status(200)).await;
    let hook = make_ains(&rig.admin(), &inbox.url("/"), json!({"secret": "secret-of-hook"})).await;
    rig.execute("UPDATE webhooks SET secret_sealed = 'AAAA'");
    publish(&rig.service, vec![task("task.created", "acme", 1)]).await;
    let rows = deliveries(&rig.admin(), &hook, all_are("failed")).await;
    assert_eq!(rows[0]["error"], "the webhook's secret cannot be read");
    assert!(inbox.got().is_empty());
}

#[tokio::test]
async fn old_deliveries_are_let_go_and_crowds_of_waiting_ones_are_thinned() {
    let rig = start(&[]).await;
    rig.execute(
        "INSERT INTO webhook_events (id, kind, at, payload, created_at)
         VALUES ('00000000-0000-7000-8000-000000000001', 'x', now(), '{}', now() - interval '31 days'),
                ('00000000-0000-7000-8000-000000000002', 'x', now(), '{}', now());
         INSERT INTO webhook_deliveries (webhook_no, event_id, event, status, attempts, created_at)
         SELECT 7, '00000000-0000-7000-8000-000000000001', 'old', 'success', 1, now() - interval '31 days'
         FROM generate_series(1, 6000);
         INSERT INTO webhook_deliveries (webhook_no, event_id, event, status, attempts, created_at)
         VALUES (7, '00000000-0000-7000-8000-000000000002', 'young', 'success', 1, now()),
                (8, '00000000-0000-7000-8000-000000000002', 'orphan', 'pending', 0, now());
         INSERT INTO webhooks
             (id, door, client_id, url, events, authentication, active, sees_audited, created_by, created_at, updated_at)
         VALUES ('wh_full', 'ains', 'c', 'https://a.example', '{task.created}', 'none', true, false, 'c', now(), now());
         INSERT INTO webhook_deliveries (webhook_no, event_id, event)
         SELECT no, '00000000-0000-7000-8000-000000000002', 'waiting' FROM webhooks, generate_series(1, 100002)",
    );
    // A worker looks for them as it starts.
    let again = rig::on(&rig.db, super::QUICK, &rig.tokens).await;
    super::until(&rig, "SELECT event AS value FROM webhook_deliveries WHERE event <> 'waiting'", &["young"]).await;
    super::until(&rig, "SELECT right(id::text, 1) AS value FROM webhook_events", &["2"]).await;
    // No lane: nobody delivers to it, and beyond a hundred thousand the oldest give way.
    let given_up =
        "SELECT concat_ws(' ', id - (SELECT min(id) FROM webhook_deliveries WHERE event = 'waiting'), error) AS value
                    FROM webhook_deliveries WHERE event = 'waiting' AND status = 'failed' ORDER BY id";
    let expected = ["0 too many deliveries were waiting", "1 too many deliveries were waiting"];
    super::until(&rig, given_up, &expected).await;
    drop(again);
}
