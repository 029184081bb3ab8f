//! Calls between services.
//!
//! A service reads another's data only through its HTTP API, and only through this crate: the token, the caller's
//! request id, the remaining deadline, the trace and the services already passed are added in one place ([`ServiceClient::send`]).

mod client;
mod context;
pub mod control_plane;
mod http;
pub mod knowledge_builder;
pub mod skill_builder;
pub mod task_router;
pub mod token;
pub mod webhooks;

pub use client::{ClientError, Outgoing, Retry, ServiceClient};
pub use context::CallContext;
pub use http::http_client;
