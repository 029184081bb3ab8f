//! The skill builder, as other services use it.
