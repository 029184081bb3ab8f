//! For our own services.

use actix_web::{get, web};
use api_core::{
    auth::{Call, permission::ServiceOnly},
    error::ApiError,
    reply::Reply,
};
use api_types::{
    envelope::{Failure, Success},
    workers::WorkerOwner,
};

use crate::app::{App, workers};

/// Whose a worker is.
#[utoipa::path(tag = "internal", responses((status = 200, body = Success<WorkerOwner>), (status = "4XX", body = Failure)))]
#[get("/internal/v1/workers/{agent_id}")]
pub(super) async fn worker_owner(
    _call: Call<ServiceOnly>,
    id: web::Path<String>,
    app: web::Data<App>,
) -> Result<Reply, ApiError> {
    Reply::ok(&workers::owner(&app, &id).await?)
}
