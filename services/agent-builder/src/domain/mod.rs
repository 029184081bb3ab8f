//! The rules: what an agent is, how it is built, and what may be done to it when.

pub(crate) mod agents;
pub(crate) mod building;
pub(crate) mod builds;
mod error;
pub(crate) mod events;
pub(crate) mod merge;
pub(crate) mod ports;
pub(crate) mod record;
pub(crate) mod role_model;
pub(crate) mod tags;
mod texts;
pub(crate) mod waiting;

pub(crate) use error::{Error, Failure, More};
