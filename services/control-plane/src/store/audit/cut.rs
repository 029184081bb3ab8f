//! Letting go of old rows.

use api_core::seal::SignKey;
use chrono::{DateTime, Utc};
use diesel::{
    ExpressionMethods as _, Insertable, OptionalExtension as _, PgConnection, QueryDsl as _, QueryResult, Queryable,
    RunQueryDsl as _, Selectable, SelectableHelper as _, sql_query, sql_types::BigInt,
};

use super::{rows, schema::audit_checkpoints};
use crate::domain::audit::{Checkpoint, Cut, Place};

/// Rows read at a time.
const PAGE: i64 = 2000;
/// Rows removed in one transaction; a page more at the most.
const CUT_MAX: i64 = 50_000;

#[derive(Insertable, Queryable, Selectable)]
#[diesel(table_name = audit_checkpoints, check_for_backend(diesel::pg::Pg))]
struct Stored {
    seq: i64,
    hash: Vec<u8>,
    removed: i64,
    before: DateTime<Utc>,
    made_at: DateTime<Utc>,
    signature: Vec<u8>,
}

impl From<Stored> for Checkpoint {
    fn from(Stored { seq, hash, removed, before, made_at, signature }: Stored) -> Self {
        Self { seq, hash, removed, before, made_at, signature }
    }
}

/// The newest checkpoint, if rows were ever let go.
pub(crate) fn newest(conn: &mut PgConnection) -> QueryResult<Option<Checkpoint>> {
    let order = audit_checkpoints::table.order(audit_checkpoints::seq.desc());
    order.select(Stored::as_select()).first(conn).optional().map(|stored| stored.map(Checkpoint::from))
}

/// Removes rows from before a point in time, the oldest first, at most [`CUT_MAX`] of them; to be called in a transaction.
///
/// They are followed first: a break in the chain is not to vanish with the rows that show it.
pub(crate) fn cut(
    conn: &mut PgConnection,
    key: &SignKey,
    before: DateTime<Utc>,
    now: DateTime<Utc>,
) -> QueryResult<Cut> {
    sql_query("SELECT pg_advisory_xact_lock(hashtextextended('imago audit cut ' || current_schema(), 0))")
        .execute(conn)?;
    let newest = newest(conn)?;
    if let Some(checkpoint) = newest.as_ref().filter(|checkpoint| !checkpoint.is_signed(key)) {
        return Ok(Cut::Unsigned(checkpoint.seq));
    }
    let start = Place::start(newest.as_ref());
    let end = match follow(conn, start, before)? {
        Ok(end) if end.seq == start.seq => return Ok(Cut::Nothing),
        Ok(end) => end,
        Err(broken) => return Ok(Cut::Broken(broken)),
    };
    let checkpoint = Checkpoint::sign(key, (end.seq, &end.hash), end.seq - start.seq, before, now);
    Ok(Cut::Removed(remove(conn, checkpoint)?))
}

/// Follows the chain through old rows; the number of the row that breaks it, if one does.
fn follow(conn: &mut PgConnection, start: Place, before: DateTime<Utc>) -> QueryResult<Result<Place, i64>> {
    let mut place = start;
    while place.seq - start.seq < CUT_MAX {
        let page = rows::after(conn, place.seq, PAGE)?;
        if page.is_empty() {
            break;
        }
        for row in &page {
            // The rows are not quite in the order of their times; the first young one keeps those after it.
            if row.created_at >= before {
                return Ok(Ok(place));
            }
            match place.step(row) {
                Some(next) => place = next,
                None => return Ok(Err(row.seq)),
            }
        }
    }
    Ok(Ok(place))
}

/// Keeps a checkpoint and removes the rows that it covers; returns how many.
fn remove(conn: &mut PgConnection, checkpoint: Checkpoint) -> QueryResult<usize> {
    let Checkpoint { seq, hash, removed, before, made_at, signature } = checkpoint;
    let stored = Stored { seq, hash, removed, before, made_at, signature };
    diesel::insert_into(audit_checkpoints::table).values(stored).execute(conn)?;
    sql_query("DELETE FROM audit_log WHERE seq <= $1").bind::<BigInt, _>(seq).execute(conn)
}
