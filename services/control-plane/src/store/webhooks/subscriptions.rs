//! Who subscribed to what.

use api_core::list::{Field, Kind, ListQuery, ListSpec, Scope, page};
use api_types::{ains::Window, envelope::Pagination};
use chrono::{DateTime, Utc};
use diesel::{
    AsChangeset, BoolExpressionMethods as _, ExpressionMethods as _, Insertable, OptionalExtension as _, PgConnection,
    QueryDsl as _, QueryResult, Queryable, QueryableByName, RunQueryDsl as _, Selectable, SelectableHelper as _,
    sql_query, sql_types::Text,
};

use super::{
    deliveries,
    schema::{webhook_lanes, webhooks},
};
use crate::domain::webhooks::Door;

/// A webhook as it is stored.
#[derive(Debug, Clone, Queryable, QueryableByName, Selectable)]
#[diesel(table_name = webhooks, check_for_backend(diesel::pg::Pg))]
pub(crate) struct Subscription {
    pub(crate) no: i64,
    #[diesel(embed)]
    pub(crate) set: Set,
    pub(crate) revision: i64,
}

/// All of it that is decided outside the database.
#[derive(Debug, Clone, PartialEq, Queryable, QueryableByName, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = webhooks, check_for_backend(diesel::pg::Pg), treat_none_as_null = true)]
pub(crate) struct Set {
    pub(crate) id: String,
    pub(crate) door: String,
    pub(crate) client_id: String,
    pub(crate) agent_id: Option<String>,
    pub(crate) url: String,
    pub(crate) events: Vec<String>,
    pub(crate) capabilities: Option<Vec<String>>,
    pub(crate) authentication: String,
    pub(crate) secret_sealed: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) active: bool,
    pub(crate) disabled_at: Option<DateTime<Utc>>,
    pub(crate) sees_audited: bool,
    pub(crate) created_by: String,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) updated_at: DateTime<Utc>,
}

/// What the native list can be asked.
pub(crate) static LIST: ListSpec = ListSpec {
    fields: &[
        Field { name: "active", column: "active", kind: Kind::Boolean },
        Field { name: "created_at", column: "created_at", kind: Kind::Time },
        Field { name: "updated_at", column: "updated_at", kind: Kind::Time },
    ],
    id_column: "id",
};

const COLUMNS: &str = "no, id, door, client_id, agent_id, url, events, capabilities, authentication, secret_sealed, \
     description, active, disabled_at, sees_audited, created_by, created_at, updated_at, revision";

/// Stores a webhook, with a lane of its own.
///
/// # Errors
/// Those of the database.
pub(crate) fn insert(conn: &mut PgConnection, new: &Set) -> QueryResult<Subscription> {
    let stored: Subscription =
        diesel::insert_into(webhooks::table).values(new).returning(Subscription::as_returning()).get_result(conn)?;
    diesel::insert_into(webhook_lanes::table).values(webhook_lanes::webhook_no.eq(stored.no)).execute(conn)?;
    Ok(stored)
}

/// How many webhooks there are of a door, or of one client there. Until the transaction ends nobody else counts the same.
///
/// # Errors
/// Those of the database.
pub(crate) fn count_alone(conn: &mut PgConnection, door: Door, client_id: Option<&str>) -> QueryResult<i64> {
    let what = format!("webhooks {} {}", door.as_str(), client_id.unwrap_or_default());
    sql_query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))").bind::<Text, _>(what).execute(conn)?;
    let of_door = webhooks::table.filter(webhooks::door.eq(door.as_str()));
    match client_id {
        Some(client_id) => of_door.filter(webhooks::client_id.eq(client_id)).count().get_result(conn),
        None => of_door.count().get_result(conn),
    }
}

/// # Errors
/// Those of the database.
pub(crate) fn find(conn: &mut PgConnection, door: Door, id: &str) -> QueryResult<Option<Subscription>> {
    webhooks::table
        .find(id)
        .filter(webhooks::door.eq(door.as_str()))
        .select(Subscription::as_select())
        .first(conn)
        .optional()
}

