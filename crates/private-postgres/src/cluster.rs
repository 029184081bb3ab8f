//! The running server: start, watch, stop.

use std::{
    fs::File,
    io,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    DATABASE, SUPERUSER,
    account::Account,
    error::{Context, Error},
    files::Files,
    initdb,
    leftovers::{self, PidFile},
    log::RunLog,
    watchdog::Watchdog,
};

/// How long the server may take to start; recovery after a crash replays up to `max_wal_size`.
const START: Duration = Duration::from_secs(300);
/// How long the server may take to shut down in order, which includes writing all that is in memory.
const FAST_STOP: Duration = Duration::from_secs(60);
/// How long it may take to drop everything.
const IMMEDIATE_STOP: Duration = Duration::from_secs(5);
/// How often a free port is looked for before giving up: another process may take it between looking and using.
const PORT_TRIES: usize = 5;

/// Settings for one machine with a small stack on it.
const SETTINGS: &[&str] = &[
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "max_connections=200",
    "shared_buffers=256MB",
    "work_mem=16MB",
    "maintenance_work_mem=256MB",
    "autovacuum_work_mem=64MB",
    "effective_cache_size=1GB",
    // Nobody replicates from here.
    "wal_level=minimal",
    "max_wal_senders=0",
    "max_wal_size=1GB",
    "random_page_cost=1.1",
    "jit=off",
    "password_encryption=scram-sha-256",
    "scram_iterations=1",
    "timezone=UTC",
    "log_timezone=UTC",
    "log_checkpoints=off",
    "log_line_prefix=%m [%p] %q%u@%d ",
];

/// For tests: a crash of the machine may destroy everything, and writing is several times faster.
const NOT_DURABLE: &[&str] = &["fsync=off", "synchronous_commit=off", "full_page_writes=off", "autovacuum_naptime=10s"];

/// What to start, and where.
#[derive(Clone, Debug)]
pub struct Options {
    /// Holds `bin`, `lib` and `share`.
    pub install_dir: PathBuf,
    /// Holds the data, the log, the password and the lock; made if missing.
    pub data_dir: PathBuf,
    /// The TCP port. `None`: the port of the last run if it is free, else any free one.
    pub port: Option<u16>,
    /// `false` trades the safety of the data for speed; only for tests.
    pub durable: bool,
}

impl Options {
    /// A durable server on any free port.
    pub fn new(install_dir: impl Into<PathBuf>, data_dir: impl Into<PathBuf>) -> Self {
        Self { install_dir: install_dir.into(), data_dir: data_dir.into(), port: None, durable: true }
    }
}

/// A running PostgreSQL. Stops at once when dropped; call [`Cluster::stop`] to let it end in order.
#[derive(Debug)]
pub struct Cluster {
    server: Option<Server>,
    launcher: Launcher,
    port: u16,
    password: String,
    /// Held for as long as the server may run.
    _lock: File,
}

/// The process and what goes with it.
#[derive(Debug)]
struct Server {
    child: Child,
    /// Its exit status, once it has ended.
    ended: Option<ExitStatus>,
    _watchdog: Option<Watchdog>,
}

/// All that is needed to start the server again.
#[derive(Debug)]
struct Launcher {
    files: Files,
    programs: Programs,
    account: Account,
    durable: bool,
}

impl Cluster {
    /// Starts the server and returns when it takes connections. Makes the data directory on first use.
    ///
    /// # Errors
    /// Another process uses the directory, the data is of another version, or the server does not start; see [`Error`].
    pub fn start(options: &Options) -> Result<Self, Error> {
        let programs = Programs::find(&options.install_dir)?;
        let files = Files::new(&options.data_dir)?;
        let lock = files.lock()?;
        let mut account = Account::choose(files.dir(), &files.cluster())?;
        account.reach(&programs.path("postgres"), files.dir())?;
        leftovers::clear(&files.cluster())?;
        let password = initdb::ensure(&files, &programs, &account, options.durable)?;
        let launcher = Launcher { files, programs, account, durable: options.durable };
        let (server, port) = launcher.launch(options.port)?;
        Ok(Self { server: Some(server), launcher, port, password, _lock: lock })
    }

