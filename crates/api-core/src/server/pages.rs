//! Pages that every listener has: health, readiness, metrics, the OpenAPI document and its reader.

use std::collections::BTreeMap;

use actix_web::{
    HttpResponse, get,
    http::{StatusCode, header},
    web,
};
use api_types::time;
use chrono::Utc;
use futures_util::future::join_all;
use serde_json::{Map, Value, json};

use super::front::Front;
use crate::{
    auth::{Call, permission::ServiceOnly},
    error::ApiError,
    health::{Check, Dependency},
    metrics,
    platform::Platform,
    rate_limit::Store,
    reply::Reply,
};

/// The paths of [`routes`].
pub(super) const ALL: &[&str] = &[
    "/health",
    "/health/detailed",
    "/ready",
    "/metrics",
    "/api/v1/openapi.json",
    "/docs",
    "/docs/docs.js",
    "/docs/docs.css",
    "/",
];
/// The paths of [`metrics_only`].
pub(super) const METRICS_ONLY: &[&str] = &["/metrics", "/health"];

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/health", web::get().to(health))
        .route("/health/detailed", web::get().to(health_detailed))
        .route("/ready", web::get().to(ready))
        .route("/metrics", web::get().to(metrics_text))
        .route("/api/v1/openapi.json", web::get().to(openapi))
        .route("/docs", web::get().to(docs))
        .route("/docs/docs.js", web::get().to(docs_script))
        .route("/docs/docs.css", web::get().to(docs_style))
        .route("/", web::get().to(root));
}

/// The metrics port serves nothing else.
pub(super) fn metrics_only(config: &mut web::ServiceConfig) {
    config.route("/metrics", web::get().to(metrics_text)).route("/health", web::get().to(health));
}

async fn root() -> HttpResponse {
    HttpResponse::TemporaryRedirect().insert_header((header::LOCATION, "/docs")).finish()
}

async fn health(front: web::Data<Front>) -> Result<Reply, ApiError> {
    Reply::ok(&json!({"status": "healthy", "service": front.label, "version": "v1"}))
}

async fn health_detailed(front: web::Data<Front>, platform: web::Data<Platform>) -> Result<Reply, ApiError> {
    let dependencies = match front.services.as_slice() {
        [service] => {
            let mut dependencies = service.health.dependencies().await;
            dependencies.extend(platform.rate_limit_store.as_ref().map(Store::dependency));
            dependencies
        }
        services => join_all(services.iter().map(of_service)).await,
    };
    let degraded = dependencies.iter().any(|d| d.essential && d.status != crate::health::Status::Healthy);
    let by_name: Map<String, Value> =
        dependencies.iter().map(|dependency| (dependency.name.to_owned(), dependency.as_json())).collect();
    let body = json!({
        "service": front.label,
        "status": if degraded { "degraded" } else { "healthy" },
        "timestamp": time::format(Utc::now()),
        "dependencies": by_name,
    });
    let status = if degraded { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    Reply::new(status, &body)
}

/// A whole service as a dependency of the public address.
async fn of_service(service: &crate::service::Service) -> Dependency {
    let checks = service.health.checks().await;
    let failed: Vec<&str> = checks.iter().filter(|check| !check.ok).map(|check| check.name).collect();
    let status = if failed.is_empty() { crate::health::Status::Healthy } else { crate::health::Status::Unhealthy };
    Dependency::new(service.label, status).with("failed", failed)
}

async fn ready(front: web::Data<Front>, platform: web::Data<Platform>) -> Result<Reply, ApiError> {
    let several = front.services.len() > 1;
    let mut checks: BTreeMap<String, Value> = BTreeMap::new();
    let mut all_ok = !platform.is_draining();
    for service in &front.services {
        for Check { name, ok, note } in service.health.checks().await {
            all_ok &= ok;
            let name = if several { format!("{}.{name}", service.label) } else { name.to_owned() };
            checks.insert(name, json!({"ok": ok, "note": note}));
        }
    }
    if platform.is_draining() {
        checks.insert("draining".to_owned(), json!({"ok": false, "note": "the process is stopping"}));
    }
    let (status, word) =
        if all_ok { (StatusCode::OK, "ready") } else { (StatusCode::SERVICE_UNAVAILABLE, "not_ready") };
    Reply::new(status, &json!({"status": word, "checks": checks}))
}

async fn metrics_text(platform: web::Data<Platform>) -> Result<HttpResponse, ApiError> {
    if !platform.core.enable_metrics {
        return Err(ApiError::new(api_types::error::Code::EndpointNotFound, "No such endpoint"));
    }
    let text = metrics::render()?;
    Ok(HttpResponse::Ok().insert_header((header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")).body(text))
}

/// What our own services may call here: for those who look for it, and for the test that tries to get in from outside.
#[utoipa::path(tag = "internal", responses((status = 200)))]
#[get("/internal/v1/openapi.json")]
pub(super) async fn internal_openapi(_call: Call<ServiceOnly>, front: web::Data<Front>) -> HttpResponse {
    std::future::ready(()).await;
    HttpResponse::Ok().json(&front.internal_openapi)
}

async fn openapi(front: web::Data<Front>) -> HttpResponse {
    HttpResponse::Ok().json(&front.openapi)
}

async fn docs() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/html; charset=utf-8"))
        .body(include_str!("../../assets/docs.html"))
}

async fn docs_script() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/javascript; charset=utf-8"))
        .body(include_str!("../../assets/docs.js"))
}

async fn docs_style() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/css; charset=utf-8"))
        .body(include_str!("../../assets/docs.css"))
}
