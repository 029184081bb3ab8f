//! What is told of tasks and workers, in the transaction of the change.

use api_core::outbox::{self, NewEvent};
use api_types::{ains::id_of, tasks::TASK};
use chrono::{DateTime, Utc};
use diesel::QueryResult;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Conn, tasks::Head, workers};

/// A task, as its events tell of it (AINS contract, section 7.2).
#[derive(Debug, Clone)]
pub(crate) struct TaskData<'a> {
    pub(crate) task_id: Uuid,
    pub(crate) client_id: &'a str,
    pub(crate) task_type: &'a str,
    /// The worker concerned.
    pub(crate) agent_id: Option<&'a str>,
    pub(crate) status: &'a str,
    pub(crate) priority: i32,
    pub(crate) attempt: i32,
    pub(crate) retry_count: i32,
    pub(crate) chain_id: Option<Uuid>,
    pub(crate) execution_time_seconds: Option<f64>,
    /// JSON
    pub(crate) result_data: Option<&'a str>,
    pub(crate) error_message: Option<&'a str>,
}

impl<'a> TaskData<'a> {
    /// Of a task as it was read.
    pub(crate) fn of(head: &'a Head) -> Self {
        Self {
            task_id: head.task_id,
            client_id: &head.client_id,
            task_type: &head.task_type,
            agent_id: head.assigned_agent_id.as_deref(),
            status: &head.state,
            priority: head.priority,
            attempt: head.attempt,
            retry_count: head.retry_count,
            chain_id: head.chain_id,
            execution_time_seconds: execution_seconds(head.started_at, head.completed_at),
            result_data: None,
            error_message: head.error_message.as_deref(),
        }
    }

    pub(crate) fn event(&self, kind: &'static str) -> NewEvent {
        let task_id = id_of(TASK, self.task_id);
        let result: Value = self.result_data.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        let payload = json!({
            "task_id": task_id,
            "client_id": self.client_id,
            "task_type": self.task_type,
            "agent_id": self.agent_id,
            "status": self.status,
            "priority": self.priority,
            "attempt": self.attempt,
            "retry_count": self.retry_count,
            "chain_id": self.chain_id.map(|id| id_of("chain", id)),
            "execution_time_seconds": self.execution_time_seconds,
            "result_data": result,
            "error_message": self.error_message,
        });
        NewEvent { kind, aggregate: format!("task:{task_id}"), payload }
    }
}

/// Between start and end, in seconds with three decimals.
#[expect(clippy::cast_precision_loss, reason = "milliseconds of a task are far below 2^53")]
pub(crate) fn execution_seconds(start: Option<DateTime<Utc>>, end: Option<DateTime<Utc>>) -> Option<f64> {
    Some((end? - start?).num_milliseconds().max(0) as f64 / 1_000.0)
}

/// Of a worker; `kind` is `agent.registered`, `agent.updated` or `agent.deactivated`.
pub(crate) fn worker(conn: &mut Conn, kind: &'static str, row: &workers::Row, actor: Option<&str>) -> QueryResult<()> {
    let payload = json!({
        "agent_id": row.agent_id,
        "client_id": row.client_id,
        "display_name": row.display_name,
        "status": row.status(),
        "tags": row.tags,
        "trust_score": row.standing().score.decimal(),
    });
    outbox::push(conn, kind, &format!("agent:{}", row.agent_id), actor, payload)
}
