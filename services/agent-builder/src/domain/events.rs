//! What others are told of an agent, in the transaction of the change. Ids, names, counts, durations and codes, no texts.

use api_core::outbox;
use api_types::error::Code;
use chrono::TimeDelta;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::store::{Conn, QueryError};

fn push(conn: &mut Conn, kind: &str, agent_id: &str, actor: &str, payload: Value) -> Result<(), QueryError> {
    outbox::push(conn, kind, &format!("agent:{agent_id}"), Some(actor), payload)
}

pub(crate) fn created(conn: &mut Conn, agent_id: &str, actor: &str, build_id: Uuid) -> Result<(), QueryError> {
    push(conn, "agent.created", agent_id, actor, json!({"agent_id": agent_id, "build_id": build_id}))
}

/// What a build has made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counts {
    pub(crate) skills: usize,
    pub(crate) knowledge: usize,
    pub(crate) capabilities: usize,
}

/// The agent was built for the first time, `took` after it was asked for.
pub(crate) fn ready(
    conn: &mut Conn,
    agent_id: &str,
    actor: &str,
    counts: Counts,
    took: TimeDelta,
) -> Result<(), QueryError> {
    let mut payload = payload_of(agent_id, counts);
    payload["duration_ms"] = took.num_milliseconds().into();
    push(conn, "agent.ready", agent_id, actor, payload)
}

/// The agent was built anew.
pub(crate) fn rebuilt(conn: &mut Conn, agent_id: &str, actor: &str, counts: Counts) -> Result<(), QueryError> {
    push(conn, "agent.updated", agent_id, actor, payload_of(agent_id, counts))
}

fn payload_of(agent_id: &str, counts: Counts) -> Value {
    let Counts { skills, knowledge, capabilities } = counts;
    json!({"agent_id": agent_id, "skills": skills, "knowledge": knowledge, "capabilities": capabilities})
}

/// `fields` are the names of what was changed.
pub(crate) fn updated(conn: &mut Conn, agent_id: &str, actor: &str, fields: &[&str]) -> Result<(), QueryError> {
    push(conn, "agent.updated", agent_id, actor, json!({"agent_id": agent_id, "fields": fields}))
}

/// The agent's first build failed; `is_stored` says whether it is still there.
pub(crate) fn failed(
    conn: &mut Conn,
    agent_id: &str,
    actor: &str,
    code: Code,
    is_stored: bool,
) -> Result<(), QueryError> {
    let payload = json!({"agent_id": agent_id, "error": code.as_str(), "stored": is_stored});
    push(conn, "agent.failed", agent_id, actor, payload)
}

pub(crate) fn deleted(conn: &mut Conn, agent_id: &str, actor: &str) -> Result<(), QueryError> {
    push(conn, "agent.deleted", agent_id, actor, json!({"agent_id": agent_id}))
}
