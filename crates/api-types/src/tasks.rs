//! Tasks: what clients submit on the AINS door, and what workers do.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, value::RawValue};
use utoipa::ToSchema;

use crate::ains::AinsPagination;

/// Of tasks' ids.
pub const TASK: &str = "task";
/// Tasks of one batch, reports of one request.
pub const BATCH_MAX: usize = 100;

/// A task to be done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NewTask {
    #[schema(min_length = 1, max_length = 64)]
    pub client_id: String,
    #[schema(min_length = 1, max_length = 100)]
    pub task_type: String,
    /// A tag; compared exactly.
    #[schema(example = "data-processing:v1")]
    pub capability_required: String,
    /// At most 256 KiB.
    pub input_data: Map<String, Value>,
    /// 10 is highest.
    #[schema(minimum = 1, maximum = 10, default = 5)]
    pub priority: i64,
    /// For one attempt.
    #[schema(minimum = 1, maximum = 3600, default = 300)]
    pub timeout_seconds: i64,
    #[schema(minimum = 0, maximum = 10, default = 3)]
    pub max_retries: i64,
    #[schema(max_items = 50, required = false)]
    pub depends_on: Vec<String>,
    #[schema(default = "round_robin")]
    pub routing_strategy: String,
    #[schema(default = "exponential")]
    pub retry_policy: String,
    /// Kept and echoed.
    #[schema(min_length = 1, max_length = 100)]
    pub client_ref: Option<String>,
    /// At most 16 KiB.
    #[schema(required = false)]
    pub metadata: Map<String, Value>,
}

/// A task that was just submitted.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SubmittedTask {
    #[schema(example = "task_0123456789abcdef0123456789abcdef")]
    pub task_id: String,
    pub status: String,
    pub priority: i32,
    pub depends_on: Vec<String>,
    pub is_blocked: bool,
    pub routing_strategy: String,
    pub client_ref: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template_id: Option<String>,
    #[serde(with = "crate::time")]
    #[schema(value_type = String)]
    pub created_at: DateTime<Utc>,
    #[serde(with = "crate::time")]
    #[schema(value_type = String)]
    pub estimated_start_time: DateTime<Utc>,
}

/// A task.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Task {
    pub task_id: String,
    pub client_id: String,
    pub task_type: String,
    pub capability_required: String,
    /// `PENDING`, `ASSIGNED`, `RUNNING`; `COMPLETED`, `FAILED`, `CANCELLED`, `TIMEOUT`
    pub status: String,
    pub priority: i32,
    pub routing_strategy: String,
    pub assigned_agent_id: Option<String>,
    #[schema(value_type = Object)]
    pub input_data: Box<RawValue>,
    /// Any JSON.
    #[schema(value_type = Option<Value>)]
    pub result_data: Option<Box<RawValue>>,
    pub error_message: Option<String>,
    /// Percent.
    pub progress: Option<f64>,
    pub depends_on: Vec<String>,
    pub is_blocked: bool,
    pub timeout_seconds: i32,
    pub max_retries: i32,
    pub retry_count: i32,
    pub retry_policy: String,
    /// How often it has been assigned.
    pub attempt: i32,
    #[serde(with = "crate::time::option")]
    #[schema(value_type = Option<String>)]
    pub next_retry_at: Option<DateTime<Utc>>,
    #[serde(with = "crate::time::option")]
    #[schema(value_type = Option<String>)]
    pub lease_expires_at: Option<DateTime<Utc>>,
    /// Three decimals.
    pub execution_time_seconds: Option<f64>,
    pub chain_id: Option<String>,
    pub template_id: Option<String>,
    pub schedule_id: Option<String>,
    pub client_ref: Option<String>,
    #[schema(value_type = Object)]
    pub metadata: Box<RawValue>,
    #[serde(with = "crate::time")]
    #[schema(value_type = String)]
    pub created_at: DateTime<Utc>,
    #[serde(with = "crate::time::option")]
    #[schema(value_type = Option<String>)]
    pub assigned_at: Option<DateTime<Utc>>,
    #[serde(with = "crate::time::option")]
    #[schema(value_type = Option<String>)]
    pub started_at: Option<DateTime<Utc>>,
    #[serde(with = "crate::time::option")]
    #[schema(value_type = Option<String>)]
    pub completed_at: Option<DateTime<Utc>>,
    #[serde(with = "crate::time::option")]
    #[schema(value_type = Option<String>)]
    pub cancelled_at: Option<DateTime<Utc>>,
    pub cancellation_reason: Option<String>,
    #[serde(with = "crate::time")]
    #[schema(value_type = String)]
    pub updated_at: DateTime<Utc>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TaskPage {
    pub results: Vec<Task>,
    pub pagination: AinsPagination,
}

