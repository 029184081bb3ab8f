//! A service that runs for real on a free port, and what is true of every service.

use std::{fmt::Display, net::TcpListener, sync::Arc, time::Duration};

use api_core::{
    platform::Platform,
    server::{self, Mount, Server},
    service::Running,
};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::{Client, or_panic};

/// How long a service may take until it is ready.
const READY: Duration = Duration::from_secs(30);
/// How long it may take to end: a little longer than the server gives itself.
const STOP: Duration = Duration::from_secs(35);

/// A service on a free port of this machine, internal routes included. Gone when dropped, so let it go before its database.
#[derive(Debug)]
pub struct TestService {
    client: Client,
    running: Option<(Runtime, Server)>,
}

impl TestService {
    /// Starts what `build` makes and waits until it says that it is ready.
    ///
    /// `build` runs within the service's own Tokio runtime.
    ///
    /// # Panics
    /// When it cannot be built or does not become ready.
    pub async fn start<E: Display>(platform: &Arc<Platform>, build: impl FnOnce() -> Result<Running, E>) -> Self {
        let service = Self::launch(platform, build);
        service.ready().await;
        service
    }

    /// As [`TestService::start`], on a listener that is there already: for a service that must know its own address.
    ///
    /// # Panics
    /// As [`TestService::start`].
    pub async fn start_on<E: Display>(
        listener: TcpListener,
        platform: &Arc<Platform>,
        build: impl FnOnce() -> Result<Running, E>,
    ) -> Self {
        let service = Self::launch_on(listener, platform, build);
        service.ready().await;
        service
    }

    /// Starts what `build` makes, ready or not.
    ///
    /// # Panics
    /// When it cannot be built.
    pub fn launch<E: Display>(platform: &Arc<Platform>, build: impl FnOnce() -> Result<Running, E>) -> Self {
        Self::launch_on(or_panic("listen", TcpListener::bind("127.0.0.1:0")), platform, build)
    }

    fn launch_on<E: Display>(
        listener: TcpListener,
        platform: &Arc<Platform>,
        build: impl FnOnce() -> Result<Running, E>,
    ) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = or_panic("make a runtime", runtime);
        let within = runtime.enter();
        let Running { service, workers } = or_panic("build the service", build());
        let address = or_panic("listen", listener.local_addr());
        let (name, label) = (service.name, service.label);
        let mount = Mount { listener, label, services: vec![service], internal: true, metrics_only: false };
        let server = or_panic("start", server::start(platform, vec![mount], workers));
        drop(within);
        Self { client: Client::of(name, &format!("http://{address}")), running: Some((runtime, server)) }
    }

    /// Waits until the service says that it is ready.
    ///
    /// # Panics
    /// When it does not in time.
    pub async fn ready(&self) {
        let deadline = tokio::time::Instant::now() + READY;
        loop {
            let answer = self.client.get("/ready").await;
            if answer.status == 200 {
                return;
            }
            assert!(tokio::time::Instant::now() < deadline, "not ready: {}", answer.body);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// A client without a credential.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Where it listens, without a trailing slash.
    #[must_use]
    pub fn base_url(&self) -> &str {
        self.client.base_url()
    }
}

impl Drop for TestService {
    fn drop(&mut self) {
        let Some((runtime, server)) = self.running.take() else { return };
        // On a thread of its own, since a test's thread may be running a runtime already.
        let end = std::thread::spawn(move || {
            let ended = runtime.block_on(async { tokio::time::timeout(STOP, server.stop()).await });
            runtime.shutdown_background();
            ended.is_ok()
        });
        let in_time = end.join().unwrap_or(false);
        assert!(in_time || std::thread::panicking(), "the service did not stop in time");
    }
}

/// Calls every operation of the service's OpenAPI document without a credential and wants 401 of all but `open`
/// (`"POST /path"`).
///
/// # Panics
/// When an operation is open that should not be, or the other way round, or is not there at all.
pub async fn assert_no_operation_is_open(service: &TestService, open: &[&str]) {
    let client = service.client();
    let document = client.get("/api/v1/openapi.json").await.body;
    let Some(Value::Object(paths)) = document.get("paths") else { panic!("no paths in {document}") };
    let mut operations = Vec::new();
    for (path, methods) in paths {
        let methods = methods.as_object().into_iter().flat_map(|methods| methods.keys());
        operations.extend(methods.map(|method| format!("{} {path}", method.to_uppercase())));
    }
    assert!(!operations.is_empty(), "a service without operations");
    for entry in open {
        assert!(operations.iter().any(|operation| operation == entry), "there is no operation {entry}");
    }
    for operation in &operations {
        let (method, path) = operation.split_once(' ').unwrap_or_default();
        let answer = client.send(method, &without_templates(path), None).await;
        let is_open = answer.status != 401;
        assert_eq!(is_open, open.contains(&operation.as_str()), "{operation} answers {}", answer.status);
    }
}

/// `/a/{id}/b` with something in the place of its parameters.
fn without_templates(path: &str) -> String {
    let parts = path.split('/').map(|part| if part.starts_with('{') { "x" } else { part });
    parts.collect::<Vec<_>>().join("/")
}
