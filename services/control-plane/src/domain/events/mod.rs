//! The event log: what is in it, who sees what of it, and how it is kept.

pub(crate) mod kinds;
pub(crate) mod live;
pub(crate) mod log;
pub(crate) mod report;
pub(crate) mod upkeep;
