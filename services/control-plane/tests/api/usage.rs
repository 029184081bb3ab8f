//! What keys are used for.

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    ains_keys::{make_ains, path_of},
    internal::service,
    keys::{PATH as NATIVE, make},
    rig::Rig,
};

const ACCESS: &str = "/internal/v1/access";

/// So many requests of a key at a time, as a process tells of them: below 400, all others, and status 429 among those.
fn count(key_id: &Value, at: DateTime<Utc>, route: &str, [succeeded, failed, limited]: [u32; 3]) -> Value {
    json!({
        "key_id": key_id, "client_id": "c", "at": api_types::time::format(at), "service": "task-router", "method": "GET",
        "route": route, "request_id": "r", "succeeded": succeeded, "failed": failed, "rate_limited": limited,
    })
}

async fn tell(rig: &Rig, counts: Value) {
    let batch = json!({"id": Uuid::now_v7(), "counts": counts});
    assert_eq!(service(rig).post(ACCESS, &batch).await.data(200), json!({"counted": true}));
}

/// A key, and its usage in a period as far as it was told by hand: reading it is a use of another key.
async fn key(rig: &Rig) -> Value {
    make_ains(&rig.admin(), json!({"client_id": "c", "name": "n"})).await.1
}

async fn usage(rig: &Rig, key: &Value, period: &str) -> Value {
    rig.admin().get(&format!("{}/usage?period={period}", path_of(key))).await.ains(200)
}

#[tokio::test]
async fn usage_is_summed_by_endpoint_and_hour() {
    let rig = Rig::start(&[]).await;
    let (key, other, now) = (key(&rig).await, key(&rig).await, Utc::now());
    let id = &key["key_id"];
    tell(&rig, json!([
        count(id, now, "/ains/agents", [4, 0, 0]),
        count(id, now, "/ains/tasks/{task_id}", [0, 1, 0]),
        // Twice in one batch, and from another minute of the hour.
        count(id, now, "/ains/tasks/{task_id}", [2, 3, 3]),
        count(&other["key_id"], now, "/ains/agents", [100, 0, 0]),
    ]))
    .await;
    tell(&rig, json!([count(id, now - TimeDelta::hours(2), "/ains/agents/{agent_id}/trust", [5, 0, 0])])).await;
    let found = usage(&rig, &key, "7d").await;
    assert_eq!((&found["key_id"], &found["period"]), (id, &json!("7d")));
    assert_eq!((&found["total_requests"], &found["successful_requests"]), (&json!(15), &json!(11)));
    assert_eq!((&found["failed_requests"], &found["rate_limit_hits"]), (&json!(4), &json!(3)));
    assert_eq!((&found["peak_requests_per_hour"], &found["avg_requests_per_hour"]), (&json!(10), &json!(0.1)));
    assert_eq!(found["requests_by_endpoint"], json!({"/ains/agents": 9, "/ains/tasks": 6}));
    let start = found["date_range"]["start"].as_str().unwrap();
    assert!(start.ends_with("T00:00:00.000Z"), "{start}");
    let week = Utc::now() - api_types::time::parse(start).unwrap();
    assert!(week >= TimeDelta::days(7) && week < TimeDelta::days(8), "{week}");
}

#[tokio::test]
async fn a_period_leaves_out_what_was_before_it() {
    let rig = Rig::start(&[]).await;
    let (key, now) = (key(&rig).await, Utc::now());
    let days_ago = |days: i64| count(&key["key_id"], now - TimeDelta::days(days), "/ains/tasks", [1, 0, 0]);
    tell(&rig, json!([days_ago(0), days_ago(3), days_ago(20), days_ago(60)])).await;
    for (period, expected) in [("1d", 1), ("7d", 2), ("30d", 3), ("90d", 4)] {
        assert_eq!(usage(&rig, &key, period).await["total_requests"], expected, "{period}");
    }
    let default = rig.admin().get(&format!("{}/usage", path_of(&key))).await.ains(200);
    assert_eq!((&default["period"], &default["total_requests"]), (&json!("7d"), &json!(2)));
    for period in ["8d", "", "7D", "7"] {
        let answer = rig.admin().get(&format!("{}/usage?period={period}", path_of(&key))).await;
        assert_eq!(answer.ains_error(400, "INVALID_FIELD_VALUE")["details"]["field"], "period");
    }
}

