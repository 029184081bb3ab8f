//! Changes of tasks that are made together, and everything that comes of them.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use api_core::outbox::{self, NewEvent};
use chrono::{DateTime, Utc};
use diesel::{QueryResult, result::Error as QueryError};
use uuid::Uuid;

use super::cascade;
use crate::{
    domain::{
        state::{Dependents, ErrorMessage, Event, Outcome, State, Taken, Task},
        trust::{Attempt, Standing},
    },
    hub::News,
    store::{
        Conn, dependencies,
        events::{TaskData, execution_seconds},
        pushes,
        tasks::{self, Change, Head},
        trust, waiting, workers,
    },
};

/// What is to be done once a transaction is committed.
#[derive(Debug, Clone, Default)]
pub(crate) struct After {
    /// Queues that tasks or room came to.
    pub(crate) news: News,
    /// When the first retry is due that was put off.
    pub(crate) retry_at: Option<DateTime<Utc>>,
    pub(crate) created: u64,
    pub(crate) completed: Vec<Duration>,
    pub(crate) failed: u64,
    pub(crate) timed_out: u64,
    pub(crate) cancelled: u64,
    /// Of a dependency.
    pub(crate) failed_early: u64,
    pub(crate) retries: u64,
    pub(crate) timeouts: u64,
}

impl After {
    /// Both, one after the other.
    pub(crate) fn and(mut self, other: Self) -> Self {
        for (capability, count) in other.news {
            *self.news.entry(capability).or_default() += count;
        }
        self.retry_at = self.retry_at.into_iter().chain(other.retry_at).min();
        self.created += other.created;
        self.completed.extend(other.completed);
        self.failed += other.failed;
        self.timed_out += other.timed_out;
        self.cancelled += other.cancelled;
        self.failed_early += other.failed_early;
        self.retries += other.retries;
        self.timeouts += other.timeouts;
        self
    }
}

/// A worker that the transaction holds.
#[derive(Debug)]
struct Held {
    tags: Vec<String>,
    load: i32,
    standing: Standing,
    last_completed_at: Option<DateTime<Utc>>,
    seen: bool,
    is_touched: bool,
}

/// What else a change writes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct With<'a> {
    /// JSON; stored when the outcome says so.
    pub(crate) result: Option<&'a str>,
    pub(crate) cancellation_reason: Option<&'a str>,
}

/// Changes of tasks that the transaction holds, of workers that it holds.
#[derive(Debug)]
pub(crate) struct Batch<'a> {
    now: DateTime<Utc>,
    workers: BTreeMap<String, Held>,
    changes: Vec<Change<'a>>,
    /// Where in `changes` a task is.
    places: HashMap<Uuid, usize>,
    records: Vec<trust::New>,
    refusals: Vec<(Uuid, &'a str, Option<DateTime<Utc>>, bool)>,
    events: Vec<NewEvent>,
    completed: Vec<Uuid>,
    broken: Vec<Uuid>,
    after: After,
}

impl<'a> Batch<'a> {
    /// `workers` are held: all that the tasks are with.
    pub(crate) fn new(workers: &[workers::Row], now: DateTime<Utc>) -> Self {
        let held = |row: &workers::Row| {
            let held = Held {
                tags: row.tags.clone(),
                load: 0,
                standing: row.standing(),
                last_completed_at: None,
                seen: false,
                is_touched: false,
            };
            (row.agent_id.clone(), held)
        };
        Self {
            now,
            workers: workers.iter().map(held).collect(),
            changes: Vec::new(),
            places: HashMap::new(),
            records: Vec::new(),
            refusals: Vec::new(),
            events: Vec::new(),
            completed: Vec::new(),
            broken: Vec::new(),
            after: After::default(),
        }
    }

    /// The worker spoke to us.
    pub(crate) fn saw(&mut self, agent_id: &str) {
        if let Some(held) = self.workers.get_mut(agent_id) {
            held.seen = true;
            held.is_touched = true;
        }
    }

