//! The private PostgreSQL under everything that happens to it: restarts, kills, second starts, bad directories.
//!
//! Needs `.imago/postgres`, which `make setup` unpacks.

#![cfg(test)]

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use private_postgres::{Cluster, Error, Options};
use rustix::process::{Pid, Signal, geteuid, kill_process};
use tempfile::TempDir;

/// Names the data directory for [`helper_process_that_holds_a_cluster`].
const HOLD: &str = "PRIVATE_POSTGRES_TEST_HOLD";

fn install_dir() -> PathBuf {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.imago/postgres");
    assert!(dir.join("bin/postgres").exists(), "no PostgreSQL in {}: run `make setup`", dir.display());
    dir
}

fn scratch() -> TempDir {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    dir
}

fn options(dir: &Path) -> Options {
    Options { durable: false, ..Options::new(install_dir(), dir) }
}

/// The answer of `psql`, or its complaint.
fn query(url: &str, sql: &str) -> Result<String, String> {
    let mut command = Command::new(install_dir().join("bin/psql"));
    let output = command.args(["-XAtqc", sql, url]).env("PGCONNECT_TIMEOUT", "5").output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap().trim().to_owned();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

#[track_caller]
fn wait_until(what: &str, mut check: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !check() {
        assert!(Instant::now() < deadline, "not within 60 s: {what}");
        pause();
    }
}

#[expect(clippy::disallowed_methods, reason = "nothing tells us when another process has changed")]
fn pause() {
    thread::sleep(Duration::from_millis(10));
}

fn kill(pid: u32) {
    kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), Signal::KILL).unwrap();
}

fn runs(pid: u32) -> bool {
    // A killed process whose parent has not looked yet is a zombie, and no longer runs.
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
fn a_cluster_keeps_data_port_and_password_over_a_restart() {
    let dir = scratch();
    // What a killed first start leaves behind must not be in the way.
    fs::create_dir_all(dir.path().join("cluster.new/base")).unwrap();

    let mut cluster = Cluster::start(&options(dir.path())).unwrap();
    let url = cluster.url();
    query(&url, "CREATE TABLE kept AS SELECT 42 AS n").unwrap();
    cluster.stop().unwrap();
    assert!(query(&url, "SELECT 1").is_err());
    drop(cluster);

    let cluster = Cluster::start(&options(dir.path())).unwrap();
    assert_eq!(cluster.url(), url);
    assert_eq!(query(&url, "SELECT n FROM kept").unwrap(), "42");
    drop(cluster);

    fs::remove_file(dir.path().join("password")).unwrap();
    let cluster = Cluster::start(&options(dir.path())).unwrap();
    assert_ne!(cluster.url(), url);
    assert_eq!(query(&cluster.url(), "SELECT n FROM kept").unwrap(), "42");
    assert_eq!(fs::metadata(dir.path().join("password")).unwrap().mode() & 0o777, 0o600);
    assert!(!dir.path().join("cluster.new").exists());
}

#[test]
fn the_server_has_what_imago_builds_on() {
    let dir = scratch();
    let cluster = Cluster::start(&options(dir.path())).unwrap();
    let url = cluster.url();
    let ask = |sql: &str| query(&url, sql).unwrap();

    ask("CREATE EXTENSION vector; CREATE TABLE v (e vector(3)); CREATE INDEX ON v USING hnsw (e vector_cosine_ops)");
    assert_eq!(ask("SELECT '[1,0,0]'::vector <=> '[0,1,0]'"), "1");
    assert_eq!(ask("SELECT timestamptz '2026-07-01 12:00 Europe/Berlin'"), "2026-07-01 10:00:00+00");
    assert_eq!(ask("SELECT lower('ÄÖ') || (SELECT count(*) FROM (VALUES ('a'), ('B')) t(c) WHERE c < 'b')"), "äö2");
    assert_eq!(ask("SELECT to_tsvector('running mathematicians') @@ to_tsquery('mathematician')"), "t");

    let wrong = url.replacen("imago:", "imago:0", 1);
    assert!(query(&wrong, "SELECT 1").unwrap_err().contains("password authentication failed"));
    assert!(query(&cluster.database_url("postgres"), "SELECT 1").is_ok());
}

#[test]
fn a_killed_server_comes_back_with_its_data_and_address() {
    let dir = scratch();
    let mut cluster = Cluster::start(&Options::new(install_dir(), dir.path())).unwrap();
    let url = cluster.url();
    query(&url, "CREATE TABLE kept AS SELECT 42 AS n").unwrap();
    // A session that is too busy to notice the death of its server, and would keep the new one from starting.
    let busy = "SELECT count(*) FROM generate_series(1, 100000000000)";
    let mut session = Command::new(install_dir().join("bin/psql"));
    let mut session = session.args(["-XAtqc", busy, &url]).stderr(Stdio::null()).spawn().unwrap();
    let count = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%100000000000)' AND pid <> pg_backend_pid()";
    wait_until("the busy session runs", || query(&url, count).is_ok_and(|text| text != "0"));
    assert!(cluster.ended().is_none());

    kill(cluster.pid().unwrap());
    wait_until("the death is noticed", || cluster.ended().is_some());
    cluster.restart().unwrap();

    assert_eq!(cluster.url(), url);
    assert_eq!(query(&url, "SELECT n FROM kept").unwrap(), "42");
    session.wait().unwrap();
}

