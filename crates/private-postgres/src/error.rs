//! What can go wrong, each said so that the reader knows what to do next.

use std::{io, path::PathBuf};

/// Why the private PostgreSQL could not be started or stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The programs are not there.
    #[error("no PostgreSQL in {0}: run `make setup`, or set DATABASE_URL to a server of your own")]
    NotInstalled(PathBuf),
    /// Another process holds the data directory. Two would destroy it.
    #[error("another imago (process {holder}) is using {dir}: stop it, or set IMAGO_DATA_DIR to another directory")]
    InUse {
        /// The directory in question.
        dir: PathBuf,
        /// The other process's id, or "unknown".
        holder: String,
    },
    /// The data was written by another major version.
    #[error(
        "{dir} holds data of PostgreSQL {found}, and this is PostgreSQL {ours}: move it away, or dump and restore it with PostgreSQL {found}"
    )]
    OtherVersion {
        /// The directory in question.
        dir: PathBuf,
        /// The major version that wrote it.
        found: String,
        /// The major version at hand.
        ours: String,
    },
    /// An ordinary user cannot use what another user made.
    #[error("{0} belongs to another user: run as that user, or set IMAGO_DATA_DIR to another directory")]
    ForeignOwner(PathBuf),
    /// Running as root, and the user to drop to cannot get at the files.
    #[error(
        "PostgreSQL does not run as root, and the user {user} cannot enter {dir}: \
         allow it (chmod o+x {dir}), move the checkout, or set DATABASE_URL to a server of your own"
    )]
    Unreachable {
        /// The user to drop to.
        user: String,
        /// The outermost directory that is closed to that user.
        dir: PathBuf,
    },
    /// Running as root, and there is nobody to drop to.
    #[error("PostgreSQL does not run as root, and /etc/passwd names no user `nobody`: create one, or set DATABASE_URL")]
    NoAccount,
    /// A new data directory could not be made.
    #[error("the PostgreSQL data directory could not be made: {0}")]
    Init(String),
    /// The port that was asked for is taken.
    #[error("port {0} for PostgreSQL is in use: choose another one")]
    PortInUse(u16),
    /// The server ended instead of starting. Carries the end of its log.
    #[error("PostgreSQL did not start; the end of {log}:\n{tail}")]
    Start {
        /// The log file.
        log: PathBuf,
        /// Its last lines.
        tail: String,
    },
    /// The server neither ended nor took connections in time.
    #[error("PostgreSQL took no connections within {seconds} s; see {log}")]
    NotReady {
        /// How long we waited.
        seconds: u64,
        /// The log file.
        log: PathBuf,
    },
    /// A server of an earlier run would not end.
    #[error("PostgreSQL process {0} of an earlier run cannot be stopped")]
    Stuck(i32),
    /// A file operation failed.
    #[error("cannot {what}: {source}")]
    Io {
        /// What was tried, with the file.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
}

/// Adds what was tried to an I/O error.
pub(crate) trait Context<T> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T, Error>;
}

impl<T> Context<T> for io::Result<T> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T, Error> {
        self.map_err(|source| Error::Io { what: what(), source })
    }
}