/// Tasks submitted together.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct NewBatch {
    #[schema(min_items = 1, max_items = 100)]
    pub tasks: Vec<NewTask>,
    /// All or none.
    #[schema(required = false)]
    pub atomic: Option<bool>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SubmittedBatch {
    pub submitted: usize,
    pub failed: usize,
    pub task_ids: Vec<String>,
    pub submission_time_ms: f64,
    /// From `client_ref` to task id.
    #[schema(value_type = Object)]
    pub refs: Map<String, Value>,
    pub tasks: Vec<BatchedTask>,
    pub errors: Vec<BatchError>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct BatchedTask {
    pub index: usize,
    pub client_ref: Option<String>,
    pub task_id: String,
    pub status: String,
    pub is_blocked: bool,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct BatchError {
    pub index: usize,
    pub code: String,
    pub message: String,
    #[schema(value_type = Object)]
    pub details: Map<String, Value>,
}

/// Asks for tasks.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct Claim {
    pub agent_id: String,
    #[schema(minimum = 1, maximum = 100, default = 1)]
    pub max_tasks: i64,
    #[schema(minimum = 0, maximum = 60, default = 0)]
    pub wait_seconds: i64,
    #[schema(minimum = 5, maximum = 3600)]
    pub lease_seconds: Option<i64>,
    /// Tags; default all of the worker's.
    pub capabilities: Option<Vec<String>>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ClaimedTasks {
    pub tasks: Vec<Task>,
    pub claimed: usize,
}

/// What a worker says of a task.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct Report {
    /// `RUNNING`, `COMPLETED` or `FAILED`
    pub status: String,
    pub agent_id: Option<String>,
    pub attempt: Option<i64>,
    /// Any JSON, at most 1 MiB.
    pub result_data: Option<Value>,
    #[schema(max_length = 10000)]
    pub error_message: Option<String>,
    #[schema(minimum = 0, maximum = 100)]
    pub progress: Option<f64>,
    pub retryable: Option<bool>,
}

/// A report among others.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct TaskReport {
    pub task_id: String,
    #[serde(flatten)]
    pub report: Report,
}

/// Many reports of one worker, and perhaps its next claim.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Reports {
    pub agent_id: String,
    #[schema(min_items = 1, max_items = 100)]
    pub reports: Vec<TaskReport>,
    /// As in a claim of its own, without `agent_id`.
    pub claim: Option<Claim>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ReportAnswer {
    pub results: Vec<ReportResult>,
    pub accepted: usize,
    pub rejected: usize,
    pub tasks: Vec<Task>,
    pub claimed: usize,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ReportResult {
    pub task_id: String,
    pub accepted: bool,
    /// Of the task from now on; null when it is not known.
    pub status: Option<String>,
    pub error: Option<ReportError>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ReportError {
    pub code: &'static str,
    pub message: String,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct CancelledTask {
    pub task_id: String,
    pub status: &'static str,
    #[serde(with = "crate::time")]
    #[schema(value_type = String)]
    pub cancelled_at: DateTime<Utc>,
    pub reason: String,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ChangedPriority {
    pub task_id: String,
    pub priority: i32,
    pub previous_priority: i32,
    #[serde(with = "crate::time")]
    #[schema(value_type = String)]
    pub updated_at: DateTime<Utc>,
}

/// What a task waits for.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Dependencies {
    pub task_id: String,
    pub depends_on: Vec<String>,
    /// From task id to status.
    #[schema(value_type = Object)]
    pub dependencies_status: Map<String, Value>,
    pub is_blocked: bool,
    pub ready_to_run: bool,
    /// Those that have not completed.
    pub blocking_tasks: Vec<String>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Dependents {
    pub task_id: String,
    pub dependent_tasks: Vec<Dependent>,
    pub dependent_count: usize,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Dependent {
    pub task_id: String,
    pub task_type: String,
    pub status: String,
    pub is_blocked: bool,
}

/// Which worker routing would choose.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RoutingTest {
    pub selected_agent: SelectedWorker,
    pub strategy_used: String,
    pub selection_reason: &'static str,
    /// The other candidates.
    pub alternatives_considered: usize,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SelectedWorker {
    pub agent_id: String,
    pub display_name: String,
    pub trust_score: f64,
    pub current_load: i32,
    pub avg_completion_time_seconds: Option<f64>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Strategies {
    pub strategies: Vec<StrategyInfo>,
    pub default_strategy: &'static str,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct StrategyInfo {
    pub name: &'static str,
    pub description: &'static str,
    pub use_cases: Vec<&'static str>,
}

/// A list of the older spelling of the door (`/aitp`).
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AitpTasks {
    pub tasks: Vec<Task>,
    pub total: i64,
    pub limit: i64,
    pub offset: i64,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AitpStatus {
    pub task_id: String,
    pub status: String,
    pub retry_count: i32,
    #[serde(with = "crate::time")]
    #[schema(value_type = String)]
    pub updated_at: DateTime<Utc>,
}
