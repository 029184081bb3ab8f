//! The taxonomy and its occupations.

use actix_web::{get, web};
use api_core::{
    auth::{Call, permission::SkillsRead},
    error::ApiError,
    reply::Reply,
};
use api_types::{
    envelope::{Failure, Success},
    skills::{OccupationRow, TaxonomyInfo},
};

use super::input::{query_number, query_text, query_value};
use crate::app::App;

/// Tell of the taxonomy in use.
#[utoipa::path(tag = "skills",
    responses((status = 200, body = Success<TaxonomyInfo>), (status = "4XX", body = Failure)))]
#[get("/api/v1/skills/taxonomy")]
pub(super) async fn get_taxonomy(_call: Call<SkillsRead>, app: web::Data<App>) -> Result<Reply, ApiError> {
    let taxonomy = app.taxonomy().await?;
    Reply::ok(&taxonomy.row.info())
}

/// Find the occupations that a text may stand for, best first.
#[utoipa::path(tag = "skills",
    params(("q" = String, Query, description = "1 to 200 characters"), ("limit" = Option<u32>, Query, description = "1 to 20, default 5")),
    responses((status = 200, body = Success<Vec<OccupationRow>>), (status = "4XX", body = Failure)))]
#[get("/api/v1/skills/occupations")]
pub(super) async fn list_occupations(call: Call<SkillsRead>, app: web::Data<App>) -> Result<Reply, ApiError> {
    let query = call.request().query_string();
    let text = query_text("q", query_value(query, "q"))?;
    let limit = query_number("limit", query_value(query, "limit"), 1..=20, 5)?;
    let rows = app.occupations(&text, limit).await?;
    Reply::ok(&rows)
}
