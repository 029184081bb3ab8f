//! `/api/v1/knowledge/documents`

use actix_web::{delete, get, post, web};
use api_core::{
    auth::{
        Call,
        permission::{DocumentsWrite, KnowledgeRead, KnowledgeWrite},
    },
    error::ApiError,
    reply::Reply,
};
use api_types::{
    envelope::{Failure, Success},
    knowledge::{DeletedDocument, Document, NewDocument},
};

use super::{form, input};
use crate::{
    app::{App, Stored},
    store,
};

/// Store a document: as JSON, or uploaded as a form with the field `file`.
#[utoipa::path(tag = "knowledge", request_body = NewDocument, responses((status = 201, body = Success<Document>), (status = 200, body = Success<Document>, description = "The same document came before"), (status = "4XX", body = Failure)))]
#[post("/api/v1/knowledge/documents")]
pub(super) async fn create_document(mut call: Call<DocumentsWrite>, app: web::Data<App>) -> Result<Reply, ApiError> {
    let bytes_max = call.platform()?.core.max_document_bytes;
    let (file, body) = if form::is_form(&call) {
        form::read(&mut call, bytes_max).await?
    } else {
        let body = call.body().await?;
        (input::new_document(&body.0, bytes_max)?, body)
    };
    call.once(&app.db, &body, async {
        match app.store_document(file, call.caller.id()).await? {
            Stored::New(document) => Reply::created(&document),
            Stored::Known(document) => Reply::ok(&document),
        }
    })
    .await
}

/// List documents.
#[utoipa::path(tag = "knowledge", responses((status = 200, body = Success<Vec<Document>>), (status = "4XX", body = Failure)))]
#[get("/api/v1/knowledge/documents")]
pub(super) async fn list_documents(call: Call<KnowledgeRead>, app: web::Data<App>) -> Result<Reply, ApiError> {
    let query = call.list_query(&store::documents::LIST)?;
    let owner = call.caller.only_own().map(str::to_owned);
    let (rows, pagination) = app.documents(query, owner).await?;
    Reply::page(&rows, pagination)
}

/// Get a document with its text.
#[utoipa::path(tag = "knowledge", params(("document_id" = String, Path)), responses((status = 200, body = Success<Document>), (status = "4XX", body = Failure)))]
#[get("/api/v1/knowledge/documents/{document_id}")]
pub(super) async fn get_document(
    call: Call<KnowledgeRead>,
    app: web::Data<App>,
    id: web::Path<String>,
) -> Result<Reply, ApiError> {
    let owner = call.caller.only_own().map(str::to_owned);
    Reply::ok(&app.document(id.into_inner(), owner).await?)
}

/// Delete a document; items made from it stay.
#[utoipa::path(tag = "knowledge", params(("document_id" = String, Path)), responses((status = 200, body = Success<DeletedDocument>), (status = "4XX", body = Failure)))]
#[delete("/api/v1/knowledge/documents/{document_id}")]
pub(super) async fn delete_document(
    call: Call<KnowledgeWrite>,
    app: web::Data<App>,
    id: web::Path<String>,
) -> Result<Reply, ApiError> {
    let owner = call.caller.only_own().map(str::to_owned);
    app.delete_document(id.clone(), owner, call.caller.id().to_owned()).await?;
    Reply::ok(&DeletedDocument { deleted: true, document_id: id.into_inner().into() })
}
