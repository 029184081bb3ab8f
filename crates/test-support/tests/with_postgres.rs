//! That `with-postgres` passes everything through and leaves nothing behind.

#![cfg(test)]

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

fn with_postgres(script: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_with-postgres"));
    command.args(["sh", "-c", script]).env_remove("TEST_DATABASE_URL").stdin(Stdio::null());
    command
}

fn scratch(pid: u32) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../.imago/test-{pid}"))
}

/// Starts it and waits for the command's first line.
fn started(script: &str) -> (Child, BufReader<ChildStdout>, String) {
    let mut child = with_postgres(script).stdout(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    (child, output, line.trim().to_owned())
}

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

#[test]
fn the_command_gets_a_server_and_its_exit_code_is_passed_on() {
    let (mut child, _output, url) = started("echo $TEST_DATABASE_URL; exit 7");
    assert!(url.starts_with("postgres://"), "{url}");
    assert_eq!(child.wait().unwrap().code(), Some(7));
    assert!(!scratch(child.id()).exists());
}

#[test]
fn a_command_that_does_not_exist_is_a_failure_and_leaves_nothing() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_with-postgres"));
    let child = command.arg("/no/such/command").stderr(Stdio::piped()).spawn().unwrap();
    let pid = child.id();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("cannot run /no/such/command"));
    assert!(!scratch(pid).exists());
}

#[test]
fn a_signal_goes_to_the_command_which_may_end_in_its_own_way() {
    let (mut child, _output, _) = started("trap 'exit 3' TERM; echo up; for i in $(seq 600); do sleep 0.1; done");
    send(&child, Signal::TERM);
    assert_eq!(child.wait().unwrap().code(), Some(3));
    assert!(!scratch(child.id()).exists());
}

#[test]
fn what_a_killed_run_leaves_is_removed_by_the_next() {
    // The command ends when the end of its output is gone.
    let (mut child, output, _) = started("for i in $(seq 600); do echo up; sleep 0.1; done");
    child.kill().unwrap();
    child.wait().unwrap();
    drop(output);
    let left = scratch(child.id());
    assert!(left.exists());

    // Another test's run may have been first, and still be at it.
    let deadline = Instant::now() + Duration::from_secs(60);
    while left.exists() {
        assert!(Instant::now() < deadline);
        assert!(with_postgres("true").status().unwrap().success());
    }
}
