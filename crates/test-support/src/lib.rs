//! What tests stand on. A dev-dependency only; it panics where a test would.

#![expect(clippy::panic, reason = "a test that cannot be set up has failed")]

mod database;

pub use database::{TestDatabase, TestDb, rolled_back};
