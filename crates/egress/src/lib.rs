//! Every call to the outside world: a client that refuses addresses which are none of an outsider's business.
//!
//! URLs reach Imago from its users, and their names resolve to whatever the owner of a domain likes. So an address is
//! checked twice: as it is written, before anything is sent, and as it resolves, at the moment of connecting (the
//! connection goes to a checked address). Calls between our own services are not made here.

mod address;
mod client;
mod lookup;
mod policy;

pub use address::Kind;
pub use client::{Client, Connections, Error, Limits, Request, Response};
pub use lookup::{Found, Lookup, SystemLookup};
pub use policy::{InvalidNetwork, Policy, Refusal};
pub use reqwest::{Method, StatusCode, header};
