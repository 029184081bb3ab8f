//! What workers say about their tasks.

use std::{sync::Arc, time::Duration};

use api_types::{
    ains::{AinsCode, uuid_of},
    tasks::{ReportAnswer, ReportError, ReportResult, TASK, Task},
};
use diesel::result::Error as QueryError;
use uuid::Uuid;

use super::{
    Actor, App,
    claim::{self, Wanted, own_worker},
    now,
    tasks::{no_task, parse},
    view,
};
use crate::{
    domain::state::{self, Command, Leases, Refusal, State, step},
    engine::{After, Batch, With, transact},
    error::Error,
    store::{
        Conn,
        tasks::{self, Head},
        workers,
    },
};

/// A report, read and checked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Said {
    pub(crate) status: Status,
    pub(crate) attempt: Option<i32>,
    /// JSON
    pub(crate) result: Option<String>,
    pub(crate) error: Option<String>,
    pub(crate) progress: Option<f64>,
    pub(crate) retryable: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Status {
    #[default]
    Running,
    Completed,
    Failed,
}

impl Said {
    pub(crate) fn command<'a>(&'a self, worker: &'a str) -> Command<'a, &'a str> {
        let progress = self.progress;
        let report = match self.status {
            Status::Running => state::Report::Running { progress },
            Status::Completed => state::Report::Completed { progress },
            Status::Failed => {
                state::Report::Failed { error: self.error.as_deref(), retryable: self.retryable, progress }
            }
        };
        Command::Report { worker, attempt: self.attempt, report }
    }
}

/// The error that a refusal is.
pub(crate) fn refused(refusal: Refusal, task: &state::Task<&str>) -> Error {
    match refusal {
        Refusal::OtherWorker => Error::Forbidden("Agent not assigned to this task"),
        other => Error::Conflict { message: other.to_string(), status: task.state, attempt: task.attempt },
    }
}

/// Takes one report. `agent_id`: who reports, if that was said.
///
/// # Errors
/// When the task or the worker is not there, the worker not the caller's, or the report does not fit the task.
pub(crate) async fn one(
    app: &App,
    actor: Actor,
    id: &str,
    agent_id: Option<String>,
    said: Said,
) -> Result<Task, Error> {
    let (uuid, leases, said) = (parse(id)?, app.config.leases, Arc::new(said));
    let reported = transact(&app.db, move |conn| {
        let seen = tasks::heads(conn, &[uuid])?.into_iter().next().ok_or_else(|| no_task(uuid))?;
        let Some(worker) = agent_id.as_ref().or(seen.assigned_agent_id.as_ref()) else {
            return Err(refused(Refusal::Unassigned, &seen.task()));
        };
        let held = own_worker(conn, &actor, worker)?;
        let heads = tasks::lock(conn, &[uuid])?;
        let head = heads.first().ok_or_else(|| no_task(uuid))?;
        if agent_id.is_none() && head.assigned_agent_id.as_ref() != Some(worker) {
            // It changed hands before it was held.
            return Err(QueryError::RollbackTransaction.into());
        }
        let after = judge(conn, (&held, head), &said, &leases, Some(&actor.id))?;
        let row = tasks::rows(conn, &[uuid])?.into_iter().next().ok_or_else(|| no_task(uuid))?;
        Ok((row, after))
    });
    let (row, after) = reported.await?;
    app.after(&after);
    Ok(view::task(row))
}

/// What a report does to a task; both it and its worker are held.
pub(crate) fn judge(
    conn: &mut Conn,
    (worker, head): (&workers::Row, &Head),
    said: &Said,
    leases: &Leases,
    actor: Option<&str>,
) -> Result<After, Error> {
    let now = now();
    let mut batch = Batch::new(std::slice::from_ref(worker), now);
    let task = head.task();
    // The command lives as long as the task that it is about.
    let name = head.assigned_agent_id.as_deref().filter(|name| *name == worker.agent_id).unwrap_or("");
    let outcome = step(&task, said.command(name), now, leases).map_err(|refusal| refused(refusal, &task))?;
    batch.saw(&worker.agent_id);
    if let Some(outcome) = outcome {
        batch.apply(head, &outcome, With { result: said.result.as_deref(), ..With::default() });
    }
    Ok(batch.write(conn, actor)?)
}

/// A report among others: on which task, and what; or why it could not be read.
pub(crate) type Item = (String, Result<Said, ReportError>);

