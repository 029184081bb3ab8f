//! A Redis of a test's own.

use std::{
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::or_panic;

/// How long it may take to start.
const READY: Duration = Duration::from_secs(20);

/// A Redis server on a free port of this machine, without files; gone when dropped.
#[derive(Debug)]
pub struct Redis {
    port: u16,
    process: Option<Child>,
}

impl Redis {
    /// Starts one; `None`, and a line that says so, where `redis-server` is not on the `PATH`.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    #[expect(clippy::print_stderr, reason = "a test that checks nothing has to say so")]
    pub fn start() -> Option<Self> {
        let found = Command::new("redis-server").arg("--version").stdout(Stdio::null()).status();
        if found.is_err() {
            eprintln!(
                "SKIPPED: redis-server is missing, so this test has checked nothing (apt-get install redis-server)"
            );
            return None;
        }
        let listener = or_panic("find a free port", TcpListener::bind("127.0.0.1:0"));
        let port = or_panic("find a free port", listener.local_addr()).port();
        drop(listener);
        let mut redis = Self { port, process: None };
        redis.up();
        Some(redis)
    }

    /// Starts it again, on the same port and with nothing in it, and waits until it listens.
    ///
    /// # Panics
    /// When it does not.
    pub fn up(&mut self) {
        let mut command = Command::new("redis-server");
        command.args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        let process = command.current_dir(std::env::temp_dir()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        self.process = Some(or_panic("start redis-server", process));
        let deadline = Instant::now() + READY;
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < deadline, "redis-server does not listen");
            std::thread::yield_now();
        }
    }

    /// Kills it, as a machine that fails would.
    pub fn down(&mut self) {
        if let Some(mut process) = self.process.take() {
            drop(process.kill());
            drop(process.wait());
        }
    }

    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.down();
    }
}
