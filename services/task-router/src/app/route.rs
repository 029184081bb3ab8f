//! Waiting tasks, given to workers.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use api_types::tasks::{RoutingTest, SelectedWorker};
use chrono::{DateTime, Utc};
use diesel::QueryResult;
use futures_util::{StreamExt as _, stream};
use uuid::Uuid;

use super::{App, now, view};
use crate::{
    domain::{
        routing::{Candidate, Health, Strategy, choose},
        state::{Command, Leases, step},
        trust::Score,
    },
    engine::{After, Batch, With, transact},
    error::Error,
    store::{
        Conn,
        pushes::{self, Push},
        tasks::Head,
        waiting::{self, Place, Refused, Share},
        workers,
    },
};

/// Tasks that are given out in one transaction.
const PASS: i32 = 200;
/// Queues that are routed at a time.
const AT_A_TIME: usize = 4;
/// How often queues are looked for that nobody told of: news of other processes.
const LOOK: Duration = Duration::from_secs(1);
/// Queues that one look finds.
const FOUND: i32 = 1_000;
/// How long a queue is left alone that another process is routing, or that had nothing for anybody.
const BUSY: Duration = Duration::from_millis(50);

/// What a pass over a queue came to.
#[derive(Debug, Default)]
struct Pass {
    after: After,
    /// Who was given something.
    agents: Vec<String>,
    pushes: bool,
    again: Again,
}

/// When a queue is to be looked at again without news.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Again {
    #[default]
    No,
    /// There may be more for those who have room.
    Now,
    Later,
}

/// Routes queues that have news, until told to stop.
pub(crate) async fn run(app: Arc<App>) {
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let (due, next) = app.hub.due();
        if !due.is_empty() {
            stream::iter(due).for_each_concurrent(AT_A_TIME, |capability| route(&app, capability)).await;
            if app.stopping.is_cancelled() {
                return;
            }
            continue;
        }
        let next = async {
            match next {
                Some(next) => tokio::time::sleep_until(next.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = app.stopping.cancelled() => return,
            () = app.hub.routing.notified() => {}
            () = next => {}
            _ = look.tick() => find(&app).await,
        }
    }
}

/// Finds queues that somebody could work on.
async fn find(app: &App) {
    match app.db.run::<_, Error>(|conn| Ok(waiting::capabilities(conn, FOUND)?)).await {
        Ok(found) => app.hub.tell(&found.into_iter().map(|capability| (capability, 0)).collect()),
        Err(error) => tracing::debug!(error = format!("{error:#}"), "queues wait a while longer"),
    }
}

async fn route(app: &Arc<App>, capability: String) {
    let (queue, leases) = (capability.clone(), app.config.leases);
    match transact(&app.db, move |conn| Ok::<_, Error>(pass(conn, &queue, now(), &leases)?)).await {
        Ok(pass) => {
            app.after(&pass.after);
            app.hub.tell_workers(pass.agents.iter().map(String::as_str));
            if pass.pushes {
                app.hub.pushing.notify_one();
            }
            match pass.again {
                Again::No => {}
                Again::Now => app.hub.tell_later(&capability, Duration::ZERO),
                Again::Later => app.hub.tell_later(&capability, BUSY),
            }
        }
        Err(error) => {
            tracing::warn!(error = format!("{:#}", anyhow::Error::from(error)), "a queue could not be routed");
            app.hub.tell_later(&capability, LOOK);
        }
    }
}

/// Gives what waits in a queue to those who have room.
fn pass(conn: &mut Conn, capability: &str, now: DateTime<Utc>, leases: &Leases) -> QueryResult<Pass> {
    if !waiting::begin_routing(conn, capability)? {
        return Ok(Pass { again: Again::Later, ..Pass::default() });
    }
    let rows = waiting::candidates(conn, capability, now)?;
    if rows.is_empty() {
        return Ok(Pass::default());
    }
    let mut room = Room::of(&rows);
    let mut chosen: Vec<(Head, usize)> = Vec::new();
    let mut place = None;
    let mut more = false;
    while room.free() > 0 {
        let limit = PASS.min(room.free());
        let heads = waiting::next(conn, capability, place, limit)?;
        place = heads.last().map(|head| -> Place { (head.priority, head.task_id) });
        let is_last = i32::try_from(heads.len()).unwrap_or(i32::MAX) < limit;
        let ids: Vec<Uuid> = heads.iter().map(|head| head.task_id).collect();
        let refusals = if ids.is_empty() { Vec::new() } else { waiting::refusals(conn, &ids, now)? };
        for head in heads {
            if let Some(index) = room.choose(&head, &refusals) {
                chosen.push((head, index));
            }
        }
        if is_last {
            break;
        }
        if chosen.len() >= usize::try_from(PASS).unwrap_or(usize::MAX) {
            more = true;
            break;
        }
    }
    drop(room);
    assign(conn, &rows, &chosen, (now, leases)).map(|pass| if more { Pass { again: Again::Now, ..pass } } else { pass })
}

/// Workers, as they fill up while tasks are given out.
struct Room<'a> {
    candidates: Vec<Candidate<&'a str>>,
    /// Numbers for turns, after all that were given before.
    turn: i64,
}

