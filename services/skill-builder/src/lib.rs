//! skill-builder: the occupation taxonomy, and skill sets derived from it and from texts.

mod api;
mod app;
mod background;
mod config;
mod domain;
mod health;
pub mod import;
mod metrics;
mod store;

use std::{fmt, sync::Arc};

use actix_web::web;
use api_core::{
    health::Database,
    idempotency, outbox,
    platform::Platform,
    service::{Routes, Running, Service, Worker, openapi_of},
    settings,
};
use embedding::Embedder;
use utoipa_actix_web::service_config::ServiceConfig;

use app::App;
use health::SkillBuilderHealth;

const NAME: &str = "skill-builder";

/// What the service is made of.
pub struct Deps {
    pub platform: Arc<Platform>,
    /// The connection string that is the service's own.
    pub database_url: String,
    pub embedder: Embedder,
}

impl fmt::Debug for Deps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deps").field("embedder", &self.embedder).finish_non_exhaustive()
    }
}

/// The service, ready to run. Which model it asks is a matter of the settings.
///
/// # Errors
/// When a setting cannot be used.
pub fn start(deps: Deps) -> Result<Running, settings::Error> {
    let Deps { platform, database_url, embedder } = deps;
    let config = config::Config::read(&platform.settings)?;
    let model = llm::from_config(&platform.settings.section()?, platform.http().clone())
        .map_err(|error| settings::Error::new("default_model", error))?;
    let db = platform.db(&database_url);
    let app = web::Data::new(App::new(db.clone(), embedder, model, config.match_threshold()));
    let app_data = app.clone();
    let routes: Routes = Arc::new(move |config: &mut ServiceConfig<'_>| {
        config.app_data(app_data.clone());
        api::routes(config);
    });
    let shared = app.into_inner();
    let health = SkillBuilderHealth {
        app: Arc::clone(&shared),
        database: Database::new(db.clone(), &migrations::Service::SkillBuilder.migrations())?,
        control_plane: platform.client(NAME, "control-plane", &platform.core.control_plane_url),
    };
    let (control_plane, purged) = (platform.control_plane(NAME), db.clone());
    let workers: Vec<Worker> = vec![
        worker(&shared, background::install_starter),
        worker(&shared, background::make_vectors),
        Box::new(move |stop| Box::pin(idempotency::purger(purged, stop))),
        Box::new(move |stop| Box::pin(outbox::relay(db, NAME, control_plane, stop))),
    ];
    let service = Service {
        name: NAME,
        label: "skillbuilder",
        openapi: openapi_of("Skill builder", &routes),
        routes,
        internal: Arc::new(api::internal_routes),
        health: Arc::new(health),
        is_slow: api::is_slow,
    };
    Ok(Running { service, workers })
}

fn worker<F>(app: &Arc<App>, run: fn(Arc<App>, tokio_util::sync::CancellationToken) -> F) -> Worker
where
    F: Future<Output = ()> + Send + 'static,
{
    let app = Arc::clone(app);
    Box::new(move |stop| Box::pin(run(app, stop)))
}
