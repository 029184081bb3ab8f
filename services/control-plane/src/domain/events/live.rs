//! The log as it grows, for any number of readers.
//!
//! One loop reads what is new and keeps the last of it in memory. A reader takes from there at its own pace; one that falls
//! behind what is kept reads from the database until it has caught up. Nothing is queued for anybody.

use std::{
    collections::VecDeque,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use api_core::db;
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore, watch},
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::log::{Logged, View};
use crate::{App, store};

/// Entries read at once by the loop, and taken at once by a reader.
const READ: i64 = 500;
const TAKEN: usize = 100;
/// Entries kept in memory, and their size as JSON.
const KEPT: usize = 2000;
const KEPT_BYTES: usize = 4 << 20;
/// How often the loop looks for what other processes took in, and when it tries again after a failure.
const POLL: Duration = Duration::from_millis(500);
const AGAIN: Duration = Duration::from_secs(1);
/// Readers that catch up from the database at once, and the numbers that one statement of theirs spans.
const CATCHING_UP: usize = 2;
const SPAN: i64 = 50_000;

/// An entry with its JSON, which all readers share.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) logged: Logged,
    pub(crate) json: String,
}

impl From<Logged> for Entry {
    fn from(logged: Logged) -> Self {
        // Texts and JSON values only; there is nothing that could not be written.
        let json = serde_json::to_string(&logged.event).unwrap_or_default();
        Self { logged, json }
    }
}

/// The last entries: all with numbers above `after` and up to `upto`.
#[derive(Debug)]
struct Window {
    after: i64,
    upto: i64,
    entries: VecDeque<Arc<Entry>>,
    bytes: usize,
}

/// What a window has for a reader who has seen everything up to some number.
#[derive(Debug)]
enum Look {
    Entries(Vec<Arc<Entry>>),
    UpToDate,
    /// No more: the database has it, up to this number at least.
    Gone(i64),
}

impl Window {
    fn at(newest: i64) -> Self {
        Self { after: newest, upto: newest, entries: VecDeque::new(), bytes: 0 }
    }

    fn push(&mut self, entry: Entry) {
        self.upto = entry.logged.seq;
        self.bytes += entry.json.len();
        self.entries.push_back(Arc::new(entry));
        while self.entries.len() > KEPT || self.bytes > KEPT_BYTES {
            let Some(oldest) = self.entries.pop_front() else { return };
            self.bytes -= oldest.json.len();
            self.after = oldest.logged.seq;
        }
    }

    fn look(&self, seen: i64) -> Look {
        if seen >= self.upto {
            return Look::UpToDate;
        }
        if seen < self.after {
            return Look::Gone(self.upto);
        }
        let first = self.entries.partition_point(|entry| entry.logged.seq <= seen);
        Look::Entries(self.entries.iter().skip(first).take(TAKEN).map(Arc::clone).collect())
    }
}

/// What the loop and the readers share.
#[derive(Debug)]
pub(crate) struct Live {
    /// Nothing while nobody reads.
    window: RwLock<Option<Window>>,
    /// Changes with the window.
    grown: watch::Sender<()>,
    seats: Arc<Semaphore>,
    seats_max: usize,
    opened: Notify,
    catching_up: Semaphore,
    ended: CancellationToken,
}

impl Live {
    /// For so many readers at the most.
    pub(crate) fn new(seats_max: usize) -> Self {
        Self {
            window: RwLock::new(None),
            grown: watch::Sender::new(()),
            seats: Arc::new(Semaphore::new(seats_max)),
            seats_max,
            opened: Notify::new(),
            catching_up: Semaphore::new(CATCHING_UP),
            ended: CancellationToken::new(),
        }
    }

    fn is_watched(&self) -> bool {
        self.seats.available_permits() < self.seats_max
    }

    fn look(&self, seen: i64) -> Look {
        let window = self.window.read().unwrap_or_else(PoisonError::into_inner);
        window.as_ref().map_or(Look::UpToDate, |window| window.look(seen))
    }

    fn change(&self, change: impl FnOnce(&mut Option<Window>)) {
        change(&mut self.window.write().unwrap_or_else(PoisonError::into_inner));
        self.grown.send_replace(());
    }

    fn upto(&self) -> Option<i64> {
        self.window.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(|window| window.upto)
    }
}

