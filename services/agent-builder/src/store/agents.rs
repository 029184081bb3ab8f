//! The agents themselves.

use api_types::{
    agents::{AgentStatus, BuildStatus},
    knowledge::{DocumentInput, SourceName, SourceReport},
    skills::OccupationMatch,
};
use chrono::{DateTime, Utc};
use diesel::{
    AsChangeset, ExpressionMethods as _, OptionalExtension as _, PgConnection, QueryDsl as _, QueryResult,
    RunQueryDsl as _, dsl::sql, sql_types::Timestamptz,
};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{
    from_json, from_name,
    schema::{agents, builds},
    to_json,
};
use crate::domain::{builds::Inputs, role_model::RoleModel};

/// An agent to be stored as pending.
#[derive(Debug)]
pub(crate) struct New<'a> {
    pub(crate) agent_id: &'a str,
    pub(crate) role_model: &'a RoleModel,
    pub(crate) inputs: &'a Inputs,
    pub(crate) metadata: &'a Map<String, Value>,
    pub(crate) build_id: Uuid,
    pub(crate) created_by: &'a str,
}

/// What the rules need to know of an agent.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) role_model: RoleModel,
    pub(crate) status: AgentStatus,
    pub(crate) build_id: Uuid,
    pub(crate) build_status: Option<BuildStatus>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) completed_at: Option<DateTime<Utc>>,
}

impl Head {
    pub(crate) fn is_building(&self) -> bool {
        self.build_status.is_some_and(BuildStatus::is_open)
    }
}

/// Changes to an agent; what is `None` stays as it is.
#[derive(Debug, Default, AsChangeset)]
#[diesel(table_name = agents)]
pub(crate) struct Changes {
    pub(crate) role_model: Option<Value>,
    pub(crate) metadata: Option<Value>,
    pub(crate) deepening_cycles: Option<i32>,
    pub(crate) capabilities: Option<Vec<String>>,
    pub(crate) rendered_skills: Option<String>,
    pub(crate) rendered_knowledge: Option<String>,
}

/// What a build leaves on its agent.
#[derive(Debug)]
pub(crate) struct Built<'a> {
    pub(crate) inputs: &'a Inputs,
    pub(crate) occupation_match: Option<&'a OccupationMatch>,
    pub(crate) sources: &'a [SourceReport],
    pub(crate) capabilities: Vec<String>,
    pub(crate) rendered_skills: String,
    pub(crate) rendered_knowledge: String,
}

/// Stores a new agent; `false` when the id is taken. Waits for others that are storing the same id.
pub(crate) fn insert(conn: &mut PgConnection, new: &New<'_>) -> QueryResult<bool> {
    let inserted = diesel::insert_into(agents::table)
        .values((
            agents::agent_id.eq(new.agent_id),
            agents::role_model.eq(Value::Object(new.role_model.0.clone())),
            agents::status.eq(AgentStatus::Pending.as_str()),
            agents::mode.eq(&new.inputs.mode),
            agents::metadata.eq(Value::Object(new.metadata.clone())),
            agents::deepening_cycles.eq(new.inputs.deepening_cycles),
            agents::requested_sources.eq(names(new.inputs.sources.as_deref())),
            agents::documents.eq(to_json(&new.inputs.documents)?),
            agents::build_id.eq(new.build_id),
            agents::created_by.eq(new.created_by),
        ))
        .on_conflict_do_nothing()
        .execute(conn)?;
    Ok(inserted == 1)
}

/// An agent that may be seen, locked until the transaction ends. `own` restricts to what that principal made.
pub(crate) fn lock(conn: &mut PgConnection, agent_id: &str, own: Option<&str>) -> QueryResult<Option<Head>> {
    type Row = (Value, String, Uuid, String, DateTime<Utc>, Option<DateTime<Utc>>);
    let columns = (
        agents::role_model,
        agents::status,
        agents::build_id,
        agents::created_by,
        agents::created_at,
        agents::completed_at,
    );
    let row: Option<Row> = agents::table.find(agent_id).for_update().select(columns).first(conn).optional()?;
    let visible = row.filter(|row| own.is_none_or(|owner| owner == row.3));
    let Some((role_model, status, build_id, _, created_at, completed_at)) = visible else { return Ok(None) };
    // Asked for after the lock was had: a build that ended meanwhile has ended.
    let build_status = builds::table.find(build_id).select(builds::status).first::<String>(conn).optional()?;
    Ok(Some(Head {
        role_model: RoleModel(from_json(role_model)?),
        status: from_name(status)?,
        build_id,
        build_status: build_status.map(from_name).transpose()?,
        created_at,
        completed_at,
    }))
}

