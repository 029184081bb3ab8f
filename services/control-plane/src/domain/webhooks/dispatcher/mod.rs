//! Deliveries, from the table to the receivers. Any number of processes may do this beside each other.
//!
//! A webhook's first attempts are a *lane*: whoever has its lease makes them one after the other, in the order of the
//! events, for a second at the most; then the lane is free for the next turn, and so everybody gets one. Further attempts
//! stand each for itself under a lease of its own, beside the lane. What ended is recorded in batches by the [`recorder`],
//! under the lease and the number of the attempt: whoever lost its lease records nothing. Who dies between a delivery and
//! its record has it delivered again, under the same id.
//!
//! Slow receivers cannot stop the others: an attempt that takes more than a moment moves to places of its own
//! ([`slots`]), and receivers that were slow begin there.

mod lanes;
mod recorder;
mod retries;
mod slots;

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use api_core::{
    db,
    metrics::{Counters, Durations},
};
use api_types::webhooks::DeliveryStatus;
use chrono::Utc;
use recorder::Recorder;
use slots::{Pace, Slot, Slots};
use tokio::{sync::Notify, task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    Door,
    message::{Happened, Hook, delivery_id},
    sending::{Outcome, Sender},
    work::{Ended, Waiting},
};
use crate::{
    App,
    store::webhooks::{lanes as store, subscriptions::Subscription},
};

/// How long a lane stays ours without a sign of life.
const LEASE: Duration = Duration::from_secs(15);
/// How often lanes are looked for that other processes have filled or left behind.
const POLL: Duration = Duration::from_millis(500);
/// Between two looks into the table when there is little to find there.
const REST: Duration = Duration::from_millis(10);
/// When the database is away.
const AWAY: Duration = Duration::from_secs(1);
/// How long attempts may go on once the process stops; then their leases run out.
const GRACE: Duration = Duration::from_secs(5);

/// Deliveries that have ended, all doors.
static DELIVERIES: LazyLock<Counters> = LazyLock::new(|| {
    Counters::new("imago_webhook_deliveries_total", "Webhook deliveries that have ended", &["status"])
});
static AINS_DELIVERIES: LazyLock<Counters> = LazyLock::new(|| {
    let help = "Webhook deliveries of the AINS door that have ended";
    Counters::new("ains_webhook_deliveries_total", help, &["event", "status"])
});
static WAITED: LazyLock<Durations> = LazyLock::new(|| {
    let help = "Time from an event's arrival to its first attempt at a webhook";
    Durations::new("imago_webhook_wait_seconds", help, &["door"])
});

/// What wakes the dispatcher of this process, beside new events.
#[derive(Debug, Default)]
pub(crate) struct Wake {
    /// A lane or a place came free.
    lanes: Notify,
    /// A retry came due earlier than planned, or a place came free.
    retries: Notify,
}

impl Wake {
    /// Tells of a delivery that is due now.
    pub(crate) fn retry(&self) {
        self.retries.notify_one();
    }
}

/// What the tasks of a dispatcher share.
struct Dispatcher {
    app: Arc<App>,
    slots: Slots,
    pace: Pace,
    recorder: Recorder,
    /// The lanes that are ours, by webhook.
    held: Mutex<HashMap<i64, Uuid>>,
    stop: CancellationToken,
}

impl Dispatcher {
    fn sender(&self) -> &Sender {
        &self.app.webhooks.sender
    }

    /// The receiver; only its door where its secret cannot be read.
    fn hook(&self, stored: &Subscription) -> Result<Hook, Door> {
        self.sender().hook(stored).map_err(|error| {
            tracing::error!(webhook = stored.set.id, error = %error, "was JWT_SECRET changed?");
            Door::of(&stored.set.door)
        })
    }

