//! Workers: registered, looked at, changed, trusted.

use api_core::outbox;
use api_types::{
    ains::Window,
    workers::{
        AdjustedTrust, DateRange, DeactivatedWorker, Leaderboard, NewWorker, Ranked, RegisteredWorker, Trust,
        TrustAdjustment, TrustHistory, Worker, WorkerOwner,
    },
};
use chrono::{DateTime, Utc};
use diesel::QueryResult;
use rand::RngExt as _;
use serde_json::json;

use super::{Actor, App, claim::own_worker, now, view};
use crate::{
    domain::{
        state::{Command, Leases, step},
        trust::{Delta, MANUAL_ADJUSTMENT},
    },
    engine::{After, Batch, With, transact},
    error::Error,
    store::{
        Conn, events, tasks, trust,
        workers::{self, Effect, Filter, New, Row, Update},
    },
};

/// Bytes of a delivery secret that we make.
const SECRET_BYTES: usize = 32;

fn no_worker(id: &str) -> Error {
    Error::NoWorker(id.to_owned())
}

/// Who is woken by a worker that can take tasks.
fn room(row: &Row) -> After {
    After { news: row.tags.iter().map(|tag| (tag.clone(), 0)).collect(), ..After::default() }
}

/// Registers a worker; `metadata` is what is left of it without the capacity.
///
/// # Errors
/// When the id is taken.
pub(crate) async fn register(
    app: &App,
    actor: Actor,
    new: NewWorker,
    (metadata, capacity): (String, i32),
    signature_verified: bool,
) -> Result<RegisteredWorker, Error> {
    let secret = new.delivery_secret.clone().unwrap_or_else(|| hex::encode(rand::rng().random::<[u8; SECRET_BYTES]>()));
    let row = New {
        delivery_secret: app.seal.seal(&new.agent_id, &secret)?,
        agent_id: new.agent_id,
        client_id: actor.client_id.clone(),
        display_name: new.display_name,
        endpoint: new.endpoint,
        public_key: new.public_key,
        signature_verified,
        tags: new.tags,
        metadata,
        delivery: new.delivery.unwrap_or_else(|| "auto".to_owned()),
        source: "external",
        max_concurrent_tasks: capacity,
    };
    let now = now();
    let stored = transact(&app.db, move |conn| {
        let stored = workers::insert(conn, &row, now)?.ok_or_else(|| Error::WorkerExists(row.agent_id.clone()))?;
        events::worker(conn, "agent.registered", &stored, Some(&actor.id))?;
        Ok::<_, Error>(stored)
    });
    let row = stored.await?;
    app.after(&room(&row));
    Ok(RegisteredWorker {
        trust_score: row.standing().score.decimal(),
        status: row.status(),
        agent_id: row.agent_id,
        display_name: row.display_name,
        endpoint: row.endpoint,
        tags: row.tags,
        metadata: row.metadata.0,
        max_concurrent_tasks: row.max_concurrent_tasks,
        delivery: row.delivery,
        delivery_secret: secret,
        signature_verified: row.signature_verified,
        created_at: row.created_at,
    })
}

async fn find(app: &App, agent_id: &str) -> Result<Row, Error> {
    let id = agent_id.to_owned();
    app.db.run::<_, Error>(move |conn| Ok(workers::find(conn, &id)?)).await?.ok_or_else(|| no_worker(agent_id))
}

pub(crate) async fn get(app: &App, agent_id: &str) -> Result<Worker, Error> {
    Ok(view::worker(find(app, agent_id).await?, now()))
}

/// Whose a worker is.
pub(crate) async fn owner(app: &App, agent_id: &str) -> Result<WorkerOwner, Error> {
    let row = find(app, agent_id).await?;
    Ok(WorkerOwner { agent_id: row.agent_id, client_id: row.client_id })
}

