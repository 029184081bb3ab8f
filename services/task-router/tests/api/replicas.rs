//! Several task routers on one database.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::rig::{Rig, on, over, task, worker};

#[tokio::test]
async fn three_routers_share_the_work_and_give_each_task_once() {
    let rig = Rig::start().await;
    let (second, third) = (on(&rig.db, &[]).await, on(&rig.db, &[]).await);
    let clients = [rig.admin(), second.client().admin(), third.client().admin()];
    let agents = ["p", "q", "r"];
    for id in agents {
        let body = over(worker(id, &["a:v1"]), json!({"metadata": {"max_concurrent_tasks": 20}}));
        rig.register(&rig.admin(), body).await;
    }
    let batch = json!({"tasks": vec![task("a:v1", json!({})); 50]});
    let submitting =
        join_all(clients.iter().map(|client| async { client.post("/ains/tasks/batch", &batch).await.ains(201) }));
    let deadline = Instant::now() + Duration::from_secs(60);
    let working = join_all(clients.iter().zip(agents).map(|(client, agent_id)| async move {
        let mut done: Vec<String> = Vec::new();
        let mut idle = 0;
        while idle < 3 {
            assert!(Instant::now() < deadline);
            let body = json!({"agent_id": agent_id, "max_tasks": 10, "wait_seconds": 1});
            let claimed = client.post("/ains/tasks/claim", &body).await.ains(200);
            let tasks = claimed["tasks"].as_array().unwrap().clone();
            idle = if tasks.is_empty() { idle + 1 } else { 0 };
            if tasks.is_empty() {
                continue;
            }
            let reports: Vec<Value> = tasks
                .iter()
                .map(|task| json!({"task_id": task["task_id"], "attempt": task["attempt"], "status": "COMPLETED"}))
                .collect();
            let answer =
                client.post("/ains/tasks/report", &json!({"agent_id": agent_id, "reports": reports})).await.ains(200);
            assert_eq!(answer["rejected"], 0, "{answer}");
            done.extend(tasks.iter().map(|task| task["task_id"].as_str().unwrap().to_owned()));
        }
        done
    }));
    let (_, done) = tokio::join!(submitting, working);
    let all: Vec<&String> = done.iter().flatten().collect();
    assert_eq!((all.len(), all.iter().collect::<HashSet<_>>().len()), (150, 150));
    assert_eq!(rig.texts("SELECT DISTINCT attempt::text AS value FROM tasks"), ["1"]);
    assert_eq!(rig.texts("SELECT DISTINCT state::text AS value FROM tasks"), ["COMPLETED"]);
    rig.assert_sound();
}

#[tokio::test]
async fn a_claim_hears_of_tasks_that_another_router_took_in() {
    let rig = Rig::start().await;
    let second = on(&rig.db, &[]).await;
    rig.worker("w", &["a:v1"]).await;
    let waiting = rig.claim("w", json!({"wait_seconds": 30}));
    let submitting = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        second.client().admin().post("/ains/tasks", &task("a:v1", json!({}))).await.ains(201);
        Instant::now()
    };
    let (tasks, submitted) = tokio::join!(waiting, submitting);
    assert_eq!(tasks.len(), 1);
    assert!(submitted.elapsed() < Duration::from_secs(5));
}
