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
    keys::{self as wire, CreatedKey, FirstKey, FreshKey, Key, NewKey, RevokedKey, RotatedKey, Rotation},
};
use chrono::Utc;

use super::input;
use crate::{
    App,
    domain::keys::{self, Issued, Manager},
    store,
};

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
    let wanted = input::new_key(&body.0, now)?;
    call.once_secret(&app.db, &body, async {
        Reply::created(&created(manager(&call, &app).create(wanted, now).await?))
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
    let (rows, pagination) = manager(&call, &app).list(query).await?;
    let now = Utc::now();
    let rows: Vec<Key> = rows.into_iter().map(|row| row.shown(now)).collect();
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
    call: Call<KeysManage>,
    app: web::Data<App>,
    id: web::Path<String>,
) -> Result<Reply, ApiError> {
    Reply::ok(&manager(&call, &app).get(id.into_inner()).await?.shown(Utc::now()))
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
    let (id, revoked_at) = manager(&call, &app).revoke(id.into_inner(), Utc::now()).await?;
    Reply::ok(&RevokedKey { revoked: true, id, revoked_at })
}

/// Give a key another secret, which is shown in this answer only. The one it had stays good for a while.
#[utoipa::path(
    tag = "keys",
    params(("id" = String, Path)),
    request_body = Rotation,
    responses((status = 200, body = Success<RotatedKey>), (status = "4XX", body = Failure))
)]
#[post("/api/v1/auth/keys/{id}/rotate")]
pub(super) async fn rotate_key(
    mut call: Call<KeysManage>,
    app: web::Data<App>,
    id: web::Path<String>,
) -> Result<Reply, ApiError> {
    let body = call.optional_body().await?;
    let overlap = input::overlap(&body.0)?;
    call.once_secret(&app.db, &body, async {
        let (issued, previous_valid_until) = manager(&call, &app).rotate(id.into_inner(), overlap, Utc::now()).await?;
        Reply::ok(&RotatedKey { key: created(issued), previous_valid_until })
    })
    .await
}

pub(super) fn manager<'a>(call: &'a Call<KeysManage>, app: &'a App) -> Manager<'a> {
    Manager { app, principal: &call.caller.principal }
}

fn created(Issued { stored, fresh }: Issued) -> CreatedKey<FreshKey> {
    let key = stored.key;
    CreatedKey {
        token: fresh.token,
        key: FreshKey {
            id: key.id,
            secret: fresh.secret,
            name: key.name,
            roles: key.roles,
            permissions: key.permissions,
            client_id: key.client_id,
            expires_at: key.expires_at,
            rate_limit_per_minute: key.rate_limit_per_minute,
            rate_limit_per_hour: key.rate_limit_per_hour,
            created_at: key.created_at,
        },
    }
}
