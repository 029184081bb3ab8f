//! Webhooks: who subscribed ([`subscriptions`]), what is to be delivered to whom ([`enqueue()`]), the work of the dispatchers
//! ([`lanes`] for first attempts, [`retries`]), and what became of it ([`deliveries`]).

pub(crate) mod deliveries;
mod enqueue;
pub(crate) mod lanes;
pub(crate) mod retries;
mod schema;
pub(crate) mod subscriptions;

pub(crate) use enqueue::enqueue;
