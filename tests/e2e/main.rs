//! Journeys across services, and faults, against the `imago` binary as an outside program.

mod command_line;
mod faults;
mod journeys;
mod stack;
