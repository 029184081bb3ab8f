//! Bodies and queries, read and checked field by field.

use api_core::{
    auth::{Body, Call, permission::Permission},
    error::ApiError,
    input::{Boolean, Choice, Coded, Fields, Integer, JsonObject, List, Number, Object, Problem, Rule, Text, coded},
};
use api_types::{
    ains::{AinsCode, parse_end, parse_time},
    error::Code,
    tasks::{Claim, NewTask},
    workers::{CAPACITY_DEFAULT, CAPACITY_MAX, Heartbeat, NewWorker, TrustAdjustment},
};
use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::{
    app::{
        App,
        heartbeat::STATUSES,
        report::{Said, Status},
        workers::Changes,
    },
    domain::{
        forms::{is_agent_id, is_tag},
        retry::Policy,
        routing::Strategy,
    },
    store::workers::Update,
};

pub(super) const INPUT_BYTES_MAX: usize = 256 << 10;
pub(super) const METADATA_BYTES_MAX: usize = 16 << 10;
const RESULT_BYTES_MAX: usize = 1 << 20;
const TAGS_MAX: usize = 100;
const DEPENDENCIES_MAX: usize = 50;
const HEARTBEAT_TASKS_MAX: usize = 1_000;
/// Longer than any id of ours.
const ID_CHARS_MAX: usize = 200;
const DELIVERIES: &[&str] = &["auto", "push", "pull"];

pub(super) const fn tag() -> Text {
    Text::chars(1..=255).of_form(is_tag, "be a capability with its version, like data-processing:v1")
}

pub(super) const fn priority() -> Coded<Integer> {
    coded(Integer(1..=10), AinsCode::InvalidPriority)
}

pub(super) const fn timeout(max: i64) -> Coded<Integer> {
    coded(Integer(1..=max), AinsCode::InvalidTimeout)
}

pub(super) const fn strategy() -> Coded<Choice> {
    coded(Choice(&Strategy::NAMES), AinsCode::InvalidRoutingStrategy)
}

/// How often a task is tried again: too often has a code of its own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Retries;

impl Rule for Retries {
    type Out = i64;

    fn read(&self, field: &str, value: &Value) -> Result<i64, Vec<Problem>> {
        match value.as_i64() {
            Some(number) if number > 10 => coded(Integer(0..=10), AinsCode::MaxRetriesExceeded).read(field, value),
            _ => Integer(0..=10).read(field, value),
        }
    }
}

/// `field` of a list must be `what`.
fn wrong(fields: &mut Fields<'_>, field: &str, message: impl Into<String>) {
    fields.problem(field, Problem::new(Code::InvalidRange, message));
}

/// What stands at the end of a task's body in every place where one is described.
pub(super) fn new_task(object: &Object) -> Result<NewTask, ApiError> {
    let mut fields = Fields::of(object);
    let new = NewTask {
        client_id: fields.required("client_id", &Text::chars(1..=64)),
        task_type: fields.required("task_type", &Text::chars(1..=100)),
        capability_required: fields.required("capability_required", &tag()),
        input_data: fields.required("input_data", &JsonObject { bytes_max: INPUT_BYTES_MAX }),
        priority: fields.optional("priority", &priority()).unwrap_or(5),
        timeout_seconds: fields.optional("timeout_seconds", &timeout(3_600)).unwrap_or(300),
        max_retries: fields.optional("max_retries", &Retries).unwrap_or(3),
        depends_on: fields.optional("depends_on", &dependencies()).unwrap_or_default(),
        routing_strategy: fields.optional("routing_strategy", &strategy()).unwrap_or_else(default_strategy),
        retry_policy: fields
            .optional("retry_policy", &Choice(&Policy::NAMES))
            .unwrap_or_else(|| Policy::default().as_str().to_owned()),
        client_ref: fields.optional("client_ref", &Text::chars(1..=100)),
        metadata: fields.optional("metadata", &JsonObject { bytes_max: METADATA_BYTES_MAX }).unwrap_or_default(),
    };
    fields.finish()?;
    Ok(new)
}

