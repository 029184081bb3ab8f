//! `/ains/tasks/batch`

use std::time::Instant;

use actix_web::{post, web};
use api_core::{
    auth::{Call, permission::TaskBatchWrite},
    door::ains::told,
    error::ApiError,
    input::{Fields, Object},
    reply::Reply,
};
use api_types::{
    ains::{AinsCode, AinsFailure, id_of},
    error::Code,
    tasks::{BATCH_MAX, BatchError, BatchedTask, NewBatch, NewTask, SubmittedBatch, TASK},
};
use serde_json::{Map, Value};

use super::input;
use crate::{
    app::{
        Actor, App,
        submit::{self, Bad, Link, Order},
    },
    domain::batch::{Fault, Item, Links},
    error::Error,
};

/// Submit many tasks at once; they may depend on each other by `ref:<client_ref>`.
#[utoipa::path(tag = "tasks", request_body = NewBatch, responses((status = 201, body = SubmittedBatch), (status = "4XX", body = AinsFailure)))]
#[post("/ains/tasks/batch")]
pub(super) async fn submit_many(mut call: Call<TaskBatchWrite>, app: web::Data<App>) -> Result<Reply, ApiError> {
    let began = Instant::now();
    let body = call.body().await?;
    let (values, atomic) = read(&body.0)?;
    let read: Vec<Result<NewTask, ApiError>> =
        values.iter().enumerate().map(|(index, value)| one(index, value)).collect();
    let order = follow(&values)?;
    call.once(&app.db, &body, async {
        let tasks = read.iter().map(|task| task.as_ref().ok().cloned()).collect();
        let stored = submit::many(&app, Actor::of(&call.caller), (tasks, order), atomic).await?;
        answer(stored, &values, read, (atomic, began))
    })
    .await
}

fn read(object: &Object) -> Result<(Vec<&Value>, bool), ApiError> {
    let mut fields = Fields::of(object);
    let atomic = fields.optional("atomic", &api_core::input::Boolean).unwrap_or(false);
    let tasks = fields.raw("tasks").filter(|value| !value.is_null());
    fields.finish()?;
    let Some(tasks) = tasks else {
        return Err(ApiError::field(Code::RequiredField, "tasks", "Field 'tasks' is required"));
    };
    let tasks: Vec<&Value> = match tasks.as_array() {
        Some(tasks) if !tasks.is_empty() => tasks.iter().collect(),
        _ => return Err(ApiError::field(Code::InvalidType, "tasks", "tasks must be a list with at least one entry")),
    };
    if tasks.len() > BATCH_MAX {
        return Err(too_many("tasks", tasks.len()));
    }
    Ok((tasks, atomic))
}

/// More than a request may hold at once.
pub(super) fn too_many(what: &str, size: usize) -> ApiError {
    ApiError::new(Code::InvalidRange, format!("At most {BATCH_MAX} {what} at once"))
        .ains(AinsCode::BatchSizeExceeded)
        .extra("limit", BATCH_MAX)
        .extra("size", size)
}

fn one(index: usize, value: &Value) -> Result<NewTask, ApiError> {
    match value {
        Value::Object(object) => input::new_task(object),
        _ => Err(ApiError::field(Code::InvalidType, &format!("tasks[{index}]"), "A task must be an object")),
    }
}

/// What depends on what, also among tasks that are bad for other reasons.
fn follow(values: &[&Value]) -> Result<Order, ApiError> {
    let texts = |value: &Value| -> Vec<String> {
        let list = value.get("depends_on").and_then(Value::as_array).into_iter().flatten();
        list.filter_map(|entry| entry.as_str().map(str::to_owned)).collect()
    };
    let depends_on: Vec<Vec<String>> = values.iter().map(|value| texts(value)).collect();
    let items: Vec<Item<'_>> = values
        .iter()
        .zip(&depends_on)
        .map(|(value, depends_on)| Item { client_ref: value.get("client_ref").and_then(Value::as_str), depends_on })
        .collect();
    let links = Links::of(&items).map_err(|fault| {
        let message = fault.to_string();
        match fault {
            Fault::Repeated { index, .. } => {
                ApiError::field(Code::InvalidRange, &format!("tasks[{index}].client_ref"), message)
            }
            Fault::Cycle(cycle) => {
                ApiError::new(Code::InvalidRange, message).ains(AinsCode::CircularDependency).extra("cycle", cycle)
            }
        }
    })?;
    Ok(Order { links: Link::all(&links, values.len()), order: links.order().to_vec() })
}

fn answer(
    stored: submit::Stored,
    values: &[&Value],
    read: Vec<Result<NewTask, ApiError>>,
    (atomic, began): (bool, Instant),
) -> Result<Reply, ApiError> {
    let mut batch = SubmittedBatch {
        submitted: 0,
        failed: 0,
        task_ids: Vec::new(),
        submission_time_ms: 0.0,
        refs: Map::new(),
        tasks: Vec::new(),
        errors: Vec::new(),
    };
    for (index, (result, read)) in stored.into_iter().zip(read).enumerate() {
        let error = match (result, read) {
            (Ok(row), _) => {
                let task_id = id_of(TASK, row.task_id);
                if let Some(name) = values[index].get("client_ref").and_then(Value::as_str) {
                    batch.refs.insert(name.to_owned(), task_id.clone().into());
                }
                batch.task_ids.push(task_id.clone());
                batch.tasks.push(BatchedTask {
                    index,
                    task_id,
                    status: row.state().to_owned(),
                    is_blocked: row.blocked_by > 0,
                    client_ref: row.client_ref,
                });
                continue;
            }
            (Err(_), Err(error)) => error,
            (Err(Bad::Missing(missing)), Ok(_)) => Error::NoDependency(missing).into(),
            (Err(Bad::Foreign | Bad::Unreadable), Ok(_)) => Error::Forbidden("This client_id is not yours").into(),
        };
        let told = told(&error);
        batch.errors.push(BatchError { index, code: told.code, message: told.message, details: told.details });
    }
    (batch.submitted, batch.failed) = (batch.tasks.len(), batch.errors.len());
    if let Some(first) = batch.errors.first().filter(|_| atomic || batch.tasks.is_empty()) {
        let code = AinsCode::named(&first.code).unwrap_or(AinsCode::InvalidFieldValue);
        let errors = serde_json::to_value(&batch.errors).map_err(ApiError::internal)?;
        return Err(ApiError::new(Code::InvalidRange, first.message.clone()).ains(code).extra("errors", errors));
    }
    batch.submission_time_ms = (began.elapsed().as_secs_f64() * 1e6).round() / 1e3;
    Reply::flat_created(&batch)
}
