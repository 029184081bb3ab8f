//! skill-builder: the occupation taxonomy, and skill sets derived from it and from texts.

pub mod domain;
