//! The control plane: users and API keys for all doors, and the events of all services.
//!
//! Other services ask it for keys (`POST /internal/v1/keys/lookup`) and for sessions that have ended
//! (`POST /internal/v1/sessions/ended`), and hand it their events (`POST /internal/v1/events`).

mod api;
pub mod audit;
mod config;
mod domain;
mod health;
mod source;
mod store;
mod workers;

pub use source::StoreKeys;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use actix_web::web;
use api_core::{
    db::Db,
    error::ApiError,
    health::Database,
    platform::Platform,
    secret::Secret,
    service::{Routes, Running, Service, openapi_of},
    settings::Error,
};
use config::Config;
use domain::{events::live::Live, users::Users, webhooks::Webhooks};
use source::StoreSessions;
use tokio::sync::{Mutex, watch};

/// As events name it.
const NAME: &str = "control-plane";
/// As `/health` prints it.
const LABEL: &str = "controlplane";

/// What the service needs.
#[derive(Debug)]
pub struct Deps {
    pub platform: Arc<Platform>,
    /// The service's own schema, as its own role.
    pub database_url: String,
}

/// What handlers and workers share.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) db: Db,
    pub(crate) platform: Arc<Platform>,
    pub(crate) config: Config,
    pub(crate) webhooks: Webhooks,
    /// The number of the newest event that this process took in. Whoever waits for events subscribes to it.
    pub(crate) arrived: watch::Sender<i64>,
    /// Held by whoever takes events in.
    pub(crate) intake: Mutex<()>,
    pub(crate) live: Live,
    pub(crate) users: Users,
    prepared: AtomicBool,
}

impl App {
    /// Whether the keys that the settings ask for and the first administrator are in place.
    pub(crate) fn is_prepared(&self) -> bool {
        self.prepared.load(Ordering::Acquire)
    }

    /// Nobody signs in or registers before: the first user must be the administrator.
    pub(crate) fn check_prepared(&self) -> Result<(), ApiError> {
        if self.is_prepared() {
            return Ok(());
        }
        Err(ApiError::unavailable("The service is starting, try again in a moment"))
    }

    pub(crate) fn set_prepared(&self) {
        self.prepared.store(true, Ordering::Release);
    }
}

/// What a person must be told, once; nothing keeps it.
#[derive(Debug, Clone, Copy)]
pub enum Announcement<'a> {
    /// No key exists; who has this makes the first one.
    BootstrapToken(&'a Secret),
    /// No user existed; this one does now.
    Administrator { username: &'a str, password: &'a Secret },
}

/// The service, ready to run. Its first start prints the password of the first administrator on standard output and, while no key
/// exists, a bootstrap token.
///
/// # Errors
/// When a setting cannot be read or is refused.
pub fn start(deps: Deps) -> Result<Running, Error> {
    start_announcing(deps, print)
}

/// As [`start`], with another way to tell a person.
///
/// # Errors
/// As [`start`].
pub fn start_announcing(
    deps: Deps,
    announce: impl Fn(Announcement<'_>) + Send + Sync + 'static,
) -> Result<Running, Error> {
    let Deps { platform, database_url } = deps;
    let config = Config::read(&platform)?;
    let db = platform.db(&database_url);
    let database = Database::new(db.clone(), &migrations::Service::ControlPlane.migrations())?;
    // Here tokens of ended sessions are refused at once, whichever process ended them.
    platform.auth.sessions().kept_by(LABEL, Arc::new(StoreSessions(db.clone())));
    let users =
        Users::new(db.clone(), Arc::clone(&platform), &config).map_err(|error| Error::new("jwt_secret", error))?;
    let webhooks = Webhooks::new(&platform)?;
    let live = Live::new(config.event_streams_max);
    let (arrived, intake, prepared) = (watch::Sender::new(0), Mutex::new(()), AtomicBool::new(false));
    let app = Arc::new(App { db, platform, config, arrived, intake, live, users, webhooks, prepared });
    let routes = mounted(&app, api::routes);
    let service = Service {
        name: NAME,
        label: LABEL,
        openapi: openapi_of("Control plane", &routes),
        routes,
        internal: mounted(&app, api::internal_routes),
        health: Arc::new(health::Health { app: Arc::clone(&app), database }),
        is_slow: |_, _| false,
    };
    Ok(Running { service, workers: workers::all(&app, Box::new(announce)) })
}

fn mounted(app: &Arc<App>, routes: fn(&mut utoipa_actix_web::service_config::ServiceConfig<'_>)) -> Routes {
    let app = web::Data::from(Arc::clone(app));
    Arc::new(move |config| {
        config.app_data(app.clone());
        routes(config);
    })
}

#[expect(clippy::print_stdout, reason = "for the person who starts it, and for nobody's log")]
fn print(announcement: Announcement<'_>) {
    match announcement {
        Announcement::BootstrapToken(token) => println!("bootstrap token: {}", token.expose()),
        Announcement::Administrator { username, password } => {
            println!("first administrator: {username}   password: {}   (shown only now)", password.expose());
        }
    }
}
