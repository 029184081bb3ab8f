//! `/ains/agents`: workers.

use actix_web::{delete, get, patch, post, web};
use api_core::{
    auth::{
        Call,
        permission::{AgentsRead, AgentsWrite, TasksExecute, TrustAdmin},
    },
    error::ApiError,
    reply::Reply,
};
use api_types::{
    ains::AinsFailure,
    error::Code,
    workers::{
        AdjustedTrust, DeactivatedWorker, Heartbeat, HeartbeatAnswer, Leaderboard, NewWorker, RegisteredWorker, Trust,
        TrustAdjustment, TrustHistory, Worker, WorkerList,
    },
};
use serde_json::Value;

use super::input;
use crate::{
    app::{Actor, App, heartbeat, workers},
    domain::signature::{self, Registration, Rejected},
    store::workers::Filter,
};

const LEADERS: i64 = 10;

/// Register a worker.
#[utoipa::path(tag = "agents", request_body = NewWorker, responses((status = 201, body = RegisteredWorker), (status = "4XX", body = AinsFailure)))]
#[post("/ains/agents")]
pub(super) async fn register(mut call: Call<AgentsWrite>, app: web::Data<App>) -> Result<Reply, ApiError> {
    let (body, text) = call.body_and_text().await?;
    let (new, (metadata, capacity)) = input::new_worker(&body.0, &app)?;
    let registration = Registration {
        agent_id: &new.agent_id,
        endpoint: &new.endpoint,
        public_key: &new.public_key,
        signature: &new.signature,
        body: &text,
    };
    let verified = signature::verify(app.config.signature_mode, &registration).map_err(|rejected| {
        let field = match rejected {
            Rejected::PublicKey => "public_key",
            Rejected::Signature => "signature",
        };
        ApiError::field(Code::InvalidFormat, field, format!("{field} {rejected}"))
    })?;
    let metadata = Value::Object(metadata).to_string();
    call.once_secret(&app.db, &body, async {
        let made = workers::register(&app, Actor::of(&call.caller), new, (metadata, capacity), verified).await?;
        Reply::flat_created(&made)
    })
    .await
}

/// List workers.
#[utoipa::path(
    tag = "agents",
    params(
        ("tag" = Option<String>, Query, description = "exactly"),
        ("trust_min" = Option<f64>, Query, description = "0–1"),
        ("status" = Option<String>, Query, description = "`active` or `inactive`"),
        ("limit" = Option<i64>, Query), ("offset" = Option<i64>, Query),
    ),
    responses((status = 200, body = WorkerList), (status = "4XX", body = AinsFailure))
)]
#[get("/ains/agents")]
pub(super) async fn list(call: Call<AgentsRead>, app: web::Data<App>) -> Result<Reply, ApiError> {
    let filter = Filter {
        tag: call.query("tag"),
        trust_min: input::query_trust(&call, "trust_min")?,
        active: input::query_choice(&call, "status", &["active", "inactive"])?.map(|status| status == "active"),
    };
    let window = call.window()?;
    let (agents, total) = workers::list(&app, filter, window).await?;
    let rows = i64::try_from(agents.len()).unwrap_or(i64::MAX);
    let has_more = window.has_more(rows, total);
    Reply::flat(&WorkerList { agents, total, limit: window.limit, offset: window.offset, has_more })
}

/// The most trusted workers.
#[utoipa::path(
    tag = "agents",
    params(("limit" = Option<i64>, Query, description = "1–100, default 10"), ("min_tasks" = Option<i64>, Query)),
    responses((status = 200, body = Leaderboard), (status = "4XX", body = AinsFailure))
)]
#[get("/ains/agents/leaderboard")]
pub(super) async fn leaderboard(call: Call<AgentsRead>, app: web::Data<App>) -> Result<Reply, ApiError> {
    let limit = call.query_integer("limit", 1..=100)?.unwrap_or(LEADERS);
    let min_tasks = call.query_integer("min_tasks", 0..=i64::MAX)?.unwrap_or(0);
    Reply::flat(&workers::leaderboard(&app, min_tasks, limit).await?)
}