/// Reads what is new, as long as somebody wants it, until told to stop; then all readers come to their end.
pub(crate) async fn follow(app: Arc<App>, stop: CancellationToken) {
    let mut arrived = app.arrived.subscribe();
    loop {
        let pause = if app.live.is_watched() {
            read_on(&app).await.unwrap_or_else(|error| {
                tracing::warn!(
                    error = format!("{:#}", anyhow::Error::from(error)),
                    "event streams wait for the database"
                );
                AGAIN
            })
        } else {
            if app.live.upto().is_some() {
                app.live.change(|window| *window = None);
            }
            Duration::MAX
        };
        tokio::select! {
            () = stop.cancelled() => break,
            // The sender lives as long as the app.
            _ = arrived.changed(), if app.live.is_watched() => {}
            () = app.live.opened.notified() => {}
            () = sleep(pause) => {}
        }
    }
    app.live.ended.cancel();
}

/// Reads one batch; returns how long to wait until the next one.
async fn read_on(app: &App) -> Result<Duration, db::Error> {
    let Some(upto) = app.live.upto() else {
        let newest = app.db.run::<_, db::Error>(|conn| Ok(store::events::newest(conn)?)).await?;
        app.live.change(|window| *window = Some(Window::at(newest)));
        return Ok(Duration::ZERO);
    };
    let new = app.db.run::<_, db::Error>(move |conn| Ok(store::events::after(conn, upto, READ)?)).await?;
    let pause = if i64::try_from(new.len()).is_ok_and(|count| count < READ) { POLL } else { Duration::ZERO };
    if !new.is_empty() {
        let entries: Vec<Entry> = new.into_iter().map(Entry::from).collect();
        app.live.change(|window| {
            if let Some(window) = window {
                entries.into_iter().for_each(|entry| window.push(entry));
            }
        });
    }
    Ok(pause)
}

/// Why nobody can read along.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("Too many event streams are open")]
    Full,
    #[error(transparent)]
    Store(#[from] db::Error),
}

/// Somebody who reads along.
pub(crate) struct Reader {
    app: Arc<App>,
    view: View,
    /// The number up to which it has seen everything.
    seen: i64,
    grown: watch::Receiver<()>,
    _seat: OwnedSemaphorePermit,
}

/// What a reader is given.
#[derive(Debug)]
pub(crate) enum Next {
    Entries(Vec<Arc<Entry>>),
    /// The time is over, and there was nothing.
    Nothing,
    End,
}

impl Reader {
    /// Begins after the entry with the number `seen`, else with what comes next.
    ///
    /// # Errors
    /// When there are too many readers; those of the database.
    pub(crate) async fn open(app: Arc<App>, view: View, seen: Option<i64>) -> Result<Self, Error> {
        let seat = Arc::clone(&app.live.seats).try_acquire_owned().map_err(|_full| Error::Full)?;
        let grown = app.live.grown.subscribe();
        let (oldest, newest) = app.db.run::<_, db::Error>(|conn| Ok(store::events::extent(conn)?)).await?;
        let seen = seen.map_or(newest, |seen| seen.clamp(oldest - 1, newest));
        app.live.opened.notify_one();
        Ok(Self { app, view, seen, grown, _seat: seat })
    }

    /// Waits for entries that the view shows, at the longest until `until`.
    pub(crate) async fn next(&mut self, until: Instant) -> Next {
        loop {
            if self.app.live.ended.is_cancelled() {
                return Next::End;
            }
            self.grown.mark_unchanged();
            let entries = match self.app.live.look(self.seen) {
                Look::Entries(entries) => {
                    self.seen = entries.last().map_or(self.seen, |entry| entry.logged.seq);
                    entries.into_iter().filter(|entry| self.view.shows(&entry.logged.event)).collect()
                }
                Look::Gone(upto) => match self.catch_up(upto).await {
                    Ok(entries) => entries,
                    Err(error) => {
                        // Whoever reads comes back and says how far it was.
                        tracing::warn!(error = format!("{:#}", anyhow::Error::from(error)), "an event stream ends");
                        return Next::End;
                    }
                },
                Look::UpToDate => {
                    tokio::select! {
                        () = self.app.live.ended.cancelled() => return Next::End,
                        _ = self.grown.changed() => continue,
                        () = sleep_until(until) => return Next::Nothing,
                    }
                }
            };
            if !entries.is_empty() {
                return Next::Entries(entries);
            }
            if Instant::now() >= until {
                return Next::Nothing;
            }
        }
    }

