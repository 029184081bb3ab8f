//! What the service keeps in Postgres. Functions take a connection, so that callers put them together in transactions.

pub(crate) mod leases;
pub(crate) mod loading;
pub(crate) mod occupations;
mod schema;
pub(crate) mod sets;
pub(crate) mod skills;
pub(crate) mod taxonomies;
pub(crate) mod vectors;
