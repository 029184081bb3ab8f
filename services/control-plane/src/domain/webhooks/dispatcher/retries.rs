//! Further attempts.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use api_core::db;
use tokio::{task::JoinSet, time::sleep};
use uuid::Uuid;

use super::{AWAY, Dispatcher, REST, Work, note_panic, recorder::Report, slots::Slot};
use crate::{
    domain::webhooks::{
        message::{Happened, Hook},
        work::{Claimed, Ended, Waiting},
    },
    store::webhooks::retries::{self, Wish},
};

/// Webhooks taken in one go.
const WEBHOOKS: usize = 32;
/// Attempts at once for one webhook. Its first attempts go one after another, so even when all of them hang, three times as
/// many retries do not pile up.
const EACH: usize = 4;
/// How often retries are looked for.
const POLL: Duration = Duration::from_millis(250);
/// How much longer than its attempt a lease is.
const MARGIN: Duration = Duration::from_secs(30);

/// The webhooks with retries on their way, and how many.
#[derive(Debug, Default)]
struct Busy(Mutex<HashMap<i64, usize>>);

impl Busy {
    fn lock(&self) -> MutexGuard<'_, HashMap<i64, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn all(&self) -> Vec<i64> {
        self.lock().keys().copied().collect()
    }
}

/// One retry on its way.
struct Turn {
    busy: Arc<Busy>,
    no: i64,
}

impl Turn {
    fn new(busy: &Arc<Busy>, no: i64) -> Self {
        *busy.lock().entry(no).or_default() += 1;
        Self { busy: Arc::clone(busy), no }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut busy = self.busy.lock();
        let left = busy.get(&self.no).map_or(0, |count| count.saturating_sub(1));
        if left == 0 {
            busy.remove(&self.no);
        } else {
            busy.insert(self.no, left);
        }
    }
}

/// Takes retries and makes them until the process stops.
pub(super) async fn run(dispatcher: &Arc<Dispatcher>, tasks: &mut JoinSet<()>) {
    let busy = Arc::new(Busy::default());
    let wake = &dispatcher.app.webhooks.wake.retries;
    loop {
        while let Some(ended) = tasks.try_join_next() {
            note_panic(ended);
        }
        let free = tokio::select! {
            () = dispatcher.stop.cancelled() => return,
            free = dispatcher.slots.some_slow() => free,
        };
        let pause = match claim(dispatcher, free, &busy).await {
            Ok(claimed) if claimed.waiting.is_empty() => REST,
            Ok(claimed) => {
                begin(dispatcher, tasks, &busy, claimed).await;
                REST
            }
            Err(error) => {
                tracing::warn!(error = format!("{:#}", anyhow::Error::from(error)), "retries of webhooks wait");
                AWAY
            }
        };
        tokio::select! {
            () = dispatcher.stop.cancelled() => return,
            () = sleep(pause) => {}
        }
        tokio::select! {
            () = dispatcher.stop.cancelled() => return,
            () = wake.notified() => {}
            () = sleep(POLL) => {}
        }
    }
}

async fn claim(dispatcher: &Dispatcher, free: usize, busy: &Busy) -> Result<Claimed, db::Error> {
    let each = EACH.min(free);
    let webhooks = (free / each).clamp(1, WEBHOOKS);
    let lease = dispatcher.sender().timeout_max() + MARGIN;
    let wish = Wish { webhooks, each, without: busy.all(), lease };
    dispatcher.app.db.transaction(move |conn| Ok(retries::claim(conn, &wish)?)).await
}

async fn begin(dispatcher: &Arc<Dispatcher>, tasks: &mut JoinSet<()>, busy: &Arc<Busy>, claimed: Claimed) {
    let Claimed { lease, hooks, events, waiting, .. } = claimed;
    let events: HashMap<Uuid, Arc<Happened>> = events.into_iter().map(|event| (event.id, Arc::new(event))).collect();
    let hooks: HashMap<i64, _> =
        hooks.iter().map(|stored| (stored.no, dispatcher.hook(stored).map(Arc::new))).collect();
    for waiting in waiting {
        let event = events.get(&waiting.event_id).cloned();
        let turn = Turn::new(busy, waiting.webhook_no);
        match hooks.get(&waiting.webhook_no) {
            Some(Ok(hook)) => {
                let Some(slot) = dispatcher.slots.slow().await else { return };
                let retry = Retry { hook: Arc::clone(hook), event, waiting, lease, turn };
                tasks.spawn(make(Arc::clone(dispatcher), retry, slot));
            }
            Some(Err(door)) => {
                let ended = Ended::unreadable(waiting, lease, event.as_deref(), *door);
                dispatcher.recorder.report(Report { ended: vec![ended], gone: None, lane: None }).await;
            }
            // The webhook went in between, and what waits for it goes, too.
            None => {}
        }
    }
}

struct Retry {
    hook: Arc<Hook>,
    event: Option<Arc<Happened>>,
    waiting: Waiting,
    lease: Uuid,
    turn: Turn,
}

async fn make(dispatcher: Arc<Dispatcher>, retry: Retry, mut slot: Slot) {
    let Retry { hook, event, waiting, lease, turn } = retry;
    let work = Work { hook: &hook, event: event.as_deref(), waiting, lease, keeps: false };
    let (ended, is_gone) = dispatcher.attempt(&work, &mut slot).await;
    drop(slot);
    let gone = is_gone.then_some(waiting.webhook_no);
    dispatcher.recorder.report(Report { ended: vec![ended], gone, lane: None }).await;
    drop(turn);
    dispatcher.app.webhooks.wake.retries.notify_one();
}
