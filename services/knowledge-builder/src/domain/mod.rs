//! The rules of knowledge: reading documents, cutting and cleaning texts, making and merging items, deepening, ranking.
//!
//! Nothing here knows of HTTP, of SQL, or of the network.

pub(crate) mod deepen;
pub(crate) mod documents;
pub(crate) mod entities;
pub(crate) mod extract;
pub(crate) mod items;
pub(crate) mod passages;
pub(crate) mod sanitise;
pub(crate) mod search;
pub(crate) mod words;
