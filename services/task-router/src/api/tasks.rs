//! `/ains/tasks`: tasks as their clients see them.

use actix_web::{get, patch, post, web};
use api_core::{
    auth::{
        Call,
        permission::{Permission, TasksRead, TasksSee, TasksWrite},
    },
    error::ApiError,
    reply::Reply,
};
use api_types::{
    ains::{AinsFailure, AinsPagination, uuid_of},
    error::Code,
    tasks::{CancelledTask, ChangedPriority, Dependencies, Dependents, NewTask, SubmittedTask, Task, TaskPage},
};
use uuid::Uuid;

use super::input;
use crate::{
    app::{
        Actor, App, report,
        submit::{self as submitting, Origin},
        tasks,
        view::{CHAIN, SCHEDULE, TEMPLATE},
    },
    domain::state::State,
    store::tasks::{Filter, Sort},
};

const CANCELLED_BY_REQUEST: &str = "Cancelled by request";
const SORTS: &[&str] = &["-created_at", "created_at", "-priority"];

/// Submit a task.
#[utoipa::path(tag = "tasks", request_body = NewTask, responses((status = 201, body = SubmittedTask), (status = "4XX", body = AinsFailure)))]
#[post("/ains/tasks")]
pub(super) async fn submit(call: Call<TasksWrite>, app: web::Data<App>) -> Result<Reply, ApiError> {
    submitted(call, &app).await
}

pub(super) async fn submitted(mut call: Call<TasksWrite>, app: &App) -> Result<Reply, ApiError> {
    let body = call.body().await?;
    let new = input::new_task(&body.0)?;
    call.once(&app.db, &body, async {
        Reply::flat_created(&submitting::one(app, Actor::of(&call.caller), new, Origin::default()).await?)
    })
    .await
}

/// List tasks. With `assigned_agent_id` and `status=ASSIGNED` this is how a worker polls for its assignments.
#[utoipa::path(
    tag = "tasks",
    params(
        ("client_id" = Option<String>, Query), ("status" = Option<String>, Query, description = "a comma list"),
        ("task_type" = Option<String>, Query), ("capability_required" = Option<String>, Query),
        ("assigned_agent_id" = Option<String>, Query), ("chain_id" = Option<String>, Query),
        ("template_id" = Option<String>, Query), ("schedule_id" = Option<String>, Query), ("client_ref" = Option<String>, Query),
        ("created_after" = Option<String>, Query), ("created_before" = Option<String>, Query),
        ("sort" = Option<String>, Query, description = "`-created_at` (default), `created_at` or `-priority`"),
        ("limit" = Option<i64>, Query), ("offset" = Option<i64>, Query),
    ),
    responses((status = 200, body = TaskPage), (status = "4XX", body = AinsFailure))
)]
#[get("/ains/tasks")]
pub(super) async fn list(call: Call<TasksSee>, app: web::Data<App>) -> Result<Reply, ApiError> {
    let window = call.window()?;
    let (filter, sort) = asked(&call, State::Running.as_str())?;
    let (results, total) = listed(&call, &app, (filter, sort), window).await?;
    let rows = i64::try_from(results.len()).unwrap_or(i64::MAX);
    Reply::flat(&TaskPage { results, pagination: AinsPagination::new(window, rows, total) })
}

/// A page of tasks; when a worker asks for its assignments, its poll.
pub(super) async fn listed<P: Permission>(
    call: &Call<P>,
    app: &App,
    (filter, sort): (Filter, Sort),
    window: api_types::ains::Window,
) -> Result<(Vec<Task>, i64), ApiError> {
    if let Some(agent_id) = polls(&filter).filter(|_| call.caller.may_any(&["tasks:execute"])) {
        report::polled(app, Actor::of(&call.caller), agent_id).await?;
    }
    Ok(tasks::list(app, filter, sort, window).await?)
}

/// The worker whose assignments are asked for, and nothing else.
fn polls(filter: &Filter) -> Option<String> {
    let assigned = filter.statuses.as_deref().is_some_and(|statuses| statuses == [State::Assigned.as_str()]);
    filter.assigned_agent_id.clone().filter(|_| assigned)
}

