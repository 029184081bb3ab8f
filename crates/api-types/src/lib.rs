//! Everything that crosses a wire, written once: ids, errors, envelopes, pages and one module per service.
//!
//! No I/O and no web framework here; diesel only behind the `diesel` feature, for the types that are stored as they are sent.

pub mod access;
pub mod agents;
pub mod ains;
pub mod audit;
pub mod auth;
pub mod envelope;
pub mod error;
pub mod events;
pub mod id;
pub mod keys;
pub mod kinds;
pub mod knowledge;
pub mod skills;
pub mod time;
pub mod users;
pub mod webhooks;
pub mod workers;
