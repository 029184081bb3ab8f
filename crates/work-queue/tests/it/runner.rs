//! The loop.

use std::{
    collections::HashMap,
    future::pending,
    sync::{Arc, Mutex},
    time::Duration,
};

use api_core::db::Db;
use diesel::{PgConnection, QueryResult, RunQueryDsl as _, sql_query};
use futures_util::future::BoxFuture;
use test_support::TestDb;
use tokio::{task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;
use work_queue::{Handler, Job, LostJob, Options, Outcome, Runner, Wake};

use crate::{KIND, enqueue, schema, state};

/// Does what a job's key says, and counts.
#[derive(Default)]
struct Script(Mutex<HashMap<String, usize>>);

impl Script {
    fn count(&self, what: String) {
        *self.0.lock().unwrap().entry(what).or_default() += 1;
    }

    fn seen(&self, what: &str) -> usize {
        self.0.lock().unwrap().get(what).copied().unwrap_or_default()
    }
}

impl Handler for Script {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn run(&self, job: Job) -> BoxFuture<'_, Outcome> {
        Box::pin(async move {
            self.count(job.key.clone());
            match job.key.as_str() {
                "fails" => Outcome::Failed("as told".to_owned()),
                "panics" => panic!("as told"),
                "hangs" => pending().await,
                "again" if job.lease.attempt < 3 => Outcome::Again,
                _ => Outcome::Done,
            }
        })
    }

    fn lost(&self, conn: &mut PgConnection, job: &LostJob) -> QueryResult<()> {
        self.count(format!("lost {}", job.key));
        sql_query("SELECT 1").execute(conn).map(drop)
    }
}

struct Running {
    script: Arc<Script>,
    wake: Wake,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    fn start(db: &TestDb, options: Options) -> Self {
        let (script, wake, stop) = (Arc::new(Script::default()), Wake::default(), CancellationToken::new());
        let runner = Runner::new(Db::lazy(&db.url(), 4), Arc::clone(&script), options, wake.clone());
        let task = tokio::spawn(runner.run(stop.clone()));
        Self { script, wake, stop, task }
    }

    async fn stop(self) {
        self.stop.cancel();
        timeout(Duration::from_secs(10), self.task).await.unwrap().unwrap();
    }
}

/// Never looks by itself, so that what happens is due to a wake-up.
const ONLY_WHEN_WOKEN: Duration = Duration::from_secs(3600);

fn quick() -> Options {
    Options {
        lease: Duration::from_millis(300),
        poll: Duration::from_millis(30),
        grace: Duration::from_millis(50),
        ..Options::default()
    }
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(20), wait).await.unwrap_or_else(|_| panic!("{what}: not in time"));
}

#[tokio::test]
async fn a_wake_up_runs_a_job_at_once() {
    let db = schema();
    let mut conn = db.connect();
    let running = Running::start(&db, Options { poll: ONLY_WHEN_WOKEN, ..quick() });
    let (done, failed) = (enqueue(&mut conn, "fine"), enqueue(&mut conn, "fails"));
    running.wake.wake();
    until("done", || state(&mut conn, done) == "done").await;
    until("failed", || state(&mut conn, failed) == "failed").await;
    running.stop().await;
}

#[tokio::test]
async fn jobs_of_others_are_found_by_looking() {
    let db = schema();
    let mut conn = db.connect();
    let running = Running::start(&db, quick());
    let id = enqueue(&mut conn, "fine");
    until("done", || state(&mut conn, id) == "done").await;
    running.stop().await;
}

#[tokio::test]
async fn no_more_run_at_once_than_there_are_slots() {
    let db = schema();
    let mut conn = db.connect();
    let jobs: Vec<i64> = (0..5).map(|_| enqueue(&mut conn, "hangs")).collect();
    let running = Running::start(&db, Options { concurrency: 2, lease: Duration::from_secs(60), ..quick() });
    until("two", || running.script.seen("hangs") == 2).await;
    let mut states = || jobs.iter().filter(|job| state(&mut conn, **job) == "running").count();
    assert_eq!(states(), 2);
    running.stop().await;
    assert_eq!(states(), 0);
}

#[tokio::test]
async fn a_long_job_keeps_its_lease_and_is_handed_back_when_the_process_stops() {
    let db = schema();
    let mut conn = db.connect();
    let id = enqueue(&mut conn, "hangs");
    let running = Running::start(&db, quick());
    until("running", || running.script.seen("hangs") == 1).await;
    tokio::time::sleep(quick().lease * 3).await;
    assert_eq!((running.script.seen("hangs"), state(&mut conn, id).as_str()), (1, "running"));
    running.stop().await;
    assert_eq!(state(&mut conn, id), "ready");
}

#[tokio::test]
async fn a_handler_that_panics_counts_as_lost_until_the_job_is() {
    let db = schema();
    let mut conn = db.connect();
    let id = enqueue(&mut conn, "panics");
    let running = Running::start(&db, quick());
    until("lost", || state(&mut conn, id) == "lost").await;
    assert_eq!((running.script.seen("panics"), running.script.seen("lost panics")), (3, 1));
    running.stop().await;
}

#[tokio::test]
async fn a_cancelled_job_is_dropped_by_its_runner() {
    let db = schema();
    let mut conn = db.connect();
    enqueue(&mut conn, "hangs");
    let running = Running::start(&db, Options { concurrency: 1, ..quick() });
    until("running", || running.script.seen("hangs") == 1).await;
    work_queue::cancel(&mut conn, KIND, "hangs").unwrap();
    let next = enqueue(&mut conn, "fine");
    until("the slot is free", || state(&mut conn, next) == "done").await;
    running.stop().await;
}

#[tokio::test]
async fn a_job_given_back_is_claimed_again() {
    let db = schema();
    let mut conn = db.connect();
    let id = enqueue(&mut conn, "again");
    let running = Running::start(&db, quick());
    until("done", || state(&mut conn, id) == "done").await;
    assert_eq!(running.script.seen("again"), 3);
    running.stop().await;
}