    fn held(&self) -> MutexGuard<'_, HashMap<i64, Uuid>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes one attempt, in its slot, and says what there is to record of it.
    async fn attempt(&self, work: &Work<'_>, slot: &mut Slot) -> (Ended, bool) {
        let Work { hook, event, waiting, lease, keeps } = *work;
        let attempt = waiting.attempts.saturating_add(1);
        let outcome = match event {
            None => Outcome::unsent("the event is not kept any more"),
            Some(event) => {
                let delivery = delivery_id(waiting.created_ms, waiting.id);
                let sending = self.sender().attempt(hook, event, (&delivery, attempt), keeps);
                let outcome = slot.in_time_or_apart(&self.slots, sending).await;
                self.pace.note(waiting.webhook_no, outcome.took);
                outcome
            }
        };
        let is_gone = outcome.is_gone();
        let backoff = &self.sender().schedule(hook.door).backoff;
        let pause = match (&outcome.error, is_gone) {
            (Some(_), false) if event.is_some() => {
                usize::try_from(waiting.attempts).ok().and_then(|made| backoff.get(made)).copied()
            }
            _ => None,
        };
        let status = match (&outcome.error, pause) {
            (None, _) => DeliveryStatus::Success,
            (Some(_), Some(_)) => DeliveryStatus::Pending,
            (Some(_), None) => DeliveryStatus::Failed,
        };
        let ended = Ended {
            id: waiting.id,
            lease,
            attempt,
            status,
            response_code: outcome.response_code,
            error: outcome.error,
            pause,
            door: hook.door,
            event: event.map(|event| event.kind.clone()).unwrap_or_default(),
        };
        (ended, is_gone)
    }
}

/// One attempt to be made.
#[derive(Clone, Copy)]
struct Work<'a> {
    hook: &'a Hook,
    event: Option<&'a Happened>,
    waiting: Waiting,
    lease: Uuid,
    /// Whether more will follow on the same connection.
    keeps: bool,
}

/// Delivers until it is told to stop.
pub(crate) async fn run(app: Arc<App>, stop: CancellationToken) {
    let (recorder, recording) = recorder::start(app.db.clone());
    let slots = Slots::new(app.webhooks.concurrency, app.webhooks.slow_concurrency);
    let (pace, held) = (Pace::default(), Mutex::default());
    let dispatcher = Arc::new(Dispatcher { app, slots, pace, recorder, held, stop });
    let renewing = tokio::spawn(renew(Arc::clone(&dispatcher)));
    let (mut first, mut further) = (JoinSet::new(), JoinSet::new());
    tokio::join!(lanes::run(&dispatcher, &mut first), retries::run(&dispatcher, &mut further));
    // What is on its way may arrive, and be recorded under leases that are still ours.
    let ending = async { tokio::join!(join_all(&mut first), join_all(&mut further)) };
    if timeout(GRACE, ending).await.is_err() {
        first.abort_all();
        further.abort_all();
        tokio::join!(join_all(&mut first), join_all(&mut further));
    }
    renewing.abort();
    drop(renewing.await);
    drop(dispatcher);
    // The recorder ends when nobody can report to it any more.
    if timeout(GRACE, recording).await.is_err() {
        tracing::warn!("some deliveries could not be recorded; they will be made again");
    }
}

async fn join_all(tasks: &mut JoinSet<()>) {
    while let Some(ended) = tasks.join_next().await {
        note_panic(ended);
    }
}

/// Keeps the lanes that are worked on.
async fn renew(dispatcher: Arc<Dispatcher>) {
    loop {
        tokio::time::sleep(LEASE / 3).await;
        let held: Vec<(i64, Uuid)> = dispatcher.held().iter().map(|(no, lease)| (*no, *lease)).collect();
        if held.is_empty() {
            continue;
        }
        let renewed = dispatcher.app.db.run::<_, db::Error>(move |conn| Ok(store::renew(conn, &held, LEASE)?));
        if let Err(error) = renewed.await {
            tracing::warn!(error = format!("{:#}", anyhow::Error::from(error)), "lanes of webhooks could not be kept");
        }
    }
}

/// Counts what has ended for good.
fn count(ended: &[Ended]) {
    for one in ended.iter().filter(|one| one.status != DeliveryStatus::Pending) {
        DELIVERIES.inc(&[one.status.as_str()]);
        if one.door == Door::Ains {
            AINS_DELIVERIES.inc(&[&one.event, one.status.as_str()]);
        }
    }
}

/// How long ago a delivery was noted.
fn observe_wait(hook: &Hook, waiting: Waiting) {
    let waited = Utc::now().timestamp_millis().saturating_sub(waiting.created_ms);
    WAITED.observe(&[hook.door.as_str()], Duration::from_millis(u64::try_from(waited).unwrap_or(0)));
}

/// A task that panicked holds its lease until it runs out.
fn note_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(error = %error, "delivering to a webhook panicked");
    }
}
