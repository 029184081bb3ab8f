//! The deprecated endpoint. It does what its successor does, always with embeddings.

#![expect(
    deprecated,
    reason = "the attribute marks the operation in the OpenAPI document, and the routes must name it"
)]

use actix_web::{post, web};
use api_core::{
    auth::{Call, permission::LegacySkillsWrite},
    error::ApiError,
    reply::Reply,
};
use api_types::{
    envelope::{Failure, Success},
    skills::SkillSet,
};
use serde_json::{Map, Value};

use super::{input, skill_sets::NewSkillSet};
use crate::app::App;

/// What stands at the top, too.
const FLAT: [&str; 3] = ["skills", "total_skills", "occupation"];

/// Derive skills for an occupation. Use `POST /api/v1/skills` instead.
#[utoipa::path(tag = "deprecated", request_body = NewSkillSet,
    responses((status = 201, body = Success<SkillSet>), (status = "4XX", body = Failure)))]
#[post("/skills")]
#[deprecated]
pub(super) async fn create_skill_set_legacy(
    mut call: Call<LegacySkillsWrite>,
    app: web::Data<App>,
) -> Result<Reply, ApiError> {
    let body = call.body().await?;
    let (order, mode) = input::order(&body.0, true)?;
    call.once(&app.db, &body, async {
        let set = app.create_set(order, mode, call.caller.id()).await?;
        // Through text, so that the flat keys read digit for digit like `data`.
        let text = serde_json::to_string(&set).map_err(ApiError::internal)?;
        let data: Map<String, Value> = serde_json::from_str(&text).map_err(ApiError::internal)?;
        let flat = FLAT.iter().filter_map(|key| Some(((*key).to_owned(), data.get(*key)?.clone()))).collect();
        Ok(Reply::created(&data)?.deprecated("POST /api/v1/skills", flat))
    })
    .await
}
