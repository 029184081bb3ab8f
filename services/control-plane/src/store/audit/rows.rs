//! The rows of the log, as they are stored.

use chrono::{DateTime, Utc};
use diesel::{
    Insertable, PgConnection, QueryDsl as _, QueryResult, QueryableByName, RunQueryDsl as _, sql_query,
    sql_types::{BigInt, Binary, Bool, Nullable, Text, Timestamptz},
};

use super::schema::{audit_head, audit_log};
use crate::domain::audit::Row;

/// Rows in one statement; each takes fifteen of the 65535 parameters that one may have.
const INSERT_MAX: usize = 2000;

/// JSON text, stored to the letter.
#[derive(Debug, diesel::expression::AsExpression)]
#[diesel(sql_type = diesel::sql_types::Json)]
struct Json<'a>(&'a str);

impl diesel::serialize::ToSql<diesel::sql_types::Json, diesel::pg::Pg> for Json<'_> {
    fn to_sql<'b>(&'b self, out: &mut diesel::serialize::Output<'b, '_, diesel::pg::Pg>) -> diesel::serialize::Result {
        use std::io::Write as _;
        // The wire form of `json` is its text.
        out.write_all(self.0.as_bytes())?;
        Ok(diesel::serialize::IsNull::No)
    }
}

#[derive(Insertable)]
#[diesel(table_name = audit_log)]
struct New<'a> {
    seq: i64,
    created_at: DateTime<Utc>,
    event_type: &'a str,
    action: &'a str,
    client_id: Option<&'a str>,
    actor: Option<&'a str>,
    target: Option<&'a str>,
    success: bool,
    ip_address: Option<&'a str>,
    user_agent: Option<&'a str>,
    request_id: Option<&'a str>,
    details: Json<'a>,
    corrects: Option<i64>,
    prev_hash: &'a [u8],
    hash: &'a [u8],
}

impl<'a> From<&'a Row> for New<'a> {
    fn from(row: &'a Row) -> Self {
        Self {
            seq: row.seq,
            created_at: row.created_at,
            event_type: &row.event_type,
            action: &row.action,
            client_id: row.client_id.as_deref(),
            actor: row.actor.as_deref(),
            target: row.target.as_deref(),
            success: row.success,
            ip_address: row.ip_address.as_deref(),
            user_agent: row.user_agent.as_deref(),
            request_id: row.request_id.as_deref(),
            details: Json(&row.details),
            corrects: row.corrects,
            prev_hash: &row.prev_hash,
            hash: &row.hash,
        }
    }
}

pub(super) fn insert(conn: &mut PgConnection, rows: &[Row]) -> QueryResult<()> {
    for some in rows.chunks(INSERT_MAX) {
        let new: Vec<New<'_>> = some.iter().map(New::from).collect();
        diesel::insert_into(audit_log::table).values(new).execute(conn)?;
    }
    Ok(())
}

/// The columns of [`Stored`].
pub(super) const COLUMNS: &str = "seq, created_at, event_type, action, client_id, actor, target, success, ip_address, \
                                  user_agent, request_id, details::text AS details, corrects, prev_hash, hash";

/// A row as it is read; `details` is its text.
#[derive(Debug, QueryableByName)]
pub(super) struct Stored {
    #[diesel(sql_type = BigInt)]
    seq: i64,
    #[diesel(sql_type = Timestamptz)]
    created_at: DateTime<Utc>,
    #[diesel(sql_type = Text)]
    event_type: String,
    #[diesel(sql_type = Text)]
    action: String,
    #[diesel(sql_type = Nullable<Text>)]
    client_id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    actor: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    target: Option<String>,
    #[diesel(sql_type = Bool)]
    success: bool,
    #[diesel(sql_type = Nullable<Text>)]
    ip_address: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    user_agent: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    request_id: Option<String>,
    #[diesel(sql_type = Text)]
    details: String,
    #[diesel(sql_type = Nullable<BigInt>)]
    corrects: Option<i64>,
    #[diesel(sql_type = Binary)]
    prev_hash: Vec<u8>,
    #[diesel(sql_type = Binary)]
    hash: Vec<u8>,
}

impl From<Stored> for Row {
    fn from(row: Stored) -> Self {
        Self {
            seq: row.seq,
            created_at: row.created_at,
            event_type: row.event_type,
            action: row.action,
            client_id: row.client_id,
            actor: row.actor,
            target: row.target,
            success: row.success,
            ip_address: row.ip_address,
            user_agent: row.user_agent,
            request_id: row.request_id,
            details: row.details,
            corrects: row.corrects,
            prev_hash: row.prev_hash,
            hash: row.hash,
        }
    }
}

/// At most `limit` rows after one, in their order.
pub(crate) fn after(conn: &mut PgConnection, seq: i64, limit: i64) -> QueryResult<Vec<Row>> {
    let rows = sql_query(format!("SELECT {COLUMNS} FROM audit_log WHERE seq > $1 ORDER BY seq LIMIT $2"))
        .bind::<BigInt, _>(seq)
        .bind::<BigInt, _>(limit)
        .load::<Stored>(conn)?;
    Ok(rows.into_iter().map(Row::from).collect())
}

/// Number and hash of the newest row, as the log says they are.
pub(crate) fn head(conn: &mut PgConnection) -> QueryResult<(i64, Vec<u8>)> {
    audit_head::table.select((audit_head::seq, audit_head::hash)).first(conn)
}
