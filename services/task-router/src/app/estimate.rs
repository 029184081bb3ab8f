//! When a new task will probably start.

use chrono::{DateTime, Utc};
use diesel::QueryResult;

use super::{App, now};
use crate::{
    domain::estimate::{self, Queue, Unfinished},
    error::Error,
    store::{
        Conn,
        tasks::{self, NewRow},
        waiting,
    },
};

/// How many tasks are counted that stand before a new one. Beyond that the estimate is an estimate of an estimate.
const COUNTED: i64 = 1_000;

/// The `estimated_start_time` of a task that was just stored.
///
/// # Errors
/// Those of the database.
pub(crate) async fn start(app: &App, row: &NewRow, capability: &str) -> Result<DateTime<Utc>, Error> {
    let (row, capability, now) = (row.clone(), capability.to_owned(), now());
    let estimate = app.db.run::<_, Error>(move |conn| Ok(estimated(conn, &row, &capability, now)?));
    estimate.await
}

fn estimated(conn: &mut Conn, row: &NewRow, capability: &str, now: DateTime<Utc>) -> QueryResult<DateTime<Utc>> {
    let parents = if row.blocked_by > 0 { tasks::heads(conn, &row.depends_on)? } else { Vec::new() };
    let crowd = waiting::crowd(conn, capability, row.priority, (now, COUNTED))?;
    // Nobody asks how long a task takes that starts at once.
    let mut types: Vec<&str> = parents.iter().map(|parent| parent.task_type.as_str()).collect();
    if !crowd.is_free {
        types.push(&row.task_type);
    }
    let means = if types.is_empty() { Vec::new() } else { waiting::durations(conn, &types)? };
    let mean = |name: &str| means.iter().find(|(task_type, _)| task_type == name).map(|(_, seconds)| *seconds);
    let unfinished = parents.iter().filter(|parent| !parent.task().state.is_end()).map(|parent| Unfinished {
        expected: estimate::expected(mean(&parent.task_type)),
        started_at: parent.started_at,
    });
    let queue = Queue { has_free_worker: crowd.is_free, waiting: crowd.ahead, capacity: crowd.capacity };
    Ok(estimate::start(now, unfinished, queue, estimate::expected(mean(&row.task_type))))
}
