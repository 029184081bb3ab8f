//! Assignments told to their workers' endpoints (AINS contract, section 5.2).

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use api_types::{ains::id_of, tasks::TASK, time};
use chrono::{DateTime, TimeDelta, Utc};
use egress::{Request, Response};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Serialize;
use serde_json::{Value, value::RawValue};
use sha2::Sha256;
use tokio::task::JoinSet;

use super::{
    App, now,
    report::{Said, Status, judge},
    view::CHAIN,
};
use crate::{
    domain::state::{Command, Taken, step},
    engine::{After, Batch, With, transact},
    error::Error,
    metrics,
    store::{
        pushes::{self, Push},
        tasks::{self, Row},
        workers,
    },
};

/// Pushes under way at a time, in all and to one worker.
const AT_A_TIME: usize = 64;
const TO_ONE: usize = 8;
/// A push without an outcome is sent again after this: a little longer than it can take.
const AGAIN: TimeDelta = TimeDelta::seconds(15);
/// How often pushes are looked for that nobody told of.
const LOOK: Duration = Duration::from_secs(1);
/// How recently a worker has come for tasks that will come again.
const COMES: TimeDelta = TimeDelta::seconds(60);
/// How long a worker counts as unreachable.
const AWAY: TimeDelta = TimeDelta::seconds(60);
/// The largest result that a task can have.
const RESULT_BYTES_MAX: usize = 1 << 20;
const ERROR_CHARS_MAX: usize = 10_000;

