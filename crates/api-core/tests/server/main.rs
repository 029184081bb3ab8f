//! What holds for every service, shown on a small one.

#![cfg(test)]

mod access;
mod credentials;
mod database;
mod doors;
mod headers;
mod idempotency;
mod limits;
mod order;
mod shared_limits;
mod tiny;
mod trust;

use test_support::assert_no_operation_is_open;
use tiny::Tiny;

#[tokio::test]
async fn no_operation_is_open() {
    let tiny = Tiny::start(&[]).await;
    assert_no_operation_is_open(&tiny.service, &[]).await;
}
