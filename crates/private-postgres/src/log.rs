//! The server's log file.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use crate::error::{Context, Error};

/// Above this the log of earlier runs is put aside at the next start.
const ROTATE_BYTES: u64 = 16 * 1024 * 1024;

/// What one run of the server writes into the log.
#[derive(Debug)]
pub(crate) struct RunLog {
    path: PathBuf,
    start: u64,
}

impl RunLog {
    /// Opens the log for a new run. Returns the log and the file to write to.
    pub(crate) fn open(path: &Path) -> Result<(Self, File), Error> {
        let what = || format!("open {}", path.display());
        if fs::metadata(path).is_ok_and(|found| found.len() > ROTATE_BYTES) {
            fs::rename(path, path.with_extension("log.old")).context(what)?;
        }
        let file = OpenOptions::new().create(true).append(true).open(path).context(what)?;
        let start = file.metadata().context(what)?.len();
        Ok((Self { path: path.to_owned(), start }, file))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The last lines of this run.
    pub(crate) fn tail(&self) -> String {
        let read = || -> std::io::Result<Vec<u8>> {
            let mut file = File::open(&self.path)?;
            file.seek(SeekFrom::Start(self.start))?;
            let mut bytes = Vec::new();
            file.take(64 * 1024).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let bytes = read().unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.trim_end().lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }
}
