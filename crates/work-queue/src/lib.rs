//! Durable jobs on Postgres.
//!
//! A service keeps its jobs in a table `jobs` of its own schema (the migration is `migrations/agent-builder/0100_jobs`; the next
//! user copies it), so that a job is written in the transaction of what it is about. A [`Runner`] claims jobs, runs them
//! without holding a connection, and renews their leases meanwhile. A process that dies stops renewing: another takes the job
//! over with the next attempt, and after so many losses the job ends as lost. Only the holder of the lease can end a job, so
//! its result and its end go into one transaction ([`finish`], [`fail`]).
//!
//! Runners in the enqueuing process are woken at once ([`Wake`]); others find the job when they next look, which they do
//! every [`Options::poll`]. There is no LISTEN/NOTIFY: diesel's connections cannot wait for a notification, only look for
//! one, and a NOTIFY inside the enqueuing transaction would make all commits of the server queue up.

mod queue;
mod runner;

pub use queue::{
    Error, Job, Lease, LostJob, NewJob, State, cancel, claim, enqueue, fail, finish, hand_back, heartbeat, hold, purge,
    reclaim,
};
pub use runner::{Handler, Options, Outcome, Runner, Wake};
