//! `/aitp`: the spelling of older workers, for whom a running task is `ACTIVE`.

use actix_web::{delete, get, post, put, web};
use api_core::{
    auth::{
        Call,
        permission::{TasksExecute, TasksSee, TasksWrite},
    },
    error::ApiError,
    reply::Reply,
};
use api_types::{
    ains::AinsFailure,
    tasks::{AitpStatus, AitpTasks, CancelledTask, NewTask, Report, SubmittedTask, Task},
};

use super::{tasks as common, work};
use crate::{
    app::{Actor, App, report as reporting, tasks},
    domain::state::State,
};

const ACTIVE: &str = "ACTIVE";
const LIMIT: i64 = 20;

fn spelled(status: String) -> String {
    if status == State::Running.as_str() { ACTIVE.to_owned() } else { status }
}

fn task(task: Task) -> Task {
    Task { status: spelled(task.status.clone()), ..task }
}

/// As `POST /ains/tasks`.
#[utoipa::path(tag = "aitp", request_body = NewTask, responses((status = 201, body = SubmittedTask), (status = "4XX", body = AinsFailure)))]
#[post("/aitp/tasks")]
pub(super) async fn submit(call: Call<TasksWrite>, app: web::Data<App>) -> Result<Reply, ApiError> {
    common::submitted(call, &app).await
}

/// As `GET /ains/tasks`.
#[utoipa::path(
    tag = "aitp",
    params(
        ("client_id" = Option<String>, Query), ("status" = Option<String>, Query), ("task_type" = Option<String>, Query),
        ("assigned_agent_id" = Option<String>, Query), ("limit" = Option<i64>, Query), ("offset" = Option<i64>, Query),
    ),
    responses((status = 200, body = AitpTasks), (status = "4XX", body = AinsFailure))
)]
#[get("/aitp/tasks")]
pub(super) async fn list(call: Call<TasksSee>, app: web::Data<App>) -> Result<Reply, ApiError> {
    let window = call.window_of(LIMIT)?;
    let asked = common::asked(&call, ACTIVE)?;
    let (found, total) = common::listed(&call, &app, asked, window).await?;
    let tasks = found.into_iter().map(task).collect();
    Reply::flat(&AitpTasks { tasks, total, limit: window.limit, offset: window.offset })
}

/// As `GET /ains/tasks/{task_id}`.
#[utoipa::path(tag = "aitp", responses((status = 200, body = Task), (status = "4XX", body = AinsFailure)))]
#[get("/aitp/tasks/{task_id}")]
pub(super) async fn get(call: Call<TasksSee>, id: web::Path<String>, app: web::Data<App>) -> Result<Reply, ApiError> {
    Reply::flat(&task(tasks::get(&app, Actor::of(&call.caller), &id).await?))
}

/// As `PATCH /ains/tasks/{task_id}`.
#[utoipa::path(
    tag = "aitp",
    request_body = Report,
    params(("agent_id" = Option<String>, Query)),
    responses((status = 200, body = AitpStatus), (status = "4XX", body = AinsFailure))
)]
#[put("/aitp/tasks/{task_id}/status")]
pub(super) async fn report(
    mut call: Call<TasksExecute>,
    id: web::Path<String>,
    app: web::Data<App>,
) -> Result<Reply, ApiError> {
    let (agent, said) = work::read(&mut call, ACTIVE).await?;
    let task = reporting::one(&app, Actor::of(&call.caller), &id, agent, said).await?;
    Reply::flat(&AitpStatus {
        task_id: task.task_id,
        status: spelled(task.status),
        retry_count: task.retry_count,
        updated_at: task.updated_at,
    })
}

/// As `POST /ains/tasks/{task_id}/cancel`.
#[utoipa::path(
    tag = "aitp",
    params(("reason" = Option<String>, Query)),
    responses((status = 200, body = CancelledTask), (status = "4XX", body = AinsFailure))
)]
#[delete("/aitp/tasks/{task_id}")]
pub(super) async fn cancel(
    call: Call<TasksWrite>,
    id: web::Path<String>,
    app: web::Data<App>,
) -> Result<Reply, ApiError> {
    let reason = work::query_reason(&call)?;
    common::cancelled(&call, &app, &id, reason).await
}
