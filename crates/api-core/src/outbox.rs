//! Events: written with the change that they tell of, handed to the control plane later, at least once.

use std::time::Duration;

use api_client::control_plane::ControlPlane;
use api_types::events::{Event, EventBatch};
use chrono::{DateTime, Utc};
use diesel::{
    ExpressionMethods as _, Insertable, PgConnection, QueryDsl as _, QueryResult, Queryable, RunQueryDsl as _,
    Selectable, SelectableHelper as _,
    sql_types::{Array, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    context,
    db::{self, Db},
    sql::sql,
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
        request_id -> Nullable<Text>,
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
    request_id: Option<String>,
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
    request_id: Option<String>,
    at: DateTime<Utc>,
    payload: Value,
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
    let request_id = context::current().map(|context| context.request_id.to_string());
    let new = New { id: Uuid::now_v7(), kind, aggregate, actor, request_id, at: Utc::now(), payload };
    diesel::insert_into(outbox::table).values(new).execute(conn).map(drop)
}

/// An event among several that are written together.
#[derive(Debug, Clone)]
pub struct NewEvent {
    pub kind: &'static str,
    pub aggregate: String,
    pub payload: Value,
}

/// As [`push`], for several events in their order.
///
/// # Errors
/// Those of the database.
pub fn push_all(conn: &mut PgConnection, actor: Option<&str>, events: &[NewEvent]) -> QueryResult<()> {
    if events.is_empty() {
        return Ok(());
    }
    let request_id = context::current().map(|context| context.request_id.to_string());
    sql("INSERT INTO outbox (id, kind, aggregate, actor, request_id, at, payload) \
         SELECT n.id, n.kind, n.aggregate, $1, $2, $3, n.payload::jsonb \
         FROM unnest($4, $5, $6, $7) WITH ORDINALITY AS n(id, kind, aggregate, payload, number) ORDER BY n.number")
    .bind::<Nullable<Text>, _>(actor)
    .bind::<Nullable<Text>, _>(request_id)
    .bind::<Timestamptz, _>(Utc::now())
    .bind::<Array<SqlUuid>, _>(events.iter().map(|_| Uuid::now_v7()).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(events.iter().map(|event| event.kind).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(events.iter().map(|event| event.aggregate.as_str()).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(events.iter().map(|event| event.payload.to_string()).collect::<Vec<_>>())
    .execute(conn)
    .map(drop)
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

async fn relay_batch(db: &Db, service: &'static str, control_plane: &ControlPlane) -> anyhow::Result<usize> {
    let rows = db.run::<_, db::Error>(|conn| Ok(oldest(conn)?)).await?;
    let Some(last) = rows.last().map(|row| row.seq) else { return Ok(0) };
    let count = rows.len();
    let sequence: Vec<i64> = rows.iter().map(|row| row.seq).collect();
    let events = rows.into_iter().map(|row| Event {
        id: row.id,
        kind: row.kind,
        aggregate: row.aggregate,
        service: service.to_owned(),
        actor: row.actor,
        request_id: row.request_id,
        at: row.at,
        payload: row.payload,
    });
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
