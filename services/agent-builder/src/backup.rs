//! Agents to a file and back: `{"timestamp", "version": "1.0", "agents": [records with embeddings]}`.
//!
//! One agent at a time is in memory, however many there are.

mod format;
mod read;

use std::io::{self, Read, Write};

use api_types::time;
use chrono::Utc;
use diesel::{Connection as _, PgConnection, result::ConnectionError};
use serde::Serialize;

pub(crate) use format::Given;

use crate::store::{QueryError, records, restored};

/// The only one there is.
const VERSION: &str = "1.0";
/// Agents read in one go.
const BATCH: i64 = 10;

/// Why no backup was written.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("cannot connect to the database")]
    Connect(#[from] ConnectionError),
    #[error("the agents cannot be read")]
    Query(#[from] QueryError),
    #[error("the backup cannot be written")]
    Write(#[from] io::Error),
    #[error("an agent cannot be written as JSON")]
    Json(#[from] serde_json::Error),
}

/// Why nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The file is no backup; the text says where and why.
    #[error("{0}")]
    Format(String),
    #[error("cannot connect to the database: {0}")]
    Connect(#[from] ConnectionError),
    #[error("the agents cannot be stored: {0}")]
    Query(#[from] QueryError),
}

/// Writes all agents, as they are at one moment, and returns their number.
///
/// # Errors
/// When the database cannot be read or the file cannot be written.
pub fn backup(database_url: &str, mut writer: impl Write) -> Result<usize, BackupError> {
    let mut conn = PgConnection::establish(database_url)?;
    let count = conn.build_transaction().repeatable_read().read_only().run(|conn| export(conn, &mut writer))?;
    writer.flush()?;
    Ok(count)
}

fn export(conn: &mut PgConnection, writer: &mut impl Write) -> Result<usize, BackupError> {
    let timestamp = time::format(Utc::now());
    write!(writer, "{{\n  \"timestamp\": \"{timestamp}\",\n  \"version\": \"{VERSION}\",\n  \"agents\": [")?;
    let (mut count, mut last) = (0, String::new());
    loop {
        let records = records::after(conn, &last, BATCH)?;
        for record in &records {
            writer.write_all(if count == 0 { b"\n" } else { b",\n" })?;
            writer.write_all(indented(record)?.as_bytes())?;
            count += 1;
        }
        match records.into_iter().last() {
            Some(record) => last = record.agent_id,
            None => break,
        }
    }
    writer.write_all(if count == 0 { b"]\n}\n" } else { b"\n  ]\n}\n" })?;
    Ok(count)
}

/// As JSON, four spaces from the left. Texts hold no raw line breaks in JSON, so every line is the layout's.
fn indented(record: &impl Serialize) -> Result<String, serde_json::Error> {
    let value = serde_json::to_value(record)?;
    let text = serde_json::to_string_pretty(&value)?;
    Ok(format!("    {}", text.replace('\n', "\n    ")))
}

/// Stores the agents of a backup in one transaction and returns their number. What the file says of an agent takes the place of
/// what is stored; what it does not say stays.
///
/// # Errors
/// [`RestoreError::Format`] when the file is no backup; nothing has changed then.
pub fn restore(database_url: &str, reader: impl Read) -> Result<usize, RestoreError> {
    let mut conn = PgConnection::establish(database_url)?;
    conn.transaction(|conn| {
        read::each(io::BufReader::new(reader), |given| {
            let agent_id = given.agent_id.clone();
            if restored::upsert(conn, given)? {
                return Ok(());
            }
            Err(RestoreError::Format(format!("agent '{agent_id}' is new here and has no role_model")))
        })
    })
}
