//! First attempts.

use std::{collections::HashMap, sync::Arc, time::Duration};

use api_core::db;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use uuid::Uuid;

use super::{AWAY, Dispatcher, LEASE, POLL, REST, Work, note_panic, observe_wait, recorder::Report, slots::Slot};
use crate::{
    domain::webhooks::{
        Door,
        message::{Happened, Hook},
        work::{Claimed, Ended, Lane, Turns, Waiting},
    },
    store::webhooks::lanes::{self, Found, Wish},
};

/// Lanes taken in one go.
const LANES: usize = 64;
/// Deliveries of one lane taken in one go.
const TURN_MAX: usize = 100;
/// All deliveries taken in one go; their events are in memory.
const DELIVERIES: usize = 400;
/// How long a turn may go on before the next delivery is begun. What is known of the webhook gets no older than that.
const TURN: Duration = Duration::from_secs(1);

/// Takes lanes and works on them until the process stops.
pub(super) async fn run(dispatcher: &Arc<Dispatcher>, tasks: &mut JoinSet<()>) {
    let mut arrived = dispatcher.app.arrived.subscribe();
    let wake = &dispatcher.app.webhooks.wake.lanes;
    let mut turns = Turns::default();
    loop {
        while let Some(ended) = tasks.try_join_next() {
            note_panic(ended);
        }
        let free = tokio::select! {
            () = dispatcher.stop.cancelled() => return,
            free = dispatcher.slots.some_prompt() => free,
        };
        let pause = match claim(dispatcher, free.min(LANES), turns.clone()).await {
            Ok(found) => {
                turns = found.turns;
                begin(dispatcher, tasks, found.claimed).await;
                (!found.has_more).then_some(REST)
            }
            Err(error) => {
                tracing::warn!(error = format!("{:#}", anyhow::Error::from(error)), "webhooks wait");
                Some(AWAY)
            }
        };
        let Some(pause) = pause else { continue };
        tokio::select! {
            () = dispatcher.stop.cancelled() => return,
            () = sleep(pause) => {}
        }
        // An error can only mean that the process ends.
        tokio::select! {
            () = dispatcher.stop.cancelled() => return,
            _ = arrived.changed() => {}
            () = wake.notified() => {}
            () = sleep(POLL) => {}
        }
    }
}

async fn claim(dispatcher: &Dispatcher, lanes: usize, turns: Turns) -> Result<Found, db::Error> {
    let slots = &dispatcher.slots;
    let without = if slots.has_slow() { Vec::new() } else { dispatcher.pace.slow_ones() };
    let wish = Wish {
        lanes,
        turn: TURN_MAX,
        deliveries: DELIVERIES,
        turns,
        without,
        left: slots.left(),
        share: slots.share(),
        lease: LEASE,
    };
    dispatcher.app.db.transaction(move |conn| Ok(lanes::claim(conn, &wish)?)).await
}

/// Gives each lane a place and lets it begin.
async fn begin(dispatcher: &Arc<Dispatcher>, tasks: &mut JoinSet<()>, claimed: Claimed) {
    let Claimed { lease, lanes, hooks, events, waiting } = claimed;
    let events: HashMap<Uuid, Arc<Happened>> = events.into_iter().map(|event| (event.id, Arc::new(event))).collect();
    let mut by_lane: HashMap<i64, Vec<Waiting>> = HashMap::new();
    for one in waiting {
        by_lane.entry(one.webhook_no).or_default().push(one);
    }
    let mut hooks: HashMap<i64, _> = hooks.iter().map(|stored| (stored.no, dispatcher.hook(stored))).collect();
    let mut unwanted = Vec::new();
    for Lane { no, owner } in lanes {
        let is_slow = dispatcher.pace.is_slow(no);
        let slot = if is_slow { dispatcher.slots.take_slow() } else { dispatcher.slots.take_prompt(owner) };
        let (Some(slot), Some(hook), Some(waiting)) = (slot, hooks.remove(&no), by_lane.remove(&no)) else {
            unwanted.push((no, lease));
            continue;
        };
        let events = waiting.iter().filter_map(|one| Some((one.event_id, Arc::clone(events.get(&one.event_id)?))));
        let lane = Taken { no, lease, hook, events: events.collect(), waiting };
        dispatcher.held().insert(no, lease);
        tasks.spawn(turn(Arc::clone(dispatcher), lane, slot));
    }
    for lane in unwanted {
        dispatcher.recorder.report(Report { ended: Vec::new(), gone: None, lane: Some(lane) }).await;
    }
}

/// A lane that is ours for a turn.
struct Taken {
    no: i64,
    lease: Uuid,
    /// Only its door where its secret cannot be read.
    hook: Result<Hook, Door>,
    events: HashMap<Uuid, Arc<Happened>>,
    waiting: Vec<Waiting>,
}

/// Stops the renewing of a lane, however its turn ends.
struct Held<'a>(&'a Dispatcher, i64);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.held().remove(&self.1);
    }
}

/// One delivery after the other, as long as the turn lasts.
async fn turn(dispatcher: Arc<Dispatcher>, lane: Taken, mut slot: Slot) {
    let held = Held(&dispatcher, lane.no);
    let Taken { no, lease, hook, events, waiting } = lane;
    let started = Instant::now();
    let (mut ended, mut gone) = (Vec::with_capacity(waiting.len()), None);
    let keeps = waiting.len() > 1 || dispatcher.pace.is_warm(no);
    for waiting in waiting {
        if !ended.is_empty() && (started.elapsed() > TURN || dispatcher.stop.is_cancelled()) {
            break;
        }
        let event = events.get(&waiting.event_id).map(Arc::as_ref);
        let (one, is_gone) = match &hook {
            Ok(hook) => {
                observe_wait(hook, waiting);
                let work = Work { hook, event, waiting, lease, keeps };
                dispatcher.attempt(&work, &mut slot).await
            }
            Err(door) => (Ended::unreadable(waiting, lease, event, *door), false),
        };
        ended.push(one);
        if is_gone {
            gone = Some(no);
            break;
        }
    }
    // Others may have the place while this is written.
    drop(slot);
    dispatcher.recorder.report(Report { ended, gone, lane: Some((no, lease)) }).await;
    drop(held);
    dispatcher.app.webhooks.wake.lanes.notify_one();
}