/// Sends pushes until told to stop. What is under way then is let go: it is sent again by whoever goes on.
pub(crate) async fn run(app: Arc<App>) {
    let mut running: JoinSet<String> = JoinSet::new();
    let mut busy: HashMap<String, usize> = HashMap::new();
    loop {
        let room = AT_A_TIME.saturating_sub(running.len());
        let taken = if room > 0 { take(&app, room, &busy).await } else { Vec::new() };
        let is_full = taken.len() == room;
        for push in taken {
            *busy.entry(push.agent_id.clone()).or_default() += 1;
            let app = Arc::clone(&app);
            running.spawn(async move {
                let agent_id = push.agent_id.clone();
                if let Err(error) = deliver(&app, push).await {
                    tracing::warn!(error = format!("{:#}", anyhow::Error::from(error)), "a push is sent again later");
                }
                agent_id
            });
        }
        tokio::select! {
            () = app.stopping.cancelled() => return,
            Some(done) = running.join_next(), if !running.is_empty() => {
                if let Ok(agent_id) = done {
                    leave(&mut busy, &agent_id);
                }
            }
            () = app.hub.pushing.notified(), if !is_full => {}
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

fn leave(busy: &mut HashMap<String, usize>, agent_id: &str) {
    if let Some(count) = busy.get_mut(agent_id) {
        *count -= 1;
        if *count == 0 {
            busy.remove(agent_id);
        }
    }
}

async fn take(app: &App, room: usize, busy: &HashMap<String, usize>) -> Vec<Push> {
    let busy: Vec<String> = busy.iter().filter(|(_, count)| **count >= TO_ONE).map(|(id, _)| id.clone()).collect();
    let limit = i32::try_from(room).unwrap_or(i32::MAX);
    let now = now();
    let taken = app.db.run::<_, Error>(move |conn| Ok(pushes::take(conn, (now, now + AGAIN), limit, &busy)?));
    taken.await.unwrap_or_else(|error| {
        tracing::debug!(error = format!("{error:#}"), "pushes wait a while longer");
        Vec::new()
    })
}

/// What is told of a task.
#[derive(Serialize)]
struct Message<'a> {
    task_id: String,
    task_type: &'a str,
    capability_required: &'a str,
    input_data: &'a RawValue,
    priority: i32,
    timeout_seconds: i32,
    attempt: i32,
    retry_count: i32,
    max_retries: i32,
    client_id: &'a str,
    chain_id: Option<String>,
    metadata: &'a RawValue,
    #[serde(with = "time")]
    created_at: DateTime<Utc>,
    #[serde(with = "time::option")]
    assigned_at: Option<DateTime<Utc>>,
    #[serde(with = "time::option")]
    lease_expires_at: Option<DateTime<Utc>>,
}

impl<'a> Message<'a> {
    fn of(row: &'a Row) -> Self {
        let head = &row.head;
        Self {
            task_id: id_of(TASK, head.task_id),
            task_type: &head.task_type,
            capability_required: &head.capability_required,
            input_data: &row.input_data.0,
            priority: head.priority,
            timeout_seconds: head.timeout_seconds,
            attempt: head.attempt,
            retry_count: head.retry_count,
            max_retries: head.max_retries,
            client_id: &head.client_id,
            chain_id: head.chain_id.map(|id| id_of(CHAIN, id)),
            metadata: &row.metadata.0,
            created_at: head.created_at,
            assigned_at: head.assigned_at,
            lease_expires_at: head.lease_expires_at,
        }
    }
}

/// What a worker answered.
#[derive(Debug, Clone)]
enum Answer {
    Accepted,
    Ended(Said),
    Refused {
        retry_after: Option<TimeDelta>,
        outcome: &'static str,
    },
    /// No connection, or no answer.
    None,
}

impl Answer {
    fn of(answer: Result<Response, egress::Error>) -> Self {
        let response = match answer {
            Ok(response) => response,
            Err(egress::Error::TooLarge { .. } | egress::Error::InvalidResponse) => {
                return Self::Refused { retry_after: None, outcome: "refused" };
            }
            Err(_no_answer) => return Self::None,
        };
        if !response.status.is_success() {
            let asked = response.retry_after_s().and_then(|seconds| i64::try_from(seconds).ok());
            return Self::Refused {
                retry_after: asked.map(|seconds| TimeDelta::seconds(seconds.min(3_600))),
                outcome: "refused",
            };
        }
        let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        match body.get("status").and_then(Value::as_str) {
            Some("completed") => Self::Ended(completed(&body)),
            Some("failed") => Self::Ended(Said {
                status: Status::Failed,
                error: body.get("error_message").and_then(Value::as_str).map(shortened),
                retryable: body.get("retryable").and_then(Value::as_bool),
                ..Said::default()
            }),
            Some("rejected") => Self::Refused { retry_after: None, outcome: "rejected" },
            _ => Self::Accepted,
        }
    }

    /// As it is counted.
    fn outcome(&self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Ended(said) if said.status == Status::Completed => "completed",
            Self::Ended(_) => "failed",
            Self::Refused { outcome, .. } => outcome,
            Self::None => "unreachable",
        }
    }
}

fn completed(body: &Value) -> Said {
    let result = body.get("result_data").filter(|value| !value.is_null()).map(Value::to_string);
    if result.as_ref().is_some_and(|text| text.len() > RESULT_BYTES_MAX || text.contains("\\u0000")) {
        let error = Some("result_data has more than 1048576 bytes, or holds U+0000".to_owned());
        return Said { status: Status::Failed, error, ..Said::default() };
    }
    Said { status: Status::Completed, result, ..Said::default() }
}

fn shortened(text: &str) -> String {
    text.chars().filter(|c| *c != '\0').take(ERROR_CHARS_MAX).collect()
}

async fn deliver(app: &Arc<App>, push: Push) -> Result<(), Error> {
    let Some((row, worker)) = still(app, &push).await? else { return Ok(()) };
    let answer = Answer::of(send(app, &row, &worker).await?);
    metrics::PUSHES.inc(&[answer.outcome()]);
    let after = record(app, push, answer).await?;
    app.after(&after);
    Ok(())
}

/// The task and its worker, if it is still to be told; else the push is forgotten.
async fn still(app: &App, push: &Push) -> Result<Option<(Row, workers::Row)>, Error> {
    let push = push.clone();
    let read = app.db.run::<_, Error>(move |conn| {
        let row = tasks::rows(conn, &[push.task_id])?.into_iter().next();
        let row = row.filter(|row| {
            let task = row.head.task();
            (task.attempt, task.worker, task.taken) == (push.attempt, Some(push.agent_id.as_str()), Taken::No)
                && task.state == crate::domain::state::State::Assigned
        });
        let worker = workers::find(conn, &push.agent_id)?;
        let found = row.zip(worker);
        if found.is_none() {
            pushes::delete(conn, push.task_id, push.attempt)?;
        }
        Ok(found)
    });
    read.await
}

async fn send(app: &App, row: &Row, worker: &workers::Row) -> Result<Result<Response, egress::Error>, Error> {
    let secret = app.seal.open(&worker.agent_id, &worker.delivery_secret)?;
    let message = Message::of(row);
    let Ok(body) = serde_json::to_string(&message) else { return Ok(Err(egress::Error::InvalidRequest)) };
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs().to_string();
    let signature = signature(&secret, &seconds, &body);
    let request = Request::post(&worker.endpoint)
        .header("x-ains-task-id", message.task_id.clone())
        .header("x-ains-attempt", message.attempt.to_string())
        .header("x-ains-timestamp", seconds)
        .header("x-ains-signature", signature)
        .body("application/json", body);
    Ok(app.config.egress.send(request).await)
}

/// Hex HMAC-SHA256 of the time, a dot, and the body.
fn signature(secret: &str, seconds: &str, body: &str) -> String {
    // Any length is a good length for this key.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return String::new() };
    mac.update(seconds.as_bytes());
    mac.update(b".");
    mac.update(body.as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

/// What the answer means for the task and its worker.
async fn record(app: &App, push: Push, answer: Answer) -> Result<After, Error> {
    let leases = app.config.leases;
    transact(&app.db, move |conn| {
        let now = now();
        let Some(worker) = workers::lock(conn, &push.agent_id)? else { return Ok(After::default()) };
        let heads = tasks::lock(conn, &[push.task_id])?;
        pushes::delete(conn, push.task_id, push.attempt)?;
        if matches!(answer, Answer::None) {
            workers::push_failed(conn, &push.agent_id, now, AWAY)?;
        } else {
            workers::answered(conn, &push.agent_id)?;
        }
        let Some(head) = heads.first() else { return Ok(After::default()) };
        let attempt = push.attempt;
        let command = match &answer {
            Answer::Ended(said) => {
                let said = Said { attempt: Some(attempt), ..said.clone() };
                // It may have reported, or lost the task, before its answer came.
                return match judge(conn, (&worker, head), &said, &leases, None) {
                    Err(Error::Conflict { .. } | Error::Forbidden(_)) => Ok(After::default()),
                    other => other,
                };
            }
            Answer::Accepted => Command::AcceptPush { attempt },
            Answer::Refused { retry_after, .. } => Command::RefusePush { attempt, retry_after: *retry_after },
            Answer::None if comes(&worker, now) => return Ok(After::default()),
            Answer::None => Command::RefusePush { attempt, retry_after: None },
        };
        let mut batch = Batch::new(std::slice::from_ref(&worker), now);
        if matches!(answer, Answer::Accepted) {
            batch.saw(&worker.agent_id);
        }
        if let Ok(Some(outcome)) = step(&head.task(), command, now, &leases) {
            batch.apply(head, &outcome, With::default());
        }
        Ok::<_, Error>(batch.write(conn, None)?)
    })
    .await
}

/// Whether a worker that cannot be reached will come for the task by itself.
fn comes(worker: &workers::Row, now: DateTime<Utc>) -> bool {
    worker.delivery == "auto" && worker.last_polled_at.is_some_and(|at| at > now - COMES)
}

#[cfg(test)]
mod tests {
    use super::signature;

    #[test]
    fn a_push_is_signed_over_its_time_and_its_body() {
        // As any other implementation computes it: HMAC-SHA256("key", "1.{}").
        let expected = "1ba6b8171186efc613e8bcc0cbdab2748f24984d7c5a84faa2637afa0e40d224";
        assert_eq!(signature("key", "1", "{}"), expected);
    }
}
