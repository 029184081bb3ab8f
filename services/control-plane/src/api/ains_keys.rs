//! `/ains/api-keys`: the keys of the native door in another format.

use actix_web::{
    FromRequest, HttpRequest, delete,
    dev::Payload,
    get,
    http::header::AUTHORIZATION,
    patch, post,
    web::{Data, Path},
};
use api_core::{
    auth::{
        Call,
        permission::{Bootstrap, KeysManage},
    },
    error::ApiError,
    reply::Reply,
};
use api_types::{
    ains::AinsFailure,
    error::Code,
    keys::{
        Rotation,
        ains::{FreshKey, Key, KeyChange, KeyList, NewKey, RevokedKey, RotatedKey, Usage},
    },
};
use chrono::Utc;
use futures_util::future::LocalBoxFuture;

use super::{ains_input, input, keys::manager};
use crate::{
    App,
    domain::keys::{self, Filter, Issued, Stored},
};

const WARNING: &str = "Store this key now: it is not shown again.";

/// Who makes a key: somebody who may, or, while there is none at all, whoever has the bootstrap token as `X-API-Key`.
pub(super) enum Maker {
    Manager(Call<KeysManage>),
    First(Call<Bootstrap>, String),
}

impl FromRequest for Maker {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, mut payload) = (request.clone(), payload.take());
        Box::pin(async move {
            match bootstrap_token(&request).await? {
                Some(token) => Ok(Self::First(Call::from_request(&request, &mut payload).await?, token)),
                None => Call::from_request(&request, &mut payload).await.map(Self::Manager),
            }
        })
    }
}

/// The bootstrap token, when the request presents it and it is still good.
async fn bootstrap_token(request: &HttpRequest) -> Result<Option<String>, ApiError> {
    let headers = request.headers();
    let presented = headers.get("x-api-key").filter(|_| !headers.contains_key(AUTHORIZATION));
    // A key has a prefix or a dot; nobody needs to ask about those.
    let Some(token) = presented.and_then(|value| value.to_str().ok()).map(str::trim).filter(|text| is_token(text))
    else {
        return Ok(None);
    };
    let Some(app) = request.app_data::<Data<App>>() else {
        return Err(ApiError::internal(anyhow::anyhow!("no state in the app")));
    };
    Ok(keys::is_bootstrap_token(&app.db, token).await?.then(|| token.to_owned()))
}

fn is_token(text: &str) -> bool {
    text.len() == 43 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// Make a key. It is shown in this answer only.
#[utoipa::path(
    tag = "ains keys",
    request_body = NewKey,
    responses((status = 201, body = FreshKey), (status = "4XX", body = AinsFailure))
)]
#[post("/ains/api-keys")]
pub(super) async fn create_ains_key(maker: Maker, app: Data<App>) -> Result<Reply, ApiError> {
    let now = Utc::now();
    match maker {
        Maker::Manager(mut call) => {
            let body = call.body().await?;
            let wanted = ains_input::new_key(&body.0, now)?;
            call.once_secret(&app.db, &body, async {
                Reply::flat_created(&fresh(&app, manager(&call, &app).create(wanted, now).await?))
            })
            .await
        }
        Maker::First(mut call, token) => {
            let body = call.body().await?;
            let wanted = ains_input::new_key(&body.0, now)?;
            match keys::first(&app.db, wanted, token, now).await {
                Ok(issued) => Reply::flat_created(&fresh(&app, issued)),
                // Somebody was faster, so it is no credential any more.
                Err(error @ (keys::Error::AlreadyInitialized | keys::Error::WrongToken)) => {
                    Err(ApiError::new(Code::InvalidToken, "The credential is not valid").caused_by(error))
                }
                Err(error) => Err(error.into()),
            }
        }
    }
}

/// List keys, the newest first.
#[utoipa::path(
    tag = "ains keys",
    params(
        ("client_id" = Option<String>, Query),
        ("active_only" = Option<bool>, Query),
        ("limit" = Option<i64>, Query),
        ("offset" = Option<i64>, Query),
    ),
    responses((status = 200, body = KeyList), (status = "4XX", body = AinsFailure))
)]
#[get("/ains/api-keys")]
pub(super) async fn list_ains_keys(call: Call<KeysManage>, app: Data<App>) -> Result<Reply, ApiError> {
    let active_only = call.query_boolean("active_only")?.unwrap_or(false);
    let window = call.window()?;
    let filter = Filter { client_id: call.query("client_id"), active_only, limit: window.limit, offset: window.offset };
    let now = Utc::now();
    let (rows, total) = manager(&call, &app).newest(filter, now).await?;
    Reply::flat(&KeyList { keys: rows.into_iter().map(|row| shown(&app, row)).collect(), total })
}

