//! Workers as they are stored.

use api_types::ains::Window;
use chrono::{DateTime, TimeDelta, Utc};
use diesel::{
    OptionalExtension as _, QueryResult, QueryableByName, RunQueryDsl as _,
    sql_types::{Array, BigInt, Bool, Double, Integer, Nullable, Text, Timestamptz},
};

use super::{Conn, raw::RawJson};
use crate::domain::trust::{Score, Standing};
use api_core::sql::sql;

/// A worker.
#[derive(Debug, Clone, QueryableByName)]
pub(crate) struct Row {
    #[diesel(sql_type = Text)]
    pub(crate) agent_id: String,
    #[diesel(sql_type = Text)]
    pub(crate) client_id: String,
    #[diesel(sql_type = Text)]
    pub(crate) display_name: String,
    #[diesel(sql_type = Text)]
    pub(crate) endpoint: String,
    #[diesel(sql_type = Bool)]
    pub(crate) signature_verified: bool,
    #[diesel(sql_type = Text)]
    pub(crate) delivery_secret: String,
    #[diesel(sql_type = Array<Text>)]
    pub(crate) tags: Vec<String>,
    #[diesel(sql_type = Text)]
    pub(crate) metadata: RawJson,
    #[diesel(sql_type = Text)]
    pub(crate) delivery: String,
    #[diesel(sql_type = Text)]
    pub(crate) source: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub(crate) inactive_reason: Option<String>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub(crate) deactivated_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Bool)]
    pub(crate) is_degraded: bool,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub(crate) unreachable_until: Option<DateTime<Utc>>,
    #[diesel(sql_type = Integer)]
    pub(crate) max_concurrent_tasks: i32,
    #[diesel(sql_type = Integer)]
    pub(crate) current_load: i32,
    #[diesel(sql_type = Integer)]
    pub(crate) trust: i32,
    #[diesel(sql_type = BigInt)]
    pub(crate) total_completed: i64,
    #[diesel(sql_type = BigInt)]
    pub(crate) total_failed: i64,
    #[diesel(sql_type = Nullable<Double>)]
    pub(crate) avg_seconds: Option<f64>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub(crate) last_completed_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub(crate) last_seen_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub(crate) last_polled_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub(crate) last_heartbeat_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Timestamptz)]
    pub(crate) created_at: DateTime<Utc>,
}

/// The columns of a [`Row`], of the table `w`.
macro_rules! columns {
    () => {
        "w.agent_id, w.client_id, w.display_name, w.endpoint, w.signature_verified, w.delivery_secret, w.tags, w.metadata, \
         w.delivery, w.source, w.inactive_reason, w.deactivated_at, w.is_degraded, w.unreachable_until, \
         w.max_concurrent_tasks, w.current_load, w.trust, w.total_completed, w.total_failed, w.avg_seconds, \
         w.last_completed_at, w.last_seen_at, w.last_polled_at, w.last_heartbeat_at, w.created_at"
    };
}

impl Row {
    pub(crate) fn is_active(&self) -> bool {
        self.inactive_reason.is_none()
    }

    pub(crate) fn is_imago(&self) -> bool {
        self.source == "imago"
    }

    pub(crate) fn status(&self) -> &'static str {
        if self.is_active() { "active" } else { "inactive" }
    }

    pub(crate) fn health(&self, now: DateTime<Utc>) -> &'static str {
        match self.unreachable_until {
            Some(until) if until > now => "unreachable",
            _ if self.is_degraded => "degraded",
            _ => "healthy",
        }
    }

    pub(crate) fn standing(&self) -> Standing {
        Standing {
            score: Score::new(self.trust),
            completed: self.total_completed,
            failed: self.total_failed,
            average_seconds: self.avg_seconds,
        }
    }

    /// How many tasks more it may have.
    pub(crate) fn free(&self) -> i32 {
        (self.max_concurrent_tasks - self.current_load).max(0)
    }
}

