//! The rules of knowledge: reading documents, cutting and cleaning texts, making and merging items, deepening, ranking.
//!
//! Nothing here knows of HTTP, of SQL, or of the network.

pub mod deepen;
pub mod documents;
pub mod entities;
pub mod extract;
pub mod items;
pub mod passages;
pub mod sanitise;
pub mod search;
