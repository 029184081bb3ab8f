//! The tables, one query or a few per function; no rules and no HTTP here.

pub(crate) mod documents;
pub(crate) mod items;
pub(crate) mod records;
pub(crate) mod runs;
mod schema;
pub(crate) mod search;

use diesel::{QueryResult, result::Error};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// Whether the vectors of items are read, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Vectors {
    Read,
    LeaveOut,
}

fn json(value: &impl Serialize) -> QueryResult<Value> {
    serde_json::to_value(value).map_err(|error| Error::SerializationError(error.into()))
}

fn from_json<T: DeserializeOwned>(value: Value) -> QueryResult<T> {
    serde_json::from_value(value).map_err(|error| Error::DeserializationError(error.into()))
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
