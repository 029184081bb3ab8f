//! Verifying and exporting the audit log, for an operator who can reach the database (docs/audit.md).

use std::{
    fmt,
    io::{self, Write},
    str::FromStr,
};

use api_core::{seal::SignKey, secret::Secret};
use diesel::{Connection as _, PgConnection};

use crate::{
    domain::audit::{Digest, Place, Row, SIGNED_FOR, digest_of},
    store::audit as store,
};

/// Rows read at a time.
const PAGE: i64 = 5000;

/// Number and hash of a row that was the newest at some time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    pub seq: i64,
    pub hash: [u8; 32],
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.seq, hex::encode(self.hash))
    }
}

impl FromStr for Head {
    type Err = &'static str;

    /// Reads what is printed.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text.split_once(':').and_then(|(seq, hash)| {
            let hash: Digest = hex::decode(hash).ok()?.try_into().ok()?;
            Some(Self { seq: seq.parse().ok().filter(|seq| *seq >= 0)?, hash })
        });
        parts.ok_or("a head is the number of a row, a colon, and 64 hex digits")
    }
}

/// A log whose every row says what it said when it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intact {
    /// Rows that were followed.
    pub rows: i64,
    /// The last row that was let go, when old rows were.
    pub checkpoint: Option<i64>,
    /// To be kept elsewhere, and expected next time.
    pub head: Head,
}

/// The first thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Break {
    #[error("row {0} was edited")]
    Edited(i64),
    #[error("row {0} was rewritten together with its hash: what came after it was chained to another")]
    Rewritten(i64),
    #[error("rows {first} to {last} were deleted")]
    Deleted { first: i64, last: i64 },
    #[error("row {0} was inserted")]
    Inserted(i64),
    #[error("row {seq} was written as row {written}: rows were reordered")]
    Moved { seq: i64, written: i64 },
    #[error("row {0} was not written after the row before it")]
    Unlinked(i64),
    #[error("the checkpoint at row {0} is bad: it was not signed with this JWT_SECRET, or says something else now")]
    Checkpoint(i64),
    #[error("row {0} is not the one that was expected: it, or rows before it, were rewritten")]
    Unexpected(i64),
}

