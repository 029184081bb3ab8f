//! Deadlines: leases that run out, workers that fall silent, retries that become due.

use std::{sync::Arc, time::Duration};

use chrono::{TimeDelta, Utc};

use super::{App, now, workers::deactivate};
use crate::{
    domain::state::{Command, step},
    engine::{After, Batch, With, transact},
    error::Error,
    hub::News,
    store::{reaping, tasks, workers},
};

/// Time for workers to be heard of after a start, before anything is held against them.
const GRACE: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_secs(1);
/// Tasks of one transaction.
const BATCH: i32 = 500;
/// Workers looked at in one tick.
const WORKERS: i32 = 100;

/// Looks after deadlines until told to stop. Of several processes, one does so at a time.
pub(crate) async fn run(app: Arc<App>) {
    tokio::select! {
        () = app.stopping.cancelled() => return,
        () = tokio::time::sleep(GRACE) => {}
    }
    loop {
        if let Err(error) = tick(&app).await {
            tracing::warn!(error = format!("{:#}", anyhow::Error::from(error)), "deadlines are looked after later");
        }
        tokio::select! {
            () = app.stopping.cancelled() => return,
            () = tokio::time::sleep(TICK) => {}
        }
    }
}

async fn tick(app: &App) -> Result<(), Error> {
    loop {
        let leases = app.config.leases;
        let expired = transact(&app.db, move |conn| {
            if !reaping::begin(conn)? {
                return Ok(None);
            }
            let now = now();
            let overdue = tasks::expired(conn, now, BATCH)?;
            let mut agents: Vec<&str> = overdue.iter().filter_map(|head| head.assigned_agent_id.as_deref()).collect();
            agents.sort_unstable();
            agents.dedup();
            let held = workers::lock_all(conn, &agents)?;
            let ids: Vec<_> = overdue.iter().map(|head| head.task_id).collect();
            let heads = tasks::lock(conn, &ids)?;
            let mut batch = Batch::new(&held, now);
            for head in &heads {
                let known = held.iter().any(|worker| Some(&worker.agent_id) == head.assigned_agent_id.as_ref());
                // What was reported, or given to another worker, in between has a lease again.
                if let (true, Ok(Some(outcome))) = (known, step(&head.task(), Command::Expire, now, &leases)) {
                    batch.apply(head, &outcome, With::default());
                }
            }
            Ok::<_, Error>(Some((batch.write(conn, None)?, ids.len())))
        });
        let Some((after, count)) = expired.await? else { return Ok(()) };
        app.after(&after);
        if i32::try_from(count).unwrap_or(i32::MAX) < BATCH {
            break;
        }
    }
    silent(app).await
}

/// Workers that sent heartbeats and stopped.
async fn silent(app: &App) -> Result<(), Error> {
    let before = now() - app.config.stale_after;
    let stale = app.db.run::<_, Error>(move |conn| Ok(workers::stale(conn, before, WORKERS)?)).await?;
    for agent_id in stale {
        let leases = app.config.leases;
        let after = transact(&app.db, move |conn| {
            let worker = workers::lock(conn, &agent_id)?;
            let is_stale = |worker: &workers::Row| {
                worker.is_active() && worker.last_heartbeat_at.is_some_and(|last| last < before)
            };
            match worker.filter(is_stale) {
                Some(worker) => Ok(deactivate(conn, &worker, "stale", (now(), &leases), None)?.1),
                None => Ok::<_, Error>(After::default()),
            }
        });
        app.after(&after.await?);
    }
    Ok(())
}

/// Lets tasks back into their queues whose retries are due, until told to stop.
pub(crate) async fn retries(app: Arc<App>) {
    loop {
        // Own ones to the moment, those of other processes within a tick.
        let due = app.hub.take_retry_at().map_or(TICK, |at| (at - Utc::now()).to_std().unwrap_or_default().min(TICK));
        tokio::select! {
            () = app.stopping.cancelled() => return,
            () = app.hub.retrying.notified() => {}
            () = tokio::time::sleep(due) => {}
        }
        let unparked = app.db.run::<_, Error>(|conn| {
            let back = tasks::unpark(conn, now() + TimeDelta::milliseconds(1), BATCH)?;
            Ok((back, tasks::next_retry(conn)?))
        });
        match unparked.await {
            Ok((back, next)) => {
                let mut news = News::new();
                for capability in back {
                    *news.entry(capability).or_default() += 1;
                }
                app.hub.tell(&news);
                if let Some(next) = next {
                    app.hub.retry_at(next);
                }
            }
            Err(error) => {
                tracing::warn!(error = format!("{:#}", anyhow::Error::from(error)), "retries wait a while longer");
            }
        }
    }
}
