//! Knowledge about entities: gathered from documents and the outside, kept, and found again.

mod api;
mod app;
mod domain;
mod health;
mod sources;
mod store;

use std::sync::Arc;

use actix_web::web;
use api_core::{
    health::Database,
    idempotency, outbox,
    platform::Platform,
    service::{Routes, Running, Service, Worker, openapi_of},
    settings::Error,
};
use embedding::Embedder;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::{
    app::App,
    sources::{Settings, Timing},
};

/// As events name it.
const NAME: &str = "knowledge-builder";

/// What the service needs.
#[derive(Debug)]
pub struct Deps {
    pub platform: Arc<Platform>,
    /// The service's own schema, as its own role.
    pub database_url: String,
    pub embedder: Embedder,
}

/// The service, ready to run.
///
/// # Errors
/// When a setting cannot be read or is refused.
pub fn start(deps: Deps) -> Result<Running, Error> {
    let Deps { platform, database_url, embedder } = deps;
    let runner = platform.settings.section::<Settings>()?.runner(Timing::default())?;
    let db = platform.db(&database_url);
    let database = Database::new(db.clone(), &migrations::Service::KnowledgeBuilder.migrations())?;
    let app = Arc::new(App::new(db, embedder, runner));
    let routes = mounted(&app, api::routes);
    let workers = workers(&app, &platform);
    let service = Service {
        name: NAME,
        label: "knowledgebuilder",
        openapi: openapi_of("Knowledge builder", &routes),
        routes,
        internal: mounted(&app, api::internal_routes),
        health: Arc::new(health::Health { app, database, platform }),
        is_slow: api::is_slow,
    };
    Ok(Running { service, workers })
}

fn mounted(app: &Arc<App>, routes: fn(&mut ServiceConfig<'_>)) -> Routes {
    let app = web::Data::from(Arc::clone(app));
    Arc::new(move |config| {
        config.app_data(app.clone());
        routes(config);
    })
}

fn workers(app: &Arc<App>, platform: &Arc<Platform>) -> Vec<Worker> {
    let (relayed, purged) = (app.db.clone(), app.db.clone());
    let control_plane = platform.control_plane(NAME);
    vec![
        Box::new(move |stop| Box::pin(outbox::relay(relayed, NAME, control_plane, stop))),
        Box::new(move |stop| Box::pin(idempotency::purger(purged, stop))),
    ]
}
