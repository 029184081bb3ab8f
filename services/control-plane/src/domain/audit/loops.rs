//! What goes on in the background for the log.

use std::{sync::Arc, time::Duration};

use chrono::Utc;
use tokio_util::sync::CancellationToken;

use super::{Cut, cut, forget, settle};
use crate::App;

/// How often the log is told what was counted beside it.
const SETTLE_PAUSE: Duration = Duration::from_secs(5);
/// How often old rows are looked for.
const CUT_PAUSE: Duration = Duration::from_secs(3600);

/// Waits; whether there is reason to go on.
async fn rest(pause: Duration, stop: &CancellationToken) -> bool {
    tokio::select! {
        () = stop.cancelled() => false,
        () = tokio::time::sleep(pause) => true,
    }
}

/// Says in the log what was counted beside it, until it is told to stop.
pub(crate) async fn settling(app: Arc<App>, stop: CancellationToken) {
    loop {
        let pause = match settle(&app.db, Utc::now()).await {
            Ok(0) => SETTLE_PAUSE,
            Ok(_some) => Duration::ZERO,
            Err(error) => {
                let error = format!("{:#}", anyhow::Error::from(error));
                tracing::warn!(error, "the audit log says some counts later");
                SETTLE_PAUSE
            }
        };
        if !rest(pause, &stop).await {
            return;
        }
    }
}

/// Lets go of rows past their time, and of what is only kept to count nothing twice, until it is told to stop.
pub(crate) async fn cutting(app: Arc<App>, stop: CancellationToken) {
    loop {
        let is_more = cut_some(&app).await;
        if !is_more && let Err(error) = forget(&app.db).await {
            let error = format!("{:#}", anyhow::Error::from(error));
            tracing::warn!(error, "what was counted is known a while longer");
        }
        let pause = if is_more { Duration::ZERO } else { CUT_PAUSE };
        if !rest(pause, &stop).await {
            return;
        }
    }
}

/// Whether there may be more to let go.
async fn cut_some(app: &App) -> bool {
    match cut(app, Utc::now()).await {
        Ok(Cut::Removed(count)) => {
            tracing::info!(count, "old rows of the audit log were let go");
            return true;
        }
        Ok(Cut::Nothing) => {}
        Ok(Cut::Broken(row)) => {
            tracing::error!(row, "the audit log is broken; nothing of it is let go: run `imago audit verify`");
        }
        Ok(Cut::Unsigned(row)) => {
            tracing::error!(row, "the audit log's checkpoint was not signed with this JWT_SECRET; nothing is let go");
        }
        Err(error) => {
            let error = format!("{:#}", anyhow::Error::from(error));
            tracing::warn!(error, "old rows of the audit log stay a while longer");
        }
    }
    false
}
