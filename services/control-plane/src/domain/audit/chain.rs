//! Following the chain.

use super::{Checkpoint, Digest, GENESIS, Row};

/// A row that was followed, by its number and hash; or where following began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) seq: i64,
    pub(crate) hash: Digest,
}

impl Place {
    /// Before the first row that must be there.
    pub(crate) fn start(checkpoint: Option<&Checkpoint>) -> Self {
        match checkpoint {
            Some(checkpoint) => Self { seq: checkpoint.seq, hash: digest_of(&checkpoint.hash) },
            None => Self { seq: 0, hash: GENESIS },
        }
    }

    /// The next place, when `row` is the next row and says what it said when it was written.
    pub(crate) fn step(&self, row: &Row) -> Option<Self> {
        let follows = row.seq == self.seq + 1 && row.prev_hash == self.hash;
        let digest = row.digest();
        (follows && row.hash == digest).then_some(Self { seq: row.seq, hash: digest })
    }
}

/// What is no hash counts as none, which no row is chained to but the first.
pub(crate) fn digest_of(bytes: &[u8]) -> Digest {
    bytes.try_into().unwrap_or(GENESIS)
}
