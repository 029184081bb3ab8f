//! Servers that an earlier run left behind: their parent was killed, or they were killed and left children.
//!
//! Called with the directory's lock held, so whatever still runs there has no living owner.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::{
    io::Errno,
    process::{Pid, Signal, kill_process},
};

use crate::{
    cluster::pause,
    error::{Context, Error},
};

/// How long a server may take to shut down in order.
const FAST: Duration = Duration::from_secs(30);
/// How long a process may take to end at once.
const IMMEDIATE: Duration = Duration::from_secs(5);

/// What `postmaster.pid` says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PidFile {
    pub(crate) pid: i32,
    /// Whether the server takes connections.
    pub(crate) ready: bool,
}

impl PidFile {
    pub(crate) fn read(cluster: &Path) -> Option<Self> {
        Self::parse(&fs::read_to_string(path(cluster)).ok()?)
    }

    /// Line 1 is the process, line 8 its state.
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let pid = lines.next()?.trim().parse().ok().filter(|pid| *pid > 1)?;
        Some(Self { pid, ready: lines.nth(6).is_some_and(|state| state.trim() == "ready") })
    }
}

fn path(cluster: &Path) -> PathBuf {
    cluster.join("postmaster.pid")
}

/// Stops every server that runs on `cluster` and removes what a killed one left in the way.
pub(crate) fn clear(cluster: &Path) -> Result<(), Error> {
    if let Some(PidFile { pid, .. }) = PidFile::read(cluster) {
        if serves(pid, cluster) {
            tracing::info!("stopping PostgreSQL process {pid}, which an earlier run left behind");
            stop(pid, cluster)?;
        } else {
            tracing::info!("PostgreSQL was not shut down in order; it recovers now");
        }
    }
    // A killed server's children end by themselves only when they next look up from their work.
    for pid in processes(cluster) {
        tracing::info!("ending PostgreSQL process {pid}, which lost its server");
        stop(pid, cluster)?;
    }
    // Its process is gone. PostgreSQL would believe in it if the number were in use again.
    match fs::remove_file(path(cluster)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).context(|| format!("remove {}", path(cluster).display()))
        }
        _ => Ok(()),
    }
}

/// Asks in three steps, each harder than the one before.
fn stop(pid: i32, cluster: &Path) -> Result<(), Error> {
    let Some(process) = Pid::from_raw(pid) else { return Ok(()) };
    for (signal, patience) in [(Signal::INT, FAST), (Signal::QUIT, IMMEDIATE), (Signal::KILL, IMMEDIATE)] {
        match kill_process(process, signal) {
            Err(Errno::SRCH) => return Ok(()),
            Err(_) => return Err(Error::Stuck(pid)),
            Ok(()) => {}
        }
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if !serves(pid, cluster) {
                return Ok(());
            }
            pause();
        }
    }
    Err(Error::Stuck(pid))
}

/// Whether process `pid` is alive and a PostgreSQL process on `cluster`. The number alone proves nothing.
#[cfg(target_os = "linux")]
fn serves(pid: i32, cluster: &Path) -> bool {
    let process = PathBuf::from(format!("/proc/{pid}"));
    // Not its executable: that one reads "postgres (deleted)" after an upgrade.
    let named = fs::read_to_string(process.join("comm")).is_ok_and(|name| name.trim() == "postgres");
    named && fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd == cluster)
}

#[cfg(not(target_os = "linux"))]
fn serves(pid: i32, cluster: &Path) -> bool {
    let Some(process) = Pid::from_raw(pid) else { return false };
    let output = std::process::Command::new("ps").args(["-o", "command=", "-p", &pid.to_string()]).output();
    let command = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    rustix::process::test_kill_process(process).is_ok() && command.contains(&*cluster.to_string_lossy())
}

/// All PostgreSQL processes on `cluster`, where the system can tell.
fn processes(cluster: &Path) -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| serves(*pid, cluster)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pid_file_tells_the_process_and_whether_it_is_ready() {
        let text = "4711\n/data\n1700000000\n5432\n\n127.0.0.1\n  1234 5\nready   \n";
        assert_eq!(PidFile::parse(text), Some(PidFile { pid: 4711, ready: true }));
        assert_eq!(PidFile::parse(&text.replace("ready", "starting")), Some(PidFile { pid: 4711, ready: false }));
        assert_eq!(PidFile::parse("4711\n/data\n"), Some(PidFile { pid: 4711, ready: false }));
        for broken in ["", "x\n", "0\n", "-1\n"] {
            assert_eq!(PidFile::parse(broken), None);
        }
    }

    #[test]
    fn a_process_that_happens_to_have_the_number_is_not_taken_for_the_server() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(!serves(own, &std::env::current_dir().unwrap()));
    }
}
