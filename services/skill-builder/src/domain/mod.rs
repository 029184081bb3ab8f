//! The rules of skills: taxonomies and how they are read, matching an occupation, deriving skills from a taxonomy and a
//! text. Knows nothing of HTTP, SQL or the network; every function works on values it is given.

pub mod corpus;
pub mod esco;
pub mod generate;
pub mod matching;
pub mod modes;
pub mod starter;
pub mod taxonomy;
