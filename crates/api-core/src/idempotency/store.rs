//! The table of keys and answers.

use actix_web::http::StatusCode;
use chrono::{DateTime, Duration, Utc};
use diesel::{
    ExpressionMethods as _, OptionalExtension as _, PgConnection, QueryDsl as _, QueryResult, Queryable,
    RunQueryDsl as _, Selectable, SelectableHelper as _,
};
use serde_json::Value;
use uuid::Uuid;

/// How long an answer is kept.
const KEPT_HOURS: i64 = 24;
/// Rows cleared away in one go.
const PURGE_MAX: i64 = 1000;

diesel::table! {
    idempotency_keys (principal, method, path, key) {
        principal -> Text,
        method -> Text,
        path -> Text,
        key -> Text,
        body_sha256 -> Text,
        locked_until -> Nullable<Timestamptz>,
        run -> Uuid,
        request_id -> Text,
        status -> Nullable<SmallInt>,
        headers -> Nullable<Jsonb>,
        body -> Nullable<Text>,
        created_at -> Timestamptz,
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = idempotency_keys, check_for_backend(diesel::pg::Pg))]
pub(super) struct Row {
    body_sha256: String,
    locked_until: Option<DateTime<Utc>>,
    pub(super) request_id: String,
    pub(super) status: Option<i16>,
    pub(super) headers: Option<Value>,
    pub(super) body: Option<String>,
    created_at: DateTime<Utc>,
}

/// A key as one request uses it.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) principal: String,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) key: String,
    pub(super) body_sha256: String,
    /// Which run holds the lock, so that one that lost it cannot finish another's.
    pub(super) run: Uuid,
}

/// An answer to be kept.
pub(super) struct Answer {
    status: Option<i16>,
    headers: Value,
    body: String,
}

impl Answer {
    pub(super) fn new(status: StatusCode, headers: Value, body: String) -> Self {
        Self { status: i16::try_from(status.as_u16()).ok(), headers, body }
    }
}

pub(super) enum Taken {
    Ours,
    Answered(Box<Row>),
    Running,
    OtherBody,
}

pub(super) fn take(
    conn: &mut PgConnection,
    key: &Key,
    request_id: &str,
    locked_until: DateTime<Utc>,
) -> QueryResult<Taken> {
    use idempotency_keys::dsl;
    let now = Utc::now();
    let inserted = diesel::insert_into(dsl::idempotency_keys)
        .values((
            dsl::principal.eq(&key.principal),
            dsl::method.eq(&key.method),
            dsl::path.eq(&key.path),
            dsl::key.eq(&key.key),
            dsl::body_sha256.eq(&key.body_sha256),
            dsl::locked_until.eq(Some(locked_until)),
            dsl::run.eq(key.run),
            dsl::request_id.eq(request_id),
        ))
        .on_conflict_do_nothing()
        .execute(conn)?;
    if inserted == 1 {
        return Ok(Taken::Ours);
    }
    let row = dsl::idempotency_keys
        .find((&key.principal, &key.method, &key.path, &key.key))
        .for_update()
        .select(Row::as_select())
        .first(conn)
        .optional()?;
    // Gone between the two statements: its request has just failed and freed it.
    let Some(row) = row else { return Ok(Taken::Running) };
    let abandoned = row.locked_until.is_some_and(|until| until < now);
    if abandoned || row.created_at < now - Duration::hours(KEPT_HOURS) {
        diesel::update(dsl::idempotency_keys.find((&key.principal, &key.method, &key.path, &key.key)))
            .set((
                dsl::body_sha256.eq(&key.body_sha256),
                dsl::locked_until.eq(Some(locked_until)),
                dsl::run.eq(key.run),
                dsl::request_id.eq(request_id),
                dsl::status.eq(None::<i16>),
                dsl::headers.eq(None::<Value>),
                dsl::body.eq(None::<String>),
                dsl::created_at.eq(now),
            ))
            .execute(conn)?;
        return Ok(Taken::Ours);
    }
    Ok(if row.body_sha256 != key.body_sha256 {
        Taken::OtherBody
    } else if row.locked_until.is_some() {
        Taken::Running
    } else {
        Taken::Answered(Box::new(row))
    })
}

/// Keeps the answer, if the lock is still ours.
pub(super) fn settle(conn: &mut PgConnection, key: &Key, answer: &Answer) -> QueryResult<()> {
    use idempotency_keys::dsl;
    diesel::update(dsl::idempotency_keys.find((&key.principal, &key.method, &key.path, &key.key)))
        .filter(dsl::run.eq(key.run))
        .set((
            dsl::locked_until.eq(None::<DateTime<Utc>>),
            dsl::status.eq(answer.status),
            dsl::headers.eq(Some(&answer.headers)),
            dsl::body.eq(Some(&answer.body)),
        ))
        .execute(conn)
        .map(drop)
}

/// Gives the key back at `until`, unless its own time ends earlier.
pub(super) fn shorten(conn: &mut PgConnection, key: &Key, until: DateTime<Utc>) -> QueryResult<()> {
    use idempotency_keys::dsl;
    diesel::update(dsl::idempotency_keys.find((&key.principal, &key.method, &key.path, &key.key)))
        .filter(dsl::run.eq(key.run))
        .filter(dsl::locked_until.gt(until))
        .set(dsl::locked_until.eq(Some(until)))
        .execute(conn)
        .map(drop)
}

/// Gives the key back now.
pub(super) fn free(conn: &mut PgConnection, key: &Key) -> QueryResult<()> {
    use idempotency_keys::dsl;
    diesel::delete(dsl::idempotency_keys.find((&key.principal, &key.method, &key.path, &key.key)))
        .filter(dsl::run.eq(key.run))
        .execute(conn)
        .map(drop)
}

/// Clears away some answers past their time; returns how many. [`super::purger`] does this until none is left.
///
/// # Errors
/// Those of the database.
pub fn purge(conn: &mut PgConnection) -> QueryResult<usize> {
    diesel::sql_query(
        "DELETE FROM idempotency_keys WHERE ctid IN \
         (SELECT ctid FROM idempotency_keys WHERE created_at < now() - make_interval(hours => $1) LIMIT $2)",
    )
    .bind::<diesel::sql_types::Integer, _>(i32::try_from(KEPT_HOURS).unwrap_or(i32::MAX))
    .bind::<diesel::sql_types::BigInt, _>(PURGE_MAX)
    .execute(conn)
}
