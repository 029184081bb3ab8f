//! The API of the service.