/// A worker to be stored.
#[derive(Debug, Clone)]
pub(crate) struct New {
    pub(crate) agent_id: String,
    pub(crate) client_id: String,
    pub(crate) display_name: String,
    pub(crate) endpoint: String,
    pub(crate) public_key: String,
    pub(crate) signature_verified: bool,
    /// Sealed.
    pub(crate) delivery_secret: String,
    pub(crate) tags: Vec<String>,
    /// JSON
    pub(crate) metadata: String,
    pub(crate) delivery: String,
    pub(crate) source: &'static str,
    pub(crate) max_concurrent_tasks: i32,
}

/// Stores a worker; `None` when the id is taken. One of the same client that was switched off comes back, with its history.
pub(crate) fn insert(conn: &mut Conn, new: &New, now: DateTime<Utc>) -> QueryResult<Option<Row>> {
    let row: Option<Row> = sql(concat!(
        "INSERT INTO workers AS w (agent_id, client_id, display_name, endpoint, public_key, signature_verified, \
         delivery_secret, tags, metadata, delivery, source, max_concurrent_tasks, last_seen_at, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $13) \
         ON CONFLICT (agent_id) DO UPDATE SET display_name = excluded.display_name, endpoint = excluded.endpoint, \
         public_key = excluded.public_key, signature_verified = excluded.signature_verified, \
         delivery_secret = excluded.delivery_secret, tags = excluded.tags, metadata = excluded.metadata, \
         delivery = excluded.delivery, max_concurrent_tasks = excluded.max_concurrent_tasks, inactive_reason = NULL, \
         deactivated_at = NULL, is_degraded = false, push_failures = 0, unreachable_until = NULL, \
         last_seen_at = excluded.last_seen_at, last_heartbeat_at = NULL \
         WHERE w.inactive_reason = 'operator' AND w.client_id = excluded.client_id AND w.source = excluded.source RETURNING ",
        columns!()
    ))
    .bind::<Text, _>(new.agent_id.as_str())
    .bind::<Text, _>(new.client_id.as_str())
    .bind::<Text, _>(new.display_name.as_str())
    .bind::<Text, _>(new.endpoint.as_str())
    .bind::<Text, _>(new.public_key.as_str())
    .bind::<Bool, _>(new.signature_verified)
    .bind::<Text, _>(new.delivery_secret.as_str())
    .bind::<Array<Text>, _>(new.tags.as_slice())
    .bind::<Text, _>(new.metadata.as_str())
    .bind::<Text, _>(new.delivery.as_str())
    .bind::<Text, _>(new.source)
    .bind::<Integer, _>(new.max_concurrent_tasks)
    .bind::<Timestamptz, _>(now)
    .get_result(conn)
    .optional()?;
    if row.is_some() {
        set_tags(conn, &new.agent_id, &new.tags)?;
    }
    Ok(row)
}

fn set_tags(conn: &mut Conn, agent_id: &str, tags: &[String]) -> QueryResult<()> {
    sql("DELETE FROM worker_tags WHERE agent_id = $1").bind::<Text, _>(agent_id).execute(conn)?;
    sql("INSERT INTO worker_tags (tag, agent_id) SELECT tag, $2 FROM unnest($1) AS given(tag)")
        .bind::<Array<Text>, _>(tags)
        .bind::<Text, _>(agent_id)
        .execute(conn)
        .map(drop)
}

pub(crate) fn find(conn: &mut Conn, agent_id: &str) -> QueryResult<Option<Row>> {
    sql(concat!("SELECT ", columns!(), " FROM workers AS w WHERE w.agent_id = $1"))
        .bind::<Text, _>(agent_id)
        .get_result(conn)
        .optional()
}

/// A worker, locked until the transaction ends.
pub(crate) fn lock(conn: &mut Conn, agent_id: &str) -> QueryResult<Option<Row>> {
    sql(concat!("SELECT ", columns!(), " FROM workers AS w WHERE w.agent_id = $1 FOR NO KEY UPDATE"))
        .bind::<Text, _>(agent_id)
        .get_result(conn)
        .optional()
}

