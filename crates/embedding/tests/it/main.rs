//! The crate from outside: the sentence model on its real weights, and a service on a socket.

mod minilm;
mod remote;
