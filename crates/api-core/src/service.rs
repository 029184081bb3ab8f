//! A service, as the server sees it.

use std::{fmt, sync::Arc};

use actix_web::http::Method;
use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::health::Health;

/// Mounts routes into an app.
pub type Routes = Arc<dyn Fn(&mut ServiceConfig<'_>) + Send + Sync>;

/// A background loop: runs until it is told to stop, then finishes or hands back what it holds.
pub type Worker = Box<dyn FnOnce(CancellationToken) -> BoxFuture<'static, ()> + Send>;

/// All that differs between our services, as values; one server runs any number of them.
#[derive(Clone)]
pub struct Service {
    /// e.g. `skill-builder`
    pub name: &'static str,
    /// As `/health` prints it, e.g. `skillbuilder`.
    pub label: &'static str,
    /// The public routes. They are mounted on the service's own port and on the public one.
    pub routes: Routes,
    /// Routes for our own services, mounted on the service's own port only.
    pub internal: Routes,
    pub openapi: utoipa::openapi::OpenApi,
    pub health: Arc<dyn Health>,
    /// Whether a request may take as long as a build (`WORKER_TIMEOUT`).
    pub is_slow: fn(&Method, &str) -> bool,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A service that is ready to run: its face, and the loops behind it.
pub struct Running {
    pub service: Service,
    pub workers: Vec<Worker>,
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("service", &self.service).finish_non_exhaustive()
    }
}

/// The OpenAPI document of `routes`.
#[must_use]
pub fn openapi_of(title: &str, routes: &Routes) -> utoipa::openapi::OpenApi {
    use utoipa_actix_web::AppExt as _;
    let routes = Arc::clone(routes);
    let app = actix_web::App::new().into_utoipa_app().configure(move |config: &mut ServiceConfig<'_>| routes(config));
    let mut document = app.split_for_parts().1;
    title.clone_into(&mut document.info.title);
    "v1".clone_into(&mut document.info.version);
    document
}