/// A worker.
#[utoipa::path(tag = "agents", responses((status = 200, body = Worker), (status = "4XX", body = AinsFailure)))]
#[get("/ains/agents/{agent_id}")]
pub(super) async fn get(
    _call: Call<AgentsRead>,
    id: web::Path<String>,
    app: web::Data<App>,
) -> Result<Reply, ApiError> {
    Reply::flat(&workers::get(&app, &id).await?)
}

/// Change a worker.
#[utoipa::path(tag = "agents", responses((status = 200, body = Worker), (status = "4XX", body = AinsFailure)))]
#[patch("/ains/agents/{agent_id}")]
pub(super) async fn change(
    mut call: Call<AgentsWrite>,
    id: web::Path<String>,
    app: web::Data<App>,
) -> Result<Reply, ApiError> {
    let body = call.body().await?;
    let changes = input::worker_changes(&body.0, &app)?;
    Reply::flat(&workers::change(&app, Actor::of(&call.caller), id.into_inner(), changes).await?)
}

/// Switch a worker off.
#[utoipa::path(tag = "agents", responses((status = 200, body = DeactivatedWorker), (status = "4XX", body = AinsFailure)))]
#[delete("/ains/agents/{agent_id}")]
pub(super) async fn switch_off(
    call: Call<AgentsWrite>,
    id: web::Path<String>,
    app: web::Data<App>,
) -> Result<Reply, ApiError> {
    Reply::flat(&workers::switch_off(&app, Actor::of(&call.caller), id.into_inner()).await?)
}

/// Tell that a worker is there.
#[utoipa::path(tag = "agents", request_body = Heartbeat, responses((status = 200, body = HeartbeatAnswer), (status = "4XX", body = AinsFailure)))]
#[post("/ains/agents/{agent_id}/heartbeat")]
pub(super) async fn beat(
    mut call: Call<TasksExecute>,
    id: web::Path<String>,
    app: web::Data<App>,
) -> Result<Reply, ApiError> {
    let body = call.optional_body().await?;
    let beat = input::heartbeat(&body.0)?;
    Reply::flat(&heartbeat::beat(&app, Actor::of(&call.caller), id.into_inner(), beat).await?)
}

/// How far a worker is trusted.
#[utoipa::path(tag = "trust", responses((status = 200, body = Trust), (status = "4XX", body = AinsFailure)))]
#[get("/ains/agents/{agent_id}/trust")]
pub(super) async fn trust(
    _call: Call<AgentsRead>,
    id: web::Path<String>,
    app: web::Data<App>,
) -> Result<Reply, ApiError> {
    Reply::flat(&workers::trust(&app, &id).await?)
}

/// Every change of a worker's trust.
#[utoipa::path(
    tag = "trust",
    params(
        ("start_date" = Option<String>, Query), ("end_date" = Option<String>, Query),
        ("limit" = Option<i64>, Query), ("offset" = Option<i64>, Query),
    ),
    responses((status = 200, body = TrustHistory), (status = "4XX", body = AinsFailure))
)]
#[get("/ains/agents/{agent_id}/trust/history")]
pub(super) async fn history(
    call: Call<AgentsRead>,
    id: web::Path<String>,
    app: web::Data<App>,
) -> Result<Reply, ApiError> {
    let window = call.window()?;
    let span = (input::query_time(&call, "start_date", false)?, input::query_time(&call, "end_date", true)?);
    Reply::flat(&workers::history(&app, &id, span, window).await?)
}

/// Change a worker's trust by hand.
#[utoipa::path(tag = "trust", request_body = TrustAdjustment, responses((status = 200, body = AdjustedTrust), (status = "4XX", body = AinsFailure)))]
#[post("/ains/agents/{agent_id}/trust/adjust")]
pub(super) async fn adjust(
    mut call: Call<TrustAdmin>,
    id: web::Path<String>,
    app: web::Data<App>,
) -> Result<Reply, ApiError> {
    let body = call.body().await?;
    let adjustment = input::trust_adjustment(&body.0)?;
    Reply::flat(&workers::adjust(&app, Actor::of(&call.caller), id.into_inner(), adjustment).await?)
}
