//! HTTP in, HTTP out; no rules and no SQL here.

mod ains_input;
mod ains_keys;
mod audit;
mod error;
mod events;
mod input;
mod internal;
mod keys;
mod sign_in;
mod user_input;
mod users;
mod webhooks;

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
        .service(ains_keys::get_ains_key_usage)
        .service(audit::list_audit_logs)
        .service(events::list_events)
        .service(events::report_event)
        .service(events::follow_events)
        .service(sign_in::login)
        .service(sign_in::refresh)
        .service(sign_in::logout)
        .service(sign_in::me)
        .service(sign_in::change_me)
        .service(sign_in::change_password)
        .service(users::register)
        .service(users::list_users)
        .service(users::get_user)
        .service(users::change_user)
        .configure(webhook_routes);
}

/// The routes for our own services.
pub(crate) fn internal_routes(config: &mut ServiceConfig<'_>) {
    config
        .service(internal::look_up_key)
        .service(internal::take_in_events)
        .service(internal::take_in_access)
        .service(internal::ended_sessions)
        .service(webhooks::internal::create)
        .service(webhooks::internal::list)
        .service(webhooks::internal::get)
        .service(webhooks::internal::remove);
}

fn webhook_routes(config: &mut ServiceConfig<'_>) {
    use webhooks::{ains, native};
    config
        .service(ains::create)
        .service(ains::list)
        .service(ains::get)
        .service(ains::change)
        .service(ains::delete)
        .service(ains::deliveries)
        .service(ains::redeliver)
        .service(native::create)
        .service(native::list)
        .service(native::get)
        .service(native::change)
        .service(native::delete)
        .service(native::deliveries)
        .service(native::redeliver)
        .service(native::test);
}
