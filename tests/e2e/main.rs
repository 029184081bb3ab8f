//! Journeys across services, and faults, against the `imago` binary as an outside program.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test may fail loudly, helpers included"
)]

mod command_line;
mod faults;
mod journeys;
mod stack;
mod tenancy;
mod tidy;
mod trust;
