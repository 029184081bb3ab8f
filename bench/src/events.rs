//! Events from an outbox to the event log, through a running stack.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use diesel::{
    Connection as _, PgConnection, QueryableByName, RunQueryDsl as _,
    connection::SimpleConnection as _,
    sql_query,
    sql_types::{Array, BigInt, Double, Nullable, Text, Uuid as SqlUuid},
};
use migrations::Service;
use uuid::Uuid;

use crate::Target;

const ROUNDS: usize = 3;
/// Events of a round that empties a full outbox.
const BACKLOG: usize = 50_000;
/// Rows of one statement.
const BATCH: usize = 1000;
/// Of the steady load: the rate that is wanted, and the events of one change.
const WANTED_PER_SECOND: usize = 5000;
const CHANGE: usize = 20;
/// How long everything may take until it is in the log.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    value: i64,
}

#[derive(QueryableByName)]
struct Lag {
    #[diesel(sql_type = Nullable<Double>)]
    p50: Option<f64>,
    #[diesel(sql_type = Nullable<Double>)]
    p99: Option<f64>,
}

/// Empties a full outbox, against plain inserts of the same rows; then looks how far the log is behind under a steady load.
pub(crate) async fn run(target: &Target) -> anyhow::Result<()> {
    let url = |service| migrations::service_url(&target.database_url, service);
    let mut sender = PgConnection::establish(&url(Service::SkillBuilder)?)?;
    let mut log = PgConnection::establish(&url(Service::ControlPlane)?)?;
    println!("events from outbox to log, {BACKLOG} at once, {ROUNDS} rounds");
    let (mut rates, mut ratios) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let floor = plain_inserts(&mut log)?;
        let ours = backlog(&mut sender, &mut log).await?;
        println!("  floor {floor:>8.0} /s   imago {ours:>8.0} /s");
        rates.push(ours);
        ratios.push(ours / floor);
    }
    rates.sort_by(f64::total_cmp);
    ratios.sort_by(f64::total_cmp);
    let (rate, ratio) = (rates[ROUNDS / 2], ratios[ROUNDS / 2]);
    println!("  {rate:.0} events/s, {ratio:.2} of plain inserts (medians; at least {WANTED_PER_SECOND} /s wanted)");
    steady(&mut sender, &mut log, target.time).await
}

fn ids(count: usize) -> Vec<Uuid> {
    (0..count).map(|_| Uuid::now_v7()).collect()
}

/// Puts a change's events into the outbox, as one transaction.
fn push(conn: &mut PgConnection, kind: &str, count: usize) -> anyhow::Result<()> {
    let push = sql_query(
        "INSERT INTO outbox (id, kind, aggregate, actor, client_id, request_id, ip_address, user_agent, at, payload) \
         SELECT id, $2, 'thing:' || (number % 500), 'k_bench', 'bench', gen_random_uuid()::text, '192.0.2.1', 'bench/1.0', \
                clock_timestamp(), jsonb_build_object('agent_id', 'agent-' || (number % 500), 'count', number, 'status', 'done') \
         FROM unnest($1) WITH ORDINALITY AS new (id, number)",
    );
    push.bind::<Array<SqlUuid>, _>(ids(count)).bind::<Text, _>(kind).execute(conn)?;
    Ok(())
}

fn count(conn: &mut PgConnection, sql: &str, kind: &str) -> anyhow::Result<usize> {
    let found = sql_query(sql).bind::<Text, _>(kind).get_result::<Number>(conn)?;
    Ok(found.value.try_into()?)
}

fn in_log(log: &mut PgConnection, kind: &str) -> anyhow::Result<usize> {
    count(log, "SELECT count(*) AS value FROM events WHERE kind = $1", kind)
}

/// A kind that no other run uses.
fn kind() -> String {
    format!("bench.r{:08x}", rand::random::<u32>())
}

