//! Events: written with the change that they tell of, handed to the control plane later, at least once.

use std::time::Duration;

use api_client::control_plane::ControlPlane;
use api_types::events::{Event, EventBatch};
use chrono::{DateTime, Utc};
use diesel::{
    ExpressionMethods as _, Insertable, PgConnection, QueryDsl as _, QueryResult, Queryable, RunQueryDsl as _,
    Selectable, SelectableHelper as _,
};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    context,
    db::{self, Db},
};

/// Events handed over in one go.
const BATCH: i64 = 200;
/// How long the relay rests when there is nothing to hand over, or nobody to hand it to.
const IDLE: Duration = Duration::from_millis(500);
const AWAY: Duration = Duration::from_secs(5);

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

#[derive(Queryable, Selectable)]
#[diesel(table_name = outbox, check_for_backend(diesel::pg::Pg))]
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
/// `payload` holds ids, names, counts, durations and error codes; never texts or secrets.
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
    let request = context::current();
    let named = payload.get("client_id").and_then(Value::as_str).map(str::to_owned);
    let new = New {
        id: Uuid::now_v7(),
        kind,
        aggregate,
        actor,
        client_id: named.or_else(|| request.as_ref()?.client_id().map(str::to_owned)),
        request_id: request.as_ref().map(|request| request.request_id.to_string()),
        ip_address: request.as_ref().and_then(|request| request.visitor().ip()),
        user_agent: request.as_ref().and_then(|request| request.visitor().user_agent()),
        trace_id: context::trace_id(),
        at: Utc::now(),
        payload,
    };
    diesel::insert_into(outbox::table).values(new).execute(conn).map(drop)
}

/// Hands events over until it is told to stop. One relay at a time works for a service, whichever process it is in.
pub async fn relay(db: Db, service: &'static str, control_plane: ControlPlane, stop: CancellationToken) {
    loop {
        let pause = match relay_batch(&db, service, &control_plane).await {
            Ok(0) => IDLE,
            Ok(_) => Duration::ZERO,
            Err(error) => {
                tracing::warn!(service, error = format!("{error:#}"), "events wait in the outbox");
                AWAY
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Takes the oldest events out, all or none, for whoever stores them in the same transaction: the control plane itself.
///
/// # Errors
/// Those of the database.
pub fn take(conn: &mut PgConnection, service: &str, limit: i64) -> QueryResult<Vec<Event>> {
    let rows: Vec<Row> =
        outbox::table.order(outbox::seq).limit(limit).select(Row::as_select()).for_update().load(conn)?;
    let sequence: Vec<i64> = rows.iter().map(|row| row.seq).collect();
    handed_over(conn, &sequence)?;
    Ok(rows.into_iter().map(|row| row.event(service)).collect())
}

async fn relay_batch(db: &Db, service: &'static str, control_plane: &ControlPlane) -> anyhow::Result<usize> {
    let rows = db.run::<_, db::Error>(|conn| Ok(oldest(conn)?)).await?;
    let Some(last) = rows.last().map(|row| row.seq) else { return Ok(0) };
    let count = rows.len();
    let sequence: Vec<i64> = rows.iter().map(|row| row.seq).collect();
    let events = rows.into_iter().map(|row| row.event(service));
    control_plane.publish(&EventBatch { events: events.collect() }).await?;
    db.run::<_, db::Error>(move |conn| Ok(handed_over(conn, &sequence)?)).await?;
    tracing::debug!(service, count, last, "events handed over");
    Ok(count)
}

// Two relays of a service may read the same rows: the receiver knows events by their ids, and the order of an aggregate holds,
// since each relay hands over in order and a row is deleted only after it was accepted.
fn oldest(conn: &mut PgConnection) -> QueryResult<Vec<Row>> {
    outbox::table.order(outbox::seq).limit(BATCH).select(Row::as_select()).load(conn)
}

fn handed_over(conn: &mut PgConnection, sequence: &[i64]) -> QueryResult<usize> {
    diesel::delete(outbox::table.filter(outbox::seq.eq_any(sequence))).execute(conn)
}
