//! The API of the service, over HTTP against a real database.

mod concurrency;
mod documents;
mod entities;
mod gathering;
mod internal;
mod records;
mod rig;
mod search;
mod service;
mod web;
