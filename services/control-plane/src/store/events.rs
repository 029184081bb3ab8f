//! The table `events`: a partition for each day.

use std::collections::{BTreeSet, HashMap};

use api_core::list::{self, Scope};
use api_types::{
    envelope::Pagination,
    events::{Level, RecordedEvent, mesh_id},
};
use chrono::{DateTime, NaiveDate, Utc};
use diesel::{
    PgConnection, QueryResult, QueryableByName, RunQueryDsl as _,
    connection::SimpleConnection as _,
    sql_query,
    sql_types::{Array, BigInt, Date, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use serde_json::Value;
use uuid::Uuid;

use super::intake::one_at_a_time;
use crate::domain::{
    events::log::{Logged, View},
    intake::{Arriving, StoredEvent},
};

// What our own events carry for webhooks alone, texts, never leaves the database here.
const COLUMNS: &str = "seq, id, at, recorded_at, kind, level, message, service, user_id, agent_id, workflow_id, tool_id, \
                       execution_id, trace_id, request_id, \
                       CASE WHEN service ^@ 'external:' OR jsonb_typeof(payload) <> 'object' THEN payload \
                       ELSE payload - ARRAY['result_data', 'error_message', 'caxton'] END AS payload";

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    seq: i64,
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Timestamptz)]
    at: DateTime<Utc>,
    #[diesel(sql_type = Timestamptz)]
    recorded_at: DateTime<Utc>,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Text)]
    level: String,
    #[diesel(sql_type = Nullable<Text>)]
    message: Option<String>,
    #[diesel(sql_type = Text)]
    service: String,
    #[diesel(sql_type = Nullable<Text>)]
    user_id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    agent_id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    workflow_id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    tool_id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    execution_id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    trace_id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    request_id: Option<String>,
    #[diesel(sql_type = Jsonb)]
    payload: Value,
}

impl From<Row> for Logged {
    fn from(row: Row) -> Self {
        let event = RecordedEvent {
            id: mesh_id(row.id),
            event_type: row.kind,
            level: row.level.parse().unwrap_or(Level::Info),
            source: row.service,
            message: row.message,
            data: row.payload,
            user_id: row.user_id,
            agent_id: row.agent_id,
            workflow_id: row.workflow_id,
            tool_id: row.tool_id,
            execution_id: row.execution_id,
            trace_id: row.trace_id,
            request_id: row.request_id,
            occurred_at: row.at,
            recorded_at: row.recorded_at,
        };
        Self { seq: row.seq, event }
    }
}

/// Stores the events that are new, in their order, and returns them. Their days have partitions.
pub(super) fn insert(conn: &mut PgConnection, batch: Vec<Arriving>) -> QueryResult<Vec<StoredEvent>> {
    #[derive(QueryableByName)]
    struct New {
        #[diesel(sql_type = BigInt)]
        seq: i64,
        #[diesel(sql_type = SqlUuid)]
        id: Uuid,
        #[diesel(sql_type = Timestamptz)]
        recorded_at: DateTime<Utc>,
    }
    type Texts = Array<Text>;
    type Options = Array<Nullable<Text>>;
    let texts = |of: fn(&Arriving) -> &str| batch.iter().map(of).collect::<Vec<_>>();
    let options = |of: fn(&Arriving) -> Option<&str>| batch.iter().map(of).collect::<Vec<_>>();
    // A column at a time: one statement of few parameters, whatever the number of rows.
    let insert = sql_query(
        "INSERT INTO events (id, at, kind, level, message, aggregate, service, actor, client_id, user_id, agent_id, \
                             workflow_id, tool_id, execution_id, trace_id, request_id, ip_address, user_agent, payload) \
         SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19) \
         ON CONFLICT (id, at) DO NOTHING RETURNING seq, id, recorded_at",
    )
    .bind::<Array<SqlUuid>, _>(batch.iter().map(|new| new.event.id).collect::<Vec<_>>())
    .bind::<Array<Timestamptz>, _>(batch.iter().map(|new| new.event.at).collect::<Vec<_>>())
    .bind::<Texts, _>(texts(|new| &new.event.kind))
    .bind::<Texts, _>(texts(|new| new.level.as_str()))
    .bind::<Options, _>(options(|new| new.message.as_deref()))
    .bind::<Texts, _>(texts(|new| &new.event.aggregate))
    .bind::<Texts, _>(texts(|new| &new.event.service))
    .bind::<Options, _>(options(|new| new.event.actor.as_deref()))
    .bind::<Options, _>(options(|new| new.event.client_id.as_deref()))
    .bind::<Options, _>(options(|new| new.links.user_id.as_deref()))
    .bind::<Options, _>(options(|new| new.links.agent_id.as_deref()))
    .bind::<Options, _>(options(|new| new.links.workflow_id.as_deref()))
    .bind::<Options, _>(options(|new| new.links.tool_id.as_deref()))
    .bind::<Options, _>(options(|new| new.links.execution_id.as_deref()))
    .bind::<Options, _>(options(|new| new.links.trace_id.as_deref()))
    .bind::<Options, _>(options(|new| new.event.request_id.as_deref()))
    .bind::<Options, _>(options(|new| new.event.ip_address.as_deref()))
    .bind::<Options, _>(options(|new| new.event.user_agent.as_deref()))
    .bind::<Array<Jsonb>, _>(batch.iter().map(|new| &new.event.payload).collect::<Vec<_>>());
    let new: Vec<New> = insert.load(conn)?;
    // Of an event that is in the batch twice, the first one counts.
    let mut by_id: HashMap<Uuid, Arriving> = batch.into_iter().rev().map(|new| (new.event.id, new)).collect();
    let stored = new.into_iter().filter_map(|New { seq, id, recorded_at }| {
        let Arriving { event, level, .. } = by_id.remove(&id)?;
        Some(StoredEvent { seq, level, recorded_at, event })
    });
    Ok(stored.collect())
}

