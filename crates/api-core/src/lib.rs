//! What every service runs on.
//!
//! A service is a value ([`service::Service`]): routes, health, background workers. [`server`] runs any number of them in one
//! process. A handler takes a [`auth::Call`] (who calls, checked for its permission and rate, with the body still to read),
//! reads its input with [`input::Fields`], calls its domain, and answers with a [`reply::Reply`] or an [`error::ApiError`].

pub mod access;
pub mod auth;
pub mod client_address;
pub mod context;
pub mod db;
pub mod door;
pub mod error;
pub mod health;
pub mod idempotency;
pub mod input;
pub mod list;
pub mod metrics;
pub mod outbox;
pub mod platform;
pub mod rate_limit;
pub mod reply;
pub mod seal;
pub mod secret;
pub mod server;
pub mod service;
pub mod settings;
pub mod telemetry;
