//! Stored rows as they are shown.

use api_types::{
    ains::id_of,
    tasks::{TASK, Task},
    workers::{Trust, TrustRecord, Worker},
};
use chrono::{DateTime, Utc};

use crate::{
    domain::trust::{Delta, Score, trend},
    store::{
        events::execution_seconds,
        tasks::{Head, Row},
        trust, workers,
    },
};

/// Of chains, schedules, templates and trust records.
pub(crate) const CHAIN: &str = "chain";
pub(crate) const SCHEDULE: &str = "sched";
pub(crate) const TEMPLATE: &str = "tmpl";
const RECORD: &str = "rec";

pub(crate) fn task(row: Row) -> Task {
    let Row { head, metadata, input_data, result_data } = row;
    let execution_time_seconds = execution_seconds(head.started_at, head.completed_at);
    let Head { depends_on, .. } = &head;
    Task {
        task_id: id_of(TASK, head.task_id),
        depends_on: depends_on.iter().map(|id| id_of(TASK, *id)).collect(),
        is_blocked: head.blocked_by > 0,
        chain_id: head.chain_id.map(|id| id_of(CHAIN, id)),
        template_id: head.template_id.map(|id| id_of(TEMPLATE, id)),
        schedule_id: head.schedule_id.map(|id| id_of(SCHEDULE, id)),
        execution_time_seconds,
        client_id: head.client_id,
        task_type: head.task_type,
        capability_required: head.capability_required,
        status: head.state,
        priority: head.priority,
        routing_strategy: head.routing_strategy,
        assigned_agent_id: head.assigned_agent_id,
        input_data: input_data.0,
        result_data: result_data.map(|json| json.0),
        error_message: head.error_message,
        progress: head.progress,
        timeout_seconds: head.timeout_seconds,
        max_retries: head.max_retries,
        retry_count: head.retry_count,
        retry_policy: head.retry_policy,
        attempt: head.attempt,
        next_retry_at: head.next_retry_at,
        lease_expires_at: head.lease_expires_at,
        client_ref: head.client_ref,
        metadata: metadata.0,
        created_at: head.created_at,
        assigned_at: head.assigned_at,
        started_at: head.started_at,
        completed_at: head.completed_at,
        cancelled_at: head.cancelled_at,
        cancellation_reason: head.cancellation_reason,
        updated_at: head.updated_at,
    }
}

pub(crate) fn worker(row: workers::Row, now: DateTime<Utc>) -> Worker {
    let standing = row.standing();
    Worker {
        status: row.status(),
        health: row.health(now),
        trust_score: standing.score.decimal(),
        success_rate: standing.success_rate(),
        total_tasks_completed: row.total_completed,
        total_tasks_failed: row.total_failed,
        avg_completion_time_seconds: row.avg_seconds.map(thousandths),
        agent_id: row.agent_id,
        display_name: row.display_name,
        endpoint: row.endpoint,
        tags: row.tags,
        current_load: row.current_load,
        max_concurrent_tasks: row.max_concurrent_tasks,
        metadata: row.metadata.0,
        delivery: row.delivery,
        source: row.source,
        signature_verified: row.signature_verified,
        created_at: row.created_at,
        last_seen_at: row.last_seen_at,
        last_heartbeat_at: row.last_heartbeat_at,
        inactive_reason: row.inactive_reason,
    }
}

pub(crate) fn trust(row: &workers::Row, recent: Vec<Delta>) -> Trust {
    let standing = row.standing();
    Trust {
        agent_id: row.agent_id.clone(),
        trust_score: standing.score.decimal(),
        trust_level: standing.score.level(),
        total_tasks_completed: row.total_completed,
        total_tasks_failed: row.total_failed,
        success_rate: standing.success_rate(),
        avg_completion_time_seconds: row.avg_seconds.map(thousandths),
        reliability_rating: standing.rating(),
        last_task_completed_at: row.last_completed_at,
        trust_trend: trend(recent),
    }
}

pub(crate) fn record(row: trust::Row) -> TrustRecord {
    TrustRecord {
        record_id: id_of(RECORD, row.record_id),
        event_type: row.event_type,
        task_id: row.task_id.map(|id| id_of(TASK, id)),
        trust_delta: Delta::new(row.delta).decimal(),
        trust_score_before: Score::new(row.trust_before).decimal(),
        trust_score_after: Score::new(row.trust_after).decimal(),
        reason: row.reason,
        created_at: row.created_at,
    }
}

/// Seconds, as precisely as they were measured.
pub(crate) fn thousandths(seconds: f64) -> f64 {
    (seconds * 1_000.0).round() / 1_000.0
}
