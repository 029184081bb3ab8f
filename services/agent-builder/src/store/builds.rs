//! Builds.

use std::time::Duration;

use api_types::agents::{BuildError, BuildStage, BuildStatus};
use diesel::{
    ExpressionMethods as _, OptionalExtension as _, PgConnection, QueryDsl as _, QueryResult, Queryable,
    RunQueryDsl as _, Selectable, SelectableHelper as _,
    dsl::{now, sql},
    expression::SqlLiteral,
    sql_query,
    sql_types::{Bool, Double, Integer, Nullable, Timestamptz},
};
use serde_json::Value;
use uuid::Uuid;

use super::{from_json, from_name, schema::builds, to_json};
use crate::domain::{
    Failure,
    builds::{NewBuild, Partial, Request, Standing},
};

/// Somebody waits, and is taken to for so long without saying so again. By the database's clock, which all processes share.
const AWAITED: &str = "clock_timestamp() + interval '15 seconds'";
/// Rows cleared away in one go.
const PURGE_MAX: i32 = 1000;
const OPEN: [&str; 2] = [BuildStatus::Queued.as_str(), BuildStatus::Running.as_str()];

/// A build that a process has begun or taken over.
#[derive(Debug)]
pub(crate) struct Begun {
    pub(crate) agent_id: String,
    pub(crate) creates: bool,
    pub(crate) request: Request,
    pub(crate) partial: Partial,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = builds, check_for_backend(diesel::pg::Pg))]
struct StandingRow {
    status: String,
    error_code: Option<String>,
    error_message: Option<String>,
    error_more: Option<Value>,
}

impl StandingRow {
    fn standing(self) -> QueryResult<Standing> {
        let failure = match (self.error_code, self.error_message, self.error_more) {
            (Some(code), Some(message), Some(more)) => {
                Some(Failure::stored(BuildError { code, message }, from_json(more)?))
            }
            _ => None,
        };
        Ok(Standing { status: from_name(self.status)?, failure })
    }
}

pub(crate) fn insert(conn: &mut PgConnection, new: &NewBuild) -> QueryResult<()> {
    diesel::insert_into(builds::table)
        .values((
            builds::build_id.eq(new.build_id),
            builds::agent_id.eq(&new.agent_id),
            builds::creates.eq(new.creates),
            builds::status.eq(BuildStatus::Queued.as_str()),
            builds::stage.eq(BuildStage::Match.as_str()),
            builds::progress.eq(0_i16),
            builds::waiting_until.eq(waiting_until(new.is_awaited)),
            builds::request.eq(to_json(&new.request)?),
        ))
        .execute(conn)
        .map(drop)
}

/// Marks a build as running; `None` when it has ended.
pub(crate) fn begin(conn: &mut PgConnection, build_id: Uuid, attempt: i32) -> QueryResult<Option<Begun>> {
    type Row = (String, bool, Option<Value>, Option<String>);
    let row: Option<Row> = diesel::update(builds::table.find(build_id).filter(builds::status.eq_any(OPEN)))
        .set((
            builds::status.eq(BuildStatus::Running.as_str()),
            builds::attempts.eq(attempt),
            builds::started_at.eq(sql::<Nullable<Timestamptz>>("coalesce(started_at, now())")),
        ))
        .returning((builds::agent_id, builds::creates, builds::request, builds::partial))
        .get_result(conn)
        .optional()?;
    let Some((agent_id, creates, request, partial)) = row else { return Ok(None) };
    let partial = partial.map(|text| serde_json::from_str(&text).map_err(unreadable)).transpose()?;
    Ok(Some(Begun {
        agent_id,
        creates,
        request: from_json(request.unwrap_or_default())?,
        partial: partial.unwrap_or_default(),
    }))
}

fn unreadable(error: serde_json::Error) -> diesel::result::Error {
    diesel::result::Error::DeserializationError(error.into())
}

/// Whose build it is and who asked for it; `None` when it has ended.
pub(crate) fn open(conn: &mut PgConnection, build_id: Uuid) -> QueryResult<Option<(String, Request)>> {
    let open = builds::table.find(build_id).filter(builds::status.eq_any(OPEN));
    let row = open.select((builds::agent_id, builds::request)).first::<(String, Option<Value>)>(conn).optional()?;
    row.map(|(agent_id, request)| Ok((agent_id, from_json(request.unwrap_or_default())?))).transpose()
}

