//! The table `keys`.

use api_core::list::{Field, Kind, ListQuery, ListSpec, Scope as Where, page as list_page};
use api_types::{
    auth::Scope,
    envelope::Pagination,
    keys::{KeyForm, KeyId, KeyLookup, KeyRecord, PreviousSecret},
};
use chrono::{DateTime, TimeDelta, Utc};
use diesel::{
    BoolExpressionMethods as _, ExpressionMethods as _, OptionalExtension as _, PgArrayExpressionMethods as _,
    PgConnection, QueryDsl as _, QueryResult, Queryable, QueryableByName, RunQueryDsl as _, Selectable,
    SelectableHelper as _, dsl::exists, pg::Pg, select,
};

use super::schema::keys;
use crate::domain::keys::{EVERYTHING, Filter, NewStored, Stored};

/// How often a use of a key is written down at most. It is told of within a few seconds, and what is shown may be a minute
/// late.
pub(crate) const USE_NOTED_EVERY_S: i64 = 55;
/// The role that [`Role::Admin`](api_types::auth::Role) is stored as.
const ADMIN: &str = "admin";
/// Whose managers see a key.
const MANAGED_BY: &str = "client_id, maker_client";

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
#[diesel(table_name = keys, check_for_backend(Pg))]
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
    form: String,
    previous_sha256: Option<String>,
    previous_until: Option<DateTime<Utc>>,
    maker_client: Option<String>,
}

