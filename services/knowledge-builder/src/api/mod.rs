//! The HTTP face: every route, once.

mod documents;
mod error;
mod form;
mod input;
mod internal;
mod records;

use actix_web::http::Method;
use utoipa_actix_web::service_config::ServiceConfig;

pub(crate) fn routes(config: &mut ServiceConfig<'_>) {
    // Fixed paths before the one with a parameter.
    config
        .service(documents::create_document)
        .service(documents::list_documents)
        .service(documents::get_document)
        .service(documents::delete_document)
        .service(records::search_knowledge)
        .service(records::get_entity)
        .service(records::create_knowledge)
        .service(records::list_knowledge)
        .service(records::get_knowledge)
        .service(records::update_knowledge)
        .service(records::replace_knowledge)
        .service(records::delete_knowledge)
        .service(records::create_knowledge_legacy);
}

/// For our own services.
pub(crate) fn internal_routes(config: &mut ServiceConfig<'_>) {
    config.service(internal::embed_texts);
}

/// Whatever gathers, reads or embeds texts may take as long as a build.
pub(crate) fn is_slow(method: &Method, path: &str) -> bool {
    let writes = [Method::POST, Method::PUT, Method::PATCH].contains(method);
    writes && (path == "/knowledge" || path.starts_with("/api/v1/knowledge") || path.starts_with("/internal/v1/"))
}
