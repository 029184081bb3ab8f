//! Weighing a PDF while it is loaded.
//!
//! The library offers a filter that sees every object as it is loaded. The filter is a plain function, so what has been
//! loaded so far is kept beside it, per thread; and it cannot return an error, so it stops the load by unwinding.

use std::{
    cell::Cell,
    panic::{self, AssertUnwindSafe},
    time::Instant,
};

use lopdf::{Document, Object, ObjectId, Stream};

use super::{Error, PART_BYTES_MAX};

/// What one object of the library takes in memory, in bytes, with its share of lists and tables.
const OBJECT_BYTES: usize = 160;

/// What a loaded document may take in memory, in bytes.
const DOCUMENT_BYTES_MAX: usize = 320 * 1024 * 1024;

/// Values (numbers, names, …) that a file may spell out. Compressed data has about one in sixteen bytes; the rest of a
/// large document has one or two million.
const VALUES_MAX: usize = 4_000_000;

/// Objects in one compressed stream of objects; writers put one or two hundred there.
const STREAM_OBJECTS_MAX: usize = 20_000;

/// Nested texts and lists are read to this depth, so as many closing brackets end whatever is open.
const NESTING_MAX: usize = 101;

/// What the filter found too much.
#[derive(Clone, Copy)]
struct Stop(Error);

thread_local! {
    static BUDGET: Cell<usize> = const { Cell::new(0) };
    static DEADLINE: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Refuses what is no PDF, and files that spell out more values than any document needs.
pub(super) fn check_source(bytes: &[u8]) -> Result<(), Error> {
    // Readers accept some bytes before the header.
    let start = bytes.get(..1024).unwrap_or(bytes);
    if !start.windows(5).any(|window| window == b"%PDF-") {
        return Err(Error::Unreadable);
    }
    // Before loading: the library loads encrypted documents without asking the filter.
    if names_encryption(bytes) {
        return Err(Error::Encrypted);
    }
    if values(bytes) > VALUES_MAX { Err(Error::TooLarge) } else { Ok(()) }
}

/// Whether the name `Encrypt` stands anywhere in these bytes, escaped letters included.
fn names_encryption(bytes: &[u8]) -> bool {
    let starts = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'/');
    starts.into_iter().any(|(at, _)| is_name(&bytes[at + 1..], b"Encrypt"))
}

fn is_name(mut bytes: &[u8], name: &[u8]) -> bool {
    for expected in name {
        let (letter, rest) = match bytes {
            [b'#', high, low, rest @ ..] => {
                let digits = [*high, *low];
                let letter = std::str::from_utf8(&digits).ok().and_then(|digits| u8::from_str_radix(digits, 16).ok());
                (letter, rest)
            }
            [letter, rest @ ..] => (Some(*letter), rest),
            [] => return false,
        };
        if letter != Some(*expected) {
            return false;
        }
        bytes = rest;
    }
    // A longer name is another name.
    bytes.first().is_none_or(|next| !next.is_ascii_alphanumeric() && *next != b'#')
}

/// How many values begin in these bytes.
fn values(bytes: &[u8]) -> usize {
    let mut count = 0;
    let mut in_value = false;
    for byte in bytes {
        let separates = matches!(byte, 0 | b'\t' | b'\n' | 12 | b'\r' | b' ');
        let opens = matches!(byte, b'/' | b'[' | b'(' | b'<' | b'{');
        let closes = matches!(byte, b']' | b')' | b'>' | b'}');
        if opens || (!in_value && !separates && !closes) {
            count += 1;
        }
        in_value = !separates && !closes && *byte != b'[';
    }
    count
}

/// Runs a load, and turns a stop or a panic into an error.
pub(super) fn guarded(deadline: Instant, load: impl FnOnce() -> lopdf::Result<Document>) -> Result<Document, Error> {
    BUDGET.set(DOCUMENT_BYTES_MAX);
    DEADLINE.set(Some(deadline));
    match panic::catch_unwind(AssertUnwindSafe(load)) {
        Ok(Ok(document)) => Ok(document),
        Ok(Err(error)) => Err(reason(&error)),
        Err(payload) => Err(payload.downcast_ref::<Stop>().map_or(Error::Unreadable, |stop| stop.0)),
    }
}

