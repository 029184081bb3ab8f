//! Workers that come for tasks.

use std::{sync::Arc, time::Duration};

use api_types::tasks::{Claim, Task};
use chrono::{DateTime, TimeDelta, Utc};
use diesel::QueryResult;
use tokio::time::Instant;

use super::{Actor, App, now, view};
use crate::{
    domain::state::{Event, Leases},
    engine::{After, transact},
    error::Error,
    store::{
        Conn,
        events::TaskData,
        tasks::Row,
        waiting::{self, Lease},
        workers,
    },
};

/// How long a claim that waits may sleep through news of other processes.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Who claims what.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) max: i32,
    pub(crate) lease_seconds: Option<i32>,
    /// `None`: all that the worker can do.
    pub(crate) capabilities: Option<Vec<String>>,
}

impl Wanted {
    pub(crate) fn of(claim: &Claim) -> Self {
        let small = |number: i64| i32::try_from(number).unwrap_or(i32::MAX);
        Self {
            max: small(claim.max_tasks),
            lease_seconds: claim.lease_seconds.map(small),
            capabilities: claim.capabilities.clone(),
        }
    }

    /// Of what the worker can do, what is asked for.
    pub(crate) fn of_worker(&self, worker: &workers::Row) -> Vec<String> {
        match &self.capabilities {
            None => worker.tags.clone(),
            Some(wanted) => worker.tags.iter().filter(|tag| wanted.contains(tag)).cloned().collect(),
        }
    }

    fn lease(&self, now: DateTime<Utc>, leases: &Leases) -> Lease {
        let until = self.lease_seconds.map_or(leases.claim, |seconds| TimeDelta::seconds(i64::from(seconds)));
        Lease { seconds: self.lease_seconds, until: now + until }
    }
}

/// The worker, held, if the caller may speak for it.
///
/// # Errors
/// When it is not there, another client's, or one of our own.
pub(crate) fn own_worker(conn: &mut Conn, actor: &Actor, agent_id: &str) -> Result<workers::Row, Error> {
    let worker = workers::lock(conn, agent_id)?.ok_or_else(|| Error::NoWorker(agent_id.to_owned()))?;
    may_speak_for(actor, &worker)?;
    Ok(worker)
}

/// # Errors
/// When the worker is another client's, or one of our own.
pub(crate) fn may_speak_for(actor: &Actor, worker: &workers::Row) -> Result<(), Error> {
    if worker.is_imago() {
        return Err(Error::Forbidden("Agents built by Imago are served by Imago"));
    }
    if !actor.acts_for(&worker.client_id) {
        return Err(Error::Forbidden("The agent belongs to another client"));
    }
    Ok(())
}

/// Gives a worker that the transaction holds what it may have: assignments that it has not taken, then waiting tasks.
///
/// # Errors
/// Those of the database.
pub(crate) fn take(
    conn: &mut Conn,
    worker: &workers::Row,
    wanted: &Wanted,
    leases: &Leases,
    actor: &Actor,
) -> QueryResult<Vec<Row>> {
    let now = now();
    let lease = wanted.lease(now, leases);
    let restricted = wanted.capabilities.as_deref();
    let mut rows = match worker.current_load {
        0 => Vec::new(),
        _ => waiting::take_offered(conn, (&worker.agent_id, restricted), wanted.max, lease, now)?,
    };
    let more = (wanted.max - i32::try_from(rows.len()).unwrap_or(i32::MAX)).min(worker.free());
    let mut claimed = 0;
    if more > 0 {
        let capabilities = wanted.of_worker(worker);
        let fresh = waiting::claim(conn, (&worker.agent_id, &capabilities), more, lease, now)?;
        claimed = i32::try_from(fresh.len()).unwrap_or(i32::MAX);
        let events: Vec<_> = fresh.iter().map(|row| TaskData::of(&row.head).event(Event::Assigned.as_str())).collect();
        api_core::outbox::push_all(conn, Some(&actor.id), &events)?;
        rows.extend(fresh);
    }
    waiting::count_claimed(conn, &worker.agent_id, claimed, now)?;
    rows.sort_by_key(|row| (std::cmp::Reverse(row.head.priority), row.head.task_id));
    Ok(rows)
}