pub(super) fn dependencies() -> List<Text> {
    List { each: Text::chars(1..=ID_CHARS_MAX), max: DEPENDENCIES_MAX }
}

pub(super) fn default_strategy() -> String {
    Strategy::default().as_str().to_owned()
}

/// A worker to be registered, and its metadata apart from its capacity.
pub(super) fn new_worker(object: &Object, app: &App) -> Result<(NewWorker, (Object, i32)), ApiError> {
    let mut fields = Fields::of(object);
    let id = Text::chars(1..=128)
        .of_form(is_agent_id, "begin with a letter or digit, hold letters, digits, . _ : -, and not be leaderboard");
    let agent_id = fields.required("agent_id", &id);
    let display_name = fields.required("display_name", &Text::chars(1..=255));
    let public_key = fields.required("public_key", &Text::chars(1..=8_192));
    let endpoint = fields.required("endpoint", &Endpoint(app));
    let signature = fields.required("signature", &Text::chars(1..=8_192));
    let tags = fields.required("tags", &Tags);
    let metadata = fields.optional("metadata", &Metadata).unwrap_or_else(|| (Object::new(), None));
    let delivery = fields.optional("delivery", &Choice(DELIVERIES));
    let delivery_secret = fields.optional("delivery_secret", &Text::chars(16..=256));
    fields.finish()?;
    let capacity = metadata.1.unwrap_or(CAPACITY_DEFAULT);
    let new = NewWorker {
        agent_id,
        display_name,
        public_key,
        endpoint,
        signature,
        tags,
        metadata: metadata.0.clone(),
        delivery,
        delivery_secret,
    };
    Ok((new, (metadata.0, capacity)))
}

/// An address that tasks may be pushed to.
pub(super) struct Endpoint<'a>(pub(super) &'a App);

impl Rule for Endpoint<'_> {
    type Out = String;

    fn read(&self, field: &str, value: &Value) -> Result<String, Vec<Problem>> {
        let text = Text::chars(1..=512).read(field, value)?;
        let refused = |message: String| Err(vec![Problem::new(Code::InvalidFormat, message)]);
        match self.0.config.egress.policy().check_url(&text) {
            Err(refusal) => refused(format!("{field} cannot be called: {refusal}")),
            Ok(url) if url.scheme() != "https" && self.0.platform.core.is_production() => {
                refused(format!("{field} must be an https URL"))
            }
            Ok(_) => Ok(text),
        }
    }
}

/// The tags of a worker: some, and none twice.
struct Tags;

impl Rule for Tags {
    type Out = Vec<String>;

    fn read(&self, field: &str, value: &Value) -> Result<Vec<String>, Vec<Problem>> {
        let tags = List { each: tag(), max: TAGS_MAX }.read(field, value)?;
        if tags.is_empty() {
            return Err(vec![Problem::new(Code::InvalidRange, format!("{field} must have 1 to {TAGS_MAX} entries"))]);
        }
        let repeated = tags.iter().enumerate().filter(|(index, tag)| tags[..*index].contains(tag));
        let problems: Vec<Problem> = repeated
            .map(|(index, tag)| {
                let part = format!("[{index}]");
                Problem::new(Code::InvalidRange, format!("{field}{part} repeats {tag}")).at(&part)
            })
            .collect();
        if problems.is_empty() { Ok(tags) } else { Err(problems) }
    }
}

/// The metadata of a worker, and the capacity that stands in it.
struct Metadata;

impl Rule for Metadata {
    type Out = (Object, Option<i32>);

    fn read(&self, field: &str, value: &Value) -> Result<Self::Out, Vec<Problem>> {
        const CAPACITY: &str = "max_concurrent_tasks";
        let mut object = JsonObject { bytes_max: METADATA_BYTES_MAX }.read(field, value)?;
        let capacity = match object.shift_remove(CAPACITY).filter(|value| !value.is_null()) {
            None => None,
            Some(value) => {
                let rule = Integer(1..=i64::from(CAPACITY_MAX));
                let number = rule.read(&format!("{field}.{CAPACITY}"), &value).map_err(|problems| {
                    problems.into_iter().map(|problem| problem.at(&format!(".{CAPACITY}"))).collect::<Vec<_>>()
                })?;
                i32::try_from(number).ok()
            }
        };
        Ok((object, capacity))
    }
}

