//! From the outbox to the control plane.
//!
//! Every process of a service has a relay; a lease in the database lets one of them work at a time, which only saves work.
//! Order and completeness need no lease: a relay reads what is there in the order of its numbers and deletes exactly what was
//! accepted, so an event that another one of the same aggregate follows was accepted before it or stands before it in the batch.
//! Whatever is handed over twice is known to the receiver by its id.

use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};

use api_client::{ClientError, control_plane::ControlPlane};
use api_types::events::{Event, EventBatch};
use chrono::{DateTime, Utc};
use diesel::{
    PgConnection, QueryResult, QueryableByName, RunQueryDsl as _, sql_query,
    sql_types::{BigInt, Bool, Uuid as SqlUuid},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Row, delete, oldest};
use crate::{
    db::{self, Db},
    metrics::{Counters, Gauges},
};

/// Events handed over in one go.
const BATCH: i64 = 1000;
/// How long the relay rests unless it is woken: events of processes that died, or that another relay left.
const IDLE: Duration = Duration::from_millis(500);
/// How long it lets events gather once it was woken.
const GATHER: Duration = Duration::from_millis(5);
/// How long it waits for the relay of another process, and for a receiver that is away.
const BUSY: Duration = Duration::from_millis(50);
const AWAY: Duration = Duration::from_secs(1);
/// How often it says that nobody takes the events.
const COMPLAINT: Duration = Duration::from_secs(60);

static OLDEST: LazyLock<Gauges> = LazyLock::new(|| {
    Gauges::new("imago_outbox_oldest_seconds", "Age of the oldest event not handed over", &["service"])
});
static RELAYED: LazyLock<Counters> =
    LazyLock::new(|| Counters::new("imago_outbox_relayed_total", "Events handed over", &["service"]));
static SET_ASIDE: LazyLock<Counters> = LazyLock::new(|| {
    Counters::new("imago_outbox_set_aside_total", "Events refused by the control plane", &["service"])
});

/// Hands events over until it is told to stop.
pub async fn relay(db: Db, service: &'static str, control_plane: ControlPlane, stop: CancellationToken) {
    let mut relay = Relay {
        db,
        service,
        control_plane,
        id: Uuid::new_v4(),
        accepted: Vec::new(),
        limit: BATCH,
        leads: false,
        complained: None,
    };
    loop {
        let outcome = relay.step().await;
        tokio::select! {
            () = stop.cancelled() => break,
            () = relay.rest(outcome) => {}
        }
    }
    relay.end().await;
}

struct Relay {
    db: Db,
    service: &'static str,
    control_plane: ControlPlane,
    /// Under which it holds the lease.
    id: Uuid,
    /// Numbers of rows that were accepted and are still to be deleted.
    accepted: Vec<i64>,
    /// Events to be handed over at once: fewer while one of them is refused.
    limit: i64,
    leads: bool,
    complained: Option<Instant>,
}

enum Step {
    HandedOver,
    Empty,
    /// Another process's relay is at it.
    Busy,
    Failed,
}

enum Turn {
    Batch(Vec<Row>),
    Empty,
    Busy,
}

impl Relay {
    async fn rest(&self, after: Step) {
        match after {
            Step::HandedOver => {}
            Step::Busy => tokio::time::sleep(BUSY).await,
            Step::Failed => tokio::time::sleep(AWAY).await,
            Step::Empty => {
                if tokio::time::timeout(IDLE, self.db.event_noted()).await.is_ok() {
                    tokio::time::sleep(GATHER).await;
                }
            }
        }
    }

    async fn step(&mut self) -> Step {
        match self.hand_over().await {
            Ok(step) => {
                self.complained = None;
                step
            }
            Err(error) => {
                if self.complained.is_none_or(|at| at.elapsed() >= COMPLAINT) {
                    tracing::warn!(service = self.service, error = format!("{error:#}"), "events wait in the outbox");
                    self.complained = Some(Instant::now());
                }
                Step::Failed
            }
        }
    }

