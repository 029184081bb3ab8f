//! How the event log is kept.

use std::time::{Duration, Instant};

use chrono::{Days, TimeDelta, Utc};
use diesel::connection::SimpleConnection as _;
use serde_json::json;

use crate::{
    events::{PATH, developer, event, take_in},
    rig::{Rig, on},
};

const UP: &str = include_str!("../../../../migrations/control-plane/0400_events_by_day/up.sql");
const DOWN: &str = include_str!("../../../../migrations/control-plane/0400_events_by_day/down.sql");

fn partitions(rig: &Rig) -> Vec<String> {
    rig.texts(
        "SELECT inhrelid::regclass::text AS value FROM pg_inherits WHERE inhparent = 'events'::regclass ORDER BY 1",
    )
}

fn partition_of(days_ago: i64) -> String {
    format!("events_{}", (Utc::now() - TimeDelta::days(days_ago)).format("%Y%m%d"))
}

async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn there_is_room_for_the_days_to_come() {
    let rig = Rig::start(&[]).await;
    let expected: Vec<String> = (0..=7).map(|ahead| partition_of(-ahead)).collect();
    eventually("partitions ahead", || partitions(&rig) == expected).await;
}

#[tokio::test]
async fn an_event_of_any_day_that_is_kept_finds_its_place() {
    let rig = Rig::start(&[]).await;
    let ago = [0, 1, 13, 30, -9];
    let events = ago.iter().enumerate().map(|(number, days)| {
        let mut event = event(number + 1, "a.b", json!({"days": days}));
        event["at"] = json!(api_types::time::format(Utc::now() - TimeDelta::days(*days)));
        event
    });
    assert_eq!(take_in(&rig, events.collect()).await, 5);
    for days in ago {
        let table = partition_of(days);
        let rows = rig.texts(&format!("SELECT payload->>'days' AS value FROM {table} WHERE kind = 'a.b'"));
        assert_eq!(rows, [days.to_string()], "{table}");
    }
}

#[tokio::test]
async fn an_event_that_comes_too_late_is_let_go_without_an_error() {
    let rig = Rig::start(&[("EVENT_RETENTION_DAYS", "2")]).await;
    let mut late = event(1, "a.late", json!({}));
    late["at"] = json!(api_types::time::format(Utc::now() - TimeDelta::days(3)));
    assert_eq!(take_in(&rig, vec![late.clone(), event(2, "a.b", json!({}))]).await, 1);
    assert_eq!(take_in(&rig, vec![late]).await, 0);
    assert_eq!(rig.texts("SELECT kind AS value FROM events WHERE kind LIKE 'a.%'"), ["a.b"]);
    assert!(!partitions(&rig).contains(&partition_of(3)));
}

#[tokio::test]
async fn days_past_their_time_are_dropped_whole() {
    let rig = Rig::start(&[]).await;
    let days = (0..6).map(|days| {
        let mut event = event(days + 1, "a.b", json!({"days": days}));
        let at = Utc::now().checked_sub_days(Days::new(days.try_into().unwrap())).unwrap();
        event["at"] = json!(api_types::time::format(at));
        event
    });
    assert_eq!(take_in(&rig, days.collect()).await, 6);
    // A worker looks for them as it starts.
    let again = on(&rig.db, &[("EVENT_RETENTION_DAYS", "2")], &rig.tokens).await;
    eventually("only what is kept is left", || {
        rig.texts("SELECT payload->>'days' AS value FROM events WHERE kind = 'a.b' ORDER BY 1") == ["0", "1", "2"]
    })
    .await;
    assert_eq!(partitions(&rig)[0], partition_of(2));
    drop(again);
}

