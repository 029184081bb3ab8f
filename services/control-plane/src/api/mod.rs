//! HTTP in, HTTP out; no rules and no SQL here.

mod ains_input;
mod ains_keys;
mod error;
mod input;
mod internal;
mod keys;

use utoipa_actix_web::service_config::ServiceConfig;

/// The public routes, once: the server and the OpenAPI document both read this list.
pub(crate) fn routes(config: &mut ServiceConfig<'_>) {
    config
        .service(keys::bootstrap)
        .service(keys::create_key)
        .service(keys::list_keys)
        .service(keys::get_key)
        .service(keys::revoke_key)
        .service(keys::rotate_key)
        .service(ains_keys::create_ains_key)
        .service(ains_keys::list_ains_keys)
        .service(ains_keys::get_ains_key)
        .service(ains_keys::change_ains_key)
        .service(ains_keys::revoke_ains_key)
        .service(ains_keys::rotate_ains_key)
        .service(ains_keys::get_ains_key_usage);
}

/// The routes for our own services.
pub(crate) fn internal_routes(config: &mut ServiceConfig<'_>) {
    config.service(internal::look_up_key).service(internal::take_in_events);
}
