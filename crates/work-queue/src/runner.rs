//! The loop that runs jobs.

use std::{fmt, sync::Arc, time::Duration};

use api_core::db::{self, Db};
use diesel::{PgConnection, QueryResult};
use futures_util::future::BoxFuture;
use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::queue::{self, Error, Job, Lease, LostJob};

/// Does one kind of job.
pub trait Handler: Send + Sync + 'static {
    /// The kind.
    fn kind(&self) -> &'static str;

    /// Does the job. Dropped halfway when the lease is lost or the process stops, so it must be possible to begin again.
    fn run(&self, job: Job) -> BoxFuture<'_, Outcome>;

    /// Tells of a job that ended as lost, in the transaction that ends it.
    ///
    /// # Errors
    /// Those of the database; the job is then not ended either.
    fn lost(&self, conn: &mut PgConnection, job: &LostJob) -> QueryResult<()>;
}

/// How a handler came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The handler has ended the job itself, in the transaction of its result; or the lease is lost.
    Settled,
    /// The job is done.
    Done,
    /// The job cannot be done; the text is for operators.
    Failed(String),
    /// Not now, through no fault of the job: it goes back to be claimed again.
    Again,
}

/// How a runner works.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Jobs at once.
    pub concurrency: usize,
    /// How long a job stays ours without a sign of life; renewed three times as often.
    pub lease: Duration,
    /// How often to look for jobs that others enqueued or lost.
    pub poll: Duration,
    /// How long running jobs may go on once the process stops; then they are handed back.
    pub grace: Duration,
    /// How many losses end a job.
    pub losses_max: i32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            concurrency: 4,
            lease: Duration::from_secs(15),
            poll: Duration::from_secs(1),
            grace: Duration::from_secs(5),
            losses_max: 3,
        }
    }
}

/// Tells the runners of this process that there is work; to be called after the transaction that enqueued it.
#[derive(Debug, Clone, Default)]
pub struct Wake(Arc<Notify>);

impl Wake {
    pub fn wake(&self) {
        // Kept until the runner looks, so a call while it is busy is not lost.
        self.0.notify_one();
    }
}

/// Claims jobs of one kind and has them done.
pub struct Runner<H> {
    db: Db,
    handler: Arc<H>,
    options: Options,
    wake: Wake,
}

impl<H> fmt::Debug for Runner<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner").field("options", &self.options).finish_non_exhaustive()
    }
}

impl<H: Handler> Runner<H> {
    #[must_use]
    pub fn new(db: Db, handler: Arc<H>, options: Options, wake: Wake) -> Self {
        Self { db, handler, options, wake }
    }

    /// Runs jobs until it is told to stop; then lets those that run end, or hands them back.
    pub async fn run(self, stop: CancellationToken) {
        let runner = Arc::new(self);
        let abandon = CancellationToken::new();
        let mut running = JoinSet::new();
        let mut tick = interval(runner.options.poll);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                () = runner.wake.0.notified() => {}
                Some(ended) = running.join_next() => note_panic(ended),
                _ = tick.tick() => runner.reclaim().await,
            }
            let free = runner.options.concurrency.saturating_sub(running.len());
            for job in runner.claim(free).await {
                let span = tracing::info_span!("job", kind = job.kind, key = job.key, attempt = job.lease.attempt);
                running.spawn(Arc::clone(&runner).work(job, abandon.clone()).instrument(span));
            }
        }
        let in_time = timeout(runner.options.grace, join_all(&mut running)).await;
        if in_time.is_err() {
            abandon.cancel();
            join_all(&mut running).await;
        }
    }

    async fn reclaim(&self) {
        let (handler, losses_max) = (Arc::clone(&self.handler), self.options.losses_max);
        let done = self.db.transaction::<_, db::Error>(move |conn| {
            let lost = queue::reclaim(conn, handler.kind(), losses_max)?;
            for job in &lost {
                tracing::error!(job = job.id, kind = handler.kind(), attempts = job.attempts, "the job is lost");
                handler.lost(conn, job)?;
            }
            Ok(())
        });
        if let Err(error) = done.await {
            tracing::warn!(error = chain(&error), "expired leases wait");
        }
    }

    async fn claim(&self, free: usize) -> Vec<Job> {
        if free == 0 {
            return Vec::new();
        }
        let (kind, lease) = (self.handler.kind(), self.options.lease);
        let claimed = self.db.run::<_, db::Error>(move |conn| Ok(queue::claim(conn, kind, free, lease)?)).await;
        claimed.unwrap_or_else(|error| {
            tracing::warn!(kind, error = chain(&error), "no jobs can be claimed");
            Vec::new()
        })
    }

    async fn work(self: Arc<Self>, job: Job, abandon: CancellationToken) {
        let lease = job.lease;
        let outcome = tokio::select! {
            outcome = self.handler.run(job) => outcome,
            () = self.until_lost(lease) => {
                tracing::warn!("the lease is lost, dropping the job");
                return;
            }
            () = abandon.cancelled() => Outcome::Again,
        };
        self.settle(lease, outcome).await;
    }

    /// Renews the lease for as long as it can be renewed.
    async fn until_lost(&self, lease: Lease) {
        let length = self.options.lease;
        let mut ours_until = Instant::now() + length;
        loop {
            sleep(length / 3).await;
            let asked_at = Instant::now();
            match self.db.run(move |conn| queue::heartbeat(conn, &lease, length)).await {
                Ok(()) => ours_until = asked_at + length,
                Err(Error::LeaseLost) => return,
                // Without a database nobody can take the job, but as soon as there is one again, somebody may.
                Err(_) if Instant::now() >= ours_until => return,
                Err(error) => tracing::warn!(error = chain(&error), "the lease could not be renewed"),
            }
        }
    }

    async fn settle(&self, lease: Lease, outcome: Outcome) {
        let settled = self.db.run(move |conn| match &outcome {
            Outcome::Settled => Ok(()),
            Outcome::Done => queue::finish(conn, &lease),
            Outcome::Failed(error) => queue::fail(conn, &lease, error),
            Outcome::Again => queue::hand_back(conn, &lease),
        });
        match settled.await {
            Ok(()) => {}
            Err(Error::LeaseLost) => tracing::warn!("the lease was lost before the job ended"),
            Err(error) => tracing::warn!(error = chain(&error), "the job could not be ended; its lease runs out"),
        }
    }
}

async fn join_all(running: &mut JoinSet<()>) {
    while let Some(ended) = running.join_next().await {
        note_panic(ended);
    }
}

/// A handler that panicked keeps its lease until it runs out: that counts as a loss like any other.
fn note_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(error = %error, "a job's handler panicked");
    }
}

/// The error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
