//! The queues: tasks that wait for a worker, one queue for each capability.

use api_core::sql::sql;
use chrono::{DateTime, Utc};
use diesel::{
    QueryResult, QueryableByName, RunQueryDsl as _,
    sql_types::{Array, BigInt, Bool, Double, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use uuid::Uuid;

use super::{
    Conn,
    tasks::{Head, Row, head_columns, row_columns},
};

/// How a claim is held.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lease {
    pub(crate) seconds: Option<i32>,
    pub(crate) until: DateTime<Utc>,
}

/// Takes what is assigned to a worker (which the transaction holds) and not taken yet.
pub(crate) fn take_offered(
    conn: &mut Conn,
    (agent_id, capabilities): (&str, Option<&[String]>),
    limit: i32,
    lease: Lease,
    now: DateTime<Utc>,
) -> QueryResult<Vec<Row>> {
    sql(concat!(
        "WITH offered AS (SELECT task_id FROM tasks WHERE assigned_agent_id = $1 AND state = 'ASSIGNED' AND taken = 'no' \
         AND ($2 IS NULL OR capability_required = ANY($2)) ORDER BY priority DESC, task_id LIMIT $3 FOR NO KEY UPDATE), \
         told AS (DELETE FROM pushes WHERE task_id IN (SELECT task_id FROM offered)) \
         UPDATE tasks AS t SET taken = 'claimed', lease_seconds = $4, lease_expires_at = $5, updated_at = $6 \
         FROM offered WHERE t.task_id = offered.task_id RETURNING ",
        row_columns!()
    ))
    .bind::<Text, _>(agent_id)
    .bind::<Nullable<Array<Text>>, _>(capabilities)
    .bind::<Integer, _>(limit)
    .bind::<Nullable<Integer>, _>(lease.seconds)
    .bind::<Timestamptz, _>(lease.until)
    .bind::<Timestamptz, _>(now)
    .load(conn)
}

/// Gives waiting tasks of some capabilities to a worker that the transaction holds: highest priority first, then the oldest.
pub(crate) fn claim(
    conn: &mut Conn,
    (agent_id, capabilities): (&str, &[String]),
    limit: i32,
    lease: Lease,
    now: DateTime<Utc>,
) -> QueryResult<Vec<Row>> {
    sql(concat!(
        "WITH heads AS MATERIALIZED (SELECT queued.task_id, queued.priority FROM unnest($1) AS wanted(tag) \
         CROSS JOIN LATERAL (SELECT task_id, priority FROM tasks WHERE capability_required = wanted.tag \
         AND state = 'PENDING' AND blocked_by = 0 AND NOT is_parked ORDER BY priority DESC, task_id LIMIT $2 \
         FOR NO KEY UPDATE SKIP LOCKED) AS queued), \
         picked AS (SELECT task_id FROM heads ORDER BY priority DESC, task_id LIMIT $2) \
         UPDATE tasks AS t SET state = 'ASSIGNED', taken = 'claimed', attempt = t.attempt + 1, assigned_agent_id = $3, \
         assigned_at = $4, lease_seconds = $5, lease_expires_at = $6, next_retry_at = NULL, updated_at = $4 \
         FROM picked WHERE t.task_id = picked.task_id RETURNING ",
        row_columns!()
    ))
    .bind::<Array<Text>, _>(capabilities)
    .bind::<Integer, _>(limit)
    .bind::<Text, _>(agent_id)
    .bind::<Timestamptz, _>(now)
    .bind::<Nullable<Integer>, _>(lease.seconds)
    .bind::<Timestamptz, _>(lease.until)
    .load(conn)
}

/// Counts tasks that a worker, which the transaction holds, has claimed; it was seen, and is back if it was away.
pub(crate) fn count_claimed(conn: &mut Conn, agent_id: &str, more: i32, now: DateTime<Utc>) -> QueryResult<()> {
    sql("UPDATE workers SET current_load = current_load + $2, last_seen_at = $3, last_polled_at = $3, push_failures = 0, unreachable_until = NULL, \
         last_turn = CASE WHEN $2 > 0 THEN nextval('turns') ELSE last_turn END, \
         deactivated_at = CASE WHEN inactive_reason = 'operator' THEN deactivated_at END, \
         inactive_reason = CASE WHEN inactive_reason = 'operator' THEN inactive_reason END WHERE agent_id = $1")
    .bind::<Text, _>(agent_id)
    .bind::<Integer, _>(more)
    .bind::<Timestamptz, _>(now)
    .execute(conn)
    .map(drop)
}

/// A worker that could be given a task.
#[derive(Debug, Clone, PartialEq, QueryableByName)]
pub(crate) struct Candidate {
    #[diesel(sql_type = Text)]
    pub(crate) agent_id: String,
    #[diesel(sql_type = Text)]
    pub(crate) display_name: String,
    #[diesel(sql_type = Text)]
    pub(crate) delivery: String,
    #[diesel(sql_type = Timestamptz)]
    pub(crate) created_at: DateTime<Utc>,
    #[diesel(sql_type = BigInt)]
    pub(crate) last_turn: i64,
    #[diesel(sql_type = Integer)]
    pub(crate) current_load: i32,
    #[diesel(sql_type = Integer)]
    pub(crate) max_concurrent_tasks: i32,
    #[diesel(sql_type = Integer)]
    pub(crate) trust: i32,
    #[diesel(sql_type = Nullable<Double>)]
    pub(crate) avg_seconds: Option<f64>,
    #[diesel(sql_type = Bool)]
    pub(crate) is_degraded: bool,
}

/// Workers that have a capability, are active and reachable, and have room.
pub(crate) fn candidates(conn: &mut Conn, capability: &str, now: DateTime<Utc>) -> QueryResult<Vec<Candidate>> {
    sql("SELECT w.agent_id, w.display_name, w.delivery, w.created_at, w.last_turn, w.current_load, w.max_concurrent_tasks, w.trust, \
         w.avg_seconds, w.is_degraded FROM worker_tags AS t JOIN workers AS w ON w.agent_id = t.agent_id \
         WHERE t.tag = $1 AND w.inactive_reason IS NULL AND w.current_load < w.max_concurrent_tasks \
         AND (w.unreachable_until IS NULL OR w.unreachable_until <= $2)")
    .bind::<Text, _>(capability)
    .bind::<Timestamptz, _>(now)
    .load(conn)
}

/// Where in a queue to go on: behind this priority and id.
pub(crate) type Place = (i32, Uuid);

/// The next tasks of a queue, without locking them.
pub(crate) fn next(conn: &mut Conn, capability: &str, after: Option<Place>, limit: i32) -> QueryResult<Vec<Head>> {
    let (priority, id) = after.unwrap_or((i32::MAX, Uuid::nil()));
    sql(concat!(
        "SELECT ",
        head_columns!(),
        " FROM tasks AS t WHERE t.capability_required = $1 AND t.state = 'PENDING' AND t.blocked_by = 0 AND NOT t.is_parked \
         AND t.priority <= $2 AND (t.priority < $2 OR t.task_id > $3) ORDER BY t.priority DESC, t.task_id LIMIT $4"
    ))
    .bind::<Text, _>(capability)
    .bind::<Integer, _>(priority)
    .bind::<SqlUuid, _>(id)
    .bind::<Integer, _>(limit)
    .load(conn)
}

/// Of some tasks those that still wait, locked until the transaction ends; what somebody else holds is passed over.
pub(crate) fn lock_waiting(conn: &mut Conn, ids: &[Uuid]) -> QueryResult<Vec<Head>> {
    sql(concat!(
        "SELECT ",
        head_columns!(),
        " FROM tasks AS t WHERE t.task_id = ANY($1) AND t.state = 'PENDING' AND t.blocked_by = 0 AND NOT t.is_parked \
         FOR NO KEY UPDATE SKIP LOCKED"
    ))
    .bind::<Array<SqlUuid>, _>(ids)
    .load(conn)
}

/// Whether this transaction alone routes a capability: of several processes one does, so that strategies see whole pictures.
pub(crate) fn begin_routing(conn: &mut Conn, capability: &str) -> QueryResult<bool> {
    #[derive(QueryableByName)]
    struct Found {
        #[diesel(sql_type = Bool)]
        value: bool,
    }
    let found: Found = sql(
        "SELECT pg_try_advisory_xact_lock(hashtextextended('route ' || current_schema() || ' ' || $1, 0)) AS value",
    )
    .bind::<Text, _>(capability)
    .get_result(conn)?;
    Ok(found.value)
}

/// A worker that is to be given tasks.
#[derive(Debug, Clone)]
pub(crate) struct Share {
    pub(crate) agent_id: String,
    pub(crate) tasks: i32,
    /// Its place among those that are given tasks together, by the last task that it is given.
    pub(crate) place: i64,
}

/// Counts tasks to workers that the transaction holds.
pub(crate) fn give(conn: &mut Conn, shares: &[Share]) -> QueryResult<()> {
    let each = |column: fn(&Share) -> i64| -> Vec<i64> { shares.iter().map(column).collect() };
    sql("WITH base AS MATERIALIZED (SELECT nextval('turns') AS turn) \
         UPDATE workers AS w SET current_load = w.current_load + n.tasks::int, last_turn = base.turn + n.place \
         FROM unnest($1, $2, $3) AS n(agent_id, tasks, place), base WHERE w.agent_id = n.agent_id")
    .bind::<Array<Text>, _>(shares.iter().map(|share| share.agent_id.as_str()).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(each(|share| i64::from(share.tasks)))
    .bind::<Array<BigInt>, _>(each(|share| share.place))
    .execute(conn)
    .map(drop)
}

/// A worker that is not asked for a task, or only for want of others.
#[derive(Debug, Clone, QueryableByName)]
pub(crate) struct Refused {
    #[diesel(sql_type = SqlUuid)]
    pub(crate) task_id: Uuid,
    #[diesel(sql_type = Text)]
    pub(crate) agent_id: String,
    #[diesel(sql_type = Bool)]
    pub(crate) is_excluded: bool,
    #[diesel(sql_type = Bool)]
    pub(crate) has_failed: bool,
}

pub(crate) fn refusals(conn: &mut Conn, ids: &[Uuid], now: DateTime<Utc>) -> QueryResult<Vec<Refused>> {
    sql("SELECT task_id, agent_id, coalesce(excluded_until > $2, false) AS is_excluded, has_failed \
         FROM task_refusals WHERE task_id = ANY($1)")
    .bind::<Array<SqlUuid>, _>(ids)
    .bind::<Timestamptz, _>(now)
    .load(conn)
}

/// Remembers who refused which task until when, and who failed at it.
pub(crate) fn remember_refusals(
    conn: &mut Conn,
    refusals: &[(Uuid, &str, Option<DateTime<Utc>>, bool)],
) -> QueryResult<()> {
    if refusals.is_empty() {
        return Ok(());
    }
    sql("INSERT INTO task_refusals AS r (task_id, agent_id, excluded_until, has_failed) \
         SELECT DISTINCT ON (1, 2) * FROM unnest($1, $2, $3, $4) AS n(task_id, agent_id, until, failed) \
         ON CONFLICT (task_id, agent_id) DO UPDATE SET excluded_until = greatest(r.excluded_until, excluded.excluded_until), \
         has_failed = r.has_failed OR excluded.has_failed")
    .bind::<Array<SqlUuid>, _>(refusals.iter().map(|refusal| refusal.0).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(refusals.iter().map(|refusal| refusal.1).collect::<Vec<_>>())
    .bind::<Array<Nullable<Timestamptz>>, _>(refusals.iter().map(|refusal| refusal.2).collect::<Vec<_>>())
    .bind::<Array<Bool>, _>(refusals.iter().map(|refusal| refusal.3).collect::<Vec<_>>())
    .execute(conn)
    .map(drop)
}

/// Capabilities that tasks wait for, found by jumping from one queue to the next.
pub(crate) fn capabilities(conn: &mut Conn, limit: i32) -> QueryResult<Vec<String>> {
    #[derive(QueryableByName)]
    struct Found {
        #[diesel(sql_type = Text)]
        tag: String,
    }
    let found: Vec<Found> = sql("WITH RECURSIVE queues AS (SELECT min(capability_required) AS tag FROM tasks \
         WHERE state = 'PENDING' AND blocked_by = 0 AND NOT is_parked \
         UNION ALL SELECT (SELECT min(capability_required) FROM tasks WHERE state = 'PENDING' AND blocked_by = 0 \
         AND NOT is_parked AND capability_required > queues.tag) FROM queues WHERE queues.tag IS NOT NULL) \
         SELECT q.tag FROM queues AS q WHERE q.tag IS NOT NULL AND EXISTS (SELECT FROM worker_tags AS t \
         JOIN workers AS w ON w.agent_id = t.agent_id WHERE t.tag = q.tag AND w.inactive_reason IS NULL \
         AND w.current_load < w.max_concurrent_tasks) LIMIT $1")
    .bind::<Integer, _>(limit)
    .load(conn)?;
    Ok(found.into_iter().map(|row| row.tag).collect())
}

/// What an estimate of a task's start is made of.
#[derive(Debug, Clone, Copy, QueryableByName)]
pub(crate) struct Crowd {
    /// Whether a worker is free.
    #[diesel(sql_type = Bool)]
    pub(crate) is_free: bool,
    /// Of all capable workers.
    #[diesel(sql_type = BigInt)]
    pub(crate) capacity: i64,
    /// Waiting tasks of at least the priority.
    #[diesel(sql_type = BigInt)]
    pub(crate) ahead: i64,
}

/// What stands before a task of a capability and priority; `ahead` is counted up to `limit`, and only when nobody is free.
pub(crate) fn crowd(
    conn: &mut Conn,
    capability: &str,
    priority: i32,
    (now, limit): (DateTime<Utc>, i64),
) -> QueryResult<Crowd> {
    sql("SELECT w.is_free, w.capacity, CASE WHEN w.is_free THEN 0 ELSE (SELECT count(*) FROM (SELECT FROM tasks \
         WHERE capability_required = $1 AND state = 'PENDING' AND blocked_by = 0 AND NOT is_parked AND priority >= $2 LIMIT $4) \
         AS ahead) END AS ahead FROM (SELECT coalesce(bool_or(w.current_load < w.max_concurrent_tasks \
         AND (w.unreachable_until IS NULL OR w.unreachable_until <= $3)), false) AS is_free, \
         coalesce(sum(w.max_concurrent_tasks), 0) AS capacity FROM worker_tags AS t JOIN workers AS w ON w.agent_id = t.agent_id \
         WHERE t.tag = $1 AND w.inactive_reason IS NULL) AS w")
    .bind::<Text, _>(capability)
    .bind::<Integer, _>(priority)
    .bind::<Timestamptz, _>(now)
    .bind::<BigInt, _>(limit)
    .get_result(conn)
}

/// Mean execution time in seconds of the last hundred completed tasks of each type; types without any are left out.
pub(crate) fn durations(conn: &mut Conn, types: &[&str]) -> QueryResult<Vec<(String, f64)>> {
    #[derive(QueryableByName)]
    struct Found {
        #[diesel(sql_type = Text)]
        task_type: String,
        #[diesel(sql_type = Nullable<Double>)]
        seconds: Option<f64>,
    }
    let found: Vec<Found> = sql(
        "SELECT asked.task_type, (SELECT avg(extract(epoch FROM completed_at - started_at))::float8 \
         FROM (SELECT completed_at, started_at FROM tasks WHERE tasks.task_type = asked.task_type AND state = 'COMPLETED' \
         ORDER BY completed_at DESC LIMIT 100) AS last) AS seconds FROM unnest($1) AS asked(task_type)",
    )
    .bind::<Array<Text>, _>(types)
    .load(conn)?;
    Ok(found.into_iter().filter_map(|row| Some((row.task_type, row.seconds?))).collect())
}

/// What there is for workers whose claims wait.
#[derive(Debug, Clone, Default)]
pub(crate) struct Found {
    /// Those that have assignments to take.
    pub(crate) agents: Vec<String>,
    /// Queues that are not empty.
    pub(crate) capabilities: Vec<String>,
}

/// Of some workers, those that have assignments to take, and of some capabilities, those whose queues are not empty.
pub(crate) fn anything_for(conn: &mut Conn, agents: &[String], capabilities: &[String]) -> QueryResult<Found> {
    #[derive(QueryableByName)]
    struct Name {
        #[diesel(sql_type = Text)]
        name: String,
    }
    let names = |rows: Vec<Name>| rows.into_iter().map(|row| row.name).collect();
    let agents = sql("SELECT a.name FROM unnest($1) AS a(name) WHERE EXISTS (SELECT FROM tasks \
         WHERE assigned_agent_id = a.name AND state = 'ASSIGNED' AND taken = 'no')")
    .bind::<Array<Text>, _>(agents)
    .load(conn)
    .map(names)?;
    let capabilities = sql("SELECT c.name FROM unnest($1) AS c(name) WHERE EXISTS (SELECT FROM tasks \
         WHERE capability_required = c.name AND state = 'PENDING' AND blocked_by = 0 AND NOT is_parked)")
    .bind::<Array<Text>, _>(capabilities)
    .load(conn)
    .map(names)?;
    Ok(Found { agents, capabilities })
}
