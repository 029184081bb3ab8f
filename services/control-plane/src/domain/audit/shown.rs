//! Rows as their readers get them.

use api_types::audit::{AuditEntry, AuditLine};
use serde_json::value::RawValue;

use super::Row;

impl Row {
    pub(crate) fn shown(self) -> AuditEntry {
        AuditEntry {
            log_id: self.log_id(),
            event_type: self.event_type,
            client_id: self.client_id,
            action: self.action,
            success: self.success,
            ip_address: self.ip_address,
            user_agent: self.user_agent,
            // The database takes nothing but JSON into this column.
            details: RawValue::from_string(self.details).unwrap_or_else(|_| RawValue::NULL.to_owned()),
            created_at: self.created_at,
        }
    }

    /// A line of an export, with its end.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub(crate) fn line(mut self) -> serde_json::Result<Vec<u8>> {
        let line = AuditLine {
            seq: self.seq,
            actor: self.actor.take(),
            target: self.target.take(),
            request_id: self.request_id.take(),
            corrects: self.corrects,
            prev_hash: hex::encode(&self.prev_hash),
            hash: hex::encode(&self.hash),
            entry: self.shown(),
        };
        let mut text = serde_json::to_vec(&line)?;
        text.push(b'\n');
        Ok(text)
    }
}
