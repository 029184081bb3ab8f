//! The SQL. Statements that write rows of tasks and workers lock workers before tasks, each in the order of their ids.

pub(crate) mod dependencies;
pub(crate) mod events;
pub(crate) mod pushes;
pub(crate) mod raw;
pub(crate) mod reaping;
pub(crate) mod tasks;
pub(crate) mod trust;
pub(crate) mod waiting;
pub(crate) mod workers;

pub(crate) use diesel::PgConnection as Conn;
