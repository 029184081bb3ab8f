//! What only our own services may ask.

use actix_web::{post, web};
use api_core::{
    auth::{Call, permission::ServiceOnly},
    error::ApiError,
    reply::Reply,
};
use api_types::{
    error::Code,
    skills::{EMBED_TEXTS_MAX, EmbedRequest, Embedded},
};
use embedding::Priority;

use crate::app::{App, Error};

/// Turn texts into vectors.
#[utoipa::path(tag = "internal", responses((status = 200)))]
#[post("/internal/v1/embeddings")]
pub(super) async fn embed_texts(mut call: Call<ServiceOnly>, app: web::Data<App>) -> Result<Reply, ApiError> {
    let EmbedRequest { texts } = call.read().await?;
    if texts.len() > EMBED_TEXTS_MAX {
        let message = format!("texts must have at most {EMBED_TEXTS_MAX} entries");
        return Err(ApiError::field(Code::InvalidRange, "texts", message));
    }
    let vectors = app.embedder.embed(texts, Priority::Interactive).await.map_err(Error::from)?;
    Reply::ok(&Embedded { model: app.embedder.model().to_owned(), vectors })
}
