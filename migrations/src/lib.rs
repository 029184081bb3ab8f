//! The database of Imago: one schema and one role per service, and the migrations that fill each schema.
//!
//! SQL never names a schema. A connection's `search_path` says where it works and its role what it may touch, and both
//! travel in the URL ([`service_url`]). So one server for all, one per service, or a schema per test are only URLs.
//!
//! [`provision`] makes extensions, roles and schemas and needs an administrator; [`migrate`] then runs what is pending
//! for one service, as that service's role. Both may run any number of times, also at once.
//!
//! A service's migrations are the folders `common/NNNN_name` and `<service>/NNNN_name` in order of their numbers;
//! the common ones begin with `000`, those of a service with more.

mod error;
mod migrate;
mod provision;
mod service;
mod url;

pub use error::Error;
pub use migrate::{migrate, migrate_schema};
pub use provision::provision;
pub use service::{Migrations, Service};
pub use url::{schema_url, service_url};