pub(crate) async fn list(app: &App, filter: Filter, window: Window) -> Result<(Vec<Worker>, i64), Error> {
    let (rows, total) = app.db.run::<_, Error>(move |conn| Ok(workers::page(conn, &filter, window)?)).await?;
    let now = now();
    Ok((rows.into_iter().map(|row| view::worker(row, now)).collect(), total))
}

/// What is to become of a worker.
#[derive(Debug, Clone, Default)]
pub(crate) struct Changes {
    pub(crate) update: Update,
    /// On or off.
    pub(crate) active: Option<bool>,
}

/// Changes a worker.
///
/// # Errors
/// When it is not there or not the caller's.
pub(crate) async fn change(app: &App, actor: Actor, agent_id: String, changes: Changes) -> Result<Worker, Error> {
    let (leases, now) = (app.config.leases, now());
    let changed = transact(&app.db, move |conn| {
        let worker = own_worker(conn, &actor, &agent_id)?;
        let mut row = workers::update(conn, &agent_id, &changes.update)?;
        let mut after = After::default();
        if changes.active == Some(false) && worker.inactive_reason.as_deref() != Some("operator") {
            (row, after) = deactivate(conn, &row, "operator", (now, &leases), Some(&actor.id))?;
        } else {
            if changes.active == Some(true) && !worker.is_active() {
                row = workers::set_active(conn, &agent_id, None, now)?;
            }
            events::worker(conn, "agent.updated", &row, Some(&actor.id))?;
        }
        if row.is_active() {
            after = after.and(room(&row));
        }
        Ok::<_, Error>((row, after))
    });
    let (row, after) = changed.await?;
    app.after(&after);
    Ok(view::worker(row, now))
}

/// Switches a worker off; again changes nothing.
///
/// # Errors
/// When it is not there or not the caller's.
pub(crate) async fn switch_off(app: &App, actor: Actor, agent_id: String) -> Result<DeactivatedWorker, Error> {
    let (leases, now) = (app.config.leases, now());
    let done = transact(&app.db, move |conn| {
        let worker = own_worker(conn, &actor, &agent_id)?;
        if worker.inactive_reason.as_deref() == Some("operator") {
            return Ok((worker, After::default()));
        }
        deactivate(conn, &worker, "operator", (now, &leases), Some(&actor.id))
    });
    let (row, after) = done.await?;
    app.after(&after);
    Ok(DeactivatedWorker {
        status: row.status(),
        deactivated_at: row.deactivated_at.unwrap_or(now),
        agent_id: row.agent_id,
        message: "Agent deactivated successfully",
    })
}

/// Makes a worker, which is held, inactive: what it has not taken goes back at once.
///
/// # Errors
/// Those of the database.
pub(crate) fn deactivate(
    conn: &mut Conn,
    worker: &Row,
    reason: &str,
    (now, leases): (DateTime<Utc>, &Leases),
    actor: Option<&str>,
) -> Result<(Row, After), Error> {
    let row = workers::set_active(conn, &worker.agent_id, Some(reason), now)?;
    let heads = tasks::offered_to(conn, &worker.agent_id)?;
    let mut batch = Batch::new(std::slice::from_ref(&row), now);
    for head in &heads {
        if let Ok(Some(outcome)) = step(&head.task(), Command::WorkerInactive, now, leases) {
            batch.apply(head, &outcome, With::default());
        }
    }
    let after = batch.write(conn, actor)?;
    let row = workers::find(conn, &worker.agent_id)?.unwrap_or(row);
    events::worker(conn, "agent.deactivated", &row, actor)?;
    Ok((row, after))
}

pub(crate) async fn leaderboard(app: &App, min_tasks: i64, limit: i64) -> Result<Leaderboard, Error> {
    let rows = app.db.run::<_, Error>(move |conn| Ok(workers::leaders(conn, min_tasks, limit)?)).await?;
    let leaderboard = rows.into_iter().zip(1..).map(|(row, rank)| {
        let standing = row.standing();
        Ranked {
            rank,
            trust_score: standing.score.decimal(),
            success_rate: standing.success_rate(),
            total_tasks_completed: row.total_completed,
            total_tasks_failed: row.total_failed,
            avg_completion_time_seconds: row.avg_seconds.map(view::thousandths),
            agent_id: row.agent_id,
            display_name: row.display_name,
        }
    });
    Ok(Leaderboard { leaderboard: leaderboard.collect(), generated_at: now() })
}

