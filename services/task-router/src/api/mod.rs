//! HTTP in, HTTP out; no rules and no SQL here.

mod agents;
mod aitp;
mod batch;
mod error;
mod input;
mod internal;
mod routing;
mod tasks;
mod version;
mod work;

use utoipa_actix_web::service_config::ServiceConfig;

/// The public routes, once: the server and the OpenAPI document both read this list. Where a name and a parameter can stand
/// in the same place, the name comes first.
pub(crate) fn routes(config: &mut ServiceConfig<'_>) {
    config
        .service(version::version)
        .service(agents::register)
        .service(agents::list)
        .service(agents::leaderboard)
        .service(agents::get)
        .service(agents::change)
        .service(agents::switch_off)
        .service(agents::beat)
        .service(agents::trust)
        .service(agents::history)
        .service(agents::adjust)
        .service(tasks::submit)
        .service(batch::submit_many)
        .service(work::claim)
        .service(work::report_many)
        .service(tasks::list)
        .service(tasks::get)
        .service(work::report)
        .service(work::put_report)
        .service(work::report_status)
        .service(work::put_report_status)
        .service(tasks::cancel)
        .service(tasks::set_priority)
        .service(tasks::dependencies)
        .service(tasks::dependents)
        .service(routing::test)
        .service(routing::strategies)
        .service(aitp::submit)
        .service(aitp::list)
        .service(aitp::get)
        .service(aitp::report)
        .service(aitp::cancel);
}

/// The routes for our own services.
pub(crate) fn internal_routes(config: &mut ServiceConfig<'_>) {
    config.service(internal::worker_owner);
}