/// Takes many reports of one worker in one transaction, and its next claim with them.
///
/// # Errors
/// When the worker is not there or not the caller's.
pub(crate) async fn many(
    app: &Arc<App>,
    actor: Actor,
    agent_id: String,
    items: Vec<Item>,
    next: Option<(Wanted, Duration)>,
) -> Result<ReportAnswer, Error> {
    let (leases, items) = (app.config.leases, Arc::new(items));
    let (by, worker_id, wanted) = (actor.clone(), agent_id.clone(), next.as_ref().map(|(wanted, _)| wanted.clone()));
    let done = transact(&app.db, move |conn| {
        let worker = own_worker(conn, &by, &worker_id)?;
        let (results, after) = judge_all(conn, &worker, &items, &leases, &by.id)?;
        let mut rows = Vec::new();
        let mut capabilities = Vec::new();
        if let Some(wanted) = wanted.as_ref().filter(|_| worker.inactive_reason.as_deref() != Some("operator")) {
            capabilities = wanted.of_worker(&worker);
            // As it is after the reports: they made room.
            let worker = workers::find(conn, &worker_id)?.ok_or_else(|| Error::NoWorker(worker_id.clone()))?;
            rows = claim::take(conn, &worker, wanted, &leases, &by)?;
        }
        Ok::<_, Error>((results, rows, after, capabilities))
    });
    let (results, mut rows, after, capabilities) = done.await?;
    app.after(&after);
    if let Some((wanted, wait)) =
        next.filter(|(_, wait)| rows.is_empty() && !wait.is_zero() && !capabilities.is_empty())
    {
        rows = claim::wait_for(app, &actor, &agent_id, &wanted, (wait, capabilities)).await?;
    }
    let accepted = results.iter().filter(|result| result.accepted).count();
    Ok(ReportAnswer {
        rejected: results.len() - accepted,
        accepted,
        results,
        claimed: rows.len(),
        tasks: rows.into_iter().map(view::task).collect(),
    })
}

fn judge_all(
    conn: &mut Conn,
    worker: &workers::Row,
    items: &[Item],
    leases: &Leases,
    actor: &str,
) -> Result<(Vec<ReportResult>, After), Error> {
    let now = now();
    let ids: Vec<Uuid> = items.iter().filter_map(|(id, _)| uuid_of(TASK, id)).collect();
    let heads = tasks::lock(conn, &ids)?;
    let mut batch = Batch::new(std::slice::from_ref(worker), now);
    batch.saw(&worker.agent_id);
    let mut results = Vec::with_capacity(items.len());
    for (id, item) in items {
        let head = uuid_of(TASK, id).and_then(|uuid| heads.iter().find(|head| head.task_id == uuid));
        let result = match (head, item) {
            (head, Err(error)) => {
                let status = head.map(|head| batch.task(head).state.as_str().to_owned());
                ReportResult { task_id: id.clone(), accepted: false, status, error: Some(error.clone()) }
            }
            (None, Ok(_)) => rejected(id, None, &Error::NoTask(id.clone())),
            (Some(head), Ok(said)) => {
                let task = batch.task(head);
                let name = head.assigned_agent_id.as_deref().filter(|name| *name == worker.agent_id).unwrap_or("");
                match step(&task, said.command(name), now, leases) {
                    Err(refusal) => rejected(id, Some(task.state), &refused(refusal, &task)),
                    Ok(outcome) => {
                        if let Some(outcome) = outcome {
                            batch.apply(head, &outcome, With { result: said.result.as_deref(), ..With::default() });
                        }
                        let status = Some(batch.task(head).state.as_str().to_owned());
                        ReportResult { task_id: id.clone(), accepted: true, status, error: None }
                    }
                }
            }
        };
        results.push(result);
    }
    let after = batch.write(conn, Some(actor))?;
    Ok((results, after))
}

fn rejected(id: &str, state: Option<State>, error: &Error) -> ReportResult {
    let code = match error {
        Error::NoTask(_) => AinsCode::TaskNotFound,
        Error::Forbidden(_) => AinsCode::InsufficientPermissions,
        _ => AinsCode::TaskStateConflict,
    };
    ReportResult {
        task_id: id.to_owned(),
        accepted: false,
        status: state.map(|state| state.as_str().to_owned()),
        error: Some(ReportError { code: code.as_str(), message: error.to_string() }),
    }
}

/// Whether a worker may be spoken for by whoever polls for it.
pub(crate) async fn polled(app: &App, actor: Actor, agent_id: String) -> Result<(), Error> {
    let now = now();
    let known = app.db.run::<_, Error>(move |conn| {
        let own = |worker: &workers::Row| worker.client_id == actor.client_id && !worker.is_imago();
        let Some(worker) = workers::find(conn, &agent_id)?.filter(own) else { return Ok(None) };
        workers::polled(conn, &agent_id, now)?;
        Ok((!worker.is_active() && worker.inactive_reason.as_deref() != Some("operator")).then_some(worker.tags))
    });
    if let Some(tags) = known.await? {
        app.after(&After { news: tags.into_iter().map(|tag| (tag, 0)).collect(), ..After::default() });
    }
    Ok(())
}
