//! Queries, one function each; they take a connection and leave transactions to the caller.

pub(crate) mod agents;
pub(crate) mod builds;
pub(crate) mod knowledge;
mod raw;
pub(crate) mod records;
pub(crate) mod restored;
mod schema;
pub(crate) mod skills;

pub(crate) use diesel::{PgConnection as Conn, result::Error as QueryError};

use diesel::QueryResult;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// Rows written in one statement; with all their columns they stay below the number of values that Postgres takes.
const ROWS_MAX: usize = 1000;

/// A value of ours as JSON for the database.
fn to_json(value: &impl Serialize) -> QueryResult<Value> {
    serde_json::to_value(value).map_err(|error| QueryError::SerializationError(error.into()))
}

/// A value of ours back from the database's JSON.
fn from_json<T: DeserializeOwned>(value: Value) -> QueryResult<T> {
    serde_json::from_value(value).map_err(|error| QueryError::DeserializationError(error.into()))
}

/// A name of ours back from the database's text.
fn from_name<T: DeserializeOwned>(name: String) -> QueryResult<T> {
    from_json(Value::String(name))
}

/// A position or a count, which never comes near its type's end.
fn number(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
