//! What tests stand on. A dev-dependency only; it panics where a test would.

#![expect(clippy::panic, reason = "a test that cannot be set up has failed")]

mod client;
mod database;
mod keys;
mod redis;
mod service;

pub use client::{Answer, Client, jwt};
pub use database::{TestDatabase, TestDb, rolled_back};
pub use keys::FakeKeys;
pub use redis::Redis;
pub use service::{TestService, assert_no_operation_is_open};

use std::fmt::Display;

#[track_caller]
fn or_panic<T, E: Display>(what: &str, result: Result<T, E>) -> T {
    result.unwrap_or_else(|error| panic!("cannot {what}: {error}"))
}
