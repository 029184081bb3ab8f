//! The HTTP face: every route, once.

mod error;
mod input;
mod internal;
mod legacy;
mod modes;
mod skill_sets;
mod taxonomy;

use actix_web::http::Method;
use utoipa_actix_web::service_config::ServiceConfig;

pub(crate) fn routes(config: &mut ServiceConfig<'_>) {
    // Fixed paths before the one with a parameter.
    config
        .service(modes::list_modes)
        .service(modes::get_mode)
        .service(taxonomy::get_taxonomy)
        .service(taxonomy::list_occupations)
        .service(skill_sets::create_skill_set)
        .service(skill_sets::list_skill_sets)
        .service(skill_sets::get_skill_set)
        .service(skill_sets::update_skill_set)
        .service(skill_sets::replace_skill_set)
        .service(skill_sets::delete_skill_set)
        .service(legacy::create_skill_set_legacy);
}

/// For our own services.
pub(crate) fn internal_routes(config: &mut ServiceConfig<'_>) {
    config.service(internal::match_occupation).service(internal::generate_skills).service(internal::embed_texts);
}

/// Whatever derives or embeds skills may take as long as a build.
pub(crate) fn is_slow(method: &Method, path: &str) -> bool {
    let writes = [Method::POST, Method::PUT, Method::PATCH].contains(method);
    writes && (path == "/skills" || path.starts_with("/api/v1/skills") || path.starts_with("/internal/v1/"))
}
