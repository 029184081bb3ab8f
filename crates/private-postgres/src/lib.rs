//! Runs the PostgreSQL of `.imago/postgres` as a child process, for a machine that has no server of its own.
//!
//! [`Cluster::start`] makes the data directory on first use, recovers from whatever an earlier run left behind
//! (a killed server, a server whose parent was killed, a half-made directory), and returns when the server takes
//! connections. The server listens on 127.0.0.1 only and wants a password that is made once and kept in a file that
//! only the owner can read.
//!
//! Everything here blocks; call it from a thread that may wait. This crate knows nothing of schemas or migrations.

mod account;
mod cluster;
mod error;
mod files;
mod initdb;
mod leftovers;
mod log;
mod watchdog;

pub use cluster::{Cluster, Options};
pub use error::Error;

/// The database that [`Cluster::start`] makes besides PostgreSQL's own.
pub const DATABASE: &str = "imago";
/// The server's superuser.
pub const SUPERUSER: &str = "imago";
