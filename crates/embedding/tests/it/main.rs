//! The crate from outside: the sentence model on its real weights, and a service on a socket.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may fail them")]

mod minilm;
mod remote;
