//! `with-postgres COMMAND [ARGUMENT..]`: runs a command with a PostgreSQL of its own, at `TEST_DATABASE_URL`.
//!
//! The server forgets everything and is fast because of it. It is gone when the command has ended, however it ended.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, IsTerminal},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{ExitCode, ExitStatus},
};

use anyhow::Context;
use private_postgres::{Cluster, Error, Options};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    process::{Child, Command},
    signal::unix::{SignalKind, signal},
};

fn main() -> ExitCode {
    match run() {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            report(&format!("with-postgres: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<u8> {
    let mut words = std::env::args_os().skip(1).skip_while(|word| word == "--");
    let program = words.next().context("which command? Usage: with-postgres COMMAND [ARGUMENT..]")?;
    let (_scratch, mut cluster) = start()?;
    migrations::provision(&cluster.url())?;
    let status = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?
        .block_on(supervise(program, words.collect(), cluster.url()))?;
    cluster.stop()?;
    // As a shell has it.
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    Ok(u8::try_from(code).unwrap_or(1))
}

/// Starts the server in a directory that is removed when the first part of the answer is dropped.
fn start() -> anyhow::Result<(Scratch, Cluster)> {
    let home = home();
    fs::create_dir_all(&home).with_context(|| format!("cannot create {}", home.display()))?;
    // Two that start at once must not take each other's fresh directories for abandoned ones.
    let turn = File::create(home.join("test.lock")).context("cannot create .imago/test.lock")?;
    turn.lock().context("cannot lock .imago/test.lock")?;
    sweep(&home);
    let scratch = Scratch(home.join(format!("{PREFIX}{}", std::process::id())));
    let cluster = Cluster::start(&Options { durable: false, ..Options::new(home.join("postgres"), &scratch.0) })?;
    Ok((scratch, cluster))
}

/// Runs the command to its end and passes on what we are told meanwhile.
async fn supervise(program: OsString, arguments: Vec<OsString>, url: String) -> anyhow::Result<ExitStatus> {
    // Before the command starts: from then on we must not end without it.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let mut child = Command::new(&program)
        .args(arguments)
        .env("TEST_DATABASE_URL", url)
        .spawn()
        .with_context(|| format!("cannot run {}", program.display()))?;
    // Ctrl-C reaches the command by itself, and a second one would cut its own cleaning up short.
    let at_a_terminal = io::stdin().is_terminal();
    loop {
        tokio::select! {
            status = child.wait() => return Ok(status?),
            _ = interrupt.recv() => if !at_a_terminal { pass_on(&child, Signal::INT) },
            _ = terminate.recv() => pass_on(&child, Signal::TERM),
            _ = hang_up.recv() => pass_on(&child, Signal::HUP),
        }
    }
}

fn pass_on(child: &Child, signal: Signal) {
    // No id means that it has ended, which the caller is about to notice.
    let pid = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    if let Some(Err(error)) = pid.map(|pid| kill_process(pid, signal)) {
        report(&format!("with-postgres: cannot pass on a signal: {error}"));
    }
}

/// The `.imago` of this checkout.
fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.imago")
}

/// The server's directory, removed at the end.
struct Scratch(PathBuf);

const PREFIX: &str = "test-";

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0)
            && error.kind() != io::ErrorKind::NotFound
        {
            report(&format!("with-postgres: cannot remove {}: {error}", self.0.display()));
        }
    }
}

/// Removes what killed runs left behind.
fn sweep(home: &Path) {
    let entries = fs::read_dir(home).into_iter().flatten().flatten();
    for dir in entries.map(|entry| entry.path()) {
        let ours = dir.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PREFIX));
        if !ours {
            continue;
        }
        match Cluster::clear(&dir) {
            // Another run is using it.
            Err(Error::InUse { .. }) => {}
            Err(error) => report(&format!("with-postgres: {error}")),
            Ok(()) => drop(Scratch(dir)),
        }
    }
}

#[expect(clippy::print_stderr, reason = "a command line tool")]
fn report(line: &str) {
    eprintln!("{line}");
}
