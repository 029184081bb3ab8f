//! Knowledge about entities: gathered from documents and the outside, kept, and found again.

pub mod domain;
pub mod sources;