/// What is to become of a worker.
pub(super) fn worker_changes(object: &Object, app: &App) -> Result<Changes, ApiError> {
    let mut fields = Fields::of(object);
    let update = Update {
        display_name: fields.optional("display_name", &Text::chars(1..=255)),
        endpoint: fields.optional("endpoint", &Endpoint(app)),
        tags: fields.optional("tags", &Tags),
        metadata: fields
            .optional("metadata", &Metadata)
            .map(|(object, capacity)| (Value::Object(object).to_string(), capacity)),
        delivery: fields.optional("delivery", &Choice(DELIVERIES)),
    };
    let status = fields.optional("status", &Choice(&["active", "inactive"]));
    let is_empty = update.display_name.is_none()
        && update.endpoint.is_none()
        && update.tags.is_none()
        && update.metadata.is_none()
        && update.delivery.is_none()
        && status.is_none();
    if is_empty && fields.is_good() {
        fields.problem("body", Problem::new(Code::RequiredField, "The body changes nothing"));
    }
    fields.finish()?;
    Ok(Changes { update, active: status.map(|status| status == "active") })
}

pub(super) fn heartbeat(object: &Object) -> Result<Heartbeat, ApiError> {
    let mut fields = Fields::of(object);
    let status = fields.optional("status", &Choice(STATUSES));
    fields.optional("uptime_ms", &Integer(0..=i64::MAX));
    fields.optional("metrics", &JsonObject { bytes_max: METADATA_BYTES_MAX });
    let ids = List { each: Text::chars(1..=ID_CHARS_MAX), max: HEARTBEAT_TASKS_MAX };
    let task_ids = fields.optional("task_ids", &ids).unwrap_or_default();
    fields.finish()?;
    Ok(Heartbeat { status, task_ids })
}

pub(super) fn trust_adjustment(object: &Object) -> Result<TrustAdjustment, ApiError> {
    let mut fields = Fields::of(object);
    let delta = fields.required("delta", &Number(-1.0..=1.0));
    if delta == 0.0 && object.get("delta").is_some_and(Value::is_number) && fields.is_good() {
        wrong(&mut fields, "delta", "delta must not be 0");
    }
    let reason = fields.required("reason", &Text::chars(1..=500));
    fields.finish()?;
    Ok(TrustAdjustment { delta, reason })
}

/// The fields of a claim but for whose it is.
fn claim_fields(fields: &mut Fields<'_>) -> Claim {
    Claim {
        agent_id: String::new(),
        max_tasks: fields.optional("max_tasks", &Integer(1..=100)).unwrap_or(1),
        wait_seconds: fields.optional("wait_seconds", &Integer(0..=60)).unwrap_or(0),
        lease_seconds: fields.optional("lease_seconds", &Integer(5..=3_600)),
        capabilities: fields.optional("capabilities", &List { each: tag(), max: TAGS_MAX }),
    }
}

pub(super) fn agent_id() -> Text {
    Text::chars(1..=ID_CHARS_MAX)
}

pub(super) fn claim(object: &Object) -> Result<Claim, ApiError> {
    let mut fields = Fields::of(object);
    let agent_id = fields.required("agent_id", &agent_id());
    let claim = Claim { agent_id, ..claim_fields(&mut fields) };
    fields.finish()?;
    Ok(claim)
}

/// A claim within something else, without an `agent_id` of its own.
pub(super) struct NextClaim;

impl Rule for NextClaim {
    type Out = Claim;

    fn read(&self, field: &str, value: &Value) -> Result<Claim, Vec<Problem>> {
        api_core::input::any(claim_fields).read(field, value)
    }
}

