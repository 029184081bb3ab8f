//! From events to deliveries, in the transaction that takes the events in.

use std::collections::HashSet;

use api_types::kinds::{self, family_of};
use chrono::{DateTime, Utc};
use diesel::{
    ExpressionMethods as _, PgConnection, QueryResult, QueryableByName, RunQueryDsl as _, sql_query,
    sql_types::{Array, Bool, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use serde_json::Value;
use uuid::Uuid;

use super::schema::webhook_events;
use crate::domain::{
    intake::StoredEvent,
    webhooks::message::{AINS_SERVICE, CAXTON_KEY},
};

/// The columns of a batch of events that subscriptions look at.
#[derive(Default)]
struct Batch<'a> {
    ids: Vec<Uuid>,
    kinds: Vec<&'a str>,
    families: Vec<String>,
    aggregates: Vec<&'a str>,
    at: Vec<DateTime<Utc>>,
    /// Null where the event is none of the AINS door's.
    agents: Vec<Option<&'a str>>,
    clients: Vec<Option<&'a str>>,
    audited: Vec<bool>,
    /// Null where the event is none of the Caxton door's.
    capabilities: Vec<Option<&'a Value>>,
}

impl<'a> Batch<'a> {
    fn of(events: &'a [StoredEvent]) -> Self {
        let mut batch = Self::default();
        for event in events {
            let family = family_of(&event.kind);
            let is_ains = is_ains(event, family);
            batch.ids.push(event.id);
            batch.kinds.push(&event.kind);
            batch.families.push(format!("{family}.*"));
            batch.aggregates.push(&event.aggregate);
            batch.at.push(event.at);
            batch.agents.push(event.payload.get("agent_id").and_then(Value::as_str).filter(|_| is_ains));
            batch.clients.push(event.client_id.as_deref().filter(|_| is_ains));
            batch.audited.push(kinds::AUDITED.contains(&family));
            batch.capabilities.push(event.payload.get(CAXTON_KEY).and_then(|notice| notice.get("capabilities")));
        }
        batch
    }
}

/// Whether the AINS door tells of the event: `agent.updated` is a word of others, too.
fn is_ains(event: &StoredEvent, family: &str) -> bool {
    kinds::AINS.contains(&event.kind.as_str()) && (family != "agent" || event.service == AINS_SERVICE)
}

#[derive(QueryableByName)]
struct Matched {
    #[diesel(sql_type = SqlUuid)]
    event_id: Uuid,
}

/// One statement for all events and all webhooks: ten thousand webhooks on one event cost ten thousand rows and no more.
/// A webhook hears of what happened from its creation on, but neither of its creation nor of its tests.
const MATCH: &str = "
WITH happened AS (
    SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9) WITH ORDINALITY
        AS e (id, kind, family, aggregate, at, agent_id, client_id, audited, capabilities, n)
), wanted AS (
    SELECT w.no, w.owner, e.id, e.kind, e.n FROM happened e JOIN webhooks w ON w.agent_id = e.agent_id
    WHERE w.door = 'ains' AND w.active AND e.kind = ANY (w.events) AND e.at >= w.created_at
    UNION ALL
    SELECT w.no, w.owner, e.id, e.kind, e.n FROM happened e JOIN webhooks w ON w.client_id = e.client_id
    WHERE w.door = 'ains' AND w.agent_id IS NULL AND w.active AND e.kind = ANY (w.events) AND e.at >= w.created_at
    UNION ALL
    SELECT w.no, w.owner, e.id, e.kind, e.n FROM happened e JOIN webhooks w ON w.events && ARRAY[e.kind, e.family, '*']
    WHERE w.door = 'mesh' AND w.active AND e.at >= w.created_at AND (w.sees_audited OR NOT e.audited)
      AND NOT (e.kind IN ('webhook.created', 'webhook.test') AND e.aggregate = 'webhook:' || w.id)
    UNION ALL
    SELECT w.no, w.owner, e.id, e.kind, e.n FROM happened e JOIN webhooks w ON e.kind = ANY (w.events)
    WHERE w.door = 'caxton' AND w.active AND e.at >= w.created_at AND e.capabilities IS NOT NULL
      AND (w.capabilities IS NULL OR e.capabilities ?| w.capabilities)
), made AS (
    INSERT INTO webhook_deliveries (webhook_no, owner, event_id, event)
    SELECT no, owner, id, kind FROM wanted ORDER BY n, no
    RETURNING event_id
)
SELECT DISTINCT event_id FROM made";

/// Notes what is to be delivered of these events, in their order.
///
/// # Errors
/// Those of the database.
pub(crate) fn enqueue(conn: &mut PgConnection, events: &[StoredEvent]) -> QueryResult<()> {
    if events.is_empty() {
        return Ok(());
    }
    let Batch { ids, kinds, families, aggregates, at, agents, clients, audited, capabilities } = Batch::of(events);
    let matched: Vec<Matched> = sql_query(MATCH)
        .bind::<Array<SqlUuid>, _>(ids)
        .bind::<Array<Text>, _>(kinds)
        .bind::<Array<Text>, _>(families)
        .bind::<Array<Text>, _>(aggregates)
        .bind::<Array<Timestamptz>, _>(at)
        .bind::<Array<Nullable<Text>>, _>(agents)
        .bind::<Array<Nullable<Text>>, _>(clients)
        .bind::<Array<Bool>, _>(audited)
        .bind::<Array<Nullable<Jsonb>>, _>(capabilities)
        .load(conn)?;
    let matched: HashSet<Uuid> = matched.into_iter().map(|row| row.event_id).collect();
    let rows: Vec<_> = events
        .iter()
        .filter(|event| matched.contains(&event.id))
        .map(|event| {
            (
                webhook_events::id.eq(event.id),
                webhook_events::kind.eq(&event.kind),
                webhook_events::at.eq(event.at),
                webhook_events::payload.eq(&event.payload),
            )
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    diesel::insert_into(webhook_events::table).values(rows).on_conflict_do_nothing().execute(conn).map(drop)
}
