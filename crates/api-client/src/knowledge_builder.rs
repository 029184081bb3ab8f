//! The knowledge builder, as other services use it.
