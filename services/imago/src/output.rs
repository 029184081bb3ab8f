//! What the command line says to people.

use std::io::{self, Write as _};

/// A line on standard output. A reader that has gone is no reason to fail.
pub(crate) fn line(text: &str) {
    drop(writeln!(io::stdout().lock(), "{text}"));
}

/// The reason for a failure, on standard error.
pub(crate) fn error(text: &str) {
    drop(writeln!(io::stderr().lock(), "imago: {text}"));
}
