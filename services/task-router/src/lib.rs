//! The task router: clients submit tasks that name a capability, workers that have it do them, and each ends exactly once.

mod api;
mod app;
mod config;
pub mod domain;
mod engine;
mod error;
mod health;
mod hub;
mod metrics;
mod store;

use std::sync::{Arc, atomic::AtomicI64};

use actix_web::{http::Method, web};
use api_core::{
    health::Database,
    idempotency, outbox,
    platform::Platform,
    seal::SealKey,
    service::{Routes, Running, Service, Worker, openapi_of},
    settings,
};
use tokio_util::sync::CancellationToken;

use crate::{app::App, config::Config, health::Wellbeing, hub::Hub};

/// As events name it.
const NAME: &str = "task-router";

/// What the service runs on.
#[derive(Debug)]
pub struct Deps {
    pub platform: Arc<Platform>,
    /// Of the service's own schema, as its own role.
    pub database_url: String,
}

/// The service, ready to be mounted. Must be called within a Tokio runtime.
///
/// # Errors
/// When a setting cannot be read or is refused.
pub fn start(deps: Deps) -> Result<Running, settings::Error> {
    let Deps { platform, database_url } = deps;
    let db = platform.db(&database_url);
    let seal = SealKey::derive(platform.jwt_secret(), "delivery secrets");
    let app = Arc::new(App {
        db: db.clone(),
        platform: Arc::clone(&platform),
        config: Config::read(&platform.settings)?,
        hub: Arc::new(Hub::default()),
        seal: seal.map_err(|error| settings::Error::new("jwt_secret", error))?,
        pending: AtomicI64::new(0),
        stopping: CancellationToken::new(),
    });
    metrics::touch();
    let routes = mounted(&app, api::routes);
    let service = Service {
        name: NAME,
        label: "taskrouter",
        openapi: openapi_of("Task router", &routes),
        routes,
        internal: mounted(&app, api::internal_routes),
        health: Arc::new(Wellbeing { database: Database::new(db, &migrations::Service::TaskRouter.migrations())? }),
        is_slow,
    };
    Ok(Running { service, workers: workers(&platform, &app) })
}

fn mounted(app: &Arc<App>, routes: fn(&mut utoipa_actix_web::service_config::ServiceConfig<'_>)) -> Routes {
    let app = web::Data::from(Arc::clone(app));
    Arc::new(move |config| {
        config.app_data(app.clone());
        routes(config);
    })
}

/// Requests that may wait for a task.
fn is_slow(method: &Method, path: &str) -> bool {
    *method == Method::POST && matches!(path.trim_end_matches('/'), "/ains/tasks/claim" | "/ains/tasks/report")
}

fn workers(platform: &Arc<Platform>, app: &Arc<App>) -> Vec<Worker> {
    let (relayed, purged) = (app.db.clone(), app.db.clone());
    let control_plane = platform.control_plane(NAME);
    let stopping = app.stopping.clone();
    let own: [Arc<App>; 6] = std::array::from_fn(|_| Arc::clone(app));
    let [routing, pushing, reaping, retrying, counting, watching] = own;
    vec![
        Box::new(move |stop| {
            Box::pin(async move {
                stop.cancelled().await;
                stopping.cancel();
            })
        }),
        Box::new(move |_| Box::pin(app::route::run(routing))),
        Box::new(move |_| Box::pin(app::push::run(pushing))),
        Box::new(move |_| Box::pin(app::reap::run(reaping))),
        Box::new(move |_| Box::pin(app::reap::retries(retrying))),
        Box::new(move |_| Box::pin(app::queues::run(counting))),
        Box::new(move |_| Box::pin(app::claim::watch(watching))),
        Box::new(move |stop| Box::pin(outbox::relay(relayed, NAME, control_plane, stop))),
        Box::new(move |stop| Box::pin(idempotency::purger(purged, stop))),
    ]
}
