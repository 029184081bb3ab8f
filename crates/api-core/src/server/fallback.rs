//! Requests that no route takes.

use actix_web::{HttpRequest, web};
use api_types::error::Code;

use super::front::Front;
use crate::error::ApiError;

/// 405 with `Allow` when only the method is wrong, else 404. Both without asking for a credential.
pub(super) async fn answer(request: HttpRequest, front: web::Data<Front>) -> Result<&'static str, ApiError> {
    std::future::ready(()).await;
    match front.methods_at(request.path()) {
        Some(methods) => {
            let message = format!("Method {} is not allowed here", request.method());
            Err(ApiError::new(Code::MethodNotAllowed, message).allow(methods.join(", ")))
        }
        None => Err(ApiError::new(Code::EndpointNotFound, "No such endpoint")),
    }
}