/// Several workers in the order of their ids, locked until the transaction ends.
pub(crate) fn lock_all(conn: &mut Conn, agent_ids: &[&str]) -> QueryResult<Vec<Row>> {
    if agent_ids.is_empty() {
        return Ok(Vec::new());
    }
    sql(concat!(
        "SELECT ",
        columns!(),
        " FROM workers AS w WHERE w.agent_id = ANY($1) ORDER BY w.agent_id FOR NO KEY UPDATE"
    ))
    .bind::<Array<Text>, _>(agent_ids)
    .load(conn)
}

/// What a list is narrowed down to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    pub(crate) tag: Option<String>,
    /// Ten-thousandths.
    pub(crate) trust_min: Option<i32>,
    pub(crate) active: Option<bool>,
}

const FILTER: &str = " FROM workers AS w WHERE ($1 IS NULL OR EXISTS (SELECT FROM worker_tags AS t \
    WHERE t.tag = $1 AND t.agent_id = w.agent_id)) AND w.trust >= $2 AND ($3 IS NULL OR (w.inactive_reason IS NULL) = $3)";

/// The workers in a window, and how many there are.
pub(crate) fn page(conn: &mut Conn, filter: &Filter, window: Window) -> QueryResult<(Vec<Row>, i64)> {
    #[derive(QueryableByName)]
    struct Count {
        #[diesel(sql_type = BigInt)]
        count: i64,
    }
    let trust_min = filter.trust_min.unwrap_or(0);
    let count: Count = sql(format!("SELECT count(*) AS count{FILTER}"))
        .bind::<Nullable<Text>, _>(filter.tag.as_deref())
        .bind::<Integer, _>(trust_min)
        .bind::<Nullable<Bool>, _>(filter.active)
        .get_result(conn)?;
    let columns = columns!();
    let rows = sql(format!("SELECT {columns}{FILTER} ORDER BY w.created_at, w.agent_id LIMIT $4 OFFSET $5"))
        .bind::<Nullable<Text>, _>(filter.tag.as_deref())
        .bind::<Integer, _>(trust_min)
        .bind::<Nullable<Bool>, _>(filter.active)
        .bind::<BigInt, _>(window.limit)
        .bind::<BigInt, _>(window.offset)
        .load(conn)?;
    Ok((rows, count.count))
}

/// Active workers by trust, success rate, completed tasks, all descending, then id.
pub(crate) fn leaders(conn: &mut Conn, min_tasks: i64, limit: i64) -> QueryResult<Vec<Row>> {
    sql(concat!(
        "SELECT ",
        columns!(),
        " FROM workers AS w WHERE w.inactive_reason IS NULL AND w.total_completed + w.total_failed >= $1 \
         ORDER BY w.trust DESC, \
         round(w.total_completed::numeric / greatest(w.total_completed + w.total_failed, 1), 3) DESC, \
         w.total_completed DESC, w.agent_id LIMIT $2"
    ))
    .bind::<BigInt, _>(min_tasks)
    .bind::<BigInt, _>(limit)
    .load(conn)
}

/// What is to become of a worker; `None` leaves it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Update {
    pub(crate) display_name: Option<String>,
    pub(crate) endpoint: Option<String>,
    pub(crate) tags: Option<Vec<String>>,
    /// JSON, and the capacity if one came with it.
    pub(crate) metadata: Option<(String, Option<i32>)>,
    pub(crate) delivery: Option<String>,
}

