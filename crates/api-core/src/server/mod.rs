//! The server: any number of services on any number of listeners, with everything that a service must not forget.

mod alone;
mod around;
mod fallback;
mod front;
mod headers;
mod pages;

use std::{net::TcpListener, sync::Arc, time::Duration};

use actix_web::{
    App, HttpRequest, HttpServer,
    dev::ServerHandle,
    middleware::{NormalizePath, TrailingSlash, from_fn},
    web,
};
use futures_util::future::join_all;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use utoipa_actix_web::service_config::ServiceConfig;

use crate::{
    platform::Platform,
    service::{Routes, Service, Worker, openapi_of},
};
pub use alone::alone;
use front::Front;

/// How long all that runs may take to end once the server stops: half of it for background work, half for requests.
const DRAIN: Duration = Duration::from_secs(30);

/// As who the control plane is told what a process saw.
const RECORDER: &str = "platform";

/// What one listener serves.
#[derive(Debug)]
pub struct Mount {
    pub listener: TcpListener,
    /// As `/health` prints it.
    pub label: &'static str,
    pub services: Vec<Service>,
    /// Whether internal routes are served, too.
    pub internal: bool,
    /// Whether only `/metrics` and `/health` are served.
    pub metrics_only: bool,
}

/// A server that runs.
#[derive(Debug)]
pub struct Server {
    platform: Arc<Platform>,
    handles: Vec<ServerHandle>,
    servers: TaskTracker,
    workers: TaskTracker,
    stop: CancellationToken,
}

/// Starts serving every mount, and the workers. Must be called within a Tokio runtime.
///
/// # Errors
/// When a listener cannot be used.
pub fn start(platform: &Arc<Platform>, mounts: Vec<Mount>, workers: Vec<Worker>) -> std::io::Result<Server> {
    let mut running = Server {
        platform: Arc::clone(platform),
        handles: Vec::new(),
        servers: TaskTracker::new(),
        workers: TaskTracker::new(),
        stop: CancellationToken::new(),
    };
    for mount in mounts {
        let server = http_server(platform, mount)?;
        running.handles.push(server.handle());
        running.servers.spawn(server);
    }
    let (sessions, stop) = (Arc::clone(platform), running.stop.clone());
    running.workers.spawn(async move { sessions.auth.sessions().follow(stop).await });
    for worker in workers {
        running.workers.spawn(worker(running.stop.clone()));
    }
    let recording = (Arc::clone(platform), running.stop.clone());
    running.workers.spawn(async move {
        let (platform, stop) = recording;
        platform.access.run(&platform.control_plane(RECORDER), &stop).await;
    });
    {
        let (platform, stop) = (Arc::clone(platform), running.stop.clone());
        running.workers.spawn(async move {
            if let Some(store) = &platform.rate_limit_store {
                store.run(&platform.limiter, stop).await;
            }
        });
    }
    running.servers.close();
    running.workers.close();
    Ok(running)
}

impl Server {
    /// Takes no new requests, lets background work and running requests end, then closes the listeners.
    pub async fn stop(self) {
        self.platform.drain();
        self.stop.cancel();
        // First the work, which may still call the services behind these listeners.
        if tokio::time::timeout(DRAIN / 2, self.workers.wait()).await.is_err() {
            tracing::warn!("some background work did not end in time; its leases run out by themselves");
        }
        // The listeners stay while requests run, since the control plane, which is told of them, may be behind one.
        self.platform.quiet(DRAIN / 2).await;
        self.platform.access.finish(&self.platform.control_plane(RECORDER)).await;
        join_all(self.handles.iter().map(|handle| handle.stop(true))).await;
        self.servers.wait().await;
    }
}

/// Ends when the process is asked to stop: by Ctrl-C or SIGTERM, from this call on, whenever it is awaited.
///
/// To be called before anything is started, within a Tokio runtime: a signal that comes earlier kills the process.
///
/// # Errors
/// When signals cannot be listened to.
pub fn asked_to_stop() -> std::io::Result<impl Future<Output = ()> + Send> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// The label of the service that a request has reached; empty for what no service answers.
pub(crate) fn service_of(request: &HttpRequest) -> &'static str {
    let front = request.app_data::<web::Data<Front>>();
    front.zip(request.match_pattern()).map_or("", |(front, template)| front.service_of(&template))
}

/// The routes for our own services.
fn internal_routes(services: &[Service]) -> Routes {
    let all: Vec<Routes> = services.iter().map(|service| Arc::clone(&service.internal)).collect();
    Arc::new(move |config| {
        for routes in &all {
            routes(config);
        }
        config.service(pages::internal_openapi);
    })
}

fn http_server(platform: &Arc<Platform>, mount: Mount) -> std::io::Result<actix_web::dev::Server> {
    let keep_alive = Duration::from_secs(platform.core.keep_alive);
    let Mount { listener, label, services, internal, metrics_only } = mount;
    let pages = if metrics_only { pages::METRICS_ONLY } else { pages::ALL };
    let internal = internal.then(|| internal_routes(&services));
    let front = Front::new(label, &services, pages, metrics_only);
    let front = web::Data::new(match &internal {
        Some(routes) => front.with_internal(openapi_of("Internal routes", routes)),
        None => front,
    });
    let platform = web::Data::from(Arc::clone(platform));
    let app = move || {
        App::new()
            .app_data(platform.clone())
            .app_data(front.clone())
            .configure(|config| {
                if metrics_only {
                    pages::metrics_only(config);
                    return;
                }
                pages::routes(config);
                let mut config = ServiceConfig::new(config);
                for service in &services {
                    (service.routes)(&mut config);
                }
                if let Some(routes) = &internal {
                    routes(&mut config);
                }
            })
            .default_service(web::to(fallback::answer))
            .wrap(NormalizePath::new(TrailingSlash::Trim))
            .wrap(from_fn(around::request))
    };
    // Two threads serve a listener: requests wait for the database and other services, not for these.
    let workers = std::thread::available_parallelism().map_or(1, |cores| cores.get().min(2));
    let server = HttpServer::new(app)
        .workers(if metrics_only { 1 } else { workers })
        .keep_alive(keep_alive)
        // A client that hangs up has gone: its handler is dropped, which is how those who wait for it are known to.
        .h1_allow_half_closed(false)
        .client_request_timeout(Duration::from_secs(30))
        .shutdown_timeout(DRAIN.as_secs() / 2)
        .disable_signals()
        .listen(listener)?;
    Ok(server.run())
}
