//! The table `keys`.

use api_core::list::{Field, Kind, ListQuery, ListSpec, page as list_page};
use api_types::{
    auth::Scope,
    envelope::Pagination,
    keys::{KeyId, KeyRecord},
};
use chrono::{DateTime, TimeDelta, Utc};
use diesel::{
    BoolExpressionMethods as _, ExpressionMethods as _, OptionalExtension as _, PgArrayExpressionMethods as _,
    PgConnection, QueryDsl as _, QueryResult, Queryable, QueryableByName, RunQueryDsl as _, Selectable,
    SelectableHelper as _, dsl::exists, select,
};

use super::schema::keys;
use crate::domain::keys::{EVERYTHING, NewStored, Stored};

/// How often a use of a key is written down at most. A caller remembers a key for up to 25 s, so what is shown is
/// less than a minute late.
const USE_NOTED_EVERY_S: i64 = 30;
/// The role that [`Role::Admin`](api_types::auth::Role) is stored as.
const ADMIN: &str = "admin";

/// What a list of keys can be asked for.
pub(crate) static LIST: ListSpec = ListSpec {
    fields: &[
        Field { name: "id", column: "id", kind: Kind::Text },
        Field { name: "name", column: "name", kind: Kind::Text },
        Field { name: "created_at", column: "created_at", kind: Kind::Time },
        Field { name: "last_used_at", column: "last_used_at", kind: Kind::Time },
    ],
    id_column: "id",
};

#[derive(Queryable, QueryableByName, Selectable)]
#[diesel(table_name = keys, check_for_backend(diesel::pg::Pg))]
struct Row {
    id: KeyId,
    name: String,
    secret_sha256: String,
    roles: Vec<String>,
    permissions: Vec<String>,
    client_id: String,
    expires_at: Option<DateTime<Utc>>,
    rate_limit_per_minute: Option<i64>,
    rate_limit_per_hour: Option<i64>,
    created_at: DateTime<Utc>,
    last_used_at: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
}

impl From<Row> for Stored {
    fn from(row: Row) -> Self {
        Self {
            secret_sha256: row.secret_sha256,
            key: NewStored {
                id: row.id,
                name: row.name,
                // Names that this version does not know grant nothing in it.
                roles: row.roles.iter().filter_map(|role| role.parse().ok()).collect(),
                permissions: row.permissions.into_iter().map(Into::into).collect(),
                client_id: row.client_id,
                expires_at: row.expires_at,
                rate_limit_per_minute: row.rate_limit_per_minute,
                rate_limit_per_hour: row.rate_limit_per_hour,
                created_at: row.created_at,
            },
            last_used_at: row.last_used_at,
            revoked_at: row.revoked_at,
        }
    }
}

/// Whether a key was ever made.
pub(crate) fn is_any(conn: &mut PgConnection) -> QueryResult<bool> {
    select(exists(keys::table.select(keys::id))).get_result(conn)
}

/// Stores a key, and returns it as it is stored.
pub(crate) fn insert(conn: &mut PgConnection, key: &NewStored, secret_sha256: &str) -> QueryResult<Stored> {
    let roles: Vec<&str> = key.roles.iter().map(|role| role.as_str()).collect();
    let permissions: Vec<&str> = key.permissions.iter().map(Scope::as_str).collect();
    diesel::insert_into(keys::table)
        .values((
            keys::id.eq(&key.id),
            keys::name.eq(&key.name),
            keys::secret_sha256.eq(secret_sha256),
            keys::roles.eq(roles),
            keys::permissions.eq(permissions),
            keys::client_id.eq(&key.client_id),
            keys::expires_at.eq(key.expires_at),
            keys::rate_limit_per_minute.eq(key.rate_limit_per_minute),
            keys::rate_limit_per_hour.eq(key.rate_limit_per_hour),
            keys::created_at.eq(key.created_at),
        ))
        .returning(Row::as_returning())
        .get_result(conn)
        .map(Into::into)
}

