//! The history of trust.

use api_types::ains::Window;
use chrono::{DateTime, TimeDelta, Utc};
use diesel::{
    QueryResult, QueryableByName, RunQueryDsl as _,
    sql_types::{Array, BigInt, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use uuid::Uuid;

use super::Conn;
use crate::domain::trust::{Change, Delta};
use api_core::sql::sql;

/// What the trend looks at.
const TREND_CHANGES: i64 = 10;
const TREND_DAYS: i64 = 7;

/// A change to be kept.
#[derive(Debug, Clone)]
pub(crate) struct New {
    pub(crate) agent_id: String,
    pub(crate) event_type: &'static str,
    pub(crate) task_id: Option<Uuid>,
    pub(crate) change: Change,
    pub(crate) reason: String,
    pub(crate) at: DateTime<Utc>,
}

/// A change.
#[derive(Debug, Clone, QueryableByName)]
pub(crate) struct Row {
    #[diesel(sql_type = SqlUuid)]
    pub(crate) record_id: Uuid,
    #[diesel(sql_type = Text)]
    pub(crate) event_type: String,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub(crate) task_id: Option<Uuid>,
    #[diesel(sql_type = Integer)]
    pub(crate) delta: i32,
    #[diesel(sql_type = Integer)]
    pub(crate) trust_before: i32,
    #[diesel(sql_type = Integer)]
    pub(crate) trust_after: i32,
    #[diesel(sql_type = Text)]
    pub(crate) reason: String,
    #[diesel(sql_type = Timestamptz)]
    pub(crate) created_at: DateTime<Utc>,
}

/// Adds changes of workers that the transaction holds, in the order in which they happened.
pub(crate) fn insert(conn: &mut Conn, records: &[New]) -> QueryResult<()> {
    if records.is_empty() {
        return Ok(());
    }
    fn each<'a, T>(records: &'a [New], column: impl Fn(&'a New) -> T) -> Vec<T> {
        records.iter().map(column).collect()
    }
    sql("INSERT INTO trust_records (agent_id, record_id, event_type, task_id, delta, trust_before, trust_after, reason, created_at) \
         SELECT n.agent_id, n.record_id, n.event_type, n.task_id, n.delta, n.before, n.after, n.reason, n.at \
         FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9) WITH ORDINALITY \
         AS n(agent_id, record_id, event_type, task_id, delta, before, after, reason, at, number) ORDER BY n.number")
    .bind::<Array<Text>, _>(each(records, |record| record.agent_id.as_str()))
    .bind::<Array<SqlUuid>, _>(each(records, |_| Uuid::now_v7()))
    .bind::<Array<Text>, _>(each(records, |record| record.event_type))
    .bind::<Array<Nullable<SqlUuid>>, _>(each(records, |record| record.task_id))
    .bind::<Array<Integer>, _>(each(records, |record| record.change.effective().ten_thousandths()))
    .bind::<Array<Integer>, _>(each(records, |record| record.change.before.ten_thousandths()))
    .bind::<Array<Integer>, _>(each(records, |record| record.change.after.ten_thousandths()))
    .bind::<Array<Text>, _>(each(records, |record| record.reason.as_str()))
    .bind::<Array<Timestamptz>, _>(each(records, |record| record.at))
    .execute(conn)
    .map(drop)
}

/// The changes of a worker in a span of time, the newest first, and how many there are.
pub(crate) fn page(
    conn: &mut Conn,
    agent_id: &str,
    (start, end): (DateTime<Utc>, DateTime<Utc>),
    window: Window,
) -> QueryResult<(Vec<Row>, i64)> {
    #[derive(QueryableByName)]
    struct Count {
        #[diesel(sql_type = BigInt)]
        count: i64,
    }
    let count: Count =
        sql("SELECT count(*) AS count FROM trust_records WHERE agent_id = $1 AND created_at BETWEEN $2 AND $3")
            .bind::<Text, _>(agent_id)
            .bind::<Timestamptz, _>(start)
            .bind::<Timestamptz, _>(end)
            .get_result(conn)?;
    let rows = sql("SELECT record_id, event_type, task_id, delta, trust_before, trust_after, reason, created_at \
         FROM trust_records WHERE agent_id = $1 AND created_at BETWEEN $2 AND $3 ORDER BY seq DESC LIMIT $4 OFFSET $5")
    .bind::<Text, _>(agent_id)
    .bind::<Timestamptz, _>(start)
    .bind::<Timestamptz, _>(end)
    .bind::<BigInt, _>(window.limit)
    .bind::<BigInt, _>(window.offset)
    .load(conn)?;
    Ok((rows, count.count))
}

/// The changes that make up a worker's trend.
pub(crate) fn recent(conn: &mut Conn, agent_id: &str, now: DateTime<Utc>) -> QueryResult<Vec<Delta>> {
    #[derive(QueryableByName)]
    struct Found {
        #[diesel(sql_type = Integer)]
        delta: i32,
    }
    let found: Vec<Found> =
        sql("SELECT delta FROM trust_records WHERE agent_id = $1 AND created_at > $2 ORDER BY seq DESC LIMIT $3")
            .bind::<Text, _>(agent_id)
            .bind::<Timestamptz, _>(now - TimeDelta::days(TREND_DAYS))
            .bind::<BigInt, _>(TREND_CHANGES)
            .load(conn)?;
    Ok(found.into_iter().map(|row| Delta::new(row.delta)).collect())
}
