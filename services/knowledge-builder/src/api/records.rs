//! `/api/v1/knowledge`

use actix_web::{delete, get, patch, post, put, web};
use api_core::{
    auth::{
        Body, Call,
        permission::{KnowledgeRead, KnowledgeWrite, LegacyKnowledgeWrite, Permission},
    },
    error::ApiError,
    reply::Reply,
};
use api_types::{
    envelope::{Failure, Success},
    knowledge::{
        DeletedKnowledge, KnowledgePatch, KnowledgeRecord, KnowledgeReplacement, KnowledgeRequest, SearchAnswer,
        SearchRequest,
    },
};
use serde_json::{Map, Value};

use super::input;
use crate::{
    app::{App, Asker},
    store::{self, Vectors},
};

fn vectors<P: Permission>(call: &Call<P>) -> Vectors {
    if call.includes("embeddings") { Vectors::Read } else { Vectors::LeaveOut }
}

fn asker<P: Permission>(call: &Call<P>, vectors: Vectors) -> Asker {
    Asker { principal: call.caller.id().to_owned(), owner: call.caller.only_own().map(str::to_owned), vectors }
}

/// Gather knowledge about an entity.
#[utoipa::path(tag = "knowledge", request_body = KnowledgeRequest, params(("include" = Option<String>, Query, description = "`embeddings`")), responses((status = 201, body = Success<KnowledgeRecord>), (status = "4XX", body = Failure)))]
#[post("/api/v1/knowledge")]
pub(super) async fn create_knowledge(mut call: Call<KnowledgeWrite>, app: web::Data<App>) -> Result<Reply, ApiError> {
    let body = call.body().await?;
    let new = input::new_record(&body.0, call.caller.is_service(), false)?;
    call.once(&app.db, &body, async { Reply::created(&app.create_record(new, asker(&call, vectors(&call))).await?) })
        .await
}

/// Gather knowledge about an entity.
#[utoipa::path(tag = "deprecated", request_body = KnowledgeRequest, responses((status = 201, body = Success<KnowledgeRecord>), (status = "4XX", body = Failure)))]
#[post("/knowledge")]
pub(super) async fn create_knowledge_legacy(
    mut call: Call<LegacyKnowledgeWrite>,
    app: web::Data<App>,
) -> Result<Reply, ApiError> {
    let body = call.body().await?;
    let new = input::new_record(&body.0, false, true)?;
    // The caller's keys for elsewhere are no part of what is asked; nothing of them is kept, not even a digest.
    let mut kept = body.0;
    kept.remove("apiKeys");
    call.once(&app.db, &Body(kept), async {
        let record = app.create_record(new, asker(&call, Vectors::Read)).await?;
        // By way of text: made into a value directly, the numbers of vectors would have more digits than in `data`.
        let items = serde_json::to_string(&record.knowledge_items).map_err(ApiError::internal)?;
        let items: Value = serde_json::from_str(&items).map_err(ApiError::internal)?;
        let identifier = Value::from(record.identifier.as_str());
        let flat = Map::from_iter([("knowledge_items".to_owned(), items), ("identifier".to_owned(), identifier)]);
        Ok(Reply::created(&record)?.deprecated("POST /api/v1/knowledge", flat))
    })
    .await
}

/// List knowledge.
#[utoipa::path(tag = "knowledge", params(("include" = Option<String>, Query, description = "`embeddings`")), responses((status = 200, body = Success<Vec<KnowledgeRecord>>), (status = "4XX", body = Failure)))]
#[get("/api/v1/knowledge")]
pub(super) async fn list_knowledge(call: Call<KnowledgeRead>, app: web::Data<App>) -> Result<Reply, ApiError> {
    let query = call.list_query(&store::records::LIST)?;
    let (rows, pagination) = app.records(query, vectors(&call)).await?;
    Reply::page(&rows, pagination)
}

