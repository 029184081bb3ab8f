//! What a failed request answers on the native door.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

macro_rules! codes {
    ($($name:ident = $category:literal . $reason:literal, $status:literal;)+) => {
        /// What a client may branch on, as `CATEGORY.REASON`. One table: variant, category, reason, HTTP status.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code { $($name),+ }

        impl Code {
            /// Every code, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// `CATEGORY.REASON`
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => concat!($category, ".", $reason)),+ }
            }
            #[must_use]
            pub const fn category(self) -> &'static str {
                match self { $(Self::$name => $category),+ }
            }
            /// The part after the dot, as a detail carries it.
            #[must_use]
            pub const fn reason(self) -> &'static str {
                match self { $(Self::$name => $reason),+ }
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
    MalformedBody = "VALIDATION_ERROR"."INVALID_FORMAT", 400;
    MissingLegacyField = "VALIDATION_ERROR"."REQUIRED_FIELD", 400;
    RequiredField = "VALIDATION_ERROR"."REQUIRED_FIELD", 422;
    InvalidType = "VALIDATION_ERROR"."INVALID_TYPE", 422;
    InvalidRange = "VALIDATION_ERROR"."INVALID_RANGE", 422;
    InvalidFormat = "VALIDATION_ERROR"."INVALID_FORMAT", 422;
    NoOccupationMatch = "VALIDATION_ERROR"."NO_OCCUPATION_MATCH", 422;
    IdempotencyConflict = "VALIDATION_ERROR"."IDEMPOTENCY_CONFLICT", 422;
    MethodNotAllowed = "VALIDATION_ERROR"."METHOD_NOT_ALLOWED", 405;
    PayloadTooLarge = "VALIDATION_ERROR"."PAYLOAD_TOO_LARGE", 413;
    HeadersTooLarge = "VALIDATION_ERROR"."HEADERS_TOO_LARGE", 431;
    UnsupportedMediaType = "VALIDATION_ERROR"."UNSUPPORTED_MEDIA_TYPE", 415;
    MissingAuthorization = "AUTHENTICATION_ERROR"."MISSING_AUTHORIZATION", 401;
    InvalidToken = "AUTHENTICATION_ERROR"."INVALID_TOKEN", 401;
    ExpiredToken = "AUTHENTICATION_ERROR"."EXPIRED_TOKEN", 401;
    RevokedToken = "AUTHENTICATION_ERROR"."REVOKED_TOKEN", 401;
    InvalidCredentials = "AUTHENTICATION_ERROR"."INVALID_CREDENTIALS", 401;
    InsufficientPermissions = "AUTHORIZATION_ERROR"."INSUFFICIENT_PERMISSIONS", 403;
    ForbiddenResource = "AUTHORIZATION_ERROR"."FORBIDDEN_RESOURCE", 403;
    EndpointNotFound = "NOT_FOUND_ERROR"."ENDPOINT_NOT_FOUND", 404;
    ResourceNotFound = "NOT_FOUND_ERROR"."RESOURCE_NOT_FOUND", 404;
    DuplicateResource = "CONFLICT_ERROR"."DUPLICATE_RESOURCE", 409;
    ResourceConflict = "CONFLICT_ERROR"."RESOURCE_CONFLICT", 409;
    IdempotencyInProgress = "CONFLICT_ERROR"."IDEMPOTENCY_IN_PROGRESS", 409;
    TooManyRequests = "RATE_LIMIT_ERROR"."TOO_MANY_REQUESTS", 429;
    InternalError = "SERVICE_ERROR"."INTERNAL_ERROR", 500;
    ServiceUnavailable = "SERVICE_ERROR"."SERVICE_UNAVAILABLE", 503;
    UpstreamUnavailable = "UPSTREAM_ERROR"."SERVICE_UNAVAILABLE", 502;
    UpstreamTimeout = "UPSTREAM_ERROR"."SERVICE_TIMEOUT", 502;
}

impl Code {
    /// The code that a status and a `CATEGORY.REASON` text stand for; `None` for one that is not ours.
    #[must_use]
    pub fn from_wire(status: u16, text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.status() == status && code.as_str() == text)
    }
}

/// One field that is to blame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Detail {
    /// Dotted name, e.g. `role_model.name` or `skills[2]`.
    #[schema(example = "role_model.name")]
    pub field: String,
    /// The bare reason, e.g. `REQUIRED_FIELD`.
    pub code: String,
    pub message: String,
    /// The parts of `field`, indices as texts.
    pub path: Vec<String>,
}

/// The `error` object of a failed request. Every key is always present.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    /// `CATEGORY.REASON`
    #[schema(example = "VALIDATION_ERROR.REQUIRED_FIELD")]
    pub code: String,
    pub category: String,
    pub message: String,
    pub details: Vec<Detail>,
    pub request_id: String,
    pub timestamp: String,
    pub documentation_url: String,
    /// Whole seconds, where trying again helps.
    pub retry_after: Option<u64>,
    pub suggestions: Vec<String>,
}