#[tokio::test]
async fn a_key_that_was_never_used_has_a_usage_of_nothing() {
    let rig = Rig::start(&[]).await;
    let found = usage(&rig, &key(&rig).await, "30d").await;
    for name in ["total_requests", "rate_limit_hits", "peak_requests_per_hour"] {
        assert_eq!(found[name], 0);
    }
    assert_eq!((&found["avg_requests_per_hour"], &found["requests_by_endpoint"]), (&json!(0.0), &json!({})));
}

#[tokio::test]
async fn a_batch_that_comes_twice_is_counted_once() {
    let rig = Rig::start(&[]).await;
    let key = key(&rig).await;
    let batch = json!({"id": Uuid::now_v7(), "counts": [count(&key["key_id"], Utc::now(), "/ains/tasks", [1, 1, 0])]});
    let answers = join_all((0..8).map(|_| async { service(&rig).post(ACCESS, &batch).await.data(200) })).await;
    assert_eq!(answers.iter().filter(|answer| answer["counted"] == true).count(), 1);
    assert_eq!(usage(&rig, &key, "1d").await["total_requests"], 2);
}

#[tokio::test]
async fn many_processes_count_the_same_keys_at_once() {
    let rig = Rig::start(&[]).await;
    let (one, two, now) = (key(&rig).await, key(&rig).await, Utc::now());
    let told = (0..40).map(|number| {
        let mut counts = vec![
            count(&one["key_id"], now, "/ains/tasks", [1, 0, 0]),
            count(&two["key_id"], now, "/ains/agents", [1, 0, 0]),
        ];
        if number % 2 == 0 {
            counts.reverse();
        }
        tell(&rig, json!(counts))
    });
    join_all(told).await;
    for key in [one, two] {
        assert_eq!(usage(&rig, &key, "1d").await["total_requests"], 40);
    }
}

#[tokio::test]
async fn usage_tells_of_the_last_use_about_once_a_minute() {
    let rig = Rig::start(&[]).await;
    let (key, now) = (key(&rig).await, Utc::now());
    let shown = async || rig.admin().get(&path_of(&key)).await.ains(200)["last_used_at"].clone();
    let used = async |ago: i64| {
        tell(&rig, json!([count(&key["key_id"], now - TimeDelta::seconds(ago), "/ains/tasks", [1, 0, 0])])).await;
    };
    let at = |ago: i64| json!(api_types::time::format(now - TimeDelta::seconds(ago)));
    assert_eq!(shown().await, Value::Null);
    for (ago, expected) in [(300, 300), (250, 300), (240, 240), (600, 240), (0, 0)] {
        used(ago).await;
        assert_eq!(shown().await, at(expected), "{ago}");
    }
}

#[tokio::test]
async fn requests_are_counted_by_whoever_serves_them_within_five_seconds() {
    let rig = Rig::start(&[]).await;
    let (token, key) = make(&rig.admin(), json!({"name": "n", "permissions": ["keys:manage"]})).await;
    let client = rig.service.client().bearer(&token);
    for _ in 0..3 {
        client.get(NATIVE).await.data(200);
    }
    client.get(&format!("{NATIVE}/none")).await.error(404, "NOT_FOUND_ERROR.RESOURCE_NOT_FOUND");
    client.get("/ains/api-keys").await.ains(200);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
    let path = format!("/ains/api-keys/{}/usage", key["id"].as_str().unwrap());
    loop {
        let found = rig.admin().get(&path).await.ains(200);
        if found["total_requests"] == 5 {
            assert_eq!((&found["successful_requests"], &found["failed_requests"]), (&json!(4), &json!(1)));
            assert_eq!(found["requests_by_endpoint"], json!({"/api/v1": 4, "/ains/api-keys": 1}));
            return;
        }
        assert!(std::time::Instant::now() < deadline, "{found}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn old_counts_are_let_go() {
    let rig = Rig::start(&[]).await;
    rig.execute(
        "INSERT INTO key_usage (key_id, hour, method, route, endpoint, succeeded, failed, rate_limited) \
         SELECT 'k', date_trunc('hour', now()) - interval '92 days', 'GET', '/r/' || n, '/r', 1, 0, 0 \
         FROM generate_series(1, 6000) n; \
         INSERT INTO key_usage (key_id, hour, method, route, endpoint, succeeded, failed, rate_limited) \
         VALUES ('k', now() - interval '90 days', 'GET', 'young', '/r', 1, 0, 0)",
    );
    // A worker looks for them as it starts.
    let again = crate::rig::on(&rig.db, &[], &rig.tokens).await;
    let routes = || rig.texts("SELECT route AS value FROM key_usage");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while routes() != ["young"] {
        assert!(std::time::Instant::now() < deadline, "{} left", routes().len());
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    drop(again);
}
