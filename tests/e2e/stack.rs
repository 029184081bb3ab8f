//! A whole stack in a directory of its own, on ports of its own.

use std::{
    collections::hash_map::RandomState,
    fs,
    hash::{BuildHasher as _, Hasher as _},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::LazyLock,
    time::{Duration, Instant},
};

use reqwest::{Method, blocking::Client};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// How long the slowest thing here may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);
pub(crate) const KEY: &str = "admin-key-001.secret123";
const PORTS_OF_A_STACK: u16 = 10;

pub(crate) static CLIENT: LazyLock<Client> = LazyLock::new(|| {
    drop(rustls::crypto::CryptoProvider::install_default(rustls::crypto::ring::default_provider()));
    Client::builder().no_proxy().timeout(PATIENCE).build().unwrap()
});

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The binary that was built beside this test.
fn binary() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let binary = own.parent().and_then(Path::parent).unwrap().join("imago");
    assert!(binary.exists(), "{} is missing: run `cargo build -p imago` first (`make test` does)", binary.display());
    binary
}

/// A stack that runs, or ran and can be started again on its data.
pub(crate) struct Stack {
    dir: tempfile::TempDir,
    base: u16,
    extra: Vec<(String, String)>,
    process: Option<Child>,
}

impl Stack {
    /// A new stack, with nothing in it, up and ready.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    pub(crate) fn start_with(settings: &[(&str, &str)]) -> Self {
        let extra = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let dirs = root().join("target/e2e");
        fs::create_dir_all(&dirs).unwrap();
        let dir = tempfile::Builder::new().prefix("stack-").tempdir_in(dirs).unwrap();
        let mut stack = Self { dir, base: free_ports(), extra, process: None };
        stack.up();
        stack
    }

    /// Starts the stack (again) and waits until it is ready.
    pub(crate) fn up(&mut self) {
        let log = fs::File::create(self.dir.path().join("up.log")).unwrap();
        let mut command = self.command(&["up"]);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.process = Some(command.spawn().unwrap());
        eventually("the stack is ready", || {
            if let Some(status) = self.process.as_mut().unwrap().try_wait().unwrap() {
                panic!("the stack ended with {status}: {}", self.log());
            }
            CLIENT.get(self.url("/ready")).send().is_ok_and(|answer| answer.status() == 200).then_some(())
        });
    }

    pub(crate) fn log(&self) -> String {
        let read = |name: &str| fs::read_to_string(self.dir.path().join(name)).unwrap_or_default();
        format!("{}\n{}", read("up.log"), read("data/imago.log"))
    }

    /// `imago ARGS` with the environment of this stack.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command
            .args(args)
            .current_dir(self.dir.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.dir.path())
            .env("IMAGO_DATA_DIR", self.dir.path().join("data"))
            .env("IMAGO_INSTALL_DIR", root().join(".imago"))
            .env("IMAGO_MODEL_DIR", root().join(".imago/models/all-MiniLM-L6-v2"))
            .env("IMAGO_PORT_BASE", self.base.to_string())
            .envs(self.extra.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        command
    }

    /// Runs `imago ARGS` to its end.
    pub(crate) fn imago(&self, args: &[&str]) -> Output {
        self.command(args).stdin(Stdio::null()).output().unwrap()
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.base)
    }

    pub(crate) fn send(&self, method: Method, path: &str, body: Option<&Value>) -> (u16, Value) {
        self.send_with(method, path, body, &[])
    }

    pub(crate) fn send_with(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        headers: &[(&str, &str)],
    ) -> (u16, Value) {
        self.ask(KEY, (method, path), body, headers)
    }

    /// As the holder of another key or token.
    pub(crate) fn send_as(&self, token: &str, method: Method, path: &str, body: Option<&Value>) -> (u16, Value) {
        self.ask(token, (method, path), body, &[])
    }

    fn ask(
        &self,
        token: &str,
        (method, path): (Method, &str),
        body: Option<&Value>,
        headers: &[(&str, &str)],
    ) -> (u16, Value) {
        let mut request = CLIENT.request(method, self.url(path)).bearer_auth(token);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().unwrap_or_else(|error| panic!("{error}: {}", self.log()));
        (answer.status().as_u16(), answer.json().unwrap())
    }

    /// The status that the holder of another key gets.
    pub(crate) fn status_as(&self, token: &str, path: &str) -> u16 {
        CLIENT.get(self.url(path)).bearer_auth(token).send().unwrap().status().as_u16()
    }

    pub(crate) fn get(&self, path: &str) -> (u16, Value) {
        self.send(Method::GET, path, None)
    }

    /// Asks for an agent and does not wait for it.
    pub(crate) fn begin_agent(&self, id: &str) -> Value {
        let body = json!({
            "agent_id": id,
            "role_model": {"name": "Ada Lovelace", "occupation": "Mathematician"},
            "deepening_cycles": 2,
            "sources": ["documents", "taxonomy"],
        });
        let prefer = [("prefer", "respond-async")];
        let (status, answer) = self.send_with(Method::POST, "/api/v1/agents", Some(&body), &prefer);
        assert_eq!(status, 202, "{answer}");
        answer["data"].clone()
    }

    /// The agent once its build has ended.
    pub(crate) fn finished_agent(&self, id: &str) -> Value {
        eventually("the build ends", || {
            // Connections may break while Postgres is away.
            let answer = CLIENT.get(self.url(&format!("/api/v1/agents/{id}"))).bearer_auth(KEY).send().ok()?;
            let body: Value = answer.json().ok()?;
            let agent = body["data"].clone();
            (agent["status"] == "completed" || agent["status"] == "failed").then_some(agent)
        })
    }

    /// The process id of the stack's own Postgres.
    pub(crate) fn postmaster(&self) -> Pid {
        let mut found = Vec::new();
        find_files(&self.dir.path().join("data"), "postmaster.pid", &mut found);
        let text = fs::read_to_string(found.first().expect("a postmaster.pid")).unwrap();
        Pid::from_raw(text.lines().next().unwrap().trim().parse().unwrap()).unwrap()
    }

    /// SIGKILL to the whole stack's process.
    pub(crate) fn kill(&mut self) {
        let mut process = self.process.take().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// Asks the stack to stop, and waits for its end.
    pub(crate) fn stop(&mut self, signal: Signal) -> ExitStatus {
        let mut process = self.process.take().unwrap();
        kill_process(Pid::from_child(&process), signal).unwrap();
        eventually("the stack ends", || process.try_wait().unwrap())
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if self.process.is_some() {
            self.stop(Signal::TERM);
        }
        if std::thread::panicking() {
            println!("{}", self.log());
        }
    }
}

fn find_files(dir: &Path, name: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            find_files(&path, name, found);
        } else if entry.file_name() == name {
            found.push(path);
        }
    }
}

/// The first of ports in a row that nobody uses.
fn free_ports() -> u16 {
    for attempt in 0..200u64 {
        let random = RandomState::new().build_hasher().finish().wrapping_add(attempt);
        let base = 20_000 + u16::try_from(random % 2_500).unwrap() * PORTS_OF_A_STACK;
        if (base..base + PORTS_OF_A_STACK).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok()) {
            return base;
        }
    }
    panic!("no free ports");
}

/// Asks again and again until there is an answer.
pub(crate) fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        #[expect(clippy::disallowed_methods, reason = "a test's thread may wait")]
        std::thread::sleep(Duration::from_millis(50));
    }
}