    async fn hand_over(&mut self) -> anyhow::Result<Step> {
        // Should this fail, they are read again and accepted again.
        let accepted = std::mem::take(&mut self.accepted);
        let (id, limit, leads) = (self.id, self.limit, self.leads);
        let turn = self.db.run::<_, db::Error>(move |conn| {
            delete(conn, &accepted)?;
            Ok(turn(conn, id, limit, leads)?)
        });
        let rows = match turn.await? {
            Turn::Batch(rows) => rows,
            Turn::Empty => {
                self.leads = false;
                OLDEST.set(&[self.service], 0.0);
                return Ok(Step::Empty);
            }
            Turn::Busy => {
                self.leads = false;
                return Ok(Step::Busy);
            }
        };
        self.leads = true;
        let Some(oldest) = rows.first().map(|row| row.at) else { return Ok(Step::Busy) };
        OLDEST.set(&[self.service], age(oldest));
        let sequence: Vec<i64> = rows.iter().map(|row| row.seq).collect();
        let events: Vec<Event> = rows.into_iter().map(|row| row.event(self.service)).collect();
        let batch = EventBatch { events };
        match self.control_plane.publish(&batch).await {
            Ok(_receipt) => {
                RELAYED.add(&[self.service], sequence.len().try_into().unwrap_or(u64::MAX));
                self.limit = (self.limit * 2).min(BATCH);
                self.accepted = sequence;
                Ok(Step::HandedOver)
            }
            Err(error) if is_refusal(&error) => {
                self.refused(&batch.events, &sequence, &error).await?;
                Ok(Step::HandedOver)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// One bad event must not keep the good ones back: the batch is halved until it is found, and it is tried again later.
    async fn refused(&mut self, events: &[Event], sequence: &[i64], error: &ClientError) -> Result<(), db::Error> {
        let ([event], [seq]) = (events, sequence) else {
            self.limit = i64::try_from(sequence.len() / 2).unwrap_or(BATCH).max(1);
            return Ok(());
        };
        let (service, kind, id) = (self.service, event.kind.as_str(), event.id);
        tracing::error!(service, kind, %id, error = format!("{error:#}"), "the control plane refuses an event");
        SET_ASIDE.inc(&[service]);
        let seq = *seq;
        let set_aside = "UPDATE outbox SET set_aside_until = now() + interval '1 hour' WHERE seq = $1";
        self.db.run(move |conn| Ok(sql_query(set_aside).bind::<BigInt, _>(seq).execute(conn).map(drop)?)).await
    }

    /// Leaves nothing for others to do twice, or to wait for.
    async fn end(&mut self) {
        let (accepted, id) = (std::mem::take(&mut self.accepted), self.id);
        let ended = self.db.run::<_, db::Error>(move |conn| {
            delete(conn, &accepted)?;
            Ok(release(conn, id)?)
        });
        if let Err(error) = ended.await {
            tracing::debug!(service = self.service, error = format!("{error:#}"), "the lease runs out by itself");
        }
    }
}

/// What is to be handed over next, by whom.
fn turn(conn: &mut PgConnection, id: Uuid, limit: i64, leads: bool) -> QueryResult<Turn> {
    let lead = sql_query(
        "UPDATE outbox_relay SET holder = $1, until = clock_timestamp() + interval '3 seconds' \
         WHERE (holder = $1 OR until IS NULL OR until < clock_timestamp()) AND EXISTS (SELECT FROM outbox \
         WHERE set_aside_until IS NULL OR set_aside_until <= now())",
    );
    if lead.bind::<SqlUuid, _>(id).execute(conn)? > 0 {
        return oldest(conn, limit).map(Turn::Batch);
    }
    if leads {
        release(conn, id)?;
    }
    Ok(if is_empty(conn)? { Turn::Empty } else { Turn::Busy })
}

fn release(conn: &mut PgConnection, id: Uuid) -> QueryResult<usize> {
    let release = "UPDATE outbox_relay SET holder = NULL, until = NULL WHERE holder = $1";
    sql_query(release).bind::<SqlUuid, _>(id).execute(conn)
}

fn is_empty(conn: &mut PgConnection) -> QueryResult<bool> {
    #[derive(QueryableByName)]
    struct Found {
        #[diesel(sql_type = Bool)]
        found: bool,
    }
    let any = "SELECT EXISTS (SELECT FROM outbox WHERE set_aside_until IS NULL OR set_aside_until <= now()) AS found";
    sql_query(any).get_result::<Found>(conn).map(|any| !any.found)
}

/// Whether the receiver will never take this, as opposed to not now.
fn is_refusal(error: &ClientError) -> bool {
    matches!(error, ClientError::Api { status: 413 | 422, .. })
}

fn age(at: DateTime<Utc>) -> f64 {
    (Utc::now() - at).to_std().unwrap_or_default().as_secs_f64()
}
