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
use serde_json::{Map, json};

use super::{input, skill_sets::NewSkillSet};
use crate::app::App;

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
        let flat = Map::from_iter([
            ("skills".to_owned(), json!(set.skills)),
            ("total_skills".to_owned(), json!(set.total_skills)),
            ("occupation".to_owned(), json!(set.occupation)),
        ]);
        Ok(Reply::created(&set)?.deprecated("POST /api/v1/skills", flat))
    })
    .await
}
