//! `/api/v1/auth`

use actix_web::{delete, get, post, web};
use api_core::{
    auth::{
        Call,
        permission::{Bootstrap, KeysManage},
    },
    error::ApiError,
    reply::Reply,
};
use api_types::{
    envelope::{Failure, Success},
    keys::{self as wire, CreatedKey, FirstKey, FreshKey, Key, NewKey, RevokedKey},
};
use chrono::Utc;

use super::input;
use crate::{App, domain::keys, store};

/// Make the first key, an administrator's, with the token that the first start printed.
#[utoipa::path(
    tag = "keys",
    request_body = wire::Bootstrap,
    params(("X-Bootstrap-Token" = Option<String>, Header, description = "instead of `bootstrap_token` in the body")),
    responses((status = 201, body = Success<CreatedKey<FirstKey>>), (status = "4XX", body = Failure))
)]
#[post("/api/v1/auth/bootstrap")]
pub(super) async fn bootstrap(mut call: Call<Bootstrap>, app: web::Data<App>) -> Result<Reply, ApiError> {
    let body = call.optional_body().await?;
    let wire::Bootstrap { name, bootstrap_token } = input::bootstrap(&body.0)?;
    let token = bootstrap_token.or_else(|| call.header("x-bootstrap-token").map(str::to_owned));
    let name = name.unwrap_or_else(|| "admin".to_owned());
    Reply::created(&keys::bootstrap(&app.db, name, token, Utc::now()).await?)
}

/// Make a key. Its secret is shown in this answer only.
#[utoipa::path(
    tag = "keys",
    request_body = NewKey,
    responses((status = 201, body = Success<CreatedKey<FreshKey>>), (status = "4XX", body = Failure))
)]
#[post("/api/v1/auth/keys")]
pub(super) async fn create_key(mut call: Call<KeysManage>, app: web::Data<App>) -> Result<Reply, ApiError> {
    let body = call.body().await?;
    let now = Utc::now();
    let new = input::new_key(&body.0, now)?;
    call.once_secret(&app.db, &body, async {
        Reply::created(&keys::create(&app.db, &call.caller.principal, new, now).await?)
    })
    .await
}

/// List keys.
#[utoipa::path(
    tag = "keys",
    responses((status = 200, body = Success<Vec<Key>>), (status = "4XX", body = Failure))
)]
#[get("/api/v1/auth/keys")]
pub(super) async fn list_keys(call: Call<KeysManage>, app: web::Data<App>) -> Result<Reply, ApiError> {
    let query = call.list_query(&store::keys::LIST)?;
    let (rows, pagination) = keys::list(&app.db, query, Utc::now()).await?;
    Reply::page(&rows, pagination)
}

/// Get a key.
#[utoipa::path(
    tag = "keys",
    params(("id" = String, Path)),
    responses((status = 200, body = Success<Key>), (status = "4XX", body = Failure))
)]
#[get("/api/v1/auth/keys/{id}")]
pub(super) async fn get_key(
    _call: Call<KeysManage>,
    app: web::Data<App>,
    id: web::Path<String>,
) -> Result<Reply, ApiError> {
    Reply::ok(&keys::get(&app.db, id.into_inner(), Utc::now()).await?)
}

/// Revoke a key.
#[utoipa::path(
    tag = "keys",
    params(("id" = String, Path)),
    responses((status = 200, body = Success<RevokedKey>), (status = "4XX", body = Failure))
)]
#[delete("/api/v1/auth/keys/{id}")]
pub(super) async fn revoke_key(
    call: Call<KeysManage>,
    app: web::Data<App>,
    id: web::Path<String>,
) -> Result<Reply, ApiError> {
    let (id, actor) = (id.into_inner(), call.caller.id().to_owned());
    let revoked = keys::revoke(&app.db, id, actor, &app.config.admin_key_ids, Utc::now()).await?;
    // Elsewhere it may be remembered for a moment longer; here it is refused from now on.
    app.platform.auth.keys().forget(&revoked.id);
    Reply::ok(&revoked)
}
