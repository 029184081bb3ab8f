//! Modes: read-only.

use actix_web::{get, web};
use api_core::{
    auth::{Call, permission::SkillsRead},
    error::ApiError,
    list::ListSpec,
    reply::Reply,
};
use api_types::{
    envelope::{Failure, Pagination, Success},
    skills::Mode,
};

use crate::domain::modes;

static SPEC: ListSpec = ListSpec { fields: &[], id_column: "mode_id" };

/// List the ways to generate skills.
#[utoipa::path(tag = "skills", operation_id = "list_skill_modes",
    responses((status = 200, body = Success<Vec<Mode>>), (status = "4XX", body = Failure)))]
#[get("/api/v1/skills/modes")]
pub(super) async fn list_modes(call: Call<SkillsRead>) -> Result<Reply, ApiError> {
    let query = call.list_query(&SPEC)?;
    let all = modes::all();
    let total = i64::try_from(all.len()).unwrap_or(i64::MAX);
    let size = usize::try_from(query.per_page).unwrap_or(1);
    let page = usize::try_from(query.page - 1).unwrap_or(usize::MAX);
    let rows = all.chunks(size).nth(page).unwrap_or_default();
    Reply::page(&rows, Pagination::new(query.page, query.per_page, total))
}

/// Read one of the ways to generate skills.
#[utoipa::path(tag = "skills", operation_id = "get_skill_mode", params(("mode_id" = String, Path)),
    responses((status = 200, body = Success<Mode>), (status = "4XX", body = Failure)))]
#[get("/api/v1/skills/modes/{mode_id}")]
pub(super) async fn get_mode(_call: Call<SkillsRead>, id: web::Path<String>) -> Result<Reply, ApiError> {
    let mode = modes::find(&id).ok_or_else(|| ApiError::not_found("Mode", &id))?;
    Reply::ok(&mode)
}