pub(crate) fn find(conn: &mut PgConnection, id: &KeyId) -> QueryResult<Option<Stored>> {
    keys::table.find(id).select(Row::as_select()).first(conn).optional().map(|row| row.map(Into::into))
}

/// The same, locked until the transaction ends.
pub(crate) fn find_for_update(conn: &mut PgConnection, id: &KeyId) -> QueryResult<Option<Stored>> {
    keys::table.find(id).for_update().select(Row::as_select()).first(conn).optional().map(|row| row.map(Into::into))
}

/// A page of keys.
pub(crate) fn page(conn: &mut PgConnection, query: &ListQuery) -> QueryResult<(Vec<Stored>, Pagination)> {
    let (rows, pagination) = list_page::<Row>(conn, ("*", "keys"), &[], query)?;
    Ok((rows.into_iter().map(Into::into).collect(), pagination))
}

/// The active administrators' keys in the order of their ids, locked until the transaction ends.
pub(crate) fn lock_administrators(
    conn: &mut PgConnection,
    admin_ids: &[String],
    now: DateTime<Utc>,
) -> QueryResult<Vec<KeyId>> {
    keys::table
        .filter(keys::roles.contains(vec![ADMIN]).or(keys::id.eq_any(admin_ids)))
        .filter(keys::revoked_at.is_null())
        .filter(keys::expires_at.is_null().or(keys::expires_at.gt(now)))
        .order(keys::id)
        .for_update()
        .select(keys::id)
        .load(conn)
}

/// Revokes a key; returns the time as it is stored.
pub(crate) fn revoke(conn: &mut PgConnection, id: &KeyId, now: DateTime<Utc>) -> QueryResult<DateTime<Utc>> {
    let revoked: Option<DateTime<Utc>> = diesel::update(keys::table.find(id))
        .set(keys::revoked_at.eq(Some(now)))
        .returning(keys::revoked_at)
        .get_result(conn)?;
    Ok(revoked.unwrap_or(now))
}

/// Gives a key another secret and an administrator's rights.
pub(crate) fn make_administrator(conn: &mut PgConnection, id: &KeyId, secret_sha256: &str) -> QueryResult<()> {
    diesel::update(keys::table.find(id))
        .set((
            keys::secret_sha256.eq(secret_sha256),
            keys::roles.eq(vec![ADMIN]),
            keys::permissions.eq(vec![EVERYTHING]),
        ))
        .execute(conn)
        .map(drop)
}

/// What other services need to know of a key. Notes the use when the digest is the key's own and the key is good.
pub(crate) fn look_up(
    conn: &mut PgConnection,
    id: &KeyId,
    presented_sha256: &str,
    now: DateTime<Utc>,
) -> QueryResult<Option<KeyRecord>> {
    let Some(found) = find(conn, id)? else { return Ok(None) };
    let before = now - TimeDelta::seconds(USE_NOTED_EVERY_S);
    let is_news = found.last_used_at.is_none_or(|last| last < before);
    if is_news && found.is_active(now) && found.secret_sha256 == presented_sha256 {
        // Of several at once, one writes.
        let stale = keys::last_used_at.is_null().or(keys::last_used_at.lt(before));
        diesel::update(keys::table.find(id).filter(stale)).set(keys::last_used_at.eq(Some(now))).execute(conn)?;
    }
    Ok(Some(record(found)))
}

fn record(found: Stored) -> KeyRecord {
    let unsigned = |limit: i64| u64::try_from(limit).ok();
    KeyRecord {
        id: found.key.id,
        secret_sha256: found.secret_sha256,
        roles: found.key.roles,
        permissions: found.key.permissions,
        client_id: found.key.client_id,
        expires_at: found.key.expires_at,
        revoked_at: found.revoked_at,
        rate_limit_per_minute: found.key.rate_limit_per_minute.and_then(unsigned),
        rate_limit_per_hour: found.key.rate_limit_per_hour.and_then(unsigned),
    }
}
