//! Agents as they are answered: one row, hardly anything to assemble.

use std::collections::HashMap;

use api_core::list::{self, Field, Kind, ListQuery, ListSpec, Scope};
use api_types::{
    agents::{Build, BuildError},
    envelope::Pagination,
};
use chrono::{DateTime, Utc};
use diesel::{
    ExpressionMethods as _, OptionalExtension as _, PgConnection, QueryDsl as _, QueryResult, Queryable,
    QueryableByName, RunQueryDsl as _, Selectable, SelectableHelper as _,
};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use uuid::Uuid;

use super::{QueryError, from_name, knowledge, raw::RawJson, schema::agent_records, skills};
use crate::domain::record::{Record, Vectors};

/// What agents can be filtered and sorted by.
pub(crate) static LIST: ListSpec = ListSpec {
    fields: &[
        Field { name: "agent_id", column: "agent_id", kind: Kind::Text },
        Field { name: "status", column: "status", kind: Kind::Text },
        Field { name: "deepening_cycles", column: "deepening_cycles", kind: Kind::Number },
        Field { name: "name", column: "name", kind: Kind::Text },
        Field { name: "occupation", column: "occupation", kind: Kind::Text },
        Field { name: "created_by", column: "created_by", kind: Kind::Text },
        Field { name: "created_at", column: "created_at", kind: Kind::Time },
        Field { name: "updated_at", column: "updated_at", kind: Kind::Time },
    ],
    id_column: "agent_id",
};

/// The fields of [`Row`].
const COLUMNS: &str = "agent_id, role_model, rendered_skills, rendered_knowledge, status, deepening_cycles, \
    occupation_match, sources, mode, metadata, capabilities, created_by, created_at, updated_at, completed_at, build_id, \
    build_status, build_stage, build_progress, build_attempts, build_started_at, build_finished_at, build_error_code, \
    build_error_message";

#[derive(Queryable, Selectable, QueryableByName)]
#[diesel(table_name = agent_records, check_for_backend(diesel::pg::Pg))]
struct Row {
    agent_id: String,
    role_model: RawJson,
    rendered_skills: RawJson,
    rendered_knowledge: RawJson,
    status: String,
    deepening_cycles: i32,
    occupation_match: Option<RawJson>,
    sources: RawJson,
    mode: String,
    metadata: RawJson,
    capabilities: Vec<String>,
    created_by: String,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    completed_at: Option<DateTime<Utc>>,
    build_id: Uuid,
    build_status: Option<String>,
    build_stage: Option<String>,
    build_progress: Option<i16>,
    build_attempts: Option<i32>,
    build_started_at: Option<DateTime<Utc>>,
    build_finished_at: Option<DateTime<Utc>>,
    build_error_code: Option<String>,
    build_error_message: Option<String>,
}

impl Row {
    fn build(&mut self) -> QueryResult<Option<Build>> {
        let (Some(status), Some(stage)) = (self.build_status.take(), self.build_stage.take()) else { return Ok(None) };
        let error = self.build_error_code.take().zip(self.build_error_message.take());
        Ok(Some(Build {
            build_id: self.build_id,
            status: from_name(status)?,
            stage: from_name(stage)?,
            progress: self.build_progress.unwrap_or_default(),
            attempts: self.build_attempts.unwrap_or_default(),
            started_at: self.build_started_at,
            finished_at: self.build_finished_at,
            error: error.map(|(code, message)| BuildError { code, message }),
        }))
    }

    fn record(mut self) -> QueryResult<Record> {
        Ok(Record {
            build: self.build()?,
            agent_id: self.agent_id,
            role_model: self.role_model.0,
            generated_skills: self.rendered_skills.0,
            generated_knowledge: self.rendered_knowledge.0,
            status: from_name(self.status)?,
            deepening_cycles: self.deepening_cycles,
            occupation_match: self.occupation_match.map(|json| json.0),
            sources: self.sources.0,
            mode: self.mode,
            metadata: self.metadata.0,
            capabilities: self.capabilities,
            created_by: self.created_by,
            created_at: self.created_at,
            updated_at: self.updated_at,
            completed_at: self.completed_at,
        })
    }
}

/// One agent, if there is one that may be seen: `own` restricts to what that principal made.
pub(crate) fn find(
    conn: &mut PgConnection,
    agent_id: &str,
    own: Option<&str>,
    vectors: Vectors,
) -> QueryResult<Option<Record>> {
    // Of the two queries, the common one is prepared once for each connection.
    let one = agent_records::table.find(agent_id).select(Row::as_select());
    let row = match own {
        None => one.first(conn),
        Some(owner) => one.filter(agent_records::created_by.eq(owner)).first(conn),
    };
    let Some(row) = row.optional()? else { return Ok(None) };
    let mut records = vec![row.record()?];
    if vectors == Vectors::Shown {
        show_vectors(conn, &mut records)?;
    }
    Ok(records.pop())
}

/// A page of the agents that may be seen.
pub(crate) fn page(
    conn: &mut PgConnection,
    query: &ListQuery,
    own: Option<String>,
    vectors: Vectors,
) -> QueryResult<(Vec<Record>, Pagination)> {
    let scope: Vec<Scope> = own.into_iter().map(|value| Scope { column: "created_by", value }).collect();
    let (rows, pagination) = list::page::<Row>(conn, (COLUMNS, "agent_records"), &scope, query)?;
    let mut records = rows.into_iter().map(Row::record).collect::<QueryResult<Vec<_>>>()?;
    if vectors == Vectors::Shown {
        show_vectors(conn, &mut records)?;
    }
    Ok((records, pagination))
}

/// Up to `limit` agents with their vectors in the order of their ids, from behind one.
pub(crate) fn after(conn: &mut PgConnection, agent_id: &str, limit: i64) -> QueryResult<Vec<Record>> {
    let rows: Vec<Row> = agent_records::table
        .filter(agent_records::agent_id.gt(agent_id))
        .order(agent_records::agent_id)
        .limit(limit)
        .select(Row::as_select())
        .load(conn)?;
    let mut records = rows.into_iter().map(Row::record).collect::<QueryResult<Vec<_>>>()?;
    show_vectors(conn, &mut records)?;
    Ok(records)
}

/// Puts skills and items with their vectors in the place of those without.
fn show_vectors(conn: &mut PgConnection, records: &mut [Record]) -> QueryResult<()> {
    let ids: Vec<&str> = records.iter().map(|record| record.agent_id.as_str()).collect();
    let mut skills = by_agent(skills::load(conn, &ids)?);
    let mut items = by_agent(knowledge::load(conn, &ids)?);
    for record in records {
        record.generated_skills = raw(&skills.remove(&record.agent_id).unwrap_or_default())?;
        let items = items.remove(&record.agent_id).unwrap_or_default();
        record.generated_knowledge = raw(&items.into_iter().map(|known| known.item).collect::<Vec<_>>())?;
    }
    Ok(())
}

fn by_agent<T>(rows: Vec<(String, T)>) -> HashMap<String, Vec<T>> {
    let mut out: HashMap<String, Vec<T>> = HashMap::new();
    for (agent_id, row) in rows {
        out.entry(agent_id).or_default().push(row);
    }
    out
}

fn raw(value: &impl Serialize) -> QueryResult<Box<RawValue>> {
    to_raw_value(value).map_err(|error| QueryError::SerializationError(error.into()))
}