/// Notes that a stage has begun, and what was found before it; `None` when that has not changed.
pub(crate) fn reached(
    conn: &mut PgConnection,
    build_id: Uuid,
    stage: BuildStage,
    partial: Option<String>,
) -> QueryResult<()> {
    let at = (builds::stage.eq(stage.as_str()), builds::progress.eq(stage.progress()));
    let build = builds::table.find(build_id);
    match partial {
        Some(partial) => diesel::update(build).set((at, builds::partial.eq(partial))).execute(conn),
        None => diesel::update(build).set(at).execute(conn),
    }
    .map(drop)
}

pub(crate) fn complete(conn: &mut PgConnection, build_id: Uuid) -> QueryResult<()> {
    diesel::update(builds::table.find(build_id))
        .set((
            builds::status.eq(BuildStatus::Completed.as_str()),
            builds::stage.eq(BuildStage::Done.as_str()),
            builds::progress.eq(BuildStage::Done.progress()),
            builds::request.eq(None::<Value>),
            builds::partial.eq(None::<String>),
            builds::finished_at.eq(now),
        ))
        .execute(conn)
        .map(drop)
}

pub(crate) fn fail(conn: &mut PgConnection, build_id: Uuid, failure: &Failure) -> QueryResult<()> {
    diesel::update(builds::table.find(build_id))
        .set((
            builds::status.eq(BuildStatus::Failed.as_str()),
            builds::error_code.eq(failure.code.as_str()),
            builds::error_message.eq(&failure.message),
            builds::error_more.eq(to_json(&failure.more)?),
            builds::request.eq(None::<Value>),
            builds::partial.eq(None::<String>),
            builds::finished_at.eq(now),
        ))
        .execute(conn)
        .map(drop)
}

/// Cancels a build that has not ended; `false` when it has.
pub(crate) fn cancel(conn: &mut PgConnection, build_id: Uuid) -> QueryResult<bool> {
    let cancelled = diesel::update(builds::table.find(build_id).filter(builds::status.eq_any(OPEN)))
        .set((
            builds::status.eq(BuildStatus::Cancelled.as_str()),
            builds::request.eq(None::<Value>),
            builds::partial.eq(None::<String>),
            builds::finished_at.eq(now),
        ))
        .execute(conn)?;
    Ok(cancelled == 1)
}

/// Whether the agent stands and falls with the build, and whether somebody waits for it. Nobody who waits can stop waiting
/// before the transaction ends.
pub(crate) fn stakes(conn: &mut PgConnection, build_id: Uuid) -> QueryResult<(bool, bool)> {
    builds::table
        .find(build_id)
        .for_update()
        .select((builds::creates, sql::<Bool>("coalesce(waiting_until > clock_timestamp(), false)")))
        .first(conn)
}

pub(crate) fn look(conn: &mut PgConnection, build_id: Uuid) -> QueryResult<Option<Standing>> {
    let row = builds::table.find(build_id).select(StandingRow::as_select()).first(conn).optional()?;
    row.map(StandingRow::standing).transpose()
}

/// Says that somebody still waits, or that nobody does any more.
pub(crate) fn set_awaited(conn: &mut PgConnection, build_id: Uuid, is_awaited: bool) -> QueryResult<Option<Standing>> {
    let row = diesel::update(builds::table.find(build_id))
        .set(builds::waiting_until.eq(waiting_until(is_awaited)))
        .returning(StandingRow::as_returning())
        .get_result(conn)
        .optional()?;
    row.map(StandingRow::standing).transpose()
}

fn waiting_until(is_awaited: bool) -> SqlLiteral<Nullable<Timestamptz>> {
    sql(if is_awaited { AWAITED } else { "NULL" })
}

/// Clears away builds that ended longer ago than `age` and are no agent's last.
pub(crate) fn purge(conn: &mut PgConnection, age: Duration) -> QueryResult<usize> {
    sql_query(
        "DELETE FROM builds WHERE build_id IN (
             SELECT build_id FROM builds b WHERE finished_at < now() - make_interval(secs => $1)
             AND NOT EXISTS (SELECT FROM agents a WHERE a.build_id = b.build_id) LIMIT $2)",
    )
    .bind::<Double, _>(age.as_secs_f64())
    .bind::<Integer, _>(PURGE_MAX)
    .execute(conn)
}