/// # Errors
/// Those of the database.
pub(crate) fn find_for_update(conn: &mut PgConnection, door: Door, id: &str) -> QueryResult<Option<Subscription>> {
    webhooks::table
        .find(id)
        .filter(webhooks::door.eq(door.as_str()))
        .select(Subscription::as_select())
        .for_update()
        .first(conn)
        .optional()
}

/// Writes a changed webhook back.
///
/// # Errors
/// Those of the database.
pub(crate) fn update(conn: &mut PgConnection, no: i64, set: &Set) -> QueryResult<Subscription> {
    diesel::update(webhooks::table.filter(webhooks::no.eq(no)))
        .set((set, webhooks::revision.eq(webhooks::revision + 1)))
        .returning(Subscription::as_returning())
        .get_result(conn)
}

/// Switches a webhook off because its receiver is gone; `None` when it is off already.
///
/// # Errors
/// Those of the database.
pub(crate) fn disable(conn: &mut PgConnection, no: i64, now: DateTime<Utc>) -> QueryResult<Option<Subscription>> {
    diesel::update(webhooks::table.filter(webhooks::no.eq(no).and(webhooks::active)))
        .set((
            webhooks::active.eq(false),
            webhooks::disabled_at.eq(Some(now)),
            webhooks::updated_at.eq(now),
            webhooks::revision.eq(webhooks::revision + 1),
        ))
        .returning(Subscription::as_returning())
        .get_result(conn)
        .optional()
}

/// Deletes a webhook and drops what waits for it.
///
/// # Errors
/// Those of the database.
pub(crate) fn delete(conn: &mut PgConnection, no: i64) -> QueryResult<()> {
    diesel::delete(webhooks::table.filter(webhooks::no.eq(no))).execute(conn)?;
    diesel::delete(webhook_lanes::table.find(no)).execute(conn)?;
    deliveries::drop_waiting(conn, no).map(drop)
}

/// A page of the native door's webhooks.
///
/// # Errors
/// Those of the database.
pub(crate) fn listed(conn: &mut PgConnection, query: &ListQuery) -> QueryResult<(Vec<Subscription>, Pagination)> {
    let scope = [Scope { column: "door", value: Door::Mesh.as_str().to_owned() }];
    page(conn, (COLUMNS, "webhooks"), &scope, query)
}

/// All webhooks of the Caxton door, newest first.
///
/// # Errors
/// Those of the database.
pub(crate) fn all_of_caxton(conn: &mut PgConnection) -> QueryResult<Vec<Subscription>> {
    webhooks::table
        .filter(webhooks::door.eq(Door::Caxton.as_str()))
        .order((webhooks::created_at.desc(), webhooks::no.desc()))
        .select(Subscription::as_select())
        .load(conn)
}

/// Which of the AINS door's webhooks are asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct AinsFilter {
    /// Only those that belong to this client.
    pub(crate) visible_to: Option<String>,
    /// Only those by this worker.
    pub(crate) agent_id: Option<String>,
    /// Only those by this client.
    pub(crate) client_id: Option<String>,
}

/// A stretch of the AINS door's webhooks, oldest first, and how many there are.
///
/// # Errors
/// Those of the database.
pub(crate) fn of_ains(
    conn: &mut PgConnection,
    filter: &AinsFilter,
    window: Window,
) -> QueryResult<(Vec<Subscription>, i64)> {
    let asked = || {
        let mut asked = webhooks::table.filter(webhooks::door.eq(Door::Ains.as_str())).into_boxed();
        if let Some(client_id) = &filter.visible_to {
            asked = asked.filter(webhooks::client_id.eq(client_id));
        }
        if let Some(agent_id) = &filter.agent_id {
            asked = asked.filter(webhooks::agent_id.eq(agent_id));
        }
        if let Some(client_id) = &filter.client_id {
            asked = asked.filter(webhooks::agent_id.is_null().and(webhooks::client_id.eq(client_id)));
        }
        asked
    };
    let total = asked().count().get_result(conn)?;
    let rows = asked()
        .order((webhooks::created_at, webhooks::no))
        .limit(window.limit)
        .offset(window.offset)
        .select(Subscription::as_select())
        .load(conn)?;
    Ok((rows, total))
}