/// What is asked for, in the spelling of the path.
pub(super) fn asked<P: Permission>(call: &Call<P>, running: &str) -> Result<(Filter, Sort), ApiError> {
    let id = |name: &str, prefix: &str| {
        // What no id looks like names nothing.
        call.query(name).map(|text| uuid_of(prefix, &text).unwrap_or(Uuid::nil()))
    };
    let filter = Filter {
        eyes: call.caller.only_client().map(str::to_owned),
        client_id: call.query("client_id"),
        statuses: call.query("status").map(|text| statuses(&text, running)).transpose()?,
        task_type: call.query("task_type"),
        capability_required: call.query("capability_required"),
        assigned_agent_id: call.query("assigned_agent_id"),
        chain_id: id("chain_id", CHAIN),
        template_id: id("template_id", TEMPLATE),
        schedule_id: id("schedule_id", SCHEDULE),
        client_ref: call.query("client_ref"),
        created_after: input::query_time(call, "created_after", false)?,
        created_before: input::query_time(call, "created_before", true)?,
    };
    let sort = match input::query_choice(call, "sort", SORTS)?.as_deref() {
        Some("created_at") => Sort::Oldest,
        Some("-priority") => Sort::Priority,
        None if polls(&filter).is_some() => Sort::Priority,
        _ => Sort::Newest,
    };
    Ok((filter, sort))
}

fn statuses(text: &str, running: &str) -> Result<Vec<String>, ApiError> {
    let name = |entry: &str| {
        let state = State::ALL.into_iter().find(|state| match state {
            State::Running => entry == running,
            other => entry == other.as_str(),
        });
        state.map(|state| state.as_str().to_owned()).ok_or_else(|| {
            let message = format!("status must be a comma list of states, and '{}' is none", short(entry));
            ApiError::field(Code::InvalidFormat, "status", message)
        })
    };
    text.split(',').map(str::trim).map(name).collect()
}

fn short(text: &str) -> String {
    text.chars().take(40).collect()
}

/// A task.
#[utoipa::path(tag = "tasks", responses((status = 200, body = Task), (status = "4XX", body = AinsFailure)))]
#[get("/ains/tasks/{task_id}")]
pub(super) async fn get(call: Call<TasksSee>, id: web::Path<String>, app: web::Data<App>) -> Result<Reply, ApiError> {
    Reply::flat(&tasks::get(&app, Actor::of(&call.caller), &id).await?)
}

/// End a task before its time.
#[utoipa::path(tag = "tasks", responses((status = 200, body = CancelledTask), (status = "4XX", body = AinsFailure)))]
#[post("/ains/tasks/{task_id}/cancel")]
pub(super) async fn cancel(
    mut call: Call<TasksWrite>,
    id: web::Path<String>,
    app: web::Data<App>,
) -> Result<Reply, ApiError> {
    let reason = input::cancel_reason(&call.optional_body().await?)?;
    cancelled(&call, &app, &id, reason).await
}

pub(super) async fn cancelled(
    call: &Call<TasksWrite>,
    app: &App,
    id: &str,
    reason: Option<String>,
) -> Result<Reply, ApiError> {
    let reason = reason.unwrap_or_else(|| CANCELLED_BY_REQUEST.to_owned());
    Reply::flat(&tasks::cancel(app, Actor::of(&call.caller), id, reason).await?)
}

/// Move a waiting task in its queue.
#[utoipa::path(tag = "tasks", responses((status = 200, body = ChangedPriority), (status = "4XX", body = AinsFailure)))]
#[patch("/ains/tasks/{task_id}/priority")]
pub(super) async fn set_priority(
    mut call: Call<TasksWrite>,
    id: web::Path<String>,
    app: web::Data<App>,
) -> Result<Reply, ApiError> {
    let body = call.body().await?;
    let priority = input::new_priority(&body.0)?;
    Reply::flat(&tasks::set_priority(&app, Actor::of(&call.caller), &id, priority).await?)
}

/// What a task waits for.
#[utoipa::path(tag = "tasks", responses((status = 200, body = Dependencies), (status = "4XX", body = AinsFailure)))]
#[get("/ains/tasks/{task_id}/dependencies")]
pub(super) async fn dependencies(
    call: Call<TasksRead>,
    id: web::Path<String>,
    app: web::Data<App>,
) -> Result<Reply, ApiError> {
    Reply::flat(&tasks::dependencies(&app, Actor::of(&call.caller), &id).await?)
}

/// What waits for a task.
#[utoipa::path(tag = "tasks", responses((status = 200, body = Dependents), (status = "4XX", body = AinsFailure)))]
#[get("/ains/tasks/{task_id}/dependents")]
pub(super) async fn dependents(
    call: Call<TasksRead>,
    id: web::Path<String>,
    app: web::Data<App>,
) -> Result<Reply, ApiError> {
    Reply::flat(&tasks::dependents(&app, Actor::of(&call.caller), &id).await?)
}