pub(crate) fn update(conn: &mut Conn, agent_id: &str, update: &Update) -> QueryResult<Row> {
    if let Some(tags) = &update.tags {
        set_tags(conn, agent_id, tags)?;
    }
    sql(concat!(
        "UPDATE workers AS w SET display_name = coalesce($2, w.display_name), endpoint = coalesce($3, w.endpoint), \
         tags = coalesce($4, w.tags), metadata = coalesce($5, w.metadata), \
         max_concurrent_tasks = coalesce($6, w.max_concurrent_tasks), delivery = coalesce($7, w.delivery), \
         push_failures = CASE WHEN $3 IS NULL THEN w.push_failures ELSE 0 END, \
         unreachable_until = CASE WHEN $3 IS NULL THEN w.unreachable_until END \
         WHERE w.agent_id = $1 RETURNING ",
        columns!()
    ))
    .bind::<Text, _>(agent_id)
    .bind::<Nullable<Text>, _>(update.display_name.as_deref())
    .bind::<Nullable<Text>, _>(update.endpoint.as_deref())
    .bind::<Nullable<Array<Text>>, _>(update.tags.as_deref())
    .bind::<Nullable<Text>, _>(update.metadata.as_ref().map(|(text, _)| text.as_str()))
    .bind::<Nullable<Integer>, _>(update.metadata.as_ref().and_then(|(_, capacity)| *capacity))
    .bind::<Nullable<Text>, _>(update.delivery.as_deref())
    .get_result(conn)
}

/// Switches a worker off, or on with `None`.
pub(crate) fn set_active(
    conn: &mut Conn,
    agent_id: &str,
    reason: Option<&str>,
    now: DateTime<Utc>,
) -> QueryResult<Row> {
    sql(concat!(
        "UPDATE workers AS w SET inactive_reason = $2, deactivated_at = CASE WHEN $2 IS NULL THEN NULL ELSE $3 END \
         WHERE w.agent_id = $1 RETURNING ",
        columns!()
    ))
    .bind::<Text, _>(agent_id)
    .bind::<Nullable<Text>, _>(reason)
    .bind::<Timestamptz, _>(now)
    .get_result(conn)
}

/// Notes that a worker came for tasks; one that was thought to be away is back.
pub(crate) fn polled(conn: &mut Conn, agent_id: &str, now: DateTime<Utc>) -> QueryResult<()> {
    sql("UPDATE workers SET last_seen_at = $2, last_polled_at = $2, push_failures = 0, unreachable_until = NULL, \
         deactivated_at = CASE WHEN inactive_reason = 'operator' THEN deactivated_at END, \
         inactive_reason = CASE WHEN inactive_reason = 'operator' THEN inactive_reason END WHERE agent_id = $1")
    .bind::<Text, _>(agent_id)
    .bind::<Timestamptz, _>(now)
    .execute(conn)
    .map(drop)
}

/// A worker's word about its health.
pub(crate) fn beat(conn: &mut Conn, agent_id: &str, degraded: bool, now: DateTime<Utc>) -> QueryResult<()> {
    sql("UPDATE workers SET last_heartbeat_at = $2, is_degraded = $3 WHERE agent_id = $1")
        .bind::<Text, _>(agent_id)
        .bind::<Timestamptz, _>(now)
        .bind::<Bool, _>(degraded)
        .execute(conn)
        .map(drop)
}

/// It answered, if not as one would wish.
pub(crate) fn answered(conn: &mut Conn, agent_id: &str) -> QueryResult<()> {
    sql("UPDATE workers SET push_failures = 0, unreachable_until = NULL WHERE agent_id = $1 AND push_failures > 0")
        .bind::<Text, _>(agent_id)
        .execute(conn)
        .map(drop)
}

/// Active workers that have sent heartbeats, and none since `before`.
pub(crate) fn stale(conn: &mut Conn, before: DateTime<Utc>, limit: i32) -> QueryResult<Vec<String>> {
    #[derive(QueryableByName)]
    struct Found {
        #[diesel(sql_type = Text)]
        agent_id: String,
    }
    let found: Vec<Found> =
        sql("SELECT agent_id FROM workers WHERE inactive_reason IS NULL AND last_heartbeat_at < $1 LIMIT $2")
            .bind::<Timestamptz, _>(before)
            .bind::<Integer, _>(limit)
            .load(conn)?;
    Ok(found.into_iter().map(|row| row.agent_id).collect())
}