/// A page of what a view shows.
pub(crate) fn page(conn: &mut PgConnection, view: &View) -> QueryResult<(Vec<RecordedEvent>, Pagination)> {
    let from = "(SELECT *, at AS created_at FROM events) AS log";
    let (rows, pagination) = list::page::<Row>(conn, (COLUMNS, from), &visible(view), &view.query)?;
    Ok((rows.into_iter().map(|row| Logged::from(row).event).collect(), pagination))
}

/// What a view shows of the entries with numbers above `after` and up to `upto`, the smallest first.
pub(crate) fn between(
    conn: &mut PgConnection,
    view: &View,
    (after, upto): (i64, i64),
    limit: usize,
) -> QueryResult<Vec<Logged>> {
    let from = format!("(SELECT * FROM events WHERE seq > {after} AND seq <= {upto}) AS log");
    let tail = format!("ORDER BY seq LIMIT {limit}");
    let rows = list::select::<Row>(conn, (COLUMNS, &from, &tail), &visible(view), &view.query)?;
    Ok(rows.into_iter().map(Logged::from).collect())
}

/// All entries with numbers above `after`, the smallest first.
pub(crate) fn after(conn: &mut PgConnection, after: i64, limit: i64) -> QueryResult<Vec<Logged>> {
    let select = format!("SELECT {COLUMNS} FROM events WHERE seq > $1 ORDER BY seq LIMIT $2");
    let rows: Vec<Row> = sql_query(select).bind::<BigInt, _>(after).bind::<BigInt, _>(limit).load(conn)?;
    Ok(rows.into_iter().map(Logged::from).collect())
}

/// The greatest number of the log; 0 when it is empty.
pub(crate) fn newest(conn: &mut PgConnection) -> QueryResult<i64> {
    #[derive(QueryableByName)]
    struct Newest {
        #[diesel(sql_type = BigInt)]
        seq: i64,
    }
    sql_query("SELECT coalesce(max(seq), 0) AS seq FROM events").get_result::<Newest>(conn).map(|newest| newest.seq)
}

/// The smallest and the greatest number of the log; 1 and 0 when it is empty.
pub(crate) fn extent(conn: &mut PgConnection) -> QueryResult<(i64, i64)> {
    #[derive(QueryableByName)]
    struct Oldest {
        #[diesel(sql_type = BigInt)]
        seq: i64,
    }
    let newest = newest(conn)?;
    let oldest = sql_query("SELECT coalesce(min(seq), 1) AS seq FROM events").get_result::<Oldest>(conn)?;
    Ok((oldest.seq.min(newest + 1), newest))
}

/// The conditions of a view that nobody asked for.
fn visible(view: &View) -> Vec<Scope> {
    if view.confidential {
        return Vec::new();
    }
    vec![Scope { column: "(split_part(kind, '.', 1) IN ('user', 'key', 'secret'))::text", value: "false".to_owned() }]
}

/// Makes what is missing of the partitions of these days.
pub(super) fn make_partitions(conn: &mut PgConnection, days: impl Iterator<Item = NaiveDate>) -> QueryResult<()> {
    let days: Vec<NaiveDate> = days.collect::<BTreeSet<_>>().into_iter().collect();
    let make = sql_query("SELECT make_events_partition(day) FROM unnest($1) AS days (day) ORDER BY day");
    make.bind::<Array<Date>, _>(days).execute(conn).map(drop)
}

/// Makes partitions ahead of time; to be called in a transaction.
pub(crate) fn prepare_days(conn: &mut PgConnection, days: Vec<NaiveDate>) -> QueryResult<()> {
    one_at_a_time(conn)?;
    make_partitions(conn, days.into_iter())
}

/// Drops the oldest partition if all of it lies before `day`, and returns its name; to be called in a transaction.
///
/// # Errors
/// Those of the database; that of a lock that it did not get in a second, so that nobody waits behind it for long.
pub(crate) fn drop_oldest(conn: &mut PgConnection, day: NaiveDate) -> QueryResult<Option<String>> {
    #[derive(QueryableByName)]
    struct Partition {
        #[diesel(sql_type = Text)]
        name: String,
    }
    one_at_a_time(conn)?;
    let oldest = sql_query(
        "SELECT quote_ident(relname) AS name FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid \
         WHERE inhparent = 'events'::regclass AND relname < $1 ORDER BY relname LIMIT 1",
    );
    let oldest: Vec<Partition> = oldest.bind::<Text, _>(format!("events_{}", day.format("%Y%m%d"))).load(conn)?;
    let Some(Partition { name }) = oldest.into_iter().next() else { return Ok(None) };
    conn.batch_execute(&format!("SET LOCAL lock_timeout = '1s'; DROP TABLE {name}"))?;
    Ok(Some(name))
}

#[cfg(test)]
mod tests {
    use super::visible;
    use crate::domain::events::{kinds, log};

    #[test]
    fn sql_and_rules_name_the_same_families() {
        let view = log::View { query: log::LIST.everything(), confidential: false };
        let column = visible(&view)[0].column;
        for family in kinds::CONFIDENTIAL {
            assert!(column.contains(&format!("'{family}'")), "{family}");
        }
        // One pair of quotes each, and one around the dot.
        assert_eq!(column.matches('\'').count(), 2 * kinds::CONFIDENTIAL.len() + 2);
    }
}
