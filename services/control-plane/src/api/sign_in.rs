//! `/api/v1/auth/login` and what follows from it

use actix_web::{get, post, put, web};
use api_core::{
    auth::{
        Call,
        permission::{Anybody, SignIn},
    },
    error::ApiError,
    reply::Reply,
};
use api_types::{
    envelope::{Failure, Success},
    users::{
        LoggedIn, LoggedOut, Login, Logout, Me, PasswordChange, PasswordChanged, Refresh, SelfChange, Tokens, User,
    },
};
use chrono::Utc;

use super::user_input;
use crate::{
    App,
    domain::users::{Attempt, sessions::ACCESS_S},
};

/// Sign in, by username or email address; as JSON or as an OAuth 2 form.
#[utoipa::path(
    tag = "sign-in",
    request_body(content((Login = "application/json"), (Login = "application/x-www-form-urlencoded"))),
    responses((status = 200, body = Success<LoggedIn>), (status = "4XX", body = Failure))
)]
#[post("/api/v1/auth/login")]
pub(super) async fn login(mut call: Call<SignIn>, app: web::Data<App>) -> Result<Reply, ApiError> {
    app.check_prepared()?;
    let body = call.body_or_form().await?;
    let (name, password) = user_input::login(&body.0)?;
    let attempt = Attempt { name, password, address: call.origin()?.to_string() };
    let signed_in = app.users.login(attempt, ACCESS_S, Utc::now()).await?;
    Reply::ok(&LoggedIn { tokens: signed_in.tokens, scope: signed_in.user.role, user: signed_in.user })
}

/// Exchange a refresh token for a new pair; as JSON, as an OAuth 2 form, or in the query.
#[utoipa::path(
    tag = "sign-in",
    request_body(content((Refresh = "application/json"), (Refresh = "application/x-www-form-urlencoded"))),
    params(("token" = Option<String>, Query, description = "instead of `refresh_token` in the body")),
    responses((status = 200, body = Success<Tokens>), (status = "4XX", body = Failure))
)]
#[post("/api/v1/auth/refresh")]
pub(super) async fn refresh(mut call: Call<SignIn>, app: web::Data<App>) -> Result<Reply, ApiError> {
    let body = call.body_or_form().await?;
    let token = user_input::refresh(&body.0, call.query("token"))?;
    Reply::ok(&app.users.refresh(token.expose(), ACCESS_S, Utc::now()).await?)
}

/// End this session, or all of one's own.
#[utoipa::path(
    tag = "sign-in",
    request_body = Logout,
    responses((status = 200, body = Success<LoggedOut>), (status = "4XX", body = Failure))
)]
#[post("/api/v1/auth/logout")]
pub(super) async fn logout(mut call: Call<Anybody>, app: web::Data<App>) -> Result<Reply, ApiError> {
    let body = call.optional_body().await?;
    let all = user_input::logout(&body.0)?;
    Reply::ok(&LoggedOut { revoked_sessions: app.users.logout(&call.caller, all, Utc::now()).await? })
}

/// Who calls, and what they may.
#[utoipa::path(tag = "sign-in", responses((status = 200, body = Success<Me>), (status = "4XX", body = Failure)))]
#[get("/api/v1/auth/me")]
pub(super) async fn me(call: Call<Anybody>, app: web::Data<App>) -> Result<Reply, ApiError> {
    Reply::ok(&app.users.me(&call.caller).await?)
}

/// Change oneself.
#[utoipa::path(
    tag = "sign-in",
    request_body = SelfChange,
    responses((status = 200, body = Success<User>), (status = "4XX", body = Failure))
)]
#[put("/api/v1/auth/me")]
pub(super) async fn change_me(mut call: Call<Anybody>, app: web::Data<App>) -> Result<Reply, ApiError> {
    let body = call.body().await?;
    let change = user_input::change_of_self(&body.0)?;
    Reply::ok(&app.users.change_self(&call.caller, change, Utc::now()).await?)
}

/// Change one's password, which ends one's other sessions.
#[utoipa::path(
    tag = "sign-in",
    request_body = PasswordChange,
    responses((status = 200, body = Success<PasswordChanged>), (status = "4XX", body = Failure))
)]
#[put("/api/v1/auth/me/password")]
pub(super) async fn change_password(mut call: Call<Anybody>, app: web::Data<App>) -> Result<Reply, ApiError> {
    let body = call.body().await?;
    let passwords = user_input::passwords(&body.0)?;
    app.users.change_password(&call.caller, passwords, &call.origin()?.to_string(), Utc::now()).await?;
    Reply::ok(&PasswordChanged { changed: true })
}
