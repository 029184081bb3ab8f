//! The rules; no HTTP and no SQL here.

pub(crate) mod audit;
pub(crate) mod events;
pub(crate) mod grants;
pub(crate) mod intake;
pub(crate) mod keys;
pub(crate) mod secrets;
pub(crate) mod start;
pub(crate) mod usage;
pub(crate) mod users;
pub(crate) mod webhooks;
