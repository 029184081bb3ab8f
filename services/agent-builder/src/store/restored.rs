//! Agents that come back from a backup.

use api_types::agents::{AgentStatus, Build, BuildStage, BuildStatus};
use chrono::{DateTime, Utc};
use diesel::{AsChangeset, ExpressionMethods as _, PgConnection, QueryDsl as _, QueryResult, RunQueryDsl as _};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    agents, builds, knowledge,
    schema::{agents as table, builds as build_table},
    skills, to_json,
};
use crate::{
    backup::Given,
    domain::{
        More,
        builds::JOB,
        events::{self, Counts},
        merge::Known,
        role_model::RoleModel,
        tags::{CONFIDENCE_MIN, tags},
    },
};

/// Who acts when nobody is asked for.
const ACTOR: &str = "restore";

/// What an agent gets of what is given; what is `None` stays.
#[derive(AsChangeset)]
#[diesel(table_name = table)]
struct Columns {
    role_model: Option<Value>,
    status: Option<&'static str>,
    mode: Option<String>,
    metadata: Option<Value>,
    deepening_cycles: Option<i32>,
    occupation_match: Option<Option<Value>>,
    sources: Option<Value>,
    capabilities: Option<Vec<String>>,
    rendered_skills: Option<String>,
    rendered_knowledge: Option<String>,
    build_id: Option<Uuid>,
    created_by: Option<String>,
    created_at: Option<DateTime<Utc>>,
    updated_at: Option<DateTime<Utc>>,
    completed_at: Option<DateTime<Utc>>,
}

/// Stores an agent, over the one of that id if there is one; `false` when it is new and has no role model. A build of it that is
/// running is cancelled.
pub(crate) fn upsert(conn: &mut PgConnection, given: Given) -> QueryResult<bool> {
    // First, since a build that is being stored begins with its job, too.
    work_queue::cancel(conn, JOB, &given.agent_id)?;
    let head = agents::lock(conn, &given.agent_id, None)?;
    let is_new = head.is_none();
    let was_completed = head.as_ref().is_some_and(|head| head.completed_at.is_some());
    let (role_model, stored_status) = match (&given.role_model, head) {
        (None, None) => return Ok(false),
        (Some(role_model), None) => (role_model.clone(), None),
        (role_model, Some(head)) => {
            builds::cancel(conn, head.build_id)?;
            (role_model.clone().unwrap_or(head.role_model), Some(head.status))
        }
    };
    let status = match given.status.or(stored_status) {
        Some(AgentStatus::Pending) => AgentStatus::Failed,
        Some(status) => status,
        None => AgentStatus::Completed,
    };
    if is_new {
        insert(conn, &given, &role_model, status)?;
    }
    let (agent_id, counts) = (given.agent_id.clone(), counts(&given));
    let mut columns = columns(conn, given, &role_model, status)?;
    if status == AgentStatus::Completed && !was_completed {
        columns.completed_at.get_or_insert_with(Utc::now);
    }
    diesel::update(table::table.find(&agent_id)).set(columns).execute(conn)?;
    if is_new && status == AgentStatus::Completed {
        events::ready(conn, &agent_id, ACTOR, counts, chrono::TimeDelta::zero())?;
    } else {
        events::rebuilt(conn, &agent_id, ACTOR, counts)?;
    }
    Ok(true)
}

fn counts(given: &Given) -> Counts {
    let length = |length: Option<usize>| length.unwrap_or_default();
    Counts {
        skills: length(given.skills.as_ref().map(Vec::len)),
        knowledge: length(given.items.as_ref().map(Vec::len)),
        capabilities: length(given.capabilities.as_ref().map(Vec::len)),
    }
}

/// A row to be filled, with a build of its own if none is given.
fn insert(conn: &mut PgConnection, given: &Given, role_model: &RoleModel, status: AgentStatus) -> QueryResult<()> {
    let build = given.build.clone().unwrap_or_else(|| no_build(status));
    store_build(conn, &given.agent_id, &build)?;
    diesel::insert_into(table::table)
        .values((
            table::agent_id.eq(&given.agent_id),
            table::role_model.eq(Value::Object(role_model.0.clone())),
            table::status.eq(status.as_str()),
            table::mode.eq("balanced"),
            table::metadata.eq(json!({})),
            table::deepening_cycles.eq(0),
            table::build_id.eq(build.build_id),
            table::created_by.eq(ACTOR),
        ))
        .execute(conn)
        .map(drop)
}

fn no_build(status: AgentStatus) -> Build {
    let is_completed = status == AgentStatus::Completed;
    Build {
        build_id: Uuid::now_v7(),
        status: if is_completed { BuildStatus::Completed } else { BuildStatus::Cancelled },
        stage: if is_completed { BuildStage::Done } else { BuildStage::Match },
        progress: if is_completed { BuildStage::Done.progress() } else { 0 },
        attempts: 0,
        started_at: None,
        finished_at: None,
        error: None,
    }
}

fn store_build(conn: &mut PgConnection, agent_id: &str, build: &Build) -> QueryResult<()> {
    let error = build.error.as_ref();
    let more = error.map(|_| to_json(&More { status: 500, ..More::default() })).transpose()?;
    diesel::insert_into(build_table::table)
        .values((
            build_table::build_id.eq(build.build_id),
            build_table::agent_id.eq(agent_id),
            build_table::creates.eq(false),
            build_table::status.eq(build.status.as_str()),
            build_table::stage.eq(build.stage.as_str()),
            build_table::progress.eq(build.progress),
            build_table::attempts.eq(build.attempts),
            build_table::error_code.eq(error.map(|error| error.code.as_str())),
            build_table::error_message.eq(error.map(|error| error.message.as_str())),
            build_table::error_more.eq(more),
            build_table::started_at.eq(build.started_at),
            build_table::finished_at.eq(build.finished_at),
        ))
        // It is here still: the agent was changed since, or is restored again.
        .on_conflict_do_nothing()
        .execute(conn)
        .map(drop)
}

fn columns(conn: &mut PgConnection, given: Given, role_model: &RoleModel, status: AgentStatus) -> QueryResult<Columns> {
    let id = &given.agent_id;
    let rendered_skills = given.skills.map(|skills| skills::replace(conn, id, skills)).transpose()?;
    let rendered_knowledge = given.items.map(|items| {
        // The file does not say who wrote an item; those of clients say so by default.
        let known = |item: api_types::knowledge::KnowledgeItem| Known { is_written: item.source == "User", item };
        knowledge::replace(conn, id, items.into_iter().map(known).collect())
    });
    let rendered_knowledge = rendered_knowledge.transpose()?;
    let capabilities = match given.capabilities {
        None if status == AgentStatus::Completed => {
            let names = skills::names(conn, id, CONFIDENCE_MIN)?;
            Some(tags(id, role_model, names.iter().map(String::as_str)))
        }
        capabilities => capabilities,
    };
    let build_id = given.build.as_ref().map(|build| build.build_id);
    if let Some(build) = &given.build {
        store_build(conn, id, build)?;
    }
    Ok(Columns {
        role_model: given.role_model.map(|role_model| Value::Object(role_model.0)),
        status: Some(status.as_str()),
        mode: given.mode,
        metadata: given.metadata,
        deepening_cycles: given.deepening_cycles,
        occupation_match: given.occupation_match.map(|value| (!value.is_null()).then_some(value)),
        sources: given.sources,
        capabilities,
        rendered_skills,
        rendered_knowledge,
        build_id,
        created_by: given.created_by,
        created_at: given.created_at,
        updated_at: given.updated_at.or_else(|| Some(Utc::now())),
        completed_at: given.completed_at,
    })
}