#[tokio::test]
async fn a_reader_that_does_not_let_go_keeps_a_day_and_nobody_else_waits_for_long() {
    let rig = Rig::start(&[]).await;
    let mut old = event(1, "a.b", json!({}));
    old["at"] = json!(api_types::time::format(Utc::now() - TimeDelta::days(9)));
    take_in(&rig, vec![old]).await;
    let mut reader = rig.db.connect();
    reader.batch_execute("BEGIN; SELECT count(*) FROM events").unwrap();
    let again = on(&rig.db, &[("EVENT_RETENTION_DAYS", "2")], &rig.tokens).await;
    let begun = Instant::now();
    assert_eq!(take_in(&rig, vec![event(2, "a.b", json!({}))]).await, 1);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    drop(again);
    assert!(partitions(&rig).contains(&partition_of(9)));
}

#[tokio::test]
async fn events_of_before_the_log_had_days_are_still_in_it() {
    let rig = Rig::start(&[]).await;
    drop(rig.service);
    let mut conn = rig.db.connect();
    conn.batch_execute(DOWN).unwrap();
    conn.batch_execute(
        "INSERT INTO events (id, kind, aggregate, service, actor, request_id, at, payload) \
         SELECT gen_random_uuid(), CASE n % 2 WHEN 0 THEN 'agent.ready' ELSE 'agent.failed' END, 'agent:a' || n, \
                'agent-builder', 'k_1', 'r', now() - n * interval '10 hours', jsonb_build_object('agent_id', 'a' || n) \
         FROM generate_series(1, 60) n",
    )
    .unwrap();
    conn.batch_execute(UP).unwrap();
    let service = on(&rig.db, &[("BOOTSTRAP_ADMIN_KEY", crate::rig::ADMIN)], &rig.tokens).await;
    let admin = service.client().bearer(crate::rig::ADMIN);
    let found = admin.get(&format!("{PATH}?source=agent-builder&limit=100")).await;
    assert_eq!(found.meta()["pagination"]["total"], 60);
    let newest = found.data(200)[0].clone();
    assert_eq!((&newest["agent_id"], &newest["user_id"]), (&json!("a1"), &json!("k_1")));
    assert_eq!((&newest["level"], &newest["message"]), (&json!("error"), &json!("Agent a1: failed")));
    // New ones come after them.
    let client = service.client().service("agent-builder");
    let new = json!({"events": [event(1, "a.b", json!({}))]});
    assert_eq!(client.post("/internal/v1/events", &new).await.data(200)["accepted"], 1);
    let mut numbers = rig_texts(&mut conn, "SELECT kind AS value FROM events ORDER BY seq DESC LIMIT 1");
    assert_eq!(numbers.pop().as_deref(), Some("a.b"));
}

fn rig_texts(conn: &mut diesel::PgConnection, sql: &str) -> Vec<String> {
    use diesel::{QueryableByName, RunQueryDsl as _, sql_query, sql_types::Text};
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        value: String,
    }
    sql_query(sql).load::<Row>(conn).unwrap().into_iter().map(|row| row.value).collect()
}

#[tokio::test]
async fn many_who_take_in_at_once_leave_no_gap_and_no_repetition() {
    let rig = Rig::start(&[]).await;
    let second = on(&rig.db, &[], &rig.tokens).await;
    let all: Vec<_> = (0..180).map(|n| event(n + 1, "a.b", json!({"n": n}))).collect();
    let mut tasks = Vec::new();
    for turn in 0..8 {
        for client in [rig.service.client(), second.client()] {
            // Each batch goes to both, and overlaps with the next.
            let (client, body) = (client.service("agent-builder"), json!({"events": all[turn * 20..turn * 20 + 40]}));
            tasks.push(tokio::spawn(async move { client.post("/internal/v1/events", &body).await.data(200) }));
        }
    }
    let mut accepted = 0;
    for task in tasks {
        accepted += task.await.unwrap()["accepted"].as_u64().unwrap();
    }
    assert_eq!(accepted, 180);
    assert_eq!(
        rig.texts("SELECT count(DISTINCT id)::text || '/' || count(*) AS value FROM events WHERE kind = 'a.b'"),
        ["180/180"]
    );
    let page = developer(&rig).get(&format!("{PATH}?event_type=a.b&limit=100&offset=100")).await.data(200);
    assert_eq!(page.as_array().unwrap().len(), 80);
}
