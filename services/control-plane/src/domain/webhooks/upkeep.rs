//! What keeps the tables of a bearable size.

use std::{sync::Arc, time::Duration};

use api_core::db;
use chrono::{TimeDelta, Utc};
use tokio_util::sync::CancellationToken;

use crate::{App, store::webhooks::deliveries};

/// How long deliveries are kept.
const KEPT: TimeDelta = TimeDelta::days(30);
/// First attempts that may wait for one webhook; beyond that the oldest are given up.
const WAITING_MAX: i64 = 100_000;
const TOO_MANY: &str = "too many deliveries were waiting";
const PAUSE: Duration = Duration::from_secs(60);

/// Looks after the tables until it is told to stop.
pub(crate) async fn run(app: Arc<App>, stop: CancellationToken) {
    loop {
        let done = app.db.run::<_, db::Error>(|conn| {
            let given_up = deliveries::give_up_overflow(conn, WAITING_MAX, TOO_MANY)?;
            if given_up > 0 {
                tracing::warn!(given_up, "webhooks do not keep up; their oldest deliveries are given up");
            }
            deliveries::drop_orphans(conn)?;
            Ok(deliveries::purge(conn, Utc::now() - KEPT)?)
        });
        let pause = match done.await {
            Ok(0) => PAUSE,
            Ok(_some) => Duration::ZERO,
            Err(error) => {
                tracing::warn!(
                    error = format!("{:#}", anyhow::Error::from(error)),
                    "old deliveries stay a while longer"
                );
                PAUSE
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}