/// Notes a push without an answer. The third in a row, and each further one, makes the worker unreachable for a while.
pub(crate) fn push_failed(conn: &mut Conn, agent_id: &str, now: DateTime<Utc>, away: TimeDelta) -> QueryResult<()> {
    sql("UPDATE workers SET push_failures = push_failures + 1, \
         unreachable_until = CASE WHEN push_failures >= 2 THEN $2 ELSE unreachable_until END WHERE agent_id = $1")
    .bind::<Text, _>(agent_id)
    .bind::<Timestamptz, _>(now + away)
    .execute(conn)
    .map(drop)
}

/// What a transaction does to a worker that it holds.
#[derive(Debug, Clone)]
pub(crate) struct Effect {
    pub(crate) agent_id: String,
    /// Tasks more, or less.
    pub(crate) load: i32,
    /// From now on.
    pub(crate) standing: Standing,
    pub(crate) last_completed_at: Option<DateTime<Utc>>,
    /// Whether it was heard of.
    pub(crate) seen: bool,
}

/// Writes what happened to workers that the transaction holds.
pub(crate) fn apply(conn: &mut Conn, effects: &[Effect], now: DateTime<Utc>) -> QueryResult<()> {
    if effects.is_empty() {
        return Ok(());
    }
    fn each<'a, T>(effects: &'a [Effect], column: impl Fn(&'a Effect) -> T) -> Vec<T> {
        effects.iter().map(column).collect()
    }
    sql("UPDATE workers AS w SET current_load = greatest(w.current_load + n.load, 0), trust = n.trust, \
         total_completed = n.completed, total_failed = n.failed, avg_seconds = n.average, \
         last_completed_at = coalesce(n.completed_at, w.last_completed_at), \
         last_seen_at = CASE WHEN n.seen THEN $9 ELSE w.last_seen_at END, \
         push_failures = CASE WHEN n.seen THEN 0 ELSE w.push_failures END, \
         unreachable_until = CASE WHEN n.seen THEN NULL ELSE w.unreachable_until END \
         FROM unnest($1, $2, $3, $4, $5, $6, $7, $8) AS n(agent_id, load, trust, completed, failed, average, completed_at, seen) \
         WHERE w.agent_id = n.agent_id")
    .bind::<Array<Text>, _>(each(effects, |effect| effect.agent_id.as_str()))
    .bind::<Array<Integer>, _>(each(effects, |effect| effect.load))
    .bind::<Array<Integer>, _>(each(effects, |effect| effect.standing.score.ten_thousandths()))
    .bind::<Array<BigInt>, _>(each(effects, |effect| effect.standing.completed))
    .bind::<Array<BigInt>, _>(each(effects, |effect| effect.standing.failed))
    .bind::<Array<Nullable<Double>>, _>(each(effects, |effect| effect.standing.average_seconds))
    .bind::<Array<Nullable<Timestamptz>>, _>(each(effects, |effect| effect.last_completed_at))
    .bind::<Array<Bool>, _>(each(effects, |effect| effect.seen))
    .bind::<Timestamptz, _>(now)
    .execute(conn)
    .map(drop)
}

/// How many workers there are, and how many of them are active.
pub(crate) fn count(conn: &mut Conn) -> QueryResult<(i64, i64)> {
    #[derive(QueryableByName)]
    struct Count {
        #[diesel(sql_type = BigInt)]
        total: i64,
        #[diesel(sql_type = BigInt)]
        active: i64,
    }
    let count: Count =
        sql("SELECT count(*) AS total, count(*) FILTER (WHERE inactive_reason IS NULL) AS active FROM workers")
            .get_result(conn)?;
    Ok((count.total, count.active))
}