/// Get a record.
#[utoipa::path(tag = "knowledge", params(("knowledge_id" = String, Path), ("include" = Option<String>, Query, description = "`embeddings`")), responses((status = 200, body = Success<KnowledgeRecord>), (status = "4XX", body = Failure)))]
#[get("/api/v1/knowledge/{knowledge_id}")]
pub(super) async fn get_knowledge(
    call: Call<KnowledgeRead>,
    app: web::Data<App>,
    id: web::Path<String>,
) -> Result<Reply, ApiError> {
    Reply::ok(&app.record(id.into_inner(), vectors(&call)).await?)
}

/// Change a record; nothing is gathered.
#[utoipa::path(tag = "knowledge", request_body = KnowledgePatch, params(("knowledge_id" = String, Path)), responses((status = 200, body = Success<KnowledgeRecord>), (status = "4XX", body = Failure)))]
#[patch("/api/v1/knowledge/{knowledge_id}")]
pub(super) async fn update_knowledge(
    mut call: Call<KnowledgeWrite>,
    app: web::Data<App>,
    id: web::Path<String>,
) -> Result<Reply, ApiError> {
    let body = call.body().await?;
    let update = input::update(&body.0)?;
    let asker = asker(&call, vectors(&call));
    Reply::ok(&app.change_record(id.into_inner(), update, asker).await?)
}

/// Write a record, new or in the place of another; nothing is gathered.
#[utoipa::path(tag = "knowledge", request_body = KnowledgeReplacement, params(("knowledge_id" = String, Path)), responses((status = 200, body = Success<KnowledgeRecord>), (status = "4XX", body = Failure)))]
#[put("/api/v1/knowledge/{knowledge_id}")]
pub(super) async fn replace_knowledge(
    mut call: Call<KnowledgeWrite>,
    app: web::Data<App>,
    id: web::Path<String>,
) -> Result<Reply, ApiError> {
    let body = call.body().await?;
    let replacement = input::replacement(&id, &body.0)?;
    let asker = asker(&call, vectors(&call));
    Reply::ok(&app.put_record(id.into_inner(), replacement, asker).await?)
}

/// Delete a record.
#[utoipa::path(tag = "knowledge", params(("knowledge_id" = String, Path)), responses((status = 200, body = Success<DeletedKnowledge>), (status = "4XX", body = Failure)))]
#[delete("/api/v1/knowledge/{knowledge_id}")]
pub(super) async fn delete_knowledge(
    call: Call<KnowledgeWrite>,
    app: web::Data<App>,
    id: web::Path<String>,
) -> Result<Reply, ApiError> {
    app.delete_record(id.clone(), call.caller.id().to_owned()).await?;
    Reply::ok(&DeletedKnowledge { deleted: true, knowledge_id: id.into_inner().into() })
}

/// Get what is known about an entity: the record, or an array when there are several.
#[utoipa::path(tag = "knowledge", params(("entity_id" = String, Path), ("include" = Option<String>, Query, description = "`embeddings`")), responses((status = 200, body = Success<KnowledgeRecord>), (status = "4XX", body = Failure)))]
#[get("/api/v1/knowledge/entities/{entity_id}")]
pub(super) async fn get_entity(
    call: Call<KnowledgeRead>,
    app: web::Data<App>,
    id: web::Path<String>,
) -> Result<Reply, ApiError> {
    match app.about(id.into_inner(), vectors(&call)).await?.as_slice() {
        [record] => Reply::ok(record),
        records => Reply::ok(&records),
    }
}

/// Search all items by words and by meaning.
#[utoipa::path(tag = "knowledge", request_body = SearchRequest, responses((status = 200, body = Success<SearchAnswer>), (status = "4XX", body = Failure)))]
#[post("/api/v1/knowledge/search")]
pub(super) async fn search_knowledge(mut call: Call<KnowledgeRead>, app: web::Data<App>) -> Result<Reply, ApiError> {
    let body = call.body().await?;
    let question = input::question(&body.0, vectors(&call))?;
    Reply::ok(&app.search(question).await?)
}
