//! A task router of each test's own, and what tests do with it all the time.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use api_core::{platform::Platform, settings::Settings};
use api_types::auth::Role;
use diesel::{QueryableByName, RunQueryDsl as _, connection::SimpleConnection as _, sql_query, sql_types::Text};
use migrations::Service;
use serde_json::{Map, Value, json};
use task_router::Deps;
use test_support::{Client, TestDb, TestService, jwt};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// What a test may take for a thing that happens by itself.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running task router and its database. The service goes first.
pub(crate) struct Rig {
    pub(crate) service: TestService,
    pub(crate) db: TestDb,
}

impl Rig {
    pub(crate) async fn start() -> Self {
        Self::with(&[]).await
    }

    pub(crate) async fn with(settings: &[(&str, &str)]) -> Self {
        let db = TestDb::schema(Service::TaskRouter);
        let service = on(&db, settings).await;
        Self { service, db }
    }

    /// A client with every right.
    pub(crate) fn admin(&self) -> Client {
        self.service.client().admin()
    }

    /// Somebody else, who acts for the client of that name alone.
    pub(crate) fn client(&self, name: &str) -> Client {
        self.service.client().bearer(&jwt(name, &[Role::Service], &[]))
    }

    pub(crate) fn execute(&self, sql: &str) {
        self.db.connect().batch_execute(sql).unwrap();
    }

    /// The texts that a query with one column `value` finds.
    pub(crate) fn texts(&self, sql: &str) -> Vec<String> {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = Text)]
            value: String,
        }
        let rows: Vec<Row> = sql_query(sql).load(&mut self.db.connect()).unwrap();
        rows.into_iter().map(|row| row.value).collect()
    }

    /// Registers a worker that pulls, and returns its id.
    pub(crate) async fn worker(&self, id: &str, tags: &[&str]) -> String {
        self.register(&self.admin(), worker(id, tags)).await;
        id.to_owned()
    }

    /// Registers a worker as described.
    pub(crate) async fn register(&self, client: &Client, body: Value) -> Value {
        client.post("/ains/agents", &body).await.ains(201)
    }

    /// Submits a task with these fields beside the required ones, and returns its id.
    pub(crate) async fn submit(&self, tag: &str, more: Value) -> String {
        let made = self.admin().post("/ains/tasks", &task(tag, more)).await.ains(201);
        made["task_id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn task(&self, id: &str) -> Value {
        self.admin().get(&format!("/ains/tasks/{id}")).await.ains(200)
    }

    pub(crate) async fn agent(&self, id: &str) -> Value {
        self.admin().get(&format!("/ains/agents/{id}")).await.ains(200)
    }

    /// Claims with these fields beside the worker's id.
    pub(crate) async fn claim(&self, agent_id: &str, more: Value) -> Vec<Value> {
        let body = over(json!({"agent_id": agent_id}), more);
        let answer = self.admin().post("/ains/tasks/claim", &body).await.ains(200);
        assert_eq!(answer["claimed"], answer["tasks"].as_array().unwrap().len());
        answer["tasks"].as_array().unwrap().clone()
    }

    /// Waits for a task and claims it.
    pub(crate) async fn claim_one(&self, agent_id: &str) -> Value {
        let tasks = self.claim(agent_id, json!({"wait_seconds": 20})).await;
        assert_eq!(tasks.len(), 1, "{tasks:?}");
        tasks[0].clone()
    }

    pub(crate) async fn report(&self, id: &str, body: Value) -> Value {
        self.admin().patch(&format!("/ains/tasks/{id}"), &body).await.ains(200)
    }

    /// Waits until a task is in one of these states.
    pub(crate) async fn reach(&self, id: &str, states: &[&str]) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let task = self.task(id).await;
            if states.contains(&task["status"].as_str().unwrap()) {
                return task;
            }
            assert!(Instant::now() < deadline, "still {task}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The kinds of the events about something, in their order.
    pub(crate) fn events(&self, aggregate: &str) -> Vec<String> {
        self.texts(&format!("SELECT kind AS value FROM outbox WHERE aggregate = '{aggregate}' ORDER BY seq"))
    }

    /// What is counted must be what is there.
    pub(crate) fn assert_sound(&self) {
        let wrong = self.texts(
            "SELECT agent_id || ' ' || current_load AS value FROM workers AS w WHERE current_load <> \
             (SELECT count(*) FROM tasks WHERE assigned_agent_id = w.agent_id AND state IN ('ASSIGNED', 'RUNNING'))",
        );
        assert!(wrong.is_empty(), "loads are wrong: {wrong:?}");
        let wrong = self.texts(
            "SELECT task_id::text AS value FROM tasks AS t WHERE blocked_by <> (SELECT count(*) FROM tasks AS d \
             WHERE d.task_id = ANY(t.depends_on) AND d.state <> 'COMPLETED')",
        );
        assert!(wrong.is_empty(), "dependencies are miscounted: {wrong:?}");
        let wrong = self.texts(
            "SELECT agent_id AS value FROM (SELECT agent_id, trust_before, lag(trust_after, 1, 5000) \
             OVER (PARTITION BY agent_id ORDER BY seq) AS last FROM trust_records) AS r WHERE trust_before <> last",
        );
        assert!(wrong.is_empty(), "trust jumps: {wrong:?}");
    }
}

/// A task router on a database, beside others perhaps.
pub(crate) async fn on(db: &TestDb, settings: &[(&str, &str)]) -> TestService {
    let settings = [&[("EGRESS_ALLOW_PRIVATE", "true")], settings].concat();
    let settings = Settings::from_pairs(settings.iter().copied()).unwrap();
    let platform = Platform::new(settings).unwrap();
    let deps = Deps { platform: Arc::clone(&platform), database_url: db.url() };
    TestService::start(&platform, || task_router::start(deps)).await
}

/// One object laid over another; null takes a field away.
pub(crate) fn over(mut below: Value, above: Value) -> Value {
    let (Some(fields), Value::Object(above)) = (below.as_object_mut(), above) else { unreachable!() };
    for (name, value) in above {
        fields.insert(name, value);
    }
    below
}

/// A worker that pulls.
pub(crate) fn worker(id: &str, tags: &[&str]) -> Value {
    json!({
        "agent_id": id, "display_name": "A worker", "public_key": "no key that can be read", "signature": "none",
        "endpoint": "http://127.0.0.1:9/tasks", "tags": tags, "delivery": "pull",
    })
}

/// A task with these fields beside the required ones.
pub(crate) fn task(tag: &str, more: Value) -> Value {
    let required =
        json!({"client_id": "acme", "task_type": "test", "capability_required": tag, "input_data": {"n": 1}});
    over(required, more)
}

/// An endpoint of a worker: keeps what it is sent, and answers as told.
#[derive(Clone)]
pub(crate) struct Endpoint {
    pub(crate) url: String,
    received: Arc<Mutex<Vec<Received>>>,
}

#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) headers: Map<String, Value>,
    pub(crate) body: String,
}