/// The role model, if the agent is still there and `build_id` is its build.
pub(crate) fn role_model(conn: &mut PgConnection, agent_id: &str, build_id: Uuid) -> QueryResult<Option<RoleModel>> {
    let found = agents::table.find(agent_id).filter(agents::build_id.eq(build_id)).select(agents::role_model);
    let found: Option<Value> = found.first(conn).optional()?;
    found.map(|value| Ok(RoleModel(from_json(value)?))).transpose()
}

/// What the agent's next build starts from.
pub(crate) fn inputs(conn: &mut PgConnection, agent_id: &str) -> QueryResult<Inputs> {
    type Row = (i32, String, Option<Vec<String>>, Value);
    let (deepening_cycles, mode, sources, documents): Row = agents::table
        .find(agent_id)
        .select((agents::deepening_cycles, agents::mode, agents::requested_sources, agents::documents))
        .first(conn)?;
    let sources = sources.map(|names| names.iter().filter_map(|name| SourceName::parse(name)).collect());
    Ok(Inputs { deepening_cycles, mode, sources, documents: from_json::<Vec<DocumentInput>>(documents)? })
}

pub(crate) fn change(conn: &mut PgConnection, agent_id: &str, changes: &Changes) -> QueryResult<()> {
    diesel::update(agents::table.find(agent_id)).set((changes, agents::updated_at.eq(later()))).execute(conn).map(drop)
}

/// Puts the inputs of the next build in the place of those stored.
pub(crate) fn set_inputs(conn: &mut PgConnection, agent_id: &str, inputs: &Inputs) -> QueryResult<()> {
    diesel::update(agents::table.find(agent_id))
        .set((
            agents::deepening_cycles.eq(inputs.deepening_cycles),
            agents::mode.eq(&inputs.mode),
            agents::requested_sources.eq(names(inputs.sources.as_deref())),
            agents::documents.eq(to_json(&inputs.documents)?),
        ))
        .execute(conn)
        .map(drop)
}

/// Makes `build_id` the agent's last build.
pub(crate) fn set_build(conn: &mut PgConnection, agent_id: &str, build_id: Uuid) -> QueryResult<()> {
    diesel::update(agents::table.find(agent_id)).set(agents::build_id.eq(build_id)).execute(conn).map(drop)
}

/// Stores what a build has made; the agent is completed.
pub(crate) fn complete(conn: &mut PgConnection, agent_id: &str, built: &Built<'_>) -> QueryResult<()> {
    set_inputs(conn, agent_id, built.inputs)?;
    diesel::update(agents::table.find(agent_id))
        .set((
            agents::status.eq(AgentStatus::Completed.as_str()),
            agents::occupation_match.eq(built.occupation_match.map(to_json).transpose()?),
            agents::sources.eq(to_json(&built.sources)?),
            agents::capabilities.eq(&built.capabilities),
            agents::rendered_skills.eq(&built.rendered_skills),
            agents::rendered_knowledge.eq(&built.rendered_knowledge),
            agents::updated_at.eq(later()),
            agents::completed_at.eq(sql::<diesel::sql_types::Nullable<Timestamptz>>("coalesce(completed_at, now())")),
        ))
        .execute(conn)
        .map(drop)
}

/// The agent's first build failed, and nobody waits to hear so.
pub(crate) fn fail(conn: &mut PgConnection, agent_id: &str) -> QueryResult<()> {
    diesel::update(agents::table.find(agent_id))
        .set((agents::status.eq(AgentStatus::Failed.as_str()), agents::updated_at.eq(later())))
        .execute(conn)
        .map(drop)
}

/// Deletes an agent that may be seen, with all that is its own. Returns its last build.
pub(crate) fn delete(conn: &mut PgConnection, agent_id: &str, own: Option<&str>) -> QueryResult<Option<Uuid>> {
    let target = agents::table.find(agent_id);
    let deleted = match own {
        None => diesel::delete(target).returning(agents::build_id).get_result(conn),
        Some(owner) => {
            diesel::delete(target.filter(agents::created_by.eq(owner))).returning(agents::build_id).get_result(conn)
        }
    };
    deleted.optional()
}

fn names(sources: Option<&[SourceName]>) -> Option<Vec<&'static str>> {
    sources.map(|names| names.iter().map(|name| name.as_str()).collect())
}

/// Now, and in any case later than before, as far as answers can show it.
fn later() -> diesel::expression::SqlLiteral<Timestamptz> {
    sql("greatest(now(), updated_at + interval '1 millisecond')")
}
