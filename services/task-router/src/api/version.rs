//! `/ains/version`

use actix_web::get;
use api_core::{
    auth::{Call, permission::Open},
    error::ApiError,
    reply::Reply,
};
use api_types::ains::Version;

/// What this build speaks.
#[utoipa::path(tag = "ains", responses((status = 200, body = Version)))]
#[get("/ains/version")]
pub(super) async fn version(_call: Call<Open>) -> Result<Reply, ApiError> {
    Reply::flat(&Version {
        version: "1.0.0".to_owned(),
        api_version: "v1".to_owned(),
        build: env!("CARGO_PKG_VERSION").to_owned(),
        status: "stable".to_owned(),
        deprecations: Vec::new(),
    })
}