impl Endpoint {
    /// Answers everything with this status and body, and this header line if there is one.
    pub(crate) async fn answering(status: u16, body: Value, header: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/tasks", listener.local_addr().unwrap());
        let received = Arc::default();
        let endpoint = Self { url, received: Arc::clone(&received) };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&received), (status, body.to_string(), header)));
            }
        });
        endpoint
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// Waits for so many requests.
    pub(crate) async fn wait(&self, count: usize) -> Vec<Received> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let received = self.received();
            if received.len() >= count {
                return received;
            }
            assert!(Instant::now() < deadline, "{} of {count} requests came", received.len());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

async fn serve(
    mut stream: TcpStream,
    received: Arc<Mutex<Vec<Received>>>,
    (status, body, header): (u16, String, &str),
) {
    let mut bytes = Vec::new();
    loop {
        let head = loop {
            if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                return;
            }
        };
        let text = String::from_utf8(bytes[..head].to_vec()).unwrap();
        let headers: Map<String, Value> = text
            .lines()
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_lowercase(), value.trim().into()))
            .collect();
        let length: usize = headers.get("content-length").map_or(0, |value| value.as_str().unwrap().parse().unwrap());
        while bytes.len() < head + length {
            if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                return;
            }
        }
        let content = String::from_utf8(bytes[head..head + length].to_vec()).unwrap();
        bytes.drain(..head + length);
        received.lock().unwrap().push(Received { headers, body: content });
        let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n{header}\r\n{body}", body.len());
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}
