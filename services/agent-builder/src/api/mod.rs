//! HTTP in, HTTP out; no rules and no SQL here.

mod agents;
mod documents;
mod error;
mod input;
mod legacy;
mod patch;

use utoipa_actix_web::service_config::ServiceConfig;

/// Every route of this service, once: the server and the OpenAPI document both read this list.
pub(crate) fn routes(config: &mut ServiceConfig<'_>) {
    config
        .service(agents::create_agent)
        .service(agents::list_agents)
        .service(agents::get_agent)
        .service(agents::change_agent)
        .service(agents::replace_agent)
        .service(agents::delete_agent)
        .service(agents::get_agent_capabilities)
        .service(agents::build_agent)
        .service(legacy::build);
}