/// One look, without waiting. Also says what else to wait for.
async fn look(
    app: &App,
    actor: &Actor,
    agent_id: &str,
    wanted: &Wanted,
) -> Result<(Vec<Row>, Vec<String>, bool), Error> {
    let (actor, agent_id, wanted) = (actor.clone(), agent_id.to_owned(), wanted.clone());
    let leases = app.config.leases;
    transact(&app.db, move |conn| {
        let worker = own_worker(conn, &actor, &agent_id)?;
        if worker.inactive_reason.as_deref() == Some("operator") {
            return Err(Error::WorkerInactive(agent_id.clone()));
        }
        let rows = take(conn, &worker, &wanted, &leases, &actor)?;
        Ok((rows, wanted.of_worker(&worker), !worker.is_active()))
    })
    .await
}

/// Answers a claim: at once if there is something, else when there is, else with nothing once the time is over.
///
/// # Errors
/// When the worker is not there, not the caller's, or switched off.
pub(crate) async fn claim(app: &Arc<App>, actor: Actor, claim: &Claim) -> Result<Vec<Task>, Error> {
    let wanted = Wanted::of(claim);
    let wait = Duration::from_secs(u64::try_from(claim.wait_seconds).unwrap_or(0));
    let (rows, capabilities, came_back) = look(app, &actor, &claim.agent_id, &wanted).await?;
    if came_back {
        // Whatever waits for it can be routed again.
        let news = capabilities.iter().map(|capability| (capability.clone(), 0)).collect();
        app.after(&After { news, ..After::default() });
    }
    let rows = if rows.is_empty() && !wait.is_zero() {
        wait_for(app, &actor, &claim.agent_id, &wanted, (wait, capabilities)).await?
    } else {
        rows
    };
    Ok(rows.into_iter().map(view::task).collect())
}

/// Waits for the first task. No connection is held meanwhile.
pub(crate) async fn wait_for(
    app: &Arc<App>,
    actor: &Actor,
    agent_id: &str,
    wanted: &Wanted,
    (wait, capabilities): (Duration, Vec<String>),
) -> Result<Vec<Row>, Error> {
    let deadline = Instant::now() + wait;
    let max = app.platform.core.max_in_flight / 2;
    let Some(waiting) = app.hub.wait(agent_id, capabilities, max.max(1)) else { return Ok(Vec::new()) };
    // What came between the look before and now would wake nobody.
    loop {
        let (rows, ..) = look(app, actor, agent_id, wanted).await?;
        if !rows.is_empty() {
            return Ok(rows);
        }
        tokio::select! {
            () = waiting.woken.notified() => {}
            () = app.stopping.cancelled() => return Ok(Vec::new()),
            () = tokio::time::sleep_until(deadline) => return Ok(Vec::new()),
        }
    }
}

/// Wakes claims that wait for what other processes left, until told to stop.
pub(crate) async fn watch(app: Arc<App>) {
    loop {
        tokio::select! {
            () = app.stopping.cancelled() => return,
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
        let (agents, capabilities) = app.hub.waiting();
        if agents.is_empty() {
            continue;
        }
        let found = app.db.run::<_, Error>(move |conn| Ok(waiting::anything_for(conn, &agents, &capabilities)?));
        match found.await {
            Ok(found) => {
                app.hub.tell_workers(found.agents.iter().map(String::as_str));
                app.hub.tell(&found.capabilities.into_iter().map(|capability| (capability, 1)).collect());
            }
            Err(error) => tracing::debug!(error = format!("{error:#}"), "claims wait a while longer"),
        }
    }
}
