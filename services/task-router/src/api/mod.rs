//! HTTP in, HTTP out; no rules and no SQL here.

mod version;

use utoipa_actix_web::service_config::ServiceConfig;

/// The public routes, once: the server and the OpenAPI document both read this list.
pub(crate) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(version::version);
}

/// The routes for our own services.
pub(crate) fn internal_routes(_config: &mut ServiceConfig<'_>) {}
