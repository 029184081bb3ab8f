//! The rules of skills: taxonomies and how they are read, matching an occupation, deriving skills from a taxonomy and a
//! text. Knows nothing of HTTP, SQL or the network; every function works on values it is given.

pub(crate) mod corpus;
pub(crate) mod esco;
pub(crate) mod generate;
pub(crate) mod matching;
pub(crate) mod modes;
pub(crate) mod starter;
pub(crate) mod suggestions;
pub(crate) mod taxonomy;