/// A report: who reports, if that was said, and what.
pub(super) fn report(object: &Object, running: &'static str) -> Result<(Option<String>, Said), ApiError> {
    let mut fields = Fields::of(object);
    let status = fields.required("status", &ReportStatus { running });
    let agent = fields.optional("agent_id", &agent_id());
    let attempt = fields.optional("attempt", &Integer(0..=i64::from(i32::MAX)));
    let result = fields.optional("result_data", &ResultData);
    let error = fields.optional("error_message", &Text::chars(0..=10_000));
    let progress = fields.optional("progress", &Number(0.0..=100.0));
    let retryable = fields.optional("retryable", &Boolean);
    fields.finish()?;
    let attempt = attempt.and_then(|attempt| i32::try_from(attempt).ok());
    Ok((agent, Said { status, attempt, result, error, progress, retryable }))
}

/// What a worker can report; how `RUNNING` is spelled depends on the path.
struct ReportStatus {
    running: &'static str,
}

impl Rule for ReportStatus {
    type Out = Status;

    fn read(&self, field: &str, value: &Value) -> Result<Status, Vec<Problem>> {
        match value.as_str() {
            Some(text) if text == self.running => Ok(Status::Running),
            Some("COMPLETED") => Ok(Status::Completed),
            Some("FAILED") => Ok(Status::Failed),
            _ => {
                let message = format!("{field} must be one of {}, COMPLETED, FAILED", self.running);
                Err(vec![Problem::new(Code::InvalidFormat, message)])
            }
        }
    }
}

/// Any JSON, kept as text.
struct ResultData;

impl Rule for ResultData {
    type Out = String;

    fn read(&self, field: &str, value: &Value) -> Result<String, Vec<Problem>> {
        let text = value.to_string();
        if text.len() > RESULT_BYTES_MAX {
            let message = format!("{field} must have at most {RESULT_BYTES_MAX} bytes");
            return Err(vec![Problem::new(Code::InvalidRange, message)]);
        }
        Ok(text)
    }
}

pub(super) fn cancel_reason(body: &Body) -> Result<Option<String>, ApiError> {
    let mut fields = Fields::of(&body.0);
    let reason = fields.optional("reason", &Text::chars(0..=500));
    fields.finish()?;
    Ok(reason.filter(|reason| !reason.is_empty()))
}

pub(super) fn new_priority(object: &Object) -> Result<i32, ApiError> {
    let mut fields = Fields::of(object);
    let priority = fields.required("priority", &priority());
    fields.finish()?;
    Ok(i32::try_from(priority).unwrap_or_default())
}

/// A query parameter that is one of some names.
pub(super) fn query_choice<P: Permission>(
    call: &Call<P>,
    name: &str,
    names: &[&str],
) -> Result<Option<String>, ApiError> {
    match call.query(name) {
        Some(text) if !names.contains(&text.as_str()) => {
            Err(ApiError::field(Code::InvalidFormat, name, format!("{name} must be one of {}", names.join(", "))))
        }
        other => Ok(other),
    }
}

/// A query parameter that is a decimal of 0 to 1, in ten-thousandths.
pub(super) fn query_trust<P: Permission>(call: &Call<P>, name: &str) -> Result<Option<i32>, ApiError> {
    let Some(text) = call.query(name) else { return Ok(None) };
    let number = text.parse::<f64>().ok().filter(|number| (0.0..=1.0).contains(number));
    match number {
        Some(number) => Ok(Some(crate::domain::trust::Delta::of_decimal(number).ten_thousandths())),
        None => Err(ApiError::field(Code::InvalidRange, name, format!("{name} must be a number between 0 and 1"))),
    }
}

/// A query parameter that is a point in time, or with `end` the end of a span.
pub(super) fn query_time<P: Permission>(
    call: &Call<P>,
    name: &str,
    end: bool,
) -> Result<Option<DateTime<Utc>>, ApiError> {
    let Some(text) = call.query(name) else { return Ok(None) };
    match if end { parse_end(&text) } else { parse_time(&text) } {
        Some(time) => Ok(Some(time)),
        None => Err(ApiError::field(Code::InvalidFormat, name, format!("{name} must be an RFC 3339 time or a date"))),
    }
}