pub(crate) async fn trust(app: &App, agent_id: &str) -> Result<Trust, Error> {
    let (id, now) = (agent_id.to_owned(), now());
    let read = app.db.run::<_, Error>(move |conn| {
        let Some(row) = workers::find(conn, &id)? else { return Ok(None) };
        let recent = trust::recent(conn, &id, now)?;
        Ok(Some((row, recent)))
    });
    let (row, recent) = read.await?.ok_or_else(|| no_worker(agent_id))?;
    Ok(view::trust(&row, recent))
}

/// The changes of a worker's trust in a span of time.
pub(crate) async fn history(
    app: &App,
    agent_id: &str,
    (start, end): (Option<DateTime<Utc>>, Option<DateTime<Utc>>),
    window: Window,
) -> Result<TrustHistory, Error> {
    let id = agent_id.to_owned();
    let end = end.unwrap_or_else(now);
    let read = app.db.run::<_, Error>(move |conn| {
        let Some(row) = workers::find(conn, &id)? else { return Ok(None) };
        let start = start.unwrap_or(row.created_at);
        let page = trust::page(conn, &id, (start, end), window)?;
        Ok(Some((start, page)))
    });
    let (start, (rows, total_records)) = read.await?.ok_or_else(|| no_worker(agent_id))?;
    Ok(TrustHistory {
        agent_id: agent_id.to_owned(),
        records: rows.into_iter().map(view::record).collect(),
        total_records,
        date_range: DateRange { start, end },
    })
}

/// Changes a worker's trust by hand.
///
/// # Errors
/// When it is not there.
pub(crate) async fn adjust(
    app: &App,
    actor: Actor,
    agent_id: String,
    adjustment: TrustAdjustment,
) -> Result<AdjustedTrust, Error> {
    let now = now();
    let (given, adjusted_by) = (adjustment.clone(), actor.client_id.clone());
    let changed = transact(&app.db, move |conn| {
        let worker = workers::lock(conn, &agent_id)?.ok_or_else(|| no_worker(&agent_id))?;
        let change = worker.standing().score.changed_by(Delta::of_decimal(given.delta));
        write_trust(conn, &worker, (change, &given.reason), now)?;
        let payload = json!({
            "agent_id": agent_id, "client_id": worker.client_id, "delta": given.delta, "reason": given.reason,
            "trust_score": change.after.decimal(),
        });
        outbox::push(conn, "agent.trust_adjusted", &format!("agent:{agent_id}"), Some(&actor.id), payload)?;
        Ok::<_, Error>((agent_id.clone(), change))
    });
    let (agent_id, change) = changed.await?;
    Ok(AdjustedTrust {
        agent_id,
        trust_score_before: change.before.decimal(),
        trust_score_after: change.after.decimal(),
        delta: adjustment.delta,
        effective_delta: change.effective().decimal(),
        reason: adjustment.reason,
        adjusted_by,
        adjusted_at: now,
    })
}

fn write_trust(
    conn: &mut Conn,
    worker: &Row,
    (change, reason): (crate::domain::trust::Change, &str),
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let mut standing = worker.standing();
    standing.score = change.after;
    let effect = Effect { agent_id: worker.agent_id.clone(), load: 0, standing, last_completed_at: None, seen: false };
    workers::apply(conn, &[effect], now)?;
    let record = trust::New {
        agent_id: worker.agent_id.clone(),
        event_type: MANUAL_ADJUSTMENT,
        task_id: None,
        change,
        reason: reason.to_owned(),
        at: now,
    };
    trust::insert(conn, &[record])
}