    /// Ends whatever server an earlier run left behind in a data directory, so that the directory can be removed.
    ///
    /// # Errors
    /// [`Error::InUse`] when that run is alive.
    pub fn clear(data_dir: &Path) -> Result<(), Error> {
        let files = Files::new(data_dir)?;
        let _lock = files.lock()?;
        leftovers::clear(&files.cluster())
    }

    /// The address of Imago's own database, with the superuser's name and password.
    pub fn url(&self) -> String {
        self.database_url(DATABASE)
    }

    /// The address of one database, with the superuser's name and password.
    pub fn database_url(&self, database: &str) -> String {
        format!("postgres://{SUPERUSER}:{}@127.0.0.1:{}/{database}", self.password, self.port)
    }

    /// The TCP port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The server's log file.
    pub fn log(&self) -> PathBuf {
        self.launcher.files.log()
    }

    /// The server's process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.server.as_ref().map(|server| server.child.id())
    }

    /// How the server ended, if it has ended by itself or was killed; then [`Cluster::restart`] brings it back.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.server.as_mut().and_then(Server::ended)
    }

    /// Stops what may still run and starts the server again on the same port, with the same addresses.
    ///
    /// # Errors
    /// As for [`Cluster::start`].
    pub fn restart(&mut self) -> Result<(), Error> {
        self.stop()?;
        leftovers::clear(&self.launcher.files.cluster())?;
        let (server, _) = self.launcher.launch(Some(self.port))?;
        self.server = Some(server);
        Ok(())
    }

    /// Ends all sessions, writes everything to disk and stops. Takes at most about a minute. Does nothing the second time.
    ///
    /// # Errors
    /// The process cannot be ended even by force.
    pub fn stop(&mut self) -> Result<(), Error> {
        let Some(mut server) = self.server.take() else { return Ok(()) };
        server.stop(&[(Signal::INT, FAST_STOP), (Signal::QUIT, IMMEDIATE_STOP), (Signal::KILL, IMMEDIATE_STOP)])
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take()
            && let Err(error) = server.stop(&[(Signal::QUIT, IMMEDIATE_STOP), (Signal::KILL, IMMEDIATE_STOP)])
        {
            tracing::warn!("{error}");
        }
    }
}

impl Server {
    fn ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().ok().flatten();
        }
        self.ended
    }

    /// Sends one signal after the other until the server has ended, each with its patience.
    fn stop(&mut self, steps: &[(Signal, Duration)]) -> Result<(), Error> {
        let number = i32::try_from(self.child.id()).unwrap_or_default();
        for (signal, patience) in steps {
            if self.ended().is_some() {
                return Ok(());
            }
            if let Some(pid) = Pid::from_raw(number) {
                // It is our child and not yet waited for, so the number cannot belong to anybody else.
                kill_process(pid, *signal).map_err(io::Error::from).context(|| format!("signal process {number}"))?;
            }
            let deadline = Instant::now() + *patience;
            while Instant::now() < deadline {
                if self.ended().is_some() {
                    return Ok(());
                }
                pause();
            }
        }
        Err(Error::Stuck(number))
    }
}

impl Launcher {
    /// Starts the server on the given port, or on the last one, or on a free one.
    fn launch(&self, wanted: Option<u16>) -> Result<(Server, u16), Error> {
        let mut last = wanted.or_else(|| self.files.last_port());
        for _ in 0..PORT_TRIES {
            let port = match last.take() {
                Some(port) if is_free(port) => port,
                _ if wanted.is_some() => break,
                _ => free_port()?,
            };
            match self.launch_on(port) {
                Err(Error::PortInUse(_)) => {}
                Err(error) => return Err(error),
                Ok(server) => {
                    self.files.keep_port(port)?;
                    return Ok((server, port));
                }
            }
        }
        Err(Error::PortInUse(wanted.unwrap_or_default()))
    }

