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
    interactive_room: Room,
    background_room: Room,
}

/// What keeps a lane from growing without end.
struct Room {
    units: Arc<Semaphore>,
    wait: Duration,
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
        Self::with(Room::new(INTERACTIVE_UNITS, INTERACTIVE_WAIT), Room::new(BACKGROUND_UNITS, BACKGROUND_WAIT))
    }

    fn with(interactive_room: Room, background_room: Room) -> Self {
        Self { lanes: Mutex::default(), filled: Condvar::new(), interactive_room, background_room }
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
            let room = match self.room(priority).try_take(&text) {
                Some(room) => room,
                None => {
                    // The workers must have all there is, or room would never come free.
                    self.push(std::mem::take(&mut items), priority);
                    self.room(priority).take(&text).await?
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

    fn room(&self, priority: Priority) -> &Room {
        match priority {
            Priority::Interactive => &self.interactive_room,
            Priority::Background => &self.background_room,
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

impl Room {
    fn new(units: usize, wait: Duration) -> Self {
        let units = Arc::new(Semaphore::new(units));
        Self { units, wait }
    }

    fn try_take(&self, text: &str) -> Option<OwnedSemaphorePermit> {
        let units = Arc::clone(&self.units);
        units.try_acquire_many_owned(units_of(text)).ok()
    }

    async fn take(&self, text: &str) -> Result<OwnedSemaphorePermit, Error> {
        let units = Arc::clone(&self.units);
        match tokio::time::timeout(self.wait, units.acquire_many_owned(units_of(text))).await {
            Ok(Ok(room)) => Ok(room),
            Ok(Err(_)) | Err(_) => Err(Error::Overloaded),
        }
    }
}

fn units_of(text: &str) -> u32 {
    u32::try_from(1 + text.len() / UNIT_BYTES).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::oneshot::Receiver;

    use super::{INTERACTIVE_RUN, Queue, Reply, Room, UNIT_BYTES};
    use crate::Error;
    use crate::Priority::{self, Background, Interactive};

    async fn submit(queue: &Queue, text: &str, priority: Priority) -> Receiver<Reply> {
        let texts = vec![text.to_owned()];
        queue.submit(texts, priority).await.unwrap().remove(0)
    }

    fn next(queue: &Queue) -> String {
        queue.next().unwrap().0.text
    }

    #[tokio::test]
    async fn interactive_texts_go_first_and_each_lane_keeps_its_order() {
        let queue = Queue::new();
        let mut waiting = Vec::new();
        for text in ["b1", "b2"] {
            waiting.push(submit(&queue, text, Background).await);
        }
        for text in ["i1", "i2"] {
            waiting.push(submit(&queue, text, Interactive).await);
        }
        let order = [(); 4].map(|()| next(&queue));
        assert_eq!(order, ["i1", "i2", "b1", "b2"]);
    }

    #[tokio::test]
    async fn background_texts_get_a_turn_among_endless_interactive_ones() {
        let queue = Queue::new();
        let _bulk = submit(&queue, "bulk", Background).await;
        let mut waiting = Vec::new();
        let mut before = 0;
        loop {
            waiting.push(submit(&queue, "search", Interactive).await);
            if next(&queue) == "bulk" {
                break;
            }
            before += 1;
        }
        assert_eq!(before, INTERACTIVE_RUN);
        assert_eq!(next(&queue), "search");
    }

    #[tokio::test]
    async fn a_text_given_back_is_next_again() {
        let queue = Queue::new();
        let texts = ["a", "b", "c"].map(str::to_owned).to_vec();
        let _waiting = queue.submit(texts, Background).await.unwrap();
        assert_eq!(next(&queue), "a");
        let item = queue.more(Background).unwrap();
        queue.put_back(item, Background);
        assert_eq!(next(&queue), "b");
    }

    #[tokio::test]
    async fn texts_nobody_waits_for_are_passed_over() {
        let queue = Queue::new();
        drop(submit(&queue, "gone", Interactive).await);
        let _waiting = submit(&queue, "still wanted", Background).await;
        assert_eq!(next(&queue), "still wanted");
    }

    #[tokio::test]
    async fn a_full_lane_refuses_and_leaves_the_other_open() {
        let room = || Room::new(4, Duration::from_millis(20));
        let queue = Queue::with(room(), room());
        let large = "x".repeat(3 * UNIT_BYTES);
        let waiting = submit(&queue, &large, Background).await;
        let refused = queue.submit(vec!["x".to_owned()], Background).await;
        assert!(matches!(refused, Err(Error::Overloaded)));
        let _other = submit(&queue, &large, Interactive).await;
        assert_eq!(next(&queue), large);
        let (item, _) = queue.next().unwrap();
        item.answer(Ok(vec![1.0]));
        assert_eq!(waiting.await.unwrap().unwrap(), [1.0]);
        // Answering made room again.
        let accepted = queue.submit(vec!["x".to_owned()], Background).await;
        assert!(accepted.is_ok());
    }

    #[tokio::test]
    async fn room_that_comes_free_in_time_is_used() {
        let room = || Room::new(1, Duration::from_secs(20));
        let queue = Queue::with(room(), room());
        let texts: Vec<String> = (0..50).map(|i| i.to_string()).collect();
        let worker = async {
            for _ in 0..50 {
                while queue.lanes().background.is_empty() {
                    tokio::task::yield_now().await;
                }
                queue.next().unwrap().0.answer(Ok(Vec::new()));
            }
        };
        let (replies, ()) = tokio::join!(queue.submit(texts, Background), worker);
        assert_eq!(replies.unwrap().len(), 50);
    }

    #[test]
    fn a_closed_queue_ends_its_workers() {
        let queue = Queue::new();
        std::thread::scope(|scope| {
            let worker = scope.spawn(|| queue.next().is_none());
            queue.close();
            assert!(worker.join().unwrap());
        });
    }
}
