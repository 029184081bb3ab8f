//! Reading the text of documents, within bounds of time and memory whatever the document holds.

pub(crate) mod html;
pub(crate) mod markdown;
pub(crate) mod pdf;

use std::{
    sync::{Condvar, Mutex, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};

use super::sanitise::clean;

/// The kinds of documents that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MediaType {
    Plain,
    Markdown,
    Html,
    Pdf,
}

impl MediaType {
    /// Reads a media type; its parameters do not matter.
    #[must_use]
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        [Self::Plain, Self::Markdown, Self::Html, Self::Pdf]
            .into_iter()
            .find(|media_type| media_type.as_str() == essence)
    }

    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "text/plain",
            Self::Markdown => "text/markdown",
            Self::Html => "text/html",
            Self::Pdf => "application/pdf",
        }
    }
}

/// What was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Extract {
    pub(crate) title: Option<String>,
    pub(crate) text: String,
}

/// Why a document cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    #[error("the document cannot be read")]
    Unreadable,
    #[error("the document is encrypted")]
    Encrypted,
    #[error("the document holds no text")]
    NoText,
    #[error("reading the document takes too long")]
    TooSlow,
    #[error("the document is too large once it is unpacked")]
    TooLarge,
    /// The fault is ours: too many documents are being read.
    #[error("too many documents are being read")]
    Busy,
}

/// How long a document may take to read. Ordinary ones take milliseconds.
const TIME_MAX: Duration = Duration::from_secs(20);

/// Documents read at the same time in a process, those whose reader was given up included.
const READERS_MAX: usize = 8;

/// Parsers of nested things need more room than a worker of the runtime has.
const STACK_BYTES: usize = 16 * 1024 * 1024;

/// How long a document may wait for its turn.
const TURN_TIME_MAX: Duration = Duration::from_secs(10);

/// Documents being read, and the bell for those who wait.
static READERS: (Mutex<usize>, Condvar) = (Mutex::new(0), Condvar::new());

/// Reads a document. Blocks, for at most [`TURN_TIME_MAX`], [`TIME_MAX`] and a little.
///
/// # Errors
/// As they are named; [`Error::NoText`] also when there is nothing but whitespace.
pub(crate) fn read(media_type: MediaType, bytes: Vec<u8>) -> Result<Extract, Error> {
    let extract = match media_type {
        MediaType::Plain => Extract { title: None, text: decode(&bytes, None)? },
        MediaType::Markdown => bounded(TIME_MAX, move |deadline| markdown::read(&decode(&bytes, None)?, deadline))?,
        MediaType::Html => bounded(TIME_MAX, move |deadline| {
            let page = decode(&bytes, html::declared_encoding(&bytes))?;
            html::read(&page, deadline)
        })?,
        MediaType::Pdf => bounded(TIME_MAX, move |deadline| pdf::read(&bytes, deadline))?,
    };
    let text = clean(&extract.text).into_owned();
    if text.trim().is_empty() {
        return Err(Error::NoText);
    }
    let title = extract.title.as_deref().map(title_of).filter(|title| !title.is_empty());
    Ok(Extract { title, text })
}

/// A title on one line, without what nobody sees, at most 300 characters.
#[must_use]
pub(crate) fn title_of(text: &str) -> String {
    let line = clean(text).split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(300).collect()
}

/// Makes text of bytes: by their byte order mark, the declared encoding, as UTF-8, or else as what the web takes for
/// Latin-1. Bytes that are no text at all are refused.
fn decode(bytes: &[u8], declared: Option<&'static Encoding>) -> Result<String, Error> {
    let (encoding, bom) = match Encoding::for_bom(bytes) {
        Some((encoding, length)) => (encoding, length),
        None if std::str::from_utf8(bytes).is_ok() => (UTF_8, 0),
        None => (declared.filter(|known| *known != UTF_8).unwrap_or(WINDOWS_1252), 0),
    };
    let (text, _) = encoding.decode_without_bom_handling(&bytes[bom..]);
    if text.contains('\0') {
        return Err(Error::Unreadable);
    }
    Ok(text.into_owned())
}

/// Runs a reader in a thread of its own: it may panic, and it may be given up when its time is over.
/// The reader is told until when it may take.
fn bounded<F>(time: Duration, reader: F) -> Result<Extract, Error>
where
    F: FnOnce(Instant) -> Result<Extract, Error> + Send + 'static,
{
    let turn = Turn::take()?;
    let deadline = Instant::now() + time;
    let (answer, result) = mpsc::sync_channel(1);
    let thread = thread::Builder::new().name("document reader".to_owned()).stack_size(STACK_BYTES);
    let spawned = thread.spawn(move || {
        let _turn = turn;
        // Nobody may be waiting any more.
        answer.send(reader(deadline)).ok();
    });
    if spawned.is_err() {
        return Err(Error::Busy);
    }
    // The readers watch the deadline themselves; the margin lets them say so.
    match result.recv_timeout(time + Duration::from_secs(1)) {
        Ok(result) => result,
        Err(mpsc::RecvTimeoutError::Timeout) => Err(Error::TooSlow),
        // The reader panicked and took its end of the channel with it.
        Err(mpsc::RecvTimeoutError::Disconnected) => Err(Error::Unreadable),
    }
}

/// One of the places for readers, given back when the reader ends.
struct Turn;

impl Turn {
    fn take() -> Result<Self, Error> {
        let (readers, bell) = &READERS;
        let readers = readers.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = bell.wait_timeout_while(readers, TURN_TIME_MAX, |readers| *readers >= READERS_MAX);
        let (mut readers, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() {
            return Err(Error::Busy);
        }
        *readers += 1;
        Ok(Self)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let (readers, bell) = &READERS;
        *readers.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        bell.notify_one();
    }
}

#[cfg(test)]
mod tests;
