//! The rules of tasks and workers. Nothing here does input or output, reads a clock or throws dice: time and chance are arguments.

pub mod retry;
pub mod state;
pub mod trust;
