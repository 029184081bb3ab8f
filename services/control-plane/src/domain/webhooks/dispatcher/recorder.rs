//! Writes down what has ended, many at a time.

use std::time::{Duration, Instant};

use api_core::db::{self, Db};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};
use uuid::Uuid;

use super::{LEASE, count};
use crate::{
    domain::webhooks::{subscribing, work::Ended},
    store::webhooks::{deliveries, lanes},
};

/// Reports that wait to be written.
const QUEUE: usize = 1024;
/// Reports written in one go.
const BATCH: usize = 256;
const AGAIN: Duration = Duration::from_millis(250);

/// One piece of work that is over.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) ended: Vec<Ended>,
    /// The webhook whose receiver is gone for good.
    pub(super) gone: Option<i64>,
    /// The lane to give back.
    pub(super) lane: Option<(i64, Uuid)>,
}

type Entry = (Report, oneshot::Sender<()>);

/// Where to report to.
#[derive(Debug, Clone)]
pub(super) struct Recorder(mpsc::Sender<Entry>);

impl Recorder {
    /// Comes back when the report is written, or nobody can write it any more.
    pub(super) async fn report(&self, report: Report) {
        let (done, written) = oneshot::channel();
        if self.0.send((report, done)).await.is_ok() {
            // An error means that it was dropped; then the leases run out.
            written.await.ok();
        }
    }
}

/// Starts a recorder that ends when its last [`Recorder`] is dropped.
pub(super) fn start(db: Db) -> (Recorder, JoinHandle<()>) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    (Recorder(sender), tokio::spawn(run(db, receiver)))
}

async fn run(db: Db, mut reports: mpsc::Receiver<Entry>) {
    let mut batch = Vec::with_capacity(BATCH);
    // While one batch is written, the next one gathers.
    while reports.recv_many(&mut batch, BATCH).await > 0 {
        let (reports, done): (Vec<Report>, Vec<_>) = batch.drain(..).unzip();
        write(&db, reports).await;
        for done in done {
            // Whoever reported may be gone.
            done.send(()).ok();
        }
    }
}

async fn write(db: &Db, reports: Vec<Report>) {
    let (mut ended, mut gone, mut lanes) = (Vec::new(), Vec::new(), Vec::new());
    for report in reports {
        ended.extend(report.ended);
        gone.extend(report.gone);
        lanes.extend(report.lane);
    }
    let started = Instant::now();
    loop {
        let (written, gone, lanes) = (ended.clone(), gone.clone(), lanes.clone());
        let done = db.transaction::<_, db::Error>(move |conn| {
            let recorded = deliveries::record(conn, &written)?;
            for no in gone {
                subscribing::switch_off(conn, no)?;
            }
            lanes::release(conn, &lanes)?;
            Ok((recorded, written.len()))
        });
        match done.await {
            Ok((recorded, all)) => {
                if recorded < all {
                    tracing::info!(
                        lost = all - recorded,
                        "deliveries were recorded by others, or their webhooks are gone"
                    );
                }
                return count(&ended);
            }
            Err(error) => {
                let error = format!("{:#}", anyhow::Error::from(error));
                // Without a database nobody else can take them over either; after that they are others'.
                if started.elapsed() > LEASE {
                    tracing::warn!(error, count = ended.len(), "deliveries are not recorded and will be made again");
                    return;
                }
                tracing::warn!(error, "deliveries wait to be recorded");
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
}