    /// A task as it is after what was done so far.
    pub(crate) fn task(&self, head: &'a Head) -> Task<&'a str> {
        self.places.get(&head.task_id).map_or_else(|| head.task(), |place| self.changes[*place].next)
    }

    /// Takes over what the rules decided about a task.
    pub(crate) fn apply(&mut self, head: &'a Head, outcome: &Outcome<&'a str>, with: With<'a>) {
        self.count(outcome);
        let change = Change {
            was: head,
            next: outcome.task,
            error: match &outcome.error_message {
                ErrorMessage::Keep => None,
                ErrorMessage::Becomes(error) => Some(error.clone()),
            },
            result: outcome.stores_result.then_some(with.result),
            cancellation_reason: with.cancellation_reason,
        };
        let change = match self.places.get(&head.task_id) {
            Some(place) => {
                let before = &self.changes[*place];
                let error = change.error.clone().or_else(|| before.error.clone());
                self.changes[*place] = Change { error, result: change.result.or(before.result), ..change };
                &self.changes[*place]
            }
            None => {
                self.places.insert(head.task_id, self.changes.len());
                self.changes.push(change);
                &self.changes[self.changes.len() - 1]
            }
        };
        let data = TaskData {
            agent_id: outcome.concerns,
            status: change.next.state.as_str(),
            attempt: change.next.attempt,
            retry_count: change.next.retry_count,
            execution_time_seconds: execution_seconds(change.next.started_at, change.next.completed_at),
            result_data: change.result.flatten(),
            error_message: change.error_message(),
            ..TaskData::of(head)
        };
        self.events.extend(outcome.events.iter().map(|event| data.event(event.as_str())));
        self.record(head, outcome);
    }

    fn count(&mut self, outcome: &Outcome<&str>) {
        for event in &outcome.events {
            match event {
                Event::Retry => self.after.retries += 1,
                Event::TimedOut => self.after.timeouts += 1,
                Event::Assigned | Event::Started | Event::Completed | Event::Failed | Event::Cancelled => {}
            }
        }
        match outcome.task.state {
            State::Completed => {
                self.after.completed.extend(outcome.task.execution_time().and_then(|time| time.to_std().ok()));
            }
            State::Failed => self.after.failed += 1,
            State::TimedOut => self.after.timed_out += 1,
            State::Cancelled => self.after.cancelled += 1,
            State::Pending | State::Assigned | State::Running => {}
        }
    }

    fn record(&mut self, head: &'a Head, outcome: &Outcome<&'a str>) {
        for (worker, load) in [(outcome.loaded, 1), (outcome.unloaded, -1)] {
            let Some(held) = worker.and_then(|worker| self.workers.get_mut(worker)) else { continue };
            held.load += load;
            held.is_touched = true;
        }
        if let (Some(attempt), Some(worker)) = (&outcome.trust, outcome.concerns) {
            self.judge(head, worker, attempt);
        }
        let failed = outcome.failed_worker().filter(|_| outcome.task.state == State::Pending);
        if let Some(worker) = failed {
            self.refusals.push((head.task_id, worker, None, true));
        }
        if let (Some(until), Some(worker)) = (outcome.excluded_until, outcome.concerns) {
            self.refusals.push((head.task_id, worker, Some(until), false));
        }
        match (outcome.task.state, outcome.task.next_retry_at) {
            (State::Pending, Some(at)) => self.after.retry_at = self.after.retry_at.into_iter().chain([at]).min(),
            (State::Pending, None) => {
                *self.after.news.entry(head.capability_required.clone()).or_default() += 1;
            }
            _ => {}
        }
        match outcome.dependents {
            Some(Dependents::Unblock) => self.completed.push(head.task_id),
            Some(Dependents::Fail) => self.broken.push(head.task_id),
            None => {}
        }
    }

    fn judge(&mut self, head: &Head, worker: &str, attempt: &Attempt) {
        let Some(held) = self.workers.get_mut(worker) else { return };
        let (standing, change) = held.standing.after(attempt);
        held.standing = standing;
        held.is_touched = true;
        if matches!(attempt, Attempt::Completed { .. }) {
            held.last_completed_at = Some(self.now);
        }
        self.records.push(trust::New {
            agent_id: worker.to_owned(),
            event_type: attempt.event_type(),
            task_id: Some(head.task_id),
            change,
            reason: attempt.reason(),
            at: self.now,
        });
    }

    /// Writes everything. To be called once, as the last thing that touches these tasks.
    ///
    /// # Errors
    /// Those of the database; [`QueryError::RollbackTransaction`] when a row was no more as it had been read.
    pub(crate) fn write(mut self, conn: &mut Conn, actor: Option<&str>) -> QueryResult<After> {
        if !self.changes.is_empty() {
            if tasks::write(conn, &self.changes, self.now)? != self.changes.len() {
                return Err(QueryError::RollbackTransaction);
            }
            pushes::forget(conn, &self.told())?;
        }
        self.write_workers(conn)?;
        trust::insert(conn, &self.records)?;
        waiting::remember_refusals(conn, &self.refusals)?;
        if !self.completed.is_empty() {
            for capability in dependencies::unblock(conn, &self.completed)? {
                *self.after.news.entry(capability).or_default() += 1;
            }
        }
        if !self.broken.is_empty() {
            let broken = cascade::fail_dependents(conn, &self.broken, self.now)?;
            self.after.failed_early += broken.failed;
            self.events.extend(broken.events);
        }
        outbox::push_all(conn, actor, &self.events)?;
        Ok(self.after)
    }

    /// Tasks that were offered to a worker and are so no more.
    fn told(&self) -> Vec<Uuid> {
        let was_offered = |change: &&Change<'_>| change.was.state == "ASSIGNED" && change.was.taken == "no";
        let is_offered = |change: &&Change<'_>| change.next.state == State::Assigned && change.next.taken == Taken::No;
        self.changes
            .iter()
            .filter(was_offered)
            .filter(|change| !is_offered(change))
            .map(|change| change.was.task_id)
            .collect()
    }

    fn write_workers(&mut self, conn: &mut Conn) -> QueryResult<()> {
        let touched = std::mem::take(&mut self.workers).into_iter().filter(|(_, held)| held.is_touched);
        let mut effects = Vec::new();
        for (agent_id, held) in touched {
            if held.load < 0 {
                for tag in held.tags {
                    self.after.news.entry(tag).or_default();
                }
            }
            effects.push(workers::Effect {
                agent_id,
                load: held.load,
                standing: held.standing,
                last_completed_at: held.last_completed_at,
                seen: held.seen,
            });
        }
        workers::apply(conn, &effects, self.now)
    }
}
