//! How full the queues are.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use super::App;
use crate::{
    error::Error,
    metrics,
    store::{tasks, workers},
};

/// How often is counted, at most; counting takes no more than a twentieth of the time.
const PAUSE: Duration = Duration::from_secs(2);
const SHARE: u32 = 20;

/// Counts until told to stop.
pub(crate) async fn run(app: Arc<App>) {
    loop {
        let began = Instant::now();
        let counted = app.db.run::<_, Error>(|conn| Ok((tasks::waiting_by_priority(conn)?, workers::count(conn)?)));
        match counted.await {
            Ok((waiting, workers)) => {
                app.pending.store(waiting.iter().map(|(_, count)| count).sum(), Ordering::Relaxed);
                metrics::queues(&waiting, workers);
            }
            Err(error) => tracing::debug!(error = format!("{error:#}"), "queues are counted later"),
        }
        let pause = (began.elapsed() * SHARE).max(PAUSE);
        tokio::select! {
            () = app.stopping.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}
