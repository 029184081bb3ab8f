//! The rows of the log, as they are stored.

use chrono::{DateTime, Utc};
use diesel::{
    PgConnection, QueryDsl as _, QueryResult, QueryableByName, RunQueryDsl as _, sql_query,
    sql_types::{Array, BigInt, Binary, Bool, Nullable, Text, Timestamptz},
};

use super::schema::audit_head;
use crate::domain::audit::Row;

/// Rows in one statement.
const INSERT_MAX: usize = 5000;

/// Appends rows, a column at a time: statements of few parameters, whatever the number of rows.
pub(super) fn insert(conn: &mut PgConnection, rows: &[Row]) -> QueryResult<()> {
    rows.chunks(INSERT_MAX).try_for_each(|some| insert_some(conn, some))
}

fn insert_some(conn: &mut PgConnection, rows: &[Row]) -> QueryResult<()> {
    type Texts = Array<Text>;
    type Options = Array<Nullable<Text>>;
    let texts = |of: fn(&Row) -> &str| rows.iter().map(of).collect::<Vec<_>>();
    let options = |of: fn(&Row) -> Option<&str>| rows.iter().map(of).collect::<Vec<_>>();
    sql_query(
        "INSERT INTO audit_log (seq, created_at, event_type, action, client_id, actor, target, success, ip_address, \
                                user_agent, request_id, details, corrects, prev_hash, hash) \
         SELECT seq, created_at, event_type, action, client_id, actor, target, success, ip_address, user_agent, \
                request_id, details::json, corrects, prev_hash, hash \
         FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) \
              AS new (seq, created_at, event_type, action, client_id, actor, target, success, ip_address, user_agent, \
                      request_id, details, corrects, prev_hash, hash)",
    )
    .bind::<Array<BigInt>, _>(rows.iter().map(|row| row.seq).collect::<Vec<_>>())
    .bind::<Array<Timestamptz>, _>(rows.iter().map(|row| row.created_at).collect::<Vec<_>>())
    .bind::<Texts, _>(texts(|row| &row.event_type))
    .bind::<Texts, _>(texts(|row| &row.action))
    .bind::<Options, _>(options(|row| row.client_id.as_deref()))
    .bind::<Options, _>(options(|row| row.actor.as_deref()))
    .bind::<Options, _>(options(|row| row.target.as_deref()))
    .bind::<Array<Bool>, _>(rows.iter().map(|row| row.success).collect::<Vec<_>>())
    .bind::<Options, _>(options(|row| row.ip_address.as_deref()))
    .bind::<Options, _>(options(|row| row.user_agent.as_deref()))
    .bind::<Options, _>(options(|row| row.request_id.as_deref()))
    .bind::<Texts, _>(texts(|row| &row.details))
    .bind::<Array<Nullable<BigInt>>, _>(rows.iter().map(|row| row.corrects).collect::<Vec<_>>())
    .bind::<Array<Binary>, _>(rows.iter().map(|row| row.prev_hash.as_slice()).collect::<Vec<_>>())
    .bind::<Array<Binary>, _>(rows.iter().map(|row| row.hash.as_slice()).collect::<Vec<_>>())
    .execute(conn)
    .map(drop)
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