/// Why the log is not known to be intact.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    #[error("the audit log is broken: {0}")]
    Broken(#[from] Break),
    #[error("rows up to {0} were let go since: a head as old as the one expected can no longer be compared")]
    TooOld(i64),
    #[error("cannot connect to the database")]
    Connect(#[from] diesel::ConnectionError),
    #[error("a statement failed")]
    Query(#[from] diesel::result::Error),
}

/// Follows the chain from its beginning, or from the newest checkpoint, to the head; the rows are read one page at a time.
///
/// `url` reaches the control plane's schema as its role.
///
/// # Errors
/// The first thing that is wrong; or the database.
pub fn verify(url: &str, jwt_secret: &Secret, expected: Option<&Head>) -> Result<Intact, VerifyError> {
    let key = SignKey::derive(jwt_secret, SIGNED_FOR);
    PgConnection::establish(url)?.transaction(|conn| {
        store::check::freeze(conn)?;
        let checkpoint = store::cut::newest(conn)?;
        if let Some(bad) = checkpoint.as_ref().filter(|checkpoint| !checkpoint.is_signed(&key)) {
            return Err(Break::Checkpoint(bad.seq).into());
        }
        let start = Place::start(checkpoint.as_ref());
        check_expected_at(start, expected)?;
        if expected.is_some_and(|expected| expected.seq < start.seq) {
            return Err(VerifyError::TooOld(start.seq));
        }
        let (head_seq, head_hash) = store::head(conn)?;
        let walk = Walk { start, end: head_seq };
        let last = walk.follow(conn, expected)?;
        walk.check_end(conn, last, &head_hash)?;
        if let Some(expected) = expected.filter(|expected| expected.seq > last.seq) {
            return Err(Break::Deleted { first: last.seq + 1, last: expected.seq }.into());
        }
        Ok(Intact {
            rows: last.seq - start.seq,
            checkpoint: checkpoint.map(|checkpoint| checkpoint.seq),
            head: Head { seq: last.seq, hash: last.hash },
        })
    })
}

/// Writes every row as it is, as a JSON object a line, in the order of the chain; returns how many there were.
///
/// `url` reaches the control plane's schema as its role.
///
/// # Errors
/// Those of the database and of the writer.
pub fn export(url: &str, to: &mut impl Write) -> Result<u64, ExportError> {
    PgConnection::establish(url)?.transaction(|conn| {
        store::check::freeze(conn)?;
        let (mut after, mut count) = (i64::MIN, 0);
        loop {
            let rows = store::after(conn, after, PAGE)?;
            let Some(last) = rows.last() else { return Ok(count) };
            after = last.seq;
            for row in rows {
                to.write_all(&row.line().map_err(io::Error::from)?)?;
                count += 1;
            }
        }
    })
}

/// Why the log was not exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error("cannot connect to the database")]
    Connect(#[from] diesel::ConnectionError),
    #[error("a statement failed")]
    Query(#[from] diesel::result::Error),
    #[error("cannot be written")]
    Write(#[from] io::Error),
}

fn check_expected_at(place: Place, expected: Option<&Head>) -> Result<(), Break> {
    match expected {
        Some(expected) if expected.seq == place.seq && expected.hash != place.hash => Err(Break::Unexpected(place.seq)),
        _ => Ok(()),
    }
}

/// One walk along the chain.
struct Walk {
    start: Place,
    /// The newest row, as the log says it is.
    end: i64,
}

impl Walk {
    /// Where the rows end, when each follows the one before it.
    fn follow(&self, conn: &mut PgConnection, expected: Option<&Head>) -> Result<Place, VerifyError> {
        if let Some(stray) = store::check::any_before(conn, self.start.seq)? {
            return Err(Break::Inserted(stray).into());
        }
        let mut place = self.start;
        loop {
            let rows = store::after(conn, place.seq, PAGE)?;
            if rows.is_empty() {
                return Ok(place);
            }
            for (number, row) in rows.iter().enumerate() {
                let Some(next) = place.step(row) else {
                    let following = match rows.get(number + 1) {
                        Some(following) => Some(following.clone()),
                        None => store::after(conn, row.seq, 1)?.pop(),
                    };
                    return Err(self.explain(conn, place, row, following.as_ref())?.into());
                };
                place = next;
                check_expected_at(place, expected)?;
            }
        }
    }

    /// What must have happened, so that `row` does not follow `place`.
    fn explain(
        &self,
        conn: &mut PgConnection,
        place: Place,
        row: &Row,
        following: Option<&Row>,
    ) -> Result<Break, diesel::result::Error> {
        if row.seq <= place.seq {
            return Ok(Break::Inserted(row.seq));
        }
        if row.seq > place.seq + 1 {
            return Ok(Break::Deleted { first: place.seq + 1, last: row.seq - 1 });
        }
        if row.digest() == digest_of(&row.hash) {
            // It says what it said, and was chained to a row that is not there.
            let is_first = place.seq == self.start.seq;
            return Ok(if is_first { Break::Unlinked(row.seq) } else { Break::Rewritten(place.seq) });
        }
        match self.written_as(row) {
            // Everything from here on was moved up by one.
            Some(written) if written == place.seq => Ok(Break::Inserted(place.seq)),
            Some(written) => Ok(match store::check::chained_to(conn, &place.hash)? {
                None if written > row.seq => Break::Deleted { first: row.seq, last: written - 1 },
                _ => Break::Moved { seq: row.seq, written },
            }),
            None => {
                let is_shifted = following.is_some_and(|following| self.written_as(following) == Some(row.seq));
                Ok(if is_shifted { Break::Inserted(row.seq) } else { Break::Edited(row.seq) })
            }
        }
    }

    /// The number under which the row was written, when it says what it said then.
    fn written_as(&self, row: &Row) -> Option<i64> {
        let hash = digest_of(&row.hash);
        // Most often it is near by.
        let near = (row.seq - 100).max(1)..=row.seq.saturating_add(100);
        near.chain(self.start.seq + 1..=self.end).find(|seq| row.digest_at(*seq) == hash)
    }

    fn check_end(&self, conn: &mut PgConnection, last: Place, head_hash: &[u8]) -> Result<(), VerifyError> {
        if self.end > last.seq {
            return Err(Break::Deleted { first: last.seq + 1, last: self.end }.into());
        }
        if self.end < last.seq {
            return Err(Break::Inserted(self.end + 1).into());
        }
        if head_hash != last.hash {
            return Err(Break::Rewritten(last.seq).into());
        }
        // Two rows of one number: one of them is not followed.
        let count = store::check::count_after(conn, self.start.seq)?;
        if count == last.seq - self.start.seq { Ok(()) } else { Err(Break::Inserted(last.seq).into()) }
    }
}
