//! Workers that say that they are there.

use std::collections::HashMap;

use api_types::{
    ains::uuid_of,
    tasks::TASK,
    workers::{Heartbeat, HeartbeatAnswer},
};
use uuid::Uuid;

use super::{Actor, App, claim::own_worker, now, workers::deactivate};
use crate::{
    domain::state::{Command, Leases, State, step},
    engine::{After, Batch, With, transact},
    error::Error,
    store::{
        Conn, events,
        tasks::{self, Head},
        workers,
    },
};

/// Seconds after which the next one is expected.
const NEXT: i64 = 300;

const ACTIVE: &str = "ACTIVE";
const DEGRADED: &str = "DEGRADED";
const OFFLINE: &str = "OFFLINE";
/// What a worker can say of itself.
pub(crate) const STATUSES: &[&str] = &[ACTIVE, DEGRADED, OFFLINE];

/// What became of the tasks that a worker believes to hold.
#[derive(Debug, Default)]
struct Tasks {
    renewed: Vec<String>,
    cancelled: Vec<String>,
    lost: Vec<String>,
}

/// Takes a heartbeat.
///
/// # Errors
/// When the worker is not there or not the caller's.
pub(crate) async fn beat(app: &App, actor: Actor, agent_id: String, beat: Heartbeat) -> Result<HeartbeatAnswer, Error> {
    let (now, leases) = (now(), app.config.leases);
    let status = beat.status.clone().unwrap_or_else(|| ACTIVE.to_owned());
    let said = status.clone();
    let taken = transact(&app.db, move |conn| {
        let worker = own_worker(conn, &actor, &agent_id)?;
        let was_away = !worker.is_active();
        workers::polled(conn, &agent_id, now)?;
        workers::beat(conn, &agent_id, said == DEGRADED, now)?;
        let (tasks, mut after) = renew(conn, &worker, &beat.task_ids, &leases, &actor.id)?;
        let mut worker = workers::find(conn, &agent_id)?.ok_or_else(|| Error::NoWorker(agent_id.clone()))?;
        if said == OFFLINE && worker.is_active() {
            let (row, released) = deactivate(conn, &worker, "offline", (now, &leases), Some(&actor.id))?;
            worker = row;
            after = after.and(released);
        } else if was_away && worker.is_active() {
            events::worker(conn, "agent.updated", &worker, Some(&actor.id))?;
            after =
                after.and(After { news: worker.tags.iter().map(|tag| (tag.clone(), 0)).collect(), ..After::default() });
        }
        Ok::<_, Error>((worker, tasks, after))
    });
    let (worker, tasks, after) = taken.await?;
    app.after(&after);
    Ok(HeartbeatAnswer {
        acknowledged: true,
        next_heartbeat_in: NEXT,
        agent_health_status: status,
        agent_status: worker.status(),
        last_heartbeat: now,
        renewed_task_ids: tasks.renewed,
        cancelled_task_ids: tasks.cancelled,
        lost_task_ids: tasks.lost,
    })
}

/// Extends the leases of what a worker, which is held, still has.
fn renew(
    conn: &mut Conn,
    worker: &workers::Row,
    ids: &[String],
    leases: &Leases,
    actor: &str,
) -> Result<(Tasks, After), Error> {
    let mut found = Tasks::default();
    if ids.is_empty() {
        return Ok((found, After::default()));
    }
    let now = now();
    let uuids: Vec<Uuid> = ids.iter().filter_map(|id| uuid_of(TASK, id)).collect();
    let heads = tasks::lock(conn, &uuids)?;
    let by_id: HashMap<Uuid, &Head> = heads.iter().map(|head| (head.task_id, head)).collect();
    let mut batch = Batch::new(&[], now);
    for id in ids {
        let head = uuid_of(TASK, id).and_then(|uuid| by_id.get(&uuid).copied());
        let own = head.filter(|head| head.assigned_agent_id.as_deref() == Some(worker.agent_id.as_str()));
        let renewed = own.map(|head| {
            let task = batch.task(head);
            (head, step(&task, Command::Renew { worker: task.worker.unwrap_or_default() }, now, leases))
        });
        match renewed {
            Some((head, Ok(outcome))) => {
                if let Some(outcome) = outcome {
                    batch.apply(head, &outcome, With::default());
                }
                found.renewed.push(id.clone());
            }
            _ if head.is_some_and(|head| head.task().state == State::Cancelled) => found.cancelled.push(id.clone()),
            _ => found.lost.push(id.clone()),
        }
    }
    let after = batch.write(conn, Some(actor))?;
    Ok((found, after))
}
