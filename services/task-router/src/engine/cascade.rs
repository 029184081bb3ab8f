//! What the end of a task does to others.

use std::collections::HashSet;

use api_core::outbox::NewEvent;
use api_types::{ains::id_of, tasks::TASK};
use chrono::{DateTime, Utc};
use diesel::{QueryResult, result::Error as QueryError};
use uuid::Uuid;

use crate::{
    domain::state::{Command, ErrorMessage, Leases, step},
    store::{
        Conn, dependencies,
        events::TaskData,
        tasks::{self, Change},
    },
};

/// Tasks that failed because of others.
#[derive(Debug, Default)]
pub(super) struct Broken {
    /// How many.
    pub(super) failed: u64,
    pub(super) events: Vec<NewEvent>,
}

/// Fails every pending task that depends on one of these, and those that depend on those.
pub(super) fn fail_dependents(conn: &mut Conn, of: &[Uuid], now: DateTime<Utc>) -> QueryResult<Broken> {
    let mut broken = Broken::default();
    let mut gone: HashSet<Uuid> = of.iter().copied().collect();
    let mut fresh = of.to_vec();
    loop {
        let children = dependencies::lock_children(conn, &fresh)?;
        if children.is_empty() {
            return Ok(broken);
        }
        let mut changes = Vec::new();
        for child in &children {
            let Some(cause) = child.depends_on.iter().find(|id| gone.contains(id)) else { continue };
            let cause = id_of(TASK, *cause);
            let command = Command::DependencyFailed { id: &cause };
            let Ok(Some(outcome)) = step(&child.task(), command, now, &Leases::default()) else { continue };
            let error = match outcome.error_message {
                ErrorMessage::Keep => None,
                ErrorMessage::Becomes(error) => Some(error),
            };
            let change = Change { was: child, next: outcome.task, error, result: None, cancellation_reason: None };
            let data = TaskData {
                agent_id: None,
                status: change.next.state.as_str(),
                error_message: change.error_message(),
                ..TaskData::of(child)
            };
            broken.events.extend(outcome.events.iter().map(|event| data.event(event.as_str())));
            changes.push(change);
        }
        if tasks::write(conn, &changes, now)? != changes.len() {
            return Err(QueryError::RollbackTransaction);
        }
        fresh = changes.iter().map(|change| change.was.task_id).collect();
        gone.extend(&fresh);
        broken.failed += u64::try_from(changes.len()).unwrap_or_default();
        if fresh.is_empty() {
            return Ok(broken);
        }
    }
}
