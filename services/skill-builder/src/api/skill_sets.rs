//! Skill sets.

use actix_web::{delete, get, patch, post, put, web};
use api_core::{
    auth::{
        Call,
        permission::{Permission, SkillsRead, SkillsWrite},
    },
    error::ApiError,
    list::{Field, Kind, ListSpec},
    reply::Reply,
};
use api_types::{
    envelope::{Failure, Success},
    skills::SkillSet,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::input;
use crate::{
    app::{App, Error},
    store::sets::Vectors,
};

static SPEC: ListSpec = ListSpec {
    fields: &[
        Field { name: "skill_id", column: "skill_id::text", kind: Kind::Text },
        Field { name: "occupation", column: "occupation", kind: Kind::Text },
        Field { name: "deepening_cycles", column: "deepening_cycles", kind: Kind::Number },
        Field { name: "total_skills", column: "total_skills", kind: Kind::Number },
        Field { name: "mode", column: "mode", kind: Kind::Text },
        Field { name: "created_at", column: "created_at", kind: Kind::Time },
        Field { name: "updated_at", column: "updated_at", kind: Kind::Time },
    ],
    id_column: "skill_id::text",
};

/// What skills are derived from.
#[derive(Debug, Deserialize, ToSchema)]
#[expect(dead_code, reason = "describes the body; it is read field by field, so that every problem is named")]
pub(super) struct NewSkillSet {
    /// 1 to 200 characters.
    #[schema(example = "Mathematician")]
    occupation: String,
    /// 0 to 11, default 0.
    deepening_cycles: Option<i32>,
    /// At most 1,000,000 characters.
    corpus_text: Option<String>,
    /// A mode's id, default `balanced`.
    mode: Option<String>,
    /// The occupation itself, taken without matching.
    occupation_uri: Option<String>,
}

/// What a change of a set replaces; at least one of them.
#[derive(Debug, Deserialize, ToSchema)]
#[expect(dead_code, reason = "describes the body; it is read field by field, so that every problem is named")]
struct SkillSetChanges {
    occupation: Option<String>,
    /// Objects with `name` or `skill` (YAML), or texts; at most 5,000.
    skills: Option<Vec<Value>>,
    deepening_cycles: Option<i32>,
}

/// A set as a client writes it.
#[derive(Debug, Deserialize, ToSchema)]
#[expect(dead_code, reason = "describes the body; it is read field by field, so that every problem is named")]
struct WrittenSkillSet {
    occupation: String,
    /// Objects with `name` or `skill` (YAML), or texts; at most 5,000.
    skills: Vec<Value>,
    deepening_cycles: Option<i32>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Deleted {
    deleted: bool,
    skill_id: Uuid,
}

/// Derive skills for an occupation.
#[utoipa::path(tag = "skills", request_body = NewSkillSet,
    responses((status = 201, body = Success<SkillSet>), (status = "4XX", body = Failure)))]
#[post("/api/v1/skills")]
pub(super) async fn create_skill_set(mut call: Call<SkillsWrite>, app: web::Data<App>) -> Result<Reply, ApiError> {
    let body = call.body().await?;
    let (order, mode) = input::order(&body.0, false)?;
    let vectors = vectors(&call);
    call.once(&app.db, &body, async {
        let set = app.create_set(order, mode, call.caller.id()).await?;
        Reply::created(&with(vectors, set))
    })
    .await
}

/// List skill sets.
#[utoipa::path(tag = "skills", params(("include" = Option<String>, Query, description = "`embeddings`")),
    responses((status = 200, body = Success<Vec<SkillSet>>), (status = "4XX", body = Failure)))]
#[get("/api/v1/skills")]
pub(super) async fn list_skill_sets(call: Call<SkillsRead>, app: web::Data<App>) -> Result<Reply, ApiError> {
    let query = call.list_query(&SPEC)?;
    let (sets, pagination) = app.sets(query, vectors(&call)).await?;
    Reply::page(&sets, pagination)
}

/// Read a skill set.
#[utoipa::path(tag = "skills",
    params(("skill_id" = String, Path), ("include" = Option<String>, Query, description = "`embeddings`")),
    responses((status = 200, body = Success<SkillSet>), (status = "4XX", body = Failure)))]
#[get("/api/v1/skills/{skill_id}")]
pub(super) async fn get_skill_set(
    call: Call<SkillsRead>,
    app: web::Data<App>,
    id: web::Path<String>,
) -> Result<Reply, ApiError> {
    let set = app.set(set_id(&id)?, vectors(&call)).await?;
    Reply::ok(&set)
}

/// Change a skill set; nothing is derived anew.
#[utoipa::path(tag = "skills", request_body = SkillSetChanges, params(("skill_id" = String, Path)),
    responses((status = 200, body = Success<SkillSet>), (status = "4XX", body = Failure)))]
#[patch("/api/v1/skills/{skill_id}")]
pub(super) async fn update_skill_set(
    mut call: Call<SkillsWrite>,
    app: web::Data<App>,
    id: web::Path<String>,
) -> Result<Reply, ApiError> {
    let body = call.body().await?;
    let update = input::update(&body.0)?;
    let set = app.update_set(set_id(&id)?, update, call.caller.id()).await?;
    Reply::ok(&with(vectors(&call), set))
}

/// Write a skill set as a whole; an unknown id makes a new one.
#[utoipa::path(tag = "skills", request_body = WrittenSkillSet, params(("skill_id" = String, Path)),
    responses((status = 200, body = Success<SkillSet>), (status = "4XX", body = Failure)))]
#[put("/api/v1/skills/{skill_id}")]
pub(super) async fn replace_skill_set(
    mut call: Call<SkillsWrite>,
    app: web::Data<App>,
    id: web::Path<String>,
) -> Result<Reply, ApiError> {
    let body = call.body().await?;
    let replacement = input::replacement(&id, &body.0)?;
    let set = app.replace_set(replacement, call.caller.id()).await?;
    Reply::ok(&with(vectors(&call), set))
}

/// Delete a skill set.
#[utoipa::path(tag = "skills", params(("skill_id" = String, Path)),
    responses((status = 200, body = Success<Deleted>), (status = "4XX", body = Failure)))]
#[delete("/api/v1/skills/{skill_id}")]
pub(super) async fn delete_skill_set(
    call: Call<SkillsWrite>,
    app: web::Data<App>,
    id: web::Path<String>,
) -> Result<Reply, ApiError> {
    let skill_id = set_id(&id)?;
    app.delete_set(skill_id, call.caller.id()).await?;
    Reply::ok(&Deleted { deleted: true, skill_id })
}

/// An id that is no UUID is the id of nothing.
fn set_id(id: &str) -> Result<Uuid, Error> {
    id.parse().map_err(|_no_uuid| Error::NoSet(id.to_owned()))
}

fn vectors<P: Permission>(call: &Call<P>) -> Vectors {
    if call.includes("embeddings") { Vectors::Read } else { Vectors::LeaveOut }
}

/// The set with or without the vectors of its skills.
fn with(vectors: Vectors, mut set: SkillSet) -> SkillSet {
    if vectors == Vectors::LeaveOut {
        for skill in &mut set.skills {
            skill.embedding = None;
            skill.embedding_model = None;
        }
    }
    set
}
