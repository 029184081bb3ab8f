//! The rules: free of HTTP, SQL and clocks.