impl<'a> Room<'a> {
    fn of(rows: &'a [waiting::Candidate]) -> Self {
        let candidates = rows.iter().map(|row| Candidate {
            id: row.agent_id.as_str(),
            registered_at: row.created_at,
            active: true,
            health: if row.is_degraded { Health::Degraded } else { Health::Healthy },
            load: row.current_load,
            capacity: row.max_concurrent_tasks,
            trust: Score::new(row.trust),
            last_turn: (row.last_turn > 0).then_some(row.last_turn),
            average_seconds: row.avg_seconds,
            excluded: false,
            failed_before: false,
        });
        let turn = rows.iter().map(|row| row.last_turn).max().unwrap_or(0);
        Self { candidates: candidates.collect(), turn }
    }

    fn free(&self) -> i32 {
        self.candidates.iter().map(|one| (one.capacity - one.load).max(0)).fold(0, i32::saturating_add)
    }

    /// Who gets a task, if anybody can.
    fn choose(&mut self, head: &Head, refusals: &[Refused]) -> Option<usize> {
        let own = || refusals.iter().filter(|refusal| refusal.task_id == head.task_id);
        let is_refused = own().next().is_some();
        if is_refused {
            for one in &mut self.candidates {
                if let Some(refusal) = own().find(|refusal| refusal.agent_id == one.id) {
                    (one.excluded, one.failed_before) = (refusal.is_excluded, refusal.has_failed);
                }
            }
        }
        let strategy = Strategy::parse(&head.routing_strategy).unwrap_or_default();
        let chosen = choose(strategy, &self.candidates).map(|choice| choice.index);
        if is_refused {
            for one in &mut self.candidates {
                (one.excluded, one.failed_before) = (false, false);
            }
        }
        if let Some(one) = chosen.and_then(|index| self.candidates.get_mut(index)) {
            self.turn += 1;
            one.load += 1;
            one.last_turn = Some(self.turn);
        }
        chosen
    }
}

/// Writes down who gets what. Workers are held before their tasks, as everywhere, so that a worker's own claim comes before
/// or after this and never finds the first of its queue locked. Whoever filled up or went away meanwhile gets nothing, and
/// what somebody else took is gone; the rest goes on waiting.
fn assign(
    conn: &mut Conn,
    rows: &[waiting::Candidate],
    chosen: &[(Head, usize)],
    (now, leases): (DateTime<Utc>, &Leases),
) -> QueryResult<Pass> {
    if chosen.is_empty() {
        return Ok(Pass::default());
    }
    let mut names: Vec<&str> =
        chosen.iter().filter_map(|(_, index)| rows.get(*index)).map(|row| row.agent_id.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let held = workers::lock_all(conn, &names)?;
    let mut room: HashMap<&str, i32> = held
        .iter()
        .filter(|worker| worker.is_active())
        .map(|worker| (worker.agent_id.as_str(), worker.free()))
        .collect();
    let ids: Vec<Uuid> = chosen.iter().map(|(head, _)| head.task_id).collect();
    let heads: HashMap<Uuid, Head> =
        waiting::lock_waiting(conn, &ids)?.into_iter().map(|head| (head.task_id, head)).collect();
    let mut batch = Batch::new(&[], now);
    let mut shares: BTreeMap<&str, Share> = BTreeMap::new();
    let mut told = Vec::new();
    let mut given = 0;
    for (seen, index) in chosen {
        let (Some(row), Some(head)) = (rows.get(*index), heads.get(&seen.task_id)) else { continue };
        let Some(free) = room.get_mut(row.agent_id.as_str()).filter(|free| **free > 0) else { continue };
        let command = Command::Assign { worker: row.agent_id.as_str() };
        let Ok(Some(outcome)) = step(&head.task(), command, now, leases) else { continue };
        *free -= 1;
        if row.delivery != "pull" {
            told.push(Push { task_id: head.task_id, attempt: outcome.task.attempt, agent_id: row.agent_id.clone() });
        }
        batch.apply(head, &outcome, With::default());
        let share = shares.entry(&row.agent_id).or_insert(Share { agent_id: row.agent_id.clone(), tasks: 0, place: 0 });
        share.tasks += 1;
        share.place = i64::try_from(given).unwrap_or(i64::MAX);
        given += 1;
    }
    let agents = shares.keys().map(|&name| name.to_owned()).collect();
    waiting::give(conn, &shares.into_values().collect::<Vec<_>>())?;
    pushes::insert(conn, &told, now)?;
    let again = if given < chosen.len() { Again::Now } else { Again::No };
    Ok(Pass { after: batch.write(conn, None)?, pushes: !told.is_empty(), agents, again })
}

/// Who would get a task now.
///
/// # Errors
/// When nobody would.
pub(crate) async fn test(app: &App, capability: String, strategy: Strategy) -> Result<RoutingTest, Error> {
    let now = now();
    let rows = app.db.run::<_, Error>(move |conn| Ok(waiting::candidates(conn, &capability, now)?)).await?;
    let room = Room::of(&rows);
    let choice = choose(strategy, &room.candidates).ok_or(Error::NoCapacity)?;
    let row = rows.get(choice.index).ok_or(Error::NoCapacity)?;
    Ok(RoutingTest {
        selected_agent: SelectedWorker {
            agent_id: row.agent_id.clone(),
            display_name: row.display_name.clone(),
            trust_score: Score::new(row.trust).decimal(),
            current_load: row.current_load,
            avg_completion_time_seconds: row.avg_seconds.map(view::thousandths),
        },
        strategy_used: strategy.as_str().to_owned(),
        selection_reason: strategy.selection_reason(),
        alternatives_considered: choice.alternatives,
    })
}
