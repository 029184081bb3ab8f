//! Events: written with the change that they tell of, handed to the control plane right after, at least once.

mod relay;

pub use relay::relay;

use api_types::events::Event;
use chrono::{DateTime, SubsecRound as _, Utc};
use diesel::{
    ExpressionMethods as _, Insertable, PgConnection, QueryDsl as _, QueryResult, QueryableByName, RunQueryDsl as _,
    sql_query,
    sql_types::{Array, BigInt, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    context::{self, Origin},
    db,
    sql::sql,
};

/// The most that a batch takes as JSON, unless a single event is larger. Every internal route takes bodies of this size.
const BATCH_BYTES: i64 = 900 << 10;

diesel::table! {
    outbox (seq) {
        seq -> BigInt,
        id -> Uuid,
        kind -> Text,
        aggregate -> Text,
        actor -> Nullable<Text>,
        client_id -> Nullable<Text>,
        request_id -> Nullable<Text>,
        ip_address -> Nullable<Text>,
        user_agent -> Nullable<Text>,
        trace_id -> Nullable<Text>,
        at -> Timestamptz,
        payload -> Jsonb,
        set_aside_until -> Nullable<Timestamptz>,
    }
}

#[derive(Insertable)]
#[diesel(table_name = outbox)]
struct New<'a> {
    id: Uuid,
    kind: &'a str,
    aggregate: &'a str,
    actor: Option<&'a str>,
    client_id: Option<String>,
    request_id: Option<String>,
    ip_address: Option<String>,
    user_agent: Option<String>,
    trace_id: Option<String>,
    at: DateTime<Utc>,
    payload: Value,
}

#[derive(QueryableByName)]
#[diesel(table_name = outbox)]
struct Row {
    seq: i64,
    id: Uuid,
    kind: String,
    aggregate: String,
    actor: Option<String>,
    client_id: Option<String>,
    request_id: Option<String>,
    ip_address: Option<String>,
    user_agent: Option<String>,
    trace_id: Option<String>,
    at: DateTime<Utc>,
    payload: Value,
}

impl Row {
    fn event(self, service: &str) -> Event {
        Event {
            id: self.id,
            kind: self.kind,
            aggregate: self.aggregate,
            service: service.to_owned(),
            actor: self.actor,
            client_id: self.client_id,
            request_id: self.request_id,
            ip_address: self.ip_address,
            user_agent: self.user_agent,
            trace_id: self.trace_id,
            at: self.at,
            payload: self.payload,
        }
    }
}

/// Writes an event; to be called in the transaction of the change.
///
/// `payload` holds ids, names, counts, durations and error codes; never texts or secrets. What is known of the request and
/// its caller is added here.
///
/// # Errors
/// Those of the database.
pub fn push(
    conn: &mut PgConnection,
    kind: &str,
    aggregate: &str,
    actor: Option<&str>,
    payload: Value,
) -> QueryResult<()> {
    let Origin { request_id, client_id, ip_address, user_agent, trace_id } = context::origin();
    let named = payload.get("client_id").and_then(Value::as_str).map(str::to_owned);
    let new = New {
        id: Uuid::now_v7(),
        kind,
        aggregate,
        actor,
        client_id: named.or(client_id),
        request_id,
        ip_address,
        user_agent,
        trace_id,
        // As it is printed, so that it is the same whichever way the event goes.
        at: Utc::now().trunc_subsecs(3),
        payload,
    };
    diesel::insert_into(outbox::table).values(new).execute(conn)?;
    db::note_event();
    Ok(())
}

/// An event among several that are written together.
#[derive(Debug, Clone)]
pub struct NewEvent {
    pub kind: &'static str,
    pub aggregate: String,
    pub payload: Value,
}

const PUSH_ALL: &str = "INSERT INTO outbox \
    (id, kind, aggregate, actor, client_id, request_id, ip_address, user_agent, trace_id, at, payload) \
    SELECT n.id, n.kind, n.aggregate, $1, n.client_id, $2, $3, $4, $5, $6, n.payload::jsonb \
    FROM unnest($7, $8, $9, $10, $11) WITH ORDINALITY AS n(id, kind, aggregate, client_id, payload, number) ORDER BY n.number";

/// As [`push`], for several events in their order.
///
/// # Errors
/// Those of the database.
pub fn push_all(conn: &mut PgConnection, actor: Option<&str>, events: &[NewEvent]) -> QueryResult<()> {
    if events.is_empty() {
        return Ok(());
    }
    let origin = context::origin();
    let client = |event: &NewEvent| {
        let named = event.payload.get("client_id").and_then(Value::as_str).map(str::to_owned);
        named.or_else(|| origin.client_id.clone())
    };
    sql(PUSH_ALL)
        .bind::<Nullable<Text>, _>(actor)
        .bind::<Nullable<Text>, _>(origin.request_id.as_deref())
        .bind::<Nullable<Text>, _>(origin.ip_address.as_deref())
        .bind::<Nullable<Text>, _>(origin.user_agent.as_deref())
        .bind::<Nullable<Text>, _>(origin.trace_id.as_deref())
        .bind::<Timestamptz, _>(Utc::now().trunc_subsecs(3))
        .bind::<Array<SqlUuid>, _>(events.iter().map(|_| Uuid::now_v7()).collect::<Vec<_>>())
        .bind::<Array<Text>, _>(events.iter().map(|event| event.kind).collect::<Vec<_>>())
        .bind::<Array<Text>, _>(events.iter().map(|event| event.aggregate.as_str()).collect::<Vec<_>>())
        .bind::<Array<Nullable<Text>>, _>(events.iter().map(client).collect::<Vec<_>>())
        .bind::<Array<Text>, _>(events.iter().map(|event| event.payload.to_string()).collect::<Vec<_>>())
        .execute(conn)?;
    db::note_event();
    Ok(())
}

/// Takes the oldest events out, all or none, for whoever stores them in the same transaction: the control plane itself.
/// Only one such transaction may run at a time.
///
/// # Errors
/// Those of the database.
pub fn take(conn: &mut PgConnection, service: &str, limit: i64) -> QueryResult<Vec<Event>> {
    let rows = oldest(conn, limit)?;
    let sequence: Vec<i64> = rows.iter().map(|row| row.seq).collect();
    delete(conn, &sequence)?;
    Ok(rows.into_iter().map(|row| row.event(service)).collect())
}

/// The oldest rows, at least one if there is any.
fn oldest(conn: &mut PgConnection, limit: i64) -> QueryResult<Vec<Row>> {
    sql_query(
        "SELECT seq, id, kind, aggregate, actor, client_id, request_id, ip_address, user_agent, trace_id, at, payload \
         FROM (SELECT *, row_number() OVER by_seq AS number, \
                      sum(octet_length(payload::text) + coalesce(octet_length(user_agent), 0) + 512) OVER by_seq AS bytes \
               FROM (SELECT * FROM outbox WHERE set_aside_until IS NULL OR set_aside_until <= now() \
                     ORDER BY seq LIMIT $1) AS oldest \
               WINDOW by_seq AS (ORDER BY seq)) AS counted \
         WHERE bytes <= $2 OR number = 1 ORDER BY seq",
    )
    .bind::<BigInt, _>(limit)
    .bind::<BigInt, _>(BATCH_BYTES)
    .load(conn)
}

// By their numbers, one for one: a row whose transaction committed late may have a number below them, and must stay.
fn delete(conn: &mut PgConnection, sequence: &[i64]) -> QueryResult<usize> {
    diesel::delete(outbox::table.filter(outbox::seq.eq_any(sequence))).execute(conn)
}
