//! `/api/v1/auth/register`, `/api/v1/auth/users`

use actix_web::{get, post, put, web};
use api_core::{
    auth::{
        Call,
        permission::{Register, UsersManage},
    },
    error::ApiError,
    reply::Reply,
};
use api_types::{
    envelope::{Failure, Success},
    users::{NewUser, User, UserChange},
};
use chrono::Utc;

use super::user_input;
use crate::{
    App,
    domain::users::{Error, MANAGE},
    store,
};

/// Become a user, while registration is open; with the scope `users:manage`, make one.
#[utoipa::path(
    tag = "users",
    request_body = NewUser,
    responses((status = 201, body = Success<User>), (status = "4XX", body = Failure))
)]
#[post("/api/v1/auth/register")]
pub(super) async fn register(mut call: Call<Register>, app: web::Data<App>) -> Result<Reply, ApiError> {
    app.check_prepared()?;
    let manages = call.caller.may_any(&[MANAGE]);
    if !manages && !app.users.registration_is_open() {
        return Err(Error::MayNotRegister.into());
    }
    let body = call.body().await?;
    let new = user_input::registration(&body.0, manages)?;
    let manager = manages.then(|| call.caller.id().to_owned());
    // The body holds a password.
    call.once_secret(&app.db, &body, async { Reply::created(&app.users.register(new, manager, Utc::now()).await?) })
        .await
}

/// List users.
#[utoipa::path(
    tag = "users",
    params(
        ("role" = Option<String>, Query), ("is_active" = Option<bool>, Query),
        ("search" = Option<String>, Query, description = "in username, email and full name"),
        ("limit" = Option<i64>, Query), ("offset" = Option<i64>, Query),
        ("page" = Option<i64>, Query), ("per_page" = Option<i64>, Query), ("sort" = Option<String>, Query),
    ),
    responses((status = 200, body = Success<Vec<User>>), (status = "4XX", body = Failure))
)]
#[get("/api/v1/auth/users")]
pub(super) async fn list_users(call: Call<UsersManage>, app: web::Data<App>) -> Result<Reply, ApiError> {
    let query = call.list_query_with(&store::users::LIST, &store::users::PLAIN)?;
    let (rows, pagination) = app.users.list(query).await?;
    Reply::page(&rows, pagination)
}

/// Get a user.
#[utoipa::path(
    tag = "users",
    params(("user_id" = String, Path)),
    responses((status = 200, body = Success<User>), (status = "4XX", body = Failure))
)]
#[get("/api/v1/auth/users/{user_id}")]
pub(super) async fn get_user(
    _call: Call<UsersManage>,
    app: web::Data<App>,
    user_id: web::Path<String>,
) -> Result<Reply, ApiError> {
    Reply::ok(&app.users.get(&user_id).await?)
}

/// Change a user. Another role, activity or password ends the user's sessions.
#[utoipa::path(
    tag = "users",
    params(("user_id" = String, Path)),
    request_body = UserChange,
    responses((status = 200, body = Success<User>), (status = "4XX", body = Failure))
)]
#[put("/api/v1/auth/users/{user_id}")]
pub(super) async fn change_user(
    mut call: Call<UsersManage>,
    app: web::Data<App>,
    user_id: web::Path<String>,
) -> Result<Reply, ApiError> {
    let body = call.body().await?;
    let change = user_input::change(&body.0)?;
    let actor = call.caller.id().to_owned();
    Reply::ok(&app.users.change(user_id.into_inner(), change, actor, Utc::now()).await?)
}