/// Get a key.
#[utoipa::path(
    tag = "ains keys",
    params(("key_id" = String, Path)),
    responses((status = 200, body = Key), (status = "4XX", body = AinsFailure))
)]
#[get("/ains/api-keys/{key_id}")]
pub(super) async fn get_ains_key(
    call: Call<KeysManage>,
    app: Data<App>,
    key_id: Path<String>,
) -> Result<Reply, ApiError> {
    let stored = manager(&call, &app).get(key_id.into_inner()).await?;
    Reply::flat(&shown(&app, stored))
}

/// Change a key; in force everywhere within 30 seconds.
#[utoipa::path(
    tag = "ains keys",
    params(("key_id" = String, Path)),
    request_body = KeyChange,
    responses((status = 200, body = Key), (status = "4XX", body = AinsFailure))
)]
#[patch("/ains/api-keys/{key_id}")]
pub(super) async fn change_ains_key(
    mut call: Call<KeysManage>,
    app: Data<App>,
    key_id: Path<String>,
) -> Result<Reply, ApiError> {
    let body = call.body().await?;
    let now = Utc::now();
    let change = ains_input::change(&body.0, now)?;
    let stored = manager(&call, &app).change(key_id.into_inner(), change, now).await?;
    Reply::flat(&shown(&app, stored))
}

/// Revoke a key.
#[utoipa::path(
    tag = "ains keys",
    params(("key_id" = String, Path)),
    responses((status = 200, body = RevokedKey), (status = "4XX", body = AinsFailure))
)]
#[delete("/ains/api-keys/{key_id}")]
pub(super) async fn revoke_ains_key(
    call: Call<KeysManage>,
    app: Data<App>,
    key_id: Path<String>,
) -> Result<Reply, ApiError> {
    let (key_id, revoked_at) = manager(&call, &app).revoke(key_id.into_inner(), Utc::now()).await?;
    Reply::flat(&RevokedKey { key_id, revoked_at, message: "API key revoked successfully".to_owned() })
}

/// Give a key another secret, which is shown in this answer only. The one it had stays good for a while.
#[utoipa::path(
    tag = "ains keys",
    params(("key_id" = String, Path)),
    request_body = Rotation,
    responses((status = 200, body = RotatedKey), (status = "4XX", body = AinsFailure))
)]
#[post("/ains/api-keys/{key_id}/rotate")]
pub(super) async fn rotate_ains_key(
    mut call: Call<KeysManage>,
    app: Data<App>,
    key_id: Path<String>,
) -> Result<Reply, ApiError> {
    let body = call.optional_body().await?;
    let overlap = input::overlap(&body.0)?;
    call.once_secret(&app.db, &body, async {
        let rotated = manager(&call, &app).rotate(key_id.into_inner(), overlap, Utc::now()).await?;
        let (issued, previous_valid_until) = rotated;
        Reply::flat(&RotatedKey { key: fresh(&app, issued), previous_valid_until })
    })
    .await
}

/// See what a key was used for.
#[utoipa::path(
    tag = "ains keys",
    params(("key_id" = String, Path), ("period" = Option<String>, Query, description = "`1d`, `7d` (default), `30d`, `90d`")),
    responses((status = 200, body = Usage), (status = "4XX", body = AinsFailure))
)]
#[get("/ains/api-keys/{key_id}/usage")]
pub(super) async fn get_ains_key_usage(
    call: Call<KeysManage>,
    app: Data<App>,
    key_id: Path<String>,
) -> Result<Reply, ApiError> {
    let period = ains_input::period(call.query("period").as_deref())?;
    Reply::flat(&manager(&call, &app).usage(key_id.into_inner(), period, Utc::now()).await?)
}

/// A key as this door shows it: what it lacks in its own format is what holds for its bearer.
fn shown(app: &App, stored: Stored) -> Key {
    let now = Utc::now();
    let (holder, limits) = app.platform.auth.rights_of(&stored.record(now));
    Key {
        active: stored.is_active(now),
        scopes: holder.scopes(),
        rate_limit_per_minute: limits.per_minute,
        rate_limit_per_hour: limits.per_hour,
        last_used_at: stored.last_used_at,
        revoked_at: stored.revoked_at,
        key_id: stored.key.id,
        client_id: stored.key.client_id,
        name: stored.key.name,
        created_at: stored.key.created_at,
        expires_at: stored.key.expires_at,
    }
}

fn fresh(app: &App, Issued { stored, fresh }: Issued) -> FreshKey {
    let key = shown(app, stored);
    FreshKey {
        key_id: key.key_id,
        api_key: fresh.token,
        client_id: key.client_id,
        name: key.name,
        scopes: key.scopes,
        rate_limit_per_minute: key.rate_limit_per_minute,
        rate_limit_per_hour: key.rate_limit_per_hour,
        created_at: key.created_at,
        expires_at: key.expires_at,
        warning: WARNING.to_owned(),
    }
}
