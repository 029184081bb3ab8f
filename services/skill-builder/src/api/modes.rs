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
    let count = |rows: i64| usize::try_from(rows).unwrap_or(usize::MAX);
    let rows: Vec<&Mode> = all.iter().skip(count(query.offset)).take(count(query.limit)).collect();
    Reply::page(&rows, Pagination::at(query.offset, query.limit, total))
}

/// Read one of the ways to generate skills.
#[utoipa::path(tag = "skills", operation_id = "get_skill_mode", params(("mode_id" = String, Path)),
    responses((status = 200, body = Success<Mode>), (status = "4XX", body = Failure)))]
#[get("/api/v1/skills/modes/{mode_id}")]
pub(super) async fn get_mode(_call: Call<SkillsRead>, id: web::Path<String>) -> Result<Reply, ApiError> {
    let mode = modes::find(&id).ok_or_else(|| ApiError::not_found("Mode", &id))?;
    Reply::ok(&mode)
}