impl From<Row> for Stored {
    fn from(row: Row) -> Self {
        Self {
            secret_sha256: row.secret_sha256,
            previous: row
                .previous_sha256
                .zip(row.previous_until)
                .map(|(sha256, until)| PreviousSecret { sha256, until }),
            key: NewStored {
                id: row.id,
                form: if row.form == KeyForm::Ains.as_str() { KeyForm::Ains } else { KeyForm::Native },
                name: row.name,
                // Names that this version does not know grant nothing in it.
                roles: row.roles.iter().filter_map(|role| role.parse().ok()).collect(),
                permissions: row.permissions.into_iter().map(Into::into).collect(),
                client_id: row.client_id,
                maker_client: row.maker_client,
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

fn roles(key: &NewStored) -> Vec<&'static str> {
    key.roles.iter().map(|role| role.as_str()).collect()
}

fn permissions(key: &NewStored) -> Vec<&str> {
    key.permissions.iter().map(Scope::as_str).collect()
}

/// Stores a key, and returns it as it is stored.
pub(crate) fn insert(conn: &mut PgConnection, key: &NewStored, secret_sha256: &str) -> QueryResult<Stored> {
    diesel::insert_into(keys::table)
        .values((
            keys::id.eq(&key.id),
            keys::name.eq(&key.name),
            keys::secret_sha256.eq(secret_sha256),
            keys::form.eq(key.form.as_str()),
            keys::roles.eq(roles(key)),
            keys::permissions.eq(permissions(key)),
            keys::client_id.eq(&key.client_id),
            keys::maker_client.eq(&key.maker_client),
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

/// A page of keys; with `client`, of those that its managers see.
pub(crate) fn page(
    conn: &mut PgConnection,
    client: Option<&str>,
    query: &ListQuery,
) -> QueryResult<(Vec<Stored>, Pagination)> {
    let scope: Vec<Where> =
        client.map(|client| Where { column: MANAGED_BY, value: client.to_owned() }).into_iter().collect();
    let (rows, pagination) = list_page::<Row>(conn, ("*", "keys"), &scope, query)?;
    Ok((rows.into_iter().map(Into::into).collect(), pagination))
}

/// Some keys, the newest first, and how many there are; with `client`, of those that its managers see.
pub(crate) fn newest(
    conn: &mut PgConnection,
    client: Option<&str>,
    filter: &Filter,
    now: DateTime<Utc>,
) -> QueryResult<(Vec<Stored>, i64)> {
    let filtered = || {
        let mut query = keys::table.into_boxed::<Pg>();
        if let Some(client) = client {
            let client = client.to_owned();
            query = query.filter(keys::client_id.eq(client.clone()).or(keys::maker_client.eq(client)));
        }
        if let Some(client_id) = &filter.client_id {
            query = query.filter(keys::client_id.eq(client_id.clone()));
        }
        if filter.active_only {
            query = query.filter(keys::revoked_at.is_null());
            query = query.filter(keys::expires_at.is_null().or(keys::expires_at.gt(now)));
        }
        query
    };
    let total = filtered().count().get_result(conn)?;
    let rows: Vec<Row> = filtered()
        .order((keys::created_at.desc(), keys::id.desc()))
        .limit(filter.limit)
        .offset(filter.offset)
        .select(Row::as_select())
        .load(conn)?;
    Ok((rows.into_iter().map(Into::into).collect(), total))
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

/// Writes what can be changed of a key; returns it as it is stored.
pub(crate) fn update(conn: &mut PgConnection, key: &NewStored) -> QueryResult<Stored> {
    diesel::update(keys::table.find(&key.id))
        .set((
            keys::name.eq(&key.name),
            keys::roles.eq(roles(key)),
            keys::permissions.eq(permissions(key)),
            keys::expires_at.eq(key.expires_at),
            keys::rate_limit_per_minute.eq(key.rate_limit_per_minute),
            keys::rate_limit_per_hour.eq(key.rate_limit_per_hour),
        ))
        .returning(Row::as_returning())
        .get_result(conn)
        .map(Into::into)
}

/// Gives a key another secret beside the one it had, and takes away any before that.
pub(crate) fn replace_secret(
    conn: &mut PgConnection,
    id: &KeyId,
    secret_sha256: &str,
    previous: &PreviousSecret,
) -> QueryResult<Stored> {
    diesel::update(keys::table.find(id))
        .set((
            keys::secret_sha256.eq(secret_sha256),
            keys::previous_sha256.eq(Some(&previous.sha256)),
            keys::previous_until.eq(Some(previous.until)),
        ))
        .returning(Row::as_returning())
        .get_result(conn)
        .map(Into::into)
}

/// Gives a key another secret, in place of all it had, and an administrator's rights.
pub(crate) fn make_administrator(conn: &mut PgConnection, id: &KeyId, secret_sha256: &str) -> QueryResult<()> {
    diesel::update(keys::table.find(id))
        .set((
            keys::form.eq(KeyForm::Native.as_str()),
            keys::secret_sha256.eq(secret_sha256),
            keys::previous_sha256.eq(None::<String>),
            keys::previous_until.eq(None::<DateTime<Utc>>),
            keys::roles.eq(vec![ADMIN]),
            keys::permissions.eq(vec![EVERYTHING]),
        ))
        .execute(conn)
        .map(drop)
}

/// What other services need to know of a key: by its id, or by the digest of what names no id. Notes the use when the
/// digest is the key's own and the key is good.
pub(crate) fn look_up(
    conn: &mut PgConnection,
    lookup: &KeyLookup,
    now: DateTime<Utc>,
) -> QueryResult<Option<KeyRecord>> {
    let (form, digest) = (lookup.id.as_ref().map_or(KeyForm::Ains, |_| KeyForm::Native), &lookup.secret_sha256);
    let of_form = keys::table.filter(keys::form.eq(form.as_str())).select(Row::as_select());
    let row = match &lookup.id {
        Some(id) => of_form.filter(keys::id.eq(id)).first::<Row>(conn).optional()?,
        None => {
            let is_current = of_form.filter(keys::secret_sha256.eq(digest)).first::<Row>(conn).optional()?;
            match is_current {
                Some(row) => Some(row),
                None => of_form.filter(keys::previous_sha256.eq(digest)).first(conn).optional()?,
            }
        }
    };
    let Some(found) = row.map(Stored::from) else { return Ok(None) };
    let record = found.record(now);
    let is_own = record.secret_sha256 == *digest || record.previous.as_ref().is_some_and(|old| old.sha256 == *digest);
    if lookup.id.is_none() && !is_own {
        // Only a secret past its time led here.
        return Ok(None);
    }
    let before = now - TimeDelta::seconds(USE_NOTED_EVERY_S);
    let is_news = found.last_used_at.is_none_or(|last| last < before);
    if is_news && is_own && found.is_active(now) {
        // Of several at once, one writes.
        let stale = keys::last_used_at.is_null().or(keys::last_used_at.lt(before));
        diesel::update(keys::table.find(&found.key.id).filter(stale))
            .set(keys::last_used_at.eq(Some(now)))
            .execute(conn)?;
    }
    Ok(Some(record))
}