/// Rows with the columns and indexes of the log, in a table of their own, a statement for every thousand.
fn plain_inserts(log: &mut PgConnection) -> anyhow::Result<f64> {
    log.batch_execute("DROP TABLE IF EXISTS bench_floor; CREATE TABLE bench_floor (LIKE events INCLUDING ALL)")?;
    let batches: Vec<Vec<Uuid>> = (0..BACKLOG / BATCH).map(|_| ids(BATCH)).collect();
    let begun = Instant::now();
    for batch in batches {
        let insert = sql_query(
            "INSERT INTO bench_floor (id, at, kind, level, message, aggregate, service, actor, client_id, user_id, agent_id, \
                                      request_id, ip_address, user_agent, payload) \
             SELECT id, clock_timestamp(), 'bench.floor', 'info', 'Bench ' || number || ': floor', \
                    'thing:' || (number % 500), 'skill-builder', 'k_bench', 'bench', 'k_bench', 'agent-' || (number % 500), \
                    gen_random_uuid()::text, '192.0.2.1', 'bench/1.0', \
                    jsonb_build_object('agent_id', 'agent-' || (number % 500), 'count', number, 'status', 'done') \
             FROM unnest($1) WITH ORDINALITY AS new (id, number)",
        );
        insert.bind::<Array<SqlUuid>, _>(batch).execute(log)?;
    }
    let rate = per_second(BACKLOG, begun.elapsed());
    log.batch_execute("DROP TABLE bench_floor")?;
    Ok(rate)
}

/// The rate at which the stack empties an outbox, from its first event in the log to its last.
async fn backlog(sender: &mut PgConnection, log: &mut PgConnection) -> anyhow::Result<f64> {
    let kind = kind();
    sender
        .transaction::<_, anyhow::Error, _>(|conn| (0..BACKLOG / BATCH).try_for_each(|_| push(conn, &kind, BATCH)))?;
    let begun = wait_for(log, &kind, 1).await?;
    let first = in_log(log, &kind)?;
    let done = wait_for(log, &kind, BACKLOG).await?;
    clear(log, &kind)?;
    Ok(per_second(BACKLOG - first, done - begun))
}

async fn wait_for(log: &mut PgConnection, kind: &str, wanted: usize) -> anyhow::Result<Instant> {
    let begun = Instant::now();
    while in_log(log, kind)? < wanted {
        if begun.elapsed() > PATIENCE {
            bail!("the events are not in the log within {PATIENCE:?}; is the stack running?");
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(Instant::now())
}

/// Writes as many events a second as are wanted, in changes of a few, and prints how long each took into the log.
async fn steady(sender: &mut PgConnection, log: &mut PgConnection, time: Duration) -> anyhow::Result<()> {
    let kind = kind();
    let changes = WANTED_PER_SECOND / CHANGE * usize::try_from(time.as_secs().max(1))?;
    let pause = Duration::from_secs(1) / u32::try_from(WANTED_PER_SECOND / CHANGE)?;
    // What waiting for the disk costs is the writer's, and the same for everybody.
    sender.batch_execute("SET synchronous_commit = off")?;
    let begun = Instant::now();
    for change in 0..changes {
        push(sender, &kind, CHANGE)?;
        let due = pause * u32::try_from(change + 1)?;
        tokio::time::sleep(due.saturating_sub(begun.elapsed())).await;
    }
    let written = begun.elapsed();
    let behind = changes * CHANGE - in_log(log, &kind)?;
    wait_for(log, &kind, changes * CHANGE).await?;
    let lag = sql_query(
        "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY took) AS p50, percentile_cont(0.99) WITHIN GROUP (ORDER BY took) AS p99 \
         FROM (SELECT extract(epoch FROM recorded_at - at)::float8 * 1000 AS took FROM events WHERE kind = $1) AS each",
    );
    let lag = lag.bind::<Text, _>(&kind).get_result::<Lag>(log)?;
    let (p50, p99) = (lag.p50.context("nothing in the log")?, lag.p99.context("nothing in the log")?);
    let rate = per_second(changes * CHANGE, written);
    println!("steady load, changes of {CHANGE} events");
    println!(
        "  {rate:>8.0} /s written   into the log after p50 {p50:>6.1} ms   p99 {p99:>6.1} ms   behind at the end {behind}"
    );
    clear(log, &kind)?;
    ensure!(
        rate > 0.9 * f64::from(u32::try_from(WANTED_PER_SECOND)?),
        "the writer did not reach the rate that is wanted"
    );
    Ok(())
}

fn clear(log: &mut PgConnection, kind: &str) -> anyhow::Result<()> {
    sql_query("DELETE FROM events WHERE kind = $1").bind::<Text, _>(kind).execute(log)?;
    Ok(())
}

fn per_second(count: usize, time: Duration) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / time.as_secs_f64()
}
