//! The audit log: appending to it, one batch at a time.

pub(crate) mod check;
pub(crate) mod cut;
pub(crate) mod list;
mod rows;
mod schema;
mod uses;

pub(crate) use rows::{after, head};
pub(crate) use uses::{add_access, forget_uses, is_new_batch, settle};

use std::collections::HashMap;

use chrono::Utc;
use diesel::{ExpressionMethods as _, PgConnection, QueryDsl as _, QueryResult, RunQueryDsl as _, sql_query};

use super::schema::keys;
use crate::domain::{
    audit::{Digest, Entry, Row, digest_of, of_event},
    intake::StoredEvent,
};
use schema::audit_head;

/// The newest row, held until the transaction ends: whoever has it is the only one who appends.
///
/// It is to be taken before any other lock of the audit log's tables.
struct Head {
    seq: i64,
    hash: Digest,
}

impl Head {
    fn lock(conn: &mut PgConnection) -> QueryResult<Self> {
        let (seq, hash): (i64, Vec<u8>) =
            audit_head::table.select((audit_head::seq, audit_head::hash)).for_update().first(conn)?;
        Ok(Self { seq, hash: digest_of(&hash) })
    }

    /// Appends entries in their order; returns the number of the first.
    fn append(&mut self, conn: &mut PgConnection, entries: Vec<Entry>) -> QueryResult<i64> {
        let first = self.seq + 1;
        let mut new = Vec::with_capacity(entries.len());
        let now = Utc::now();
        for mut entry in entries {
            // A clock that is ahead must not keep rows from being let go in their time.
            entry.at = entry.at.min(now);
            let row = Row::after(&self.hash, self.seq + 1, entry);
            (self.seq, self.hash) = (row.seq, digest_of(&row.hash));
            new.push(row);
        }
        rows::insert(conn, &new)?;
        if !new.is_empty() {
            diesel::update(audit_head::table)
                .set((audit_head::seq.eq(self.seq), audit_head::hash.eq(self.hash.as_slice())))
                .execute(conn)?;
        }
        Ok(first)
    }
}

/// Writes down what somebody did, in the transaction that takes the events in; returns how many rows that made.
pub(crate) fn append_events(conn: &mut PgConnection, events: &[StoredEvent]) -> QueryResult<usize> {
    let clients = clients_of(conn, events)?;
    let client_of = |event: &StoredEvent| {
        let actor = event.actor.as_ref()?;
        // An event that names a client names the one it is about; whoever acted may be another's.
        let is_about_a_client = event.payload.get("client_id").is_some();
        let of_request = event.client_id.clone().filter(|_| !is_about_a_client);
        Some(clients.get(actor).cloned().or(of_request).unwrap_or_else(|| actor.clone()))
    };
    let entries: Vec<Entry> = events.iter().filter_map(|event| of_event(event, client_of(event))).collect();
    if entries.is_empty() {
        return Ok(0);
    }
    let count = entries.len();
    Head::lock(conn)?.append(conn, entries)?;
    Ok(count)
}

/// The clients of the keys among the actors.
fn clients_of(conn: &mut PgConnection, events: &[StoredEvent]) -> QueryResult<HashMap<String, String>> {
    let mut actors: Vec<&str> = events.iter().filter_map(|event| event.actor.as_deref()).collect();
    actors.sort_unstable();
    actors.dedup();
    if actors.is_empty() {
        return Ok(HashMap::new());
    }
    let found: Vec<(String, String)> =
        keys::table.filter(keys::id.eq_any(actors)).select((keys::id, keys::client_id)).load(conn)?;
    Ok(found.into_iter().collect())
}

/// Lets go of what is known only to count nothing twice, from before so many hours ago.
pub(crate) fn forget_batches(conn: &mut PgConnection, hours: i64) -> QueryResult<usize> {
    use diesel::sql_types::BigInt;
    let batches = sql_query("DELETE FROM access_batches WHERE at < now() - $1 * interval '1 hour'");
    let windows = sql_query("DELETE FROM audit_windows WHERE starts_at < now() - $1 * interval '1 hour'");
    Ok(batches.bind::<BigInt, _>(hours).execute(conn)? + windows.bind::<BigInt, _>(hours).execute(conn)?)
}
