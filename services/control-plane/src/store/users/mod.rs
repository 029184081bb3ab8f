//! The table `users`.

pub(crate) mod failures;
mod schema;
pub(crate) mod sessions;

use api_core::list::{Field, Kind, ListQuery, ListSpec, Plain, page as list_page};
use api_types::{
    envelope::Pagination,
    users::{User, UserId, UserRole},
};
use chrono::{DateTime, Utc};
use diesel::{
    AsChangeset, ExpressionMethods as _, Insertable, OptionalExtension as _, PgConnection, QueryDsl as _, QueryResult,
    Queryable, QueryableByName, RunQueryDsl as _, Selectable, SelectableHelper as _, dsl::exists, select,
};
use serde_json::Value;

use self::schema::users;
use crate::domain::users::StoredUser;

const ROLES: &[&str] = &["admin", "developer", "user"];

/// What a list of users can be asked for.
pub(crate) static LIST: ListSpec = ListSpec {
    fields: &[
        Field { name: "name", column: "username", kind: Kind::Text },
        Field { name: "username", column: "username", kind: Kind::Text },
        Field { name: "email", column: "email", kind: Kind::Text },
        Field { name: "full_name", column: "full_name", kind: Kind::Text },
        Field { name: "role", column: "role", kind: Kind::Choice(ROLES) },
        Field { name: "is_active", column: "is_active", kind: Kind::Boolean },
        Field { name: "created_at", column: "created_at", kind: Kind::Time },
        Field { name: "updated_at", column: "updated_at", kind: Kind::Time },
        Field { name: "last_login", column: "last_login", kind: Kind::Time },
    ],
    id_column: "id",
};
pub(crate) static PLAIN: Plain = Plain {
    filters: &["role", "is_active"],
    search: &["username", "email", "full_name"],
    tag: None,
    time: None,
    newest_first: false,
};

#[derive(Queryable, QueryableByName, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = users, check_for_backend(diesel::pg::Pg), treat_none_as_null = true)]
struct Row {
    id: UserId,
    username: String,
    email: String,
    full_name: String,
    role: String,
    is_active: bool,
    avatar_url: Option<String>,
    preferences: Value,
    password_hash: String,
    created_by: String,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    revision: i64,
    last_login: Option<DateTime<Utc>>,
    login_count: i64,
}

impl From<Row> for StoredUser {
    fn from(row: Row) -> Self {
        let preferences =
            if let Value::Object(preferences) = row.preferences { preferences } else { Default::default() };
        Self {
            user: User {
                id: row.id,
                username: row.username,
                email: row.email,
                full_name: row.full_name,
                // A role that this version does not know gives the least.
                role: row.role.parse().unwrap_or(UserRole::User),
                is_active: row.is_active,
                avatar_url: row.avatar_url,
                preferences,
                created_by: row.created_by,
                created_at: row.created_at,
                updated_at: row.updated_at,
                revision: row.revision,
                last_login: row.last_login,
                login_count: row.login_count,
            },
            password_hash: row.password_hash,
        }
    }
}

impl From<&StoredUser> for Row {
    fn from(StoredUser { user, password_hash }: &StoredUser) -> Self {
        let user = user.clone();
        Self {
            id: user.id,
            username: user.username,
            email: user.email,
            full_name: user.full_name,
            role: user.role.as_str().to_owned(),
            is_active: user.is_active,
            avatar_url: user.avatar_url,
            preferences: Value::Object(user.preferences),
            password_hash: password_hash.clone(),
            created_by: user.created_by,
            created_at: user.created_at,
            updated_at: user.updated_at,
            revision: user.revision,
            last_login: user.last_login,
            login_count: user.login_count,
        }
    }
}

/// A name or address that is taken breaks `users_username` or `users_email`.
pub(crate) fn insert(conn: &mut PgConnection, user: &StoredUser) -> QueryResult<()> {
    diesel::insert_into(users::table).values(Row::from(user)).execute(conn).map(drop)
}

/// As [`insert`], of a user that is there.
pub(crate) fn update(conn: &mut PgConnection, user: &StoredUser) -> QueryResult<()> {
    diesel::update(users::table.find(&user.user.id)).set(Row::from(user)).execute(conn).map(drop)
}

pub(crate) fn is_any(conn: &mut PgConnection) -> QueryResult<bool> {
    select(exists(users::table.select(users::id))).get_result(conn)
}

pub(crate) fn find(conn: &mut PgConnection, id: &UserId) -> QueryResult<Option<StoredUser>> {
    let found = users::table.find(id).select(Row::as_select()).first(conn).optional()?;
    Ok(found.map(Into::into))
}

/// Locks the user until the transaction ends.
pub(crate) fn find_for_update(conn: &mut PgConnection, id: &UserId) -> QueryResult<Option<StoredUser>> {
    let found = users::table.find(id).select(Row::as_select()).for_no_key_update().first(conn).optional()?;
    Ok(found.map(Into::into))
}

/// The user who signs in with this username or email address, whatever its case.
pub(crate) fn find_by_login(conn: &mut PgConnection, name: &str) -> QueryResult<Option<StoredUser>> {
    let name = name.to_lowercase();
    // No username holds an `@`, and every address does.
    let query = users::table.select(Row::as_select()).into_boxed();
    let query =
        if name.contains('@') { query.filter(users::email.eq(name)) } else { query.filter(users::username.eq(name)) };
    Ok(query.first(conn).optional()?.map(Into::into))
}

/// The first of these that somebody else has: the name of its field.
pub(crate) fn taken(conn: &mut PgConnection, username: &str, email: &str) -> QueryResult<Option<&'static str>> {
    if select(exists(users::table.filter(users::username.eq(username)))).get_result(conn)? {
        return Ok(Some("username"));
    }
    let is_taken: bool = select(exists(users::table.filter(users::email.eq(email)))).get_result(conn)?;
    Ok(is_taken.then_some("email"))
}

/// Locks the administrators that can sign in until the transaction ends, always in the same order.
pub(crate) fn lock_active_administrators(conn: &mut PgConnection) -> QueryResult<Vec<UserId>> {
    users::table
        .filter(users::role.eq(UserRole::Admin.as_str()))
        .filter(users::is_active.eq(true))
        .order(users::id)
        .select(users::id)
        .for_no_key_update()
        .load(conn)
}

/// Notes a login.
pub(crate) fn signed_in(conn: &mut PgConnection, id: &UserId, now: DateTime<Utc>) -> QueryResult<StoredUser> {
    let row: Row = diesel::update(users::table.find(id))
        .set((users::last_login.eq(Some(now)), users::login_count.eq(users::login_count + 1)))
        .returning(Row::as_returning())
        .get_result(conn)?;
    Ok(row.into())
}

/// A page of users.
pub(crate) fn page(conn: &mut PgConnection, query: &ListQuery) -> QueryResult<(Vec<User>, Pagination)> {
    let (rows, pagination) = list_page::<Row>(conn, ("*", "users"), &[], query)?;
    Ok((rows.into_iter().map(|row| StoredUser::from(row).user).collect(), pagination))
}
