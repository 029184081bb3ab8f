//! What the AINS door's parts share: error codes, windows of lists, ids.

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::error::Code;

macro_rules! codes {
    ($($name:ident = $text:literal, $status:literal;)+) => {
        /// What a client of the AINS door may branch on. One table: variant, code, HTTP status.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum AinsCode { $($name),+ }

        impl AinsCode {
            /// The code of that name.
            #[must_use]
            pub fn named(name: &str) -> Option<Self> {
                match name { $($text => Some(Self::$name),)+ _ => None }
            }
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }
            /// The HTTP status this code is sent with.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status),+ }
            }
        }
    };
}

codes! {
    InvalidRequest = "INVALID_REQUEST", 400;
    MissingRequiredField = "MISSING_REQUIRED_FIELD", 400;
    InvalidFieldValue = "INVALID_FIELD_VALUE", 400;
    InvalidPriority = "INVALID_PRIORITY", 400;
    InvalidTimeout = "INVALID_TIMEOUT", 400;
    MaxRetriesExceeded = "MAX_RETRIES_EXCEEDED", 400;
    InvalidRoutingStrategy = "INVALID_ROUTING_STRATEGY", 400;
    InvalidCronExpression = "INVALID_CRON_EXPRESSION", 400;
    DependencyNotFound = "DEPENDENCY_NOT_FOUND", 400;
    CircularDependency = "CIRCULAR_DEPENDENCY", 400;
    BatchSizeExceeded = "BATCH_SIZE_EXCEEDED", 400;
    InvalidApiKey = "INVALID_API_KEY", 401;
    InsufficientPermissions = "INSUFFICIENT_PERMISSIONS", 403;
    ResourceNotFound = "RESOURCE_NOT_FOUND", 404;
    AgentNotFound = "AGENT_NOT_FOUND", 404;
    TaskNotFound = "TASK_NOT_FOUND", 404;
    TemplateNotFound = "TEMPLATE_NOT_FOUND", 404;
    ChainNotFound = "CHAIN_NOT_FOUND", 404;
    ScheduleNotFound = "SCHEDULE_NOT_FOUND", 404;
    MethodNotAllowed = "METHOD_NOT_ALLOWED", 405;
    AgentAlreadyExists = "AGENT_ALREADY_EXISTS", 409;
    AgentInactive = "AGENT_INACTIVE", 409;
    TaskNotCancellable = "TASK_NOT_CANCELLABLE", 409;
    TaskStateConflict = "TASK_STATE_CONFLICT", 409;
    PayloadTooLarge = "PAYLOAD_TOO_LARGE", 413;
    UnsupportedMediaType = "UNSUPPORTED_MEDIA_TYPE", 415;
    IdempotencyConflict = "IDEMPOTENCY_CONFLICT", 422;
    IdempotencyInProgress = "IDEMPOTENCY_IN_PROGRESS", 409;
    RateLimitExceeded = "RATE_LIMIT_EXCEEDED", 429;
    InternalError = "INTERNAL_ERROR", 500;
    InsufficientCapacity = "INSUFFICIENT_CAPACITY", 503;
    ServiceUnavailable = "SERVICE_UNAVAILABLE", 503;
}

/// What a code of ours is on this door, where a handler says nothing more.
impl From<Code> for AinsCode {
    fn from(code: Code) -> Self {
        match code {
            Code::MalformedBody | Code::HeadersTooLarge => Self::InvalidRequest,
            Code::MissingLegacyField | Code::RequiredField => Self::MissingRequiredField,
            Code::MethodNotAllowed => Self::MethodNotAllowed,
            Code::PayloadTooLarge => Self::PayloadTooLarge,
            Code::UnsupportedMediaType => Self::UnsupportedMediaType,
            Code::IdempotencyConflict => Self::IdempotencyConflict,
            Code::IdempotencyInProgress => Self::IdempotencyInProgress,
            Code::EndpointNotFound | Code::ResourceNotFound => Self::ResourceNotFound,
            Code::TooManyRequests => Self::RateLimitExceeded,
            Code::InternalError => Self::InternalError,
            // By the status, so that a code that other doors add has its place here, too.
            other => match other.status() {
                401 => Self::InvalidApiKey,
                403 => Self::InsufficientPermissions,
                404 => Self::ResourceNotFound,
                409 => Self::TaskStateConflict,
                500 => Self::InternalError,
                502 | 503 => Self::ServiceUnavailable,
                _ => Self::InvalidFieldValue,
            },
        }
    }
}

/// The `error` object of a failed request on this door.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AinsErrorBody {
    #[schema(example = "INVALID_FIELD_VALUE")]
    pub code: String,
    pub message: String,
    /// `field` and `errors` where fields are to blame, and what the code brings along.
    #[schema(value_type = Object)]
    pub details: Map<String, Value>,
    /// UTC, RFC 3339 with milliseconds.
    pub timestamp: String,
    #[schema(example = "req_0123456789abcdef0123456789abcdef")]
    pub request_id: String,
}

