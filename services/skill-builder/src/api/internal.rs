//! What only our own services may ask.

use actix_web::{post, web};
use api_core::{
    auth::{Call, permission::ServiceOnly},
    error::ApiError,
    reply::Reply,
};
use api_types::{
    error::Code,
    skills::{EMBED_TEXTS_MAX, EmbedRequest, Embedded, GenerateRequest, MatchRequest, Matched},
};
use embedding::Priority;

use super::input::unknown_mode;
use crate::{
    app::{App, Error, Order, shown},
    domain::modes,
};

/// Find the occupation that a text stands for.
#[utoipa::path(tag = "internal", responses((status = 200)))]
#[post("/internal/v1/occupations/match")]
pub(super) async fn match_occupation(mut call: Call<ServiceOnly>, app: web::Data<App>) -> Result<Reply, ApiError> {
    let request: MatchRequest = call.read().await?;
    let taxonomy = app.taxonomy().await?;
    let matched = app.match_occupation(&taxonomy, &request.occupation, request.occupation_uri.as_deref()).await?;
    let description = match &matched.choice {
        Some(choice) => app.description(&taxonomy, &choice.best.occupation.uri).await?,
        None => None,
    };
    let occupation_match = matched.choice.map(|choice| shown(choice, &taxonomy));
    Reply::ok(&Matched { occupation_match, description, suggestions: matched.nearest })
}

/// Derive skills without storing them as a set.
#[utoipa::path(tag = "internal", responses((status = 200)))]
#[post("/internal/v1/skills/generate")]
pub(super) async fn generate_skills(mut call: Call<ServiceOnly>, app: web::Data<App>) -> Result<Reply, ApiError> {
    let request: GenerateRequest = call.read().await?;
    let mode = modes::find(&request.mode).ok_or_else(|| unknown_mode(&request.mode))?;
    let order = Order {
        occupation: request.occupation,
        occupation_uri: request.occupation_uri,
        matched: request.occupation_match,
        cycles: request.deepening_cycles,
        configuration: mode.configuration,
        corpus: request.corpus_text,
    };
    let set = app.unsaved_set(order, mode.mode_id, call.caller.id()).await?;
    Reply::ok(&set)
}

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