/// Our word for the library's.
pub(super) fn reason(error: &lopdf::Error) -> Error {
    match error {
        lopdf::Error::Decompress(lopdf::DecompressError::MemoryLimitExceeded { .. }) => Error::TooLarge,
        lopdf::Error::Decryption(_) | lopdf::Error::InvalidPassword | lopdf::Error::UnsupportedSecurityHandler(_) => {
            Error::Encrypted
        }
        _ => Error::Unreadable,
    }
}

/// The filter: takes the weight of an object from the budget.
pub(super) fn weigh(id: ObjectId, object: &mut Object) -> Option<(ObjectId, Object)> {
    if DEADLINE.get().is_some_and(|deadline| Instant::now() > deadline) {
        stop(Error::TooSlow);
    }
    if let Object::Stream(stream) = object
        && stream.dict.has_type(b"ObjStm")
    {
        // Damaged ones stay as they are: the library refuses them.
        if let Some(separated) = separated(stream) {
            *stream = separated;
        }
    }
    let left = BUDGET.get().checked_sub(weight(object));
    BUDGET.set(left.unwrap_or(0));
    if left.is_none() {
        stop(Error::TooLarge);
    }
    // Of an object on its own the library keeps what `object` is now; of one in a stream of objects, and no stream is
    // in there, what is returned.
    match object {
        Object::Stream(_) => Some((id, Object::Null)),
        other => Some((id, other.clone())),
    }
}

/// Leaves the library's loops. No panic: the hook that reports panics stays silent.
fn stop(error: Error) -> ! {
    panic::resume_unwind(Box::new(Stop(error)))
}

fn weight(object: &Object) -> usize {
    let inner = match object {
        Object::Array(values) => values.iter().map(weight).sum(),
        Object::Dictionary(dict) => dict.iter().map(|(key, value)| key.len() + weight(value)).sum(),
        Object::Stream(stream) => {
            stream.content.len() + stream.dict.iter().map(|(_, value)| weight(value)).sum::<usize>()
        }
        Object::Name(text) | Object::String(text, _) => text.len(),
        _ => 0,
    };
    OBJECT_BYTES + inner
}

/// The same stream of objects with a fence after each object.
///
/// The library reads each object from where it begins, without minding where the next one does: objects that contain
/// each other would be read again and again.
fn separated(stream: &Stream) -> Option<Stream> {
    let content = match stream.get_plain_content_with_limit(PART_BYTES_MAX) {
        Ok(content) => content,
        Err(error) => match reason(&error) {
            Error::TooLarge => stop(Error::TooLarge),
            _ => return None,
        },
    };
    let first = usize::try_from(stream.dict.get(b"First").ok()?.as_i64().ok()?).ok()?;
    let numbers: Vec<usize> = std::str::from_utf8(content.get(..first)?)
        .ok()?
        .split_ascii_whitespace()
        .map_while(|number| number.parse().ok())
        .collect();
    let mut entries: Vec<(usize, usize)> = numbers.chunks_exact(2).map(|pair| (pair[1], pair[0])).collect();
    entries.sort_unstable();
    entries.dedup_by_key(|entry| entry.0);
    if entries.len() > STREAM_OBJECTS_MAX {
        stop(Error::TooLarge);
    }
    let body = &content[first..];
    let (mut index, mut fenced) = (String::new(), Vec::with_capacity(body.len()));
    for (place, (offset, number)) in entries.iter().enumerate() {
        let end = entries.get(place + 1).map_or(body.len(), |next| next.0);
        let Some(object) = body.get(*offset..end) else { continue };
        index.push_str(&format!("{number} {} ", fenced.len()));
        fenced.extend_from_slice(object);
        fenced.push(b'\n');
        fenced.extend(std::iter::repeat_n(b')', NESTING_MAX));
        fenced.push(b'\n');
    }
    let mut dict = stream.dict.clone();
    dict.set("N", i64::try_from(entries.len()).ok()?);
    dict.set("First", i64::try_from(index.len()).ok()?);
    dict.remove(b"Filter");
    dict.remove(b"DecodeParms");
    Some(Stream::new(dict, [index.into_bytes(), fenced].concat()))
}
