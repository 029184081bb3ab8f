//! The texts that wait for a worker: two lanes, both bounded.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::{Error, Priority, Vector};

/// Room is counted in units of a text plus its size, as one text may be as large as a thousand.
const UNIT_BYTES: usize = 1024;
const INTERACTIVE_UNITS: usize = 2048;
const BACKGROUND_UNITS: usize = 4096;
/// How long a caller waits for room before it is told to come back later.
const INTERACTIVE_WAIT: Duration = Duration::from_secs(2);
const BACKGROUND_WAIT: Duration = Duration::from_secs(60);
/// Background work gets a turn after so many interactive batches in a row, or a steady stream of
/// searches would stop it for good.
const INTERACTIVE_RUN: u32 = 16;

pub(super) type Reply = Result<Vector, Error>;

/// A text somebody waits for.
pub(super) struct Item {
    pub(super) text: String,
    /// Set once tokenised.
    pub(super) tokens: Option<Vec<u32>>,
    reply: oneshot::Sender<Reply>,
    _room: OwnedSemaphorePermit,
}

impl Item {
    pub(super) fn answer(self, reply: Reply) {
        // Nobody listens any more if the caller has gone: nothing to do then.
        drop(self.reply.send(reply));
    }
}

pub(super) struct Queue {
    lanes: Mutex<Lanes>,
    filled: Condvar,
    interactive_room: Arc<Semaphore>,
    background_room: Arc<Semaphore>,
}

#[derive(Default)]
struct Lanes {
    interactive: VecDeque<Item>,
    background: VecDeque<Item>,
    /// Interactive batches since the last background one.
    run: u32,
    closed: bool,
}

impl Queue {
    pub(super) fn new() -> Self {
        Self {
            lanes: Mutex::default(),
            filled: Condvar::new(),
            interactive_room: Arc::new(Semaphore::new(INTERACTIVE_UNITS)),
            background_room: Arc::new(Semaphore::new(BACKGROUND_UNITS)),
        }
    }

    /// Hands texts in, waiting for room; the replies come in the order of the texts.
    ///
    /// # Errors
    ///
    /// [`Error::Overloaded`] if there was no room in time. What was handed in by then is passed
    /// over, as nobody waits for it.
    pub(super) async fn submit(
        &self,
        texts: Vec<String>,
        priority: Priority,
    ) -> Result<Vec<oneshot::Receiver<Reply>>, Error> {
        let mut replies = Vec::with_capacity(texts.len());
        let mut items = Vec::with_capacity(texts.len());
        for text in texts {
            let room = match self.room(priority).try_acquire_many_owned(units(&text)) {
                Ok(room) => room,
                Err(_) => {
                    // The workers must have all there is, or room would never come free.
                    self.push(std::mem::take(&mut items), priority);
                    self.wait_for_room(&text, priority).await?
                }
            };
            let (reply, receiver) = oneshot::channel();
            replies.push(receiver);
            items.push(Item { text, tokens: None, reply, _room: room });
        }
        self.push(items, priority);
        Ok(replies)
    }

    /// The first text of a new batch; waits for one. `None` once the queue is closed.
    pub(super) fn next(&self) -> Option<(Item, Priority)> {
        let mut lanes = self.lanes();
        loop {
            if lanes.closed {
                return None;
            }
            let priority = lanes.turn();
            if let Some(item) = lanes.pop(priority) {
                lanes.note(priority);
                return Some((item, priority));
            }
            if lanes.interactive.is_empty() && lanes.background.is_empty() {
                lanes = self.filled.wait(lanes).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    /// A further text for a batch, if one waits.
    pub(super) fn more(&self, priority: Priority) -> Option<Item> {
        self.lanes().pop(priority)
    }

    /// Gives back a text that did not fit into the batch.
    pub(super) fn put_back(&self, item: Item, priority: Priority) {
        self.lanes().lane(priority).push_front(item);
        self.filled.notify_one();
    }

    /// Takes all that waits.
    pub(super) fn drain(&self) -> Vec<Item> {
        let mut lanes = self.lanes();
        let mut items: Vec<Item> = lanes.interactive.drain(..).collect();
        items.extend(lanes.background.drain(..));
        items
    }

    /// Ends the workers once they are done with their batches.
    pub(super) fn close(&self) {
        self.lanes().closed = true;
        self.filled.notify_all();
    }

    fn push(&self, items: Vec<Item>, priority: Priority) {
        self.lanes().lane(priority).extend(items);
        self.filled.notify_all();
    }

    async fn wait_for_room(&self, text: &str, priority: Priority) -> Result<OwnedSemaphorePermit, Error> {
        let wait = match priority {
            Priority::Interactive => INTERACTIVE_WAIT,
            Priority::Background => BACKGROUND_WAIT,
        };
        match tokio::time::timeout(wait, self.room(priority).acquire_many_owned(units(text))).await {
            Ok(Ok(room)) => Ok(room),
            Ok(Err(_)) | Err(_) => Err(Error::Overloaded),
        }
    }

    fn room(&self, priority: Priority) -> Arc<Semaphore> {
        match priority {
            Priority::Interactive => Arc::clone(&self.interactive_room),
            Priority::Background => Arc::clone(&self.background_room),
        }
    }

    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lanes {
    fn lane(&mut self, priority: Priority) -> &mut VecDeque<Item> {
        match priority {
            Priority::Interactive => &mut self.interactive,
            Priority::Background => &mut self.background,
        }
    }

    fn turn(&self) -> Priority {
        let background_is_due = self.run >= INTERACTIVE_RUN && !self.background.is_empty();
        if self.interactive.is_empty() || background_is_due { Priority::Background } else { Priority::Interactive }
    }

    fn note(&mut self, priority: Priority) {
        self.run = match priority {
            Priority::Interactive => self.run.saturating_add(1),
            Priority::Background => 0,
        };
    }

    /// The next text somebody still waits for.
    fn pop(&mut self, priority: Priority) -> Option<Item> {
        let lane = self.lane(priority);
        while let Some(item) = lane.pop_front() {
            if !item.reply.is_closed() {
                return Some(item);
            }
        }
        None
    }
}

fn units(text: &str) -> u32 {
    u32::try_from(1 + text.len() / UNIT_BYTES).unwrap_or(u32::MAX)
}
