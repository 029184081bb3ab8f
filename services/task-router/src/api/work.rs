//! `/ains/tasks`: tasks as their workers see them.

use std::time::Duration;

use actix_web::{patch, post, put, web};
use api_core::{
    auth::{Call, permission::TasksExecute},
    door::ains::told,
    error::ApiError,
    input::{Fields, Text},
    reply::Reply,
};
use api_types::{
    ains::{AinsCode, AinsFailure},
    error::Code,
    tasks::{BATCH_MAX, Claim, ClaimedTasks, Report, ReportAnswer, ReportError, Reports, Task},
};
use serde_json::Value;

use super::{
    batch::too_many,
    input::{self, NextClaim},
};
use crate::{
    app::{
        Actor, App,
        claim::{self as claiming, Wanted},
        report as reporting,
    },
    domain::state::State,
};

/// Take tasks.
#[utoipa::path(tag = "work", request_body = Claim, responses((status = 200, body = ClaimedTasks), (status = "4XX", body = AinsFailure)))]
#[post("/ains/tasks/claim")]
pub(super) async fn claim(mut call: Call<TasksExecute>, app: web::Data<App>) -> Result<Reply, ApiError> {
    let body = call.body().await?;
    let wanted = input::claim(&body.0)?;
    let tasks = claiming::claim(&app, Actor::of(&call.caller), &wanted).await?;
    Reply::flat(&ClaimedTasks { claimed: tasks.len(), tasks })
}

/// Report on many tasks, and take the next ones.
#[utoipa::path(tag = "work", request_body = Reports, responses((status = 200, body = ReportAnswer), (status = "4XX", body = AinsFailure)))]
#[post("/ains/tasks/report")]
pub(super) async fn report_many(mut call: Call<TasksExecute>, app: web::Data<App>) -> Result<Reply, ApiError> {
    let body = call.body().await?;
    let mut fields = Fields::of(&body.0);
    let agent_id = fields.required("agent_id", &input::agent_id());
    let values = fields.raw("reports").filter(|value| !value.is_null());
    let next = fields.optional("claim", &NextClaim);
    fields.finish()?;
    let values = match values.map(Value::as_array) {
        None => return Err(ApiError::field(Code::RequiredField, "reports", "Field 'reports' is required")),
        Some(Some(values)) if !values.is_empty() => values,
        Some(_) => {
            return Err(ApiError::field(
                Code::InvalidType,
                "reports",
                "reports must be a list with at least one entry",
            ));
        }
    };
    if values.len() > BATCH_MAX {
        return Err(too_many("reports", values.len()));
    }
    let items = values.iter().enumerate().map(|(index, value)| item(index, value)).collect::<Result<_, _>>()?;
    let next =
        next.map(|next| (Wanted::of(&next), Duration::from_secs(u64::try_from(next.wait_seconds).unwrap_or_default())));
    Reply::flat(&reporting::many(&app, Actor::of(&call.caller), agent_id, items, next).await?)
}

/// A report among others. What cannot be read is refused alone, as long as it says which task it is about.
fn item(index: usize, value: &Value) -> Result<reporting::Item, ApiError> {
    let field = format!("reports[{index}]");
    let Value::Object(object) = value else {
        return Err(ApiError::field(Code::InvalidType, &field, "A report must be an object"));
    };
    let task_id = match object.get("task_id") {
        None | Some(Value::Null) => {
            let field = format!("{field}.task_id");
            return Err(ApiError::field(Code::RequiredField, &field, format!("Field '{field}' is required")));
        }
        Some(Value::String(id)) => id.clone(),
        Some(_) => {
            let field = format!("{field}.task_id");
            return Err(ApiError::field(Code::InvalidType, &field, format!("{field} must be a text")));
        }
    };
    let said = input::report(object, State::Running.as_str()).map(|(_, said)| said).map_err(|error| {
        let told = told(&error);
        let code = AinsCode::named(&told.code).unwrap_or(AinsCode::InvalidFieldValue);
        ReportError { code: code.as_str(), message: told.message }
    });
    Ok((task_id, said))
}

/// What is reported, and by whom if that is said: in the body, the query or a header.
pub(super) async fn read(
    call: &mut Call<TasksExecute>,
    running: &'static str,
) -> Result<(Option<String>, reporting::Said), ApiError> {
    let body = call.body().await?;
    let (agent, said) = input::report(&body.0, running)?;
    let agent = agent.or_else(|| call.query("agent_id")).or_else(|| call.header("x-agent-id").map(str::to_owned));
    Ok((agent.filter(|agent| !agent.is_empty()), said))
}

async fn reported(mut call: Call<TasksExecute>, id: &str, app: &App) -> Result<Reply, ApiError> {
    let (agent, said) = read(&mut call, State::Running.as_str()).await?;
    Reply::flat(&reporting::one(app, Actor::of(&call.caller), id, agent, said).await?)
}

macro_rules! spellings {
    ($($name:ident: $method:ident $path:literal, $doc:literal;)+) => { $(
        #[doc = $doc]
        #[utoipa::path(tag = "work", request_body = Report, responses((status = 200, body = Task), (status = "4XX", body = AinsFailure)))]
        #[$method($path)]
        pub(super) async fn $name(
            call: Call<TasksExecute>,
            id: web::Path<String>,
            app: web::Data<App>,
        ) -> Result<Reply, ApiError> {
            reported(call, &id, &app).await
        }
    )+ };
}

spellings! {
    report: patch "/ains/tasks/{task_id}", "Report on a task.";
    put_report: put "/ains/tasks/{task_id}", "Report on a task, as `PATCH` does.";
    report_status: patch "/ains/tasks/{task_id}/status", "Report on a task, on another path.";
    put_report_status: put "/ains/tasks/{task_id}/status", "Report on a task, on another path, as `PATCH` does.";
}

/// A short text of a query.
pub(super) fn query_reason(
    call: &Call<impl api_core::auth::permission::Permission>,
) -> Result<Option<String>, ApiError> {
    use api_core::input::Rule as _;
    let Some(text) = call.query("reason").filter(|text| !text.is_empty()) else { return Ok(None) };
    let read = Text::chars(0..=500).read("reason", &Value::from(text));
    read.map(Some)
        .map_err(|_problems| ApiError::field(Code::InvalidRange, "reason", "reason must have 0 to 500 characters"))
}
