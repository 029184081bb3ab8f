//! The API of the service, over HTTP against a real database.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod import;
mod internal;
mod model;
mod rig;
mod skill_sets;
mod taxonomy;
mod written_sets;
