//! Tasks looked at, and changed by their clients.

use api_types::{
    ains::{Window, id_of, uuid_of},
    tasks::{CancelledTask, ChangedPriority, Dependencies, Dependent, Dependents, TASK, Task},
};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{Actor, App, now, view};
use crate::{
    domain::state::{Command, State, step},
    engine::{Batch, With, transact},
    error::Error,
    store::{
        Conn, dependencies,
        tasks::{self, Filter, Head, Sort},
        workers,
    },
};

/// The UUID of a task's id.
pub(crate) fn parse(id: &str) -> Result<Uuid, Error> {
    uuid_of(TASK, id).ok_or_else(|| Error::NoTask(id.to_owned()))
}

pub(crate) fn no_task(id: Uuid) -> Error {
    Error::NoTask(id_of(TASK, id))
}

pub(crate) async fn get(app: &App, actor: Actor, id: &str) -> Result<Task, Error> {
    let uuid = parse(id)?;
    let found = app.db.run::<_, Error>(move |conn| Ok(tasks::find(conn, uuid, actor.only_client.as_deref())?)).await?;
    found.map(view::task).ok_or_else(|| no_task(uuid))
}

pub(crate) async fn list(app: &App, filter: Filter, sort: Sort, window: Window) -> Result<(Vec<Task>, i64), Error> {
    let (rows, total) = app.db.run::<_, Error>(move |conn| Ok(tasks::page(conn, &filter, sort, window)?)).await?;
    Ok((rows.into_iter().map(view::task).collect(), total))
}

/// A task that the caller may see and that belongs to a client that it acts for.
fn own(conn: &mut Conn, actor: &Actor, id: Uuid) -> Result<Head, Error> {
    let found = tasks::find(conn, id, actor.only_client.as_deref())?.ok_or_else(|| no_task(id))?;
    if actor.acts_for(&found.head.client_id) {
        Ok(found.head)
    } else {
        Err(Error::Forbidden("The task belongs to another client"))
    }
}

/// Ends a task before its time.
///
/// # Errors
/// When it is not there, not the caller's, or over.
pub(crate) async fn cancel(app: &App, actor: Actor, id: &str, reason: String) -> Result<CancelledTask, Error> {
    let (uuid, leases, now) = (parse(id)?, app.config.leases, now());
    let told = reason.clone();
    let cancelled = transact(&app.db, move |conn| {
        let seen = own(conn, &actor, uuid)?;
        // Workers before tasks: whose it is must be known first, and is looked at again once both are held.
        let worker: Vec<&str> = seen.assigned_agent_id.as_deref().into_iter().collect();
        let held = workers::lock_all(conn, &worker)?;
        let heads = tasks::lock(conn, &[uuid])?;
        let head = heads.first().ok_or_else(|| no_task(uuid))?;
        if head.assigned_agent_id != seen.assigned_agent_id {
            return Err(diesel::result::Error::RollbackTransaction.into());
        }
        let outcome = step(&head.task(), Command::Cancel, now, &leases)
            .map_err(|_refusal| Error::NotCancellable(head.task().state))?;
        let mut batch = Batch::new(&held, now);
        if let Some(outcome) = outcome {
            batch.apply(head, &outcome, With { cancellation_reason: Some(&reason), ..With::default() });
        }
        Ok::<_, Error>(batch.write(conn, Some(&actor.id))?)
    });
    app.after(&cancelled.await?);
    Ok(CancelledTask { task_id: id_of(TASK, uuid), status: State::Cancelled.as_str(), cancelled_at: now, reason: told })
}

/// Moves a waiting task in its queue.
///
/// # Errors
/// When it is not there, not the caller's, or does not wait any more.
pub(crate) async fn set_priority(app: &App, actor: Actor, id: &str, priority: i32) -> Result<ChangedPriority, Error> {
    let (uuid, now) = (parse(id)?, now());
    let before = transact(&app.db, move |conn| {
        own(conn, &actor, uuid)?;
        let heads = tasks::lock(conn, &[uuid])?;
        let head = heads.first().ok_or_else(|| no_task(uuid))?;
        if !tasks::set_priority(conn, uuid, priority, now)? {
            return Err(Error::Conflict {
                message: "Only the priority of a pending task can be changed".to_owned(),
                status: head.task().state,
                attempt: head.attempt,
            });
        }
        Ok(head.priority)
    });
    let previous_priority = before.await?;
    Ok(ChangedPriority { task_id: id_of(TASK, uuid), priority, previous_priority, updated_at: now })
}

/// What a task waits for.
pub(crate) async fn dependencies(app: &App, actor: Actor, id: &str) -> Result<Dependencies, Error> {
    let uuid = parse(id)?;
    let read = app.db.run::<_, Error>(move |conn| {
        let found = tasks::find(conn, uuid, actor.only_client.as_deref())?.ok_or_else(|| no_task(uuid))?;
        let states = dependencies::states(conn, &found.head.depends_on)?;
        Ok((found.head, states))
    });
    let (head, states) = read.await?;
    let state = |id: &Uuid| states.iter().find(|parent| parent.task_id == *id).map(|parent| parent.state.as_str());
    let names = |ids: &mut dyn Iterator<Item = &Uuid>| ids.map(|id| id_of(TASK, *id)).collect::<Vec<_>>();
    let blocking = names(&mut head.depends_on.iter().filter(|id| state(id) != Some(State::Completed.as_str())));
    let dependencies_status: Map<String, Value> =
        head.depends_on.iter().filter_map(|id| Some((id_of(TASK, *id), state(id)?.into()))).collect();
    Ok(Dependencies {
        task_id: id_of(TASK, head.task_id),
        depends_on: names(&mut head.depends_on.iter()),
        dependencies_status,
        is_blocked: head.blocked_by > 0,
        ready_to_run: head.task().state == State::Pending && blocking.is_empty(),
        blocking_tasks: blocking,
    })
}

/// What waits for a task.
pub(crate) async fn dependents(app: &App, actor: Actor, id: &str) -> Result<Dependents, Error> {
    let uuid = parse(id)?;
    let read = app.db.run::<_, Error>(move |conn| {
        tasks::find(conn, uuid, actor.only_client.as_deref())?.ok_or_else(|| no_task(uuid))?;
        Ok(dependencies::children(conn, uuid)?)
    });
    let dependent_tasks: Vec<Dependent> = read
        .await?
        .into_iter()
        .map(|child| Dependent {
            task_id: id_of(TASK, child.task_id),
            task_type: child.task_type,
            status: child.state,
            is_blocked: child.is_blocked,
        })
        .collect();
    Ok(Dependents { task_id: id_of(TASK, uuid), dependent_count: dependent_tasks.len(), dependent_tasks })
}
