//! The SQL.
