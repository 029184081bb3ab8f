//! The task router: clients submit tasks that name a capability, workers that have it do them, and each ends exactly once.

mod api;
mod app;
pub mod domain;
mod health;
mod store;

use std::sync::Arc;

use actix_web::web;
use api_core::{
    health::Database,
    idempotency, outbox,
    platform::Platform,
    service::{Routes, Running, Service, Worker, openapi_of},
    settings,
};

use crate::{app::App, health::Wellbeing};

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
    let app = Arc::new(App { db: db.clone() });
    let routes = mounted(&app, api::routes);
    let service = Service {
        name: NAME,
        label: "taskrouter",
        openapi: openapi_of("Task router", &routes),
        routes,
        internal: mounted(&app, api::internal_routes),
        health: Arc::new(Wellbeing { database: Database::new(db, &migrations::Service::TaskRouter.migrations())? }),
        is_slow: |_, _| false,
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

fn workers(platform: &Arc<Platform>, app: &Arc<App>) -> Vec<Worker> {
    let (relayed, purged) = (app.db.clone(), app.db.clone());
    let control_plane = platform.control_plane(NAME);
    vec![
        Box::new(move |stop| Box::pin(outbox::relay(relayed, NAME, control_plane, stop))),
        Box::new(move |stop| Box::pin(idempotency::purger(purged, stop))),
    ]
}
