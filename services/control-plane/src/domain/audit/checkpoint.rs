//! Where verification begins once old rows were let go.

use api_core::seal::SignKey;
use api_types::time;
use chrono::{DateTime, Utc};
use serde_json::json;

use super::Digest;

/// The purpose of the key that checkpoints are signed with.
pub(crate) const SIGNED_FOR: &str = "audit checkpoint";

/// The rows up to one of them were let go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    /// The last row that went.
    pub(crate) seq: i64,
    /// Its hash.
    pub(crate) hash: Vec<u8>,
    /// How many went since the checkpoint before.
    pub(crate) removed: i64,
    /// All of them were older than this.
    pub(crate) before: DateTime<Utc>,
    pub(crate) made_at: DateTime<Utc>,
    /// Only a holder of `JWT_SECRET` can make one.
    pub(crate) signature: Vec<u8>,
}

impl Checkpoint {
    /// A signed one. Times are to have no fraction finer than a millisecond.
    pub(crate) fn sign(
        key: &SignKey,
        (seq, hash): (i64, &Digest),
        removed: i64,
        before: DateTime<Utc>,
        made_at: DateTime<Utc>,
    ) -> Self {
        let mut checkpoint = Self { seq, hash: hash.to_vec(), removed, before, made_at, signature: Vec::new() };
        checkpoint.signature = key.sign(checkpoint.text().as_bytes());
        checkpoint
    }

    /// Whether it was signed with this key and says what it said then.
    pub(crate) fn is_signed(&self, key: &SignKey) -> bool {
        key.is_signed(self.text().as_bytes(), &self.signature)
    }

    fn text(&self) -> String {
        let Self { seq, removed, .. } = self;
        let (before, made_at) = (time::format(self.before), time::format(self.made_at));
        json!([seq, hex::encode(&self.hash), removed, before, made_at]).to_string()
    }
}