    fn launch_on(&self, port: u16) -> Result<Server, Error> {
        let cluster = self.files.cluster();
        let (log, output) = RunLog::open(&self.files.log())?;
        let errors = output.try_clone().context(|| format!("open {}", log.path().display()))?;
        let mut command = self.programs.command("postgres");
        command.arg("-D").arg(&cluster).args(["-p", &port.to_string()]);
        let extra: &[&str] = if self.durable { &[] } else { NOT_DURABLE };
        command.args(SETTINGS.iter().chain(extra).flat_map(|setting| ["-c", setting]));
        command.args(["-c", shared_memory()]);
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        let child = self.account.spawn(&mut command).context(|| "run postgres".into())?;
        let watchdog = Watchdog::over(child.id())
            .inspect_err(|error| tracing::warn!("PostgreSQL would outlive this process if that were killed: {error}"));
        let mut server = Server { child, ended: None, _watchdog: watchdog.ok() };
        match wait_until_ready(&mut server, &cluster, port, &log) {
            Ok(()) => Ok(server),
            Err(error) => {
                server.stop(&[(Signal::QUIT, IMMEDIATE_STOP), (Signal::KILL, IMMEDIATE_STOP)])?;
                Err(error)
            }
        }
    }
}

/// Returns when the server says in its pid file that it takes connections.
fn wait_until_ready(server: &mut Server, cluster: &Path, port: u16, log: &RunLog) -> Result<(), Error> {
    let deadline = Instant::now() + START;
    while Instant::now() < deadline {
        if server.ended().is_some() {
            let tail = log.tail();
            if tail.contains("Address already in use") {
                return Err(Error::PortInUse(port));
            }
            return Err(Error::Start { log: log.path().to_owned(), tail });
        }
        // An old file may still be there for a moment; it names another process.
        if PidFile::read(cluster).is_some_and(|file| file.ready && u32::try_from(file.pid) == Ok(server.child.id())) {
            return Ok(());
        }
        pause();
    }
    Err(Error::NotReady { seconds: START.as_secs(), log: log.path().to_owned() })
}

/// The programs of one installation.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    bin: PathBuf,
}

impl Programs {
    fn find(install_dir: &Path) -> Result<Self, Error> {
        // In full, since the server runs in another directory.
        let bin = install_dir.join("bin").canonicalize().ok().filter(|bin| bin.join("postgres").is_file());
        bin.map(|bin| Self { bin }).ok_or_else(|| Error::NotInstalled(install_dir.to_owned()))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }

    /// A program that sees nothing of our environment, in which PG* variables would change what it does.
    pub(crate) fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.path(name));
        command.env_clear().envs([("LC_ALL", "C"), ("TZ", "UTC"), ("PATH", "/usr/bin:/bin")]);
        command.current_dir("/");
        command
    }
}

/// Where parallel queries meet. Containers often have only 64 MiB of shared memory, which one index build exceeds.
fn shared_memory() -> &'static str {
    const ENOUGH_BYTES: u64 = 512 * 1024 * 1024;
    let roomy = rustix::fs::statvfs("/dev/shm")
        .is_ok_and(|found| found.f_blocks.saturating_mul(found.f_frsize) >= ENOUGH_BYTES);
    if roomy { "dynamic_shared_memory_type=posix" } else { "dynamic_shared_memory_type=mmap" }
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

fn free_port() -> Result<u16, Error> {
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    Ok(bound.context(|| "find a free port".into())?.port())
}

/// Between two looks at a condition that the system cannot tell us about.
#[expect(clippy::disallowed_methods, reason = "everything here blocks, which the crate says at its top")]
pub(crate) fn pause() {
    thread::sleep(Duration::from_millis(5));
}