/// The answer to a request that failed on this door.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AinsFailure {
    pub error: AinsErrorBody,
}

/// What the door speaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Version {
    /// Of the API, as the `API-Version` header says.
    pub version: String,
    pub api_version: String,
    /// Of the program.
    pub build: String,
    pub status: String,
    pub deprecations: Vec<String>,
}

/// The part of a list that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// 1–100
    pub limit: i64,
    /// From 0.
    pub offset: i64,
}

impl Window {
    /// Whether rows follow after `rows` of `total`.
    #[must_use]
    pub const fn has_more(&self, rows: i64, total: i64) -> bool {
        self.offset.saturating_add(rows) < total
    }
}

/// Where a window lies in a paged list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AinsPagination {
    pub total: i64,
    pub limit: i64,
    pub offset: i64,
    pub has_more: bool,
    /// Null on the last page.
    pub next_offset: Option<i64>,
}

impl AinsPagination {
    /// Of `rows` rows of `total`, seen through `window`.
    #[must_use]
    pub const fn new(window: Window, rows: i64, total: i64) -> Self {
        let has_more = window.has_more(rows, total);
        let next_offset = if has_more { Some(window.offset + rows) } else { None };
        Self { total, limit: window.limit, offset: window.offset, has_more, next_offset }
    }
}

/// A new id: the prefix, `_`, and 32 lower-case hex digits, in the order of making.
#[must_use]
pub fn new_id(prefix: &str) -> String {
    format!("{prefix}_{}", Uuid::now_v7().simple())
}

/// The id of that prefix for a UUID.
#[must_use]
pub fn id_of(prefix: &str, id: Uuid) -> String {
    format!("{prefix}_{}", id.simple())
}

/// The UUID behind an id of that prefix; `None` for a text of another form.
#[must_use]
pub fn uuid_of(prefix: &str, id: &str) -> Option<Uuid> {
    let digits = id.strip_prefix(prefix)?.strip_prefix('_')?;
    let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    (digits.len() == 32 && digits.bytes().all(is_hex)).then(|| digits.parse().ok()).flatten()
}

/// A time as this door takes it: RFC 3339 with any offset, or a date alone, which begins at 00:00:00 UTC.
#[must_use]
pub fn parse_time(text: &str) -> Option<DateTime<Utc>> {
    crate::time::parse(text).or_else(|| date(text))
}

/// As [`parse_time`], for the end of a span: a date alone ends with its day.
#[must_use]
pub fn parse_end(text: &str) -> Option<DateTime<Utc>> {
    let day = TimeDelta::days(1) - TimeDelta::microseconds(1);
    crate::time::parse(text).or_else(|| date(text)?.checked_add_signed(day))
}

fn date(text: &str) -> Option<DateTime<Utc>> {
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|_| text.len() == 10)?;
    Some(date.and_time(NaiveTime::MIN).and_utc())
}

#[cfg(test)]
mod tests {
    use super::{AinsCode, AinsPagination, Window, new_id, parse_end, parse_time, uuid_of};
    use crate::{error::Code, time::format};

    #[test]
    fn every_code_of_ours_keeps_its_kind_of_status() {
        for code in Code::ALL {
            let (ours, theirs) = (code.status(), AinsCode::from(*code).status());
            let expected = match (ours, *code) {
                (422, Code::IdempotencyConflict) => 422,
                (422 | 431, _) => 400,
                (502, _) => 503,
                (status, _) => status,
            };
            assert_eq!(theirs, expected, "{}", code.as_str());
        }
    }

    #[test]
    fn the_last_window_has_no_next() {
        let window = Window { limit: 2, offset: 2 };
        assert_eq!(AinsPagination::new(window, 2, 5).next_offset, Some(4));
        let last = AinsPagination::new(window, 1, 3);
        assert_eq!((last.has_more, last.next_offset), (false, None));
        assert!(!AinsPagination::new(Window { limit: 2, offset: 9 }, 0, 5).has_more);
    }

    #[test]
    fn ids_are_ordered_by_making_and_read_back() {
        let (first, second) = (new_id("task"), new_id("task"));
        assert!(first < second && uuid_of("task", &first).is_some());
        for bad in ["task_", "evt_0123456789abcdef0123456789abcdef", "task_0123456789ABCDEF0123456789abcdef"] {
            assert_eq!(uuid_of("task", bad), None, "{bad}");
        }
    }

    #[test]
    fn a_date_alone_is_its_day() {
        assert_eq!(format(parse_time("2025-03-04").unwrap()), "2025-03-04T00:00:00.000Z");
        assert_eq!(format(parse_end("2025-03-04").unwrap()), "2025-03-04T23:59:59.999Z");
        assert_eq!(format(parse_end("2025-03-04T10:00:00+02:00").unwrap()), "2025-03-04T08:00:00.000Z");
        assert_eq!(parse_time("2025-3-4"), None);
    }
}