    /// Reads the next entries from the database, none of them above `upto`.
    async fn catch_up(&mut self, upto: i64) -> Result<Vec<Arc<Entry>>, db::Error> {
        let Ok(_turn) = self.app.live.catching_up.acquire().await else { return Ok(Vec::new()) };
        let (view, seen, upto) = (self.view.clone(), self.seen, upto.min(self.seen.saturating_add(SPAN)));
        let read =
            self.app.db.run::<_, db::Error>(move |conn| Ok(store::events::between(conn, &view, (seen, upto), TAKEN)?));
        let entries: Vec<Arc<Entry>> = read.await?.into_iter().map(|logged| Arc::new(Entry::from(logged))).collect();
        self.seen = match entries.last() {
            Some(last) if entries.len() == TAKEN => last.logged.seq,
            _ => upto,
        };
        Ok(entries)
    }
}

#[cfg(test)]
mod tests {
    use api_types::{
        events::{Level, RecordedEvent},
        time,
    };
    use serde_json::json;

    use super::{Entry, KEPT, KEPT_BYTES, Logged, Look, TAKEN, Window};

    fn entry(seq: i64, text: &str) -> Entry {
        let at = time::parse("2026-01-01T00:00:00Z").unwrap();
        let event = RecordedEvent {
            id: format!("evt_{seq}"),
            event_type: "a.b".to_owned(),
            level: Level::Info,
            source: "s".to_owned(),
            message: Some(text.to_owned()),
            data: json!({}),
            user_id: None,
            agent_id: None,
            workflow_id: None,
            tool_id: None,
            execution_id: None,
            trace_id: None,
            request_id: None,
            occurred_at: at,
            recorded_at: at,
        };
        Entry::from(Logged { seq, event })
    }

    /// Everything from `seen` on, as a reader would take it; where the window has no more of it, `None`.
    fn read(window: &Window, mut seen: i64) -> Option<Vec<i64>> {
        let mut read = Vec::new();
        loop {
            match window.look(seen) {
                Look::Entries(entries) => {
                    assert!(!entries.is_empty() && entries.len() <= TAKEN);
                    read.extend(entries.iter().map(|entry| entry.logged.seq));
                    seen = *read.last()?;
                }
                Look::UpToDate => return Some(read),
                Look::Gone(_) => return None,
            }
        }
    }

    #[test]
    fn a_reader_gets_everything_once_and_in_order_across_gaps_in_the_numbers() {
        let mut window = Window::at(10);
        let numbers: Vec<i64> = (0..250).map(|n| 11 + n * 3).collect();
        numbers.iter().for_each(|seq| window.push(entry(*seq, "")));
        assert_eq!(read(&window, 10).unwrap(), numbers);
        // Between two entries nothing is missing.
        assert_eq!(read(&window, 12).unwrap(), numbers[1..]);
        assert_eq!(read(&window, 9), None);
        assert_eq!(read(&window, 5000).unwrap(), Vec::<i64>::new());
    }

    #[test]
    fn what_is_kept_is_bounded_in_number_and_size() {
        let mut window = Window::at(0);
        (1..=2500).for_each(|seq| window.push(entry(seq, "")));
        assert_eq!((window.entries.len(), window.after, window.upto), (KEPT, 500, 2500));
        assert!(read(&window, 499).is_none() && read(&window, 500).is_some());
        let large = "x".repeat(KEPT_BYTES / 3);
        (2501..=2510).for_each(|seq| window.push(entry(seq, &large)));
        assert!(window.bytes <= KEPT_BYTES && window.entries.len() == 2);
        // Even one that is larger than everything is passed on, through the database.
        window.push(entry(2511, &"x".repeat(KEPT_BYTES + 1)));
        assert_eq!((window.entries.len(), window.bytes, window.after), (0, 0, 2511));
        assert!(matches!(window.look(2510), Look::Gone(2511)) && matches!(window.look(2511), Look::UpToDate));
    }
}
