//! Workers that come for tasks.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::rig::{Rig, over, task, worker};

fn ids(tasks: &[Value]) -> Vec<&str> {
    tasks.iter().map(|task| task["task_id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn the_highest_priority_comes_first_then_the_oldest_and_never_more_than_there_is_room() {
    let rig = Rig::start().await;
    let mut made = Vec::new();
    for priority in [3, 8, 5, 10, 8] {
        made.push(rig.submit("a:v1", json!({"priority": priority})).await);
    }
    rig.register(&rig.admin(), over(worker("w", &["a:v1"]), json!({"metadata": {"max_concurrent_tasks": 4}}))).await;
    let mut held: Vec<Value> = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(20);
    while held.len() < 4 {
        assert!(Instant::now() < deadline);
        held.extend(rig.claim("w", json!({"max_tasks": 100})).await);
    }
    let expected: HashSet<&str> = [3, 1, 4, 2].map(|place: usize| made[place].as_str()).into();
    assert_eq!(ids(&held).into_iter().collect::<HashSet<_>>(), expected);
    assert!(rig.claim("w", json!({"max_tasks": 100})).await.is_empty());
    rig.report(&made[3], json!({"status": "COMPLETED"})).await;
    assert_eq!(rig.claim_one("w").await["task_id"], made[0].as_str());
    rig.assert_sound();
}

#[tokio::test]
async fn a_claimed_task_is_assigned_with_a_fresh_lease() {
    let rig = Rig::start().await;
    rig.worker("w", &["a:v1", "b:v1"]).await;
    let id = rig.submit("a:v1", json!({})).await;
    assert!(rig.claim("w", json!({"capabilities": ["b:v1", "c:v1"]})).await.is_empty());
    let claimed = rig.claim("w", json!({"lease_seconds": 600, "wait_seconds": 20, "capabilities": ["a:v1"]})).await;
    let task = &claimed[0];
    assert_eq!((&task["task_id"], &task["status"], &task["attempt"]), (&json!(id), &json!("ASSIGNED"), &json!(1)));
    assert_eq!(task["assigned_agent_id"], "w");
    let lease = api_types::time::parse(task["lease_expires_at"].as_str().unwrap()).unwrap();
    let left = (lease - chrono::Utc::now()).num_seconds();
    assert!((590..=600).contains(&left), "{left}");
    assert!(rig.claim("w", json!({})).await.is_empty(), "it is not claimed again while the lease runs");
    assert_eq!(rig.agent("w").await["current_load"], 1);
    assert_eq!(rig.events(&format!("task:{id}")), ["task.created", "task.assigned"]);
}

#[tokio::test]
async fn input_is_checked_field_by_field() {
    let rig = Rig::start().await;
    rig.worker("w", &["a:v1"]).await;
    for (change, field) in [
        (json!({"max_tasks": 0}), "max_tasks"),
        (json!({"max_tasks": 101}), "max_tasks"),
        (json!({"wait_seconds": 61}), "wait_seconds"),
        (json!({"lease_seconds": 4}), "lease_seconds"),
        (json!({"lease_seconds": 3601}), "lease_seconds"),
        (json!({"capabilities": "x"}), "capabilities"),
        (json!({"capabilities": ["x"]}), "capabilities[0]"),
    ] {
        let answer = rig.admin().post("/ains/tasks/claim", &over(json!({"agent_id": "w"}), change)).await;
        assert_eq!(answer.ains_error(400, "INVALID_FIELD_VALUE")["details"]["field"], field);
    }
    rig.admin().post("/ains/tasks/claim", &json!({})).await.ains_error(400, "MISSING_REQUIRED_FIELD");
    rig.admin().post("/ains/tasks/claim", &json!({"agent_id": "x"})).await.ains_error(404, "AGENT_NOT_FOUND");
}

#[tokio::test]
async fn a_claim_waits_for_its_task_and_not_longer() {
    let rig = Rig::start().await;
    rig.worker("w", &["a:v1"]).await;
    let began = Instant::now();
    assert!(rig.claim("w", json!({"wait_seconds": 1})).await.is_empty());
    assert!(began.elapsed() >= Duration::from_secs(1));
    let waiting = rig.claim("w", json!({"wait_seconds": 30}));
    let submitting = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        (rig.submit("a:v1", json!({})).await, Instant::now())
    };
    let (tasks, (id, submitted)) = tokio::join!(waiting, submitting);
    assert_eq!(ids(&tasks), [id.as_str()]);
    assert!(submitted.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_task_goes_to_one_claimer_only() {
    let rig = Rig::start().await;
    let tasks: Vec<Value> = (0..60).map(|_| task("a:v1", json!({}))).collect();
    rig.admin().post("/ains/tasks/batch", &json!({"tasks": tasks})).await.ains(201);
    for id in ["p", "q", "r", "s"] {
        let body = over(worker(id, &["a:v1"]), json!({"metadata": {"max_concurrent_tasks": 100}}));
        rig.register(&rig.admin(), body).await;
    }
    let claims = ["p", "q", "r", "s"].repeat(4);
    let rig = &rig;
    let claimed =
        join_all(claims.into_iter().map(|id| async move { rig.claim(id, json!({"max_tasks": 10})).await })).await;
    let mut all: Vec<String> =
        claimed.iter().flatten().map(|task| task["task_id"].as_str().unwrap().to_owned()).collect();
    let deadline = Instant::now() + Duration::from_secs(20);
    while all.len() < 60 {
        assert!(Instant::now() < deadline, "{}", all.len());
        for id in ["p", "q", "r", "s"] {
            all.extend(ids(&rig.claim(id, json!({"max_tasks": 100})).await).into_iter().map(str::to_owned));
        }
    }
    let distinct: HashSet<&String> = all.iter().collect();
    assert_eq!((all.len(), distinct.len()), (60, 60));
    assert_eq!(rig.texts("SELECT DISTINCT attempt::text AS value FROM tasks"), ["1"]);
    rig.assert_sound();
}

#[tokio::test]
async fn polling_shows_assignments_and_brings_a_worker_back() {
    let rig = Rig::start().await;
    rig.worker("w", &["a:v1"]).await;
    rig.admin().post("/ains/agents/w/heartbeat", &json!({"status": "OFFLINE"})).await.ains(200);
    let (low, high) =
        (rig.submit("a:v1", json!({"priority": 2})).await, rig.submit("a:v1", json!({"priority": 9})).await);
    let path = "/ains/tasks?assigned_agent_id=w&status=ASSIGNED";
    let stranger = rig.client("stranger");
    assert_eq!(stranger.get(path).await.ains(200)["results"], json!([]));
    assert_eq!(rig.agent("w").await["status"], "inactive", "only its own client polls for it");
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let page = rig.admin().get(path).await.ains(200);
        let results = page["results"].as_array().unwrap();
        if results.len() == 2 {
            assert_eq!(ids(results), [high.as_str(), low.as_str()]);
            assert_eq!(results[0]["input_data"], json!({"n": 1}));
            break;
        }
        assert!(Instant::now() < deadline);
    }
    assert_eq!(rig.agent("w").await["status"], "active");
}
