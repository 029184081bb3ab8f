//! The rules of tasks and workers. Nothing here does input or output, reads a clock or throws dice: time and chance are arguments.

pub mod batch;
pub mod chain;
pub mod cron;
pub mod estimate;
pub mod forms;
pub mod merge;
pub mod retry;
pub mod routing;
pub mod signature;
pub mod state;
pub mod trust;