#[test]
fn a_second_start_on_the_same_directory_is_refused() {
    let dir = scratch();
    let cluster = Cluster::start(&options(dir.path())).unwrap();
    let refused = Cluster::start(&options(dir.path())).unwrap_err();
    assert!(matches!(&refused, Error::InUse { holder, .. } if *holder == std::process::id().to_string()), "{refused}");
    assert_eq!(query(&cluster.url(), "SELECT 1").unwrap(), "1");
}

#[test]
fn data_of_another_version_and_a_taken_port_are_refused() {
    let dir = scratch();
    let mut cluster = Cluster::start(&options(dir.path())).unwrap();
    cluster.stop().unwrap();
    drop(cluster);

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let refused = Cluster::start(&Options { port: Some(port), ..options(dir.path()) }).unwrap_err();
    assert!(matches!(refused, Error::PortInUse(found) if found == port), "{refused}");

    fs::write(dir.path().join("cluster/PG_VERSION"), "13\n").unwrap();
    let refused = Cluster::start(&options(dir.path())).unwrap_err();
    assert!(matches!(&refused, Error::OtherVersion { found, ours, .. } if found == "13" && ours == "16"), "{refused}");

    let nowhere = Options::new(dir.path(), dir.path().join("data"));
    assert!(matches!(Cluster::start(&nowhere).unwrap_err(), Error::NotInstalled(_)));
}

/// Linux says whom a process runs as and what it may do.
#[cfg(target_os = "linux")]
fn status(pid: u32, field: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().to_owned()
}

#[test]
#[cfg(target_os = "linux")]
fn root_drops_to_an_unprivileged_user() {
    if !geteuid().is_root() {
        return;
    }
    let dir = scratch();
    let cluster = Cluster::start(&options(&dir.path().join("made/on/the/way"))).unwrap();
    assert_ne!(status(cluster.pid().unwrap(), "Uid:"), "0");
    assert_eq!(query(&cluster.url(), "SELECT 1").unwrap(), "1");
}

#[test]
#[cfg(target_os = "linux")]
fn the_unprivileged_user_gets_through_a_closed_directory_with_nothing_but_the_right_to_look() {
    if !geteuid().is_root() {
        return;
    }
    let dir = scratch();
    let closed = dir.path().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();

    let cluster = Cluster::start(&options(&closed.join("data"))).unwrap();
    let pid = cluster.pid().unwrap();
    assert_ne!(status(pid, "Uid:"), "0");
    let capabilities = u64::from_str_radix(&status(pid, "CapEff:"), 16).unwrap();
    assert_eq!(capabilities.count_ones(), 1, "{capabilities:x}");
    assert_eq!(query(&cluster.url(), "SELECT 1").unwrap(), "1");
}

/// Not a test: another process that starts a cluster and stays, to be killed.
#[test]
#[ignore = "started by other tests, as a process of its own"]
fn helper_process_that_holds_a_cluster() {
    let Some(dir) = std::env::var_os(HOLD) else { return };
    let dir = Path::new(&dir);
    let cluster = Cluster::start(&options(dir)).unwrap();
    fs::write(dir.join("held.new"), format!("{} {}", cluster.pid().unwrap(), cluster.url())).unwrap();
    fs::rename(dir.join("held.new"), dir.join("held")).unwrap();
    loop {
        pause();
    }
}

/// Starts the helper; returns it, the server's process and the address.
fn hold(dir: &Path) -> (Child, u32, String) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "helper_process_that_holds_a_cluster", "--ignored"]).env(HOLD, dir);
    let child = command.stdout(Stdio::null()).spawn().unwrap();
    wait_until("the helper has started", || dir.join("held").exists());
    let text = fs::read_to_string(dir.join("held")).unwrap();
    let (pid, url) = text.split_once(' ').unwrap();
    (child, pid.parse().unwrap(), url.to_owned())
}

#[test]
#[cfg(target_os = "linux")]
fn a_server_ends_in_order_when_its_parent_is_killed() {
    let dir = scratch();
    let (mut holder, server, _url) = hold(dir.path());
    holder.kill().unwrap();
    holder.wait().unwrap();
    wait_until("the server has ended", || !runs(server));
    let log = fs::read_to_string(dir.path().join("postgres.log")).unwrap();
    assert!(log.contains("database system is shut down"), "{log}");
}

#[test]
#[cfg(target_os = "linux")]
fn the_next_start_takes_over_from_a_server_without_a_parent() {
    let dir = scratch();
    let (mut holder, server, url) = hold(dir.path());
    query(&url, "CREATE TABLE kept AS SELECT 42 AS n").unwrap();
    // The watchdog is a shell, the helper's only other child.
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        if stat.contains("(sh) ") && stat.split_whitespace().nth(3) == Some(&holder.id().to_string()) {
            kill(entry.file_name().to_str().unwrap().parse().unwrap());
        }
    }
    holder.kill().unwrap();
    holder.wait().unwrap();
    assert!(runs(server));

    let cluster = Cluster::start(&options(dir.path())).unwrap();
    assert!(!runs(server));
    assert_eq!(cluster.url(), url);
    assert_eq!(query(&url, "SELECT n FROM kept").unwrap(), "42");
}
