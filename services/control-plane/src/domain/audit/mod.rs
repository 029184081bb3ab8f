//! The audit log: what is written down of whom, and how its rows are chained (docs/audit.md).

mod access;
mod chain;
mod checkpoint;
mod events;
mod loops;
mod scrub;
mod shown;
mod sort;
mod work;

pub(crate) use access::{of_refusal, of_use, window_of};
pub(crate) use chain::{Place, digest_of};
pub(crate) use checkpoint::{Checkpoint, SIGNED_FOR};
pub(crate) use events::of_event;
pub(crate) use loops::{cutting, settling};
use sort::canonical;
pub(crate) use work::{Cut, Filter, newest, next, page, take_in_access};
use work::{cut, forget, settle};

use api_types::time;
use chrono::{DateTime, SubsecRound as _, Utc};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

/// SHA-256.
pub(crate) type Digest = [u8; 32];

/// What the first row is chained to.
pub(crate) const GENESIS: Digest = [0; 32];
/// Longer texts are cut, in characters.
const TEXT_MAX: usize = 512;

/// What is written down, before it has a place in the log.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) at: DateTime<Utc>,
    pub(crate) event_type: String,
    pub(crate) action: String,
    /// That of whoever acted.
    pub(crate) client_id: Option<String>,
    /// The key's id or the token's `sub`.
    pub(crate) actor: Option<String>,
    /// What it was done to, e.g. `agent:ada`.
    pub(crate) target: Option<String>,
    pub(crate) success: bool,
    pub(crate) ip_address: Option<String>,
    pub(crate) user_agent: Option<String>,
    pub(crate) request_id: Option<String>,
    pub(crate) details: Map<String, Value>,
    /// The row whose count this one raises.
    pub(crate) corrects: Option<i64>,
}

/// A row of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) seq: i64,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) event_type: String,
    pub(crate) action: String,
    pub(crate) client_id: Option<String>,
    pub(crate) actor: Option<String>,
    pub(crate) target: Option<String>,
    pub(crate) success: bool,
    pub(crate) ip_address: Option<String>,
    pub(crate) user_agent: Option<String>,
    pub(crate) request_id: Option<String>,
    /// JSON, to the letter.
    pub(crate) details: String,
    pub(crate) corrects: Option<i64>,
    pub(crate) prev_hash: Vec<u8>,
    pub(crate) hash: Vec<u8>,
}

impl Row {
    /// The entry as the row `seq`, after a row with the hash `prev`. Whatever looks like a secret is left out here, for all rows.
    pub(crate) fn after(prev: &Digest, seq: i64, entry: Entry) -> Self {
        let told = |text: Option<String>| text.map(|text| scrub::text(&text, TEXT_MAX));
        let mut row = Self {
            seq,
            created_at: entry.at.trunc_subsecs(3),
            event_type: entry.event_type,
            action: entry.action,
            client_id: told(entry.client_id),
            actor: told(entry.actor),
            target: told(entry.target),
            success: entry.success,
            ip_address: told(entry.ip_address),
            user_agent: told(entry.user_agent),
            request_id: told(entry.request_id),
            details: canonical(&scrub::value(Value::Object(entry.details), TEXT_MAX)).to_string(),
            corrects: entry.corrects,
            prev_hash: prev.to_vec(),
            hash: Vec::new(),
        };
        row.hash = row.digest().to_vec();
        row
    }

    /// The hash that the row must have: over the previous one's and everything that the row says.
    pub(crate) fn digest(&self) -> Digest {
        self.digest_at(self.seq)
    }

    /// The hash that the row would have in another place.
    pub(crate) fn digest_at(&self, seq: i64) -> Digest {
        let fields = serde_json::json!([
            seq,
            time::format(self.created_at),
            self.event_type,
            self.action,
            self.client_id,
            self.actor,
            self.target,
            self.success,
            self.ip_address,
            self.user_agent,
            self.request_id,
            self.details,
            self.corrects,
        ]);
        let mut hasher = Sha256::new();
        hasher.update(hex::encode(&self.prev_hash));
        hasher.update("\n");
        hasher.update(fields.to_string());
        hasher.finalize().into()
    }

    /// `log_` and 32 hex digits in the order of creation: the form of a UUID of version 7 that holds milliseconds and number.
    pub(crate) fn log_id(&self) -> String {
        log_id(self.created_at, self.seq)
    }
}

fn log_id(created_at: DateTime<Utc>, seq: i64) -> String {
    let milliseconds = created_at.timestamp_millis().clamp(0, (1 << 48) - 1);
    let variant = 0x8000_0000_0000_0000_u64;
    format!("log_{milliseconds:012x}7000{:016x}", variant | (seq.unsigned_abs() & 0x3fff_ffff_ffff_ffff))
}

#[cfg(test)]
mod tests;
