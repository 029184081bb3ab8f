//! Webhooks: subscriptions of the three doors that have them, and what became of their deliveries.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How far a delivery has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryStatus {
    Pending,
    Success,
    Failed,
}

impl DeliveryStatus {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Success => "success",
            Self::Failed => "failed",
        }
    }
}

/// One event on its way to one webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Delivery {
    #[schema(example = "dlv_0000018f3c0a1b2c000000000000002a")]
    pub delivery_id: String,
    /// As the receiver gets it; the same at every attempt.
    pub event_id: String,
    /// The event's type.
    pub event: String,
    pub status: DeliveryStatus,
    /// Attempts that have ended.
    pub attempt_count: i16,
    /// The status of the last answer; null when there was none.
    pub response_code: Option<i16>,
    /// Why the last attempt failed.
    pub error: Option<String>,
    #[serde(with = "crate::time")]
    #[schema(value_type = String)]
    pub created_at: DateTime<Utc>,
    #[serde(with = "crate::time::option")]
    #[schema(value_type = Option<String>)]
    pub delivered_at: Option<DateTime<Utc>>,
    #[serde(with = "crate::time::option")]
    #[schema(value_type = Option<String>)]
    pub next_attempt_at: Option<DateTime<Utc>>,
}

/// A webhook of the native door.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Webhook {
    #[schema(example = "whk_0123456789abcdef0123")]
    pub id: String,
    pub url: String,
    /// Types, families as `workflow.*`, or `*`.
    pub events: Vec<String>,
    pub description: Option<String>,
    pub active: bool,
    /// When its receiver answered 410, which switched it off.
    #[serde(with = "crate::time::option")]
    #[schema(value_type = Option<String>)]
    pub disabled_at: Option<DateTime<Utc>>,
    pub created_by: String,
    #[serde(with = "crate::time")]
    #[schema(value_type = String)]
    pub created_at: DateTime<Utc>,
    #[serde(with = "crate::time")]
    #[schema(value_type = String)]
    pub updated_at: DateTime<Utc>,
    pub revision: i64,
}

/// A webhook of the native door when it is made, the only time that its secret is shown.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct FreshWebhook {
    #[serde(flatten)]
    pub webhook: Webhook,
    pub secret: String,
}

impl std::fmt::Debug for FreshWebhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FreshWebhook").field("webhook", &self.webhook).finish_non_exhaustive()
    }
}

/// A webhook of the native door to be made. Also what a change may hold.
#[derive(Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct NewWebhook {
    #[schema(max_length = 2048)]
    pub url: String,
    #[schema(min_items = 1, max_items = 50)]
    pub events: Vec<String>,
    /// Made up when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 8, max_length = 256)]
    pub secret: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 4000)]
    pub description: Option<String>,
    /// `true` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<bool>,
}

impl std::fmt::Debug for NewWebhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewWebhook").field("url", &self.url).field("events", &self.events).finish_non_exhaustive()
    }
}

/// What came of a test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Tested {
    pub delivered: bool,
    pub response_code: Option<i16>,
    pub duration_ms: u64,
    pub error: Option<String>,
}

/// What a `DELETE` of the native door answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Deleted {
    pub deleted: bool,
    pub id: String,
}

/// The AINS door.
pub mod ains {
    use chrono::{DateTime, Utc};
    use serde::{Deserialize, Serialize};
    use utoipa::ToSchema;

    /// A webhook by worker or by client.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
    pub struct Webhook {
        #[schema(example = "wh_0123456789abcdef0123456789abcdef")]
        pub webhook_id: String,
        /// The worker whose events it gets; null for one by client.
        pub agent_id: Option<String>,
        /// The client whose events it gets; null for one by worker.
        pub client_id: Option<String>,
        pub url: String,
        pub events: Vec<String>,
        pub active: bool,
        pub has_secret: bool,
        #[serde(with = "crate::time")]
        #[schema(value_type = String)]
        pub created_at: DateTime<Utc>,
    }

    /// A webhook to be made: with `agent_id` or `client_id`, not both.
    #[derive(Clone, Default, Serialize, Deserialize, ToSchema)]
    pub struct NewWebhook {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub agent_id: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub client_id: Option<String>,
        #[schema(max_length = 512)]
        pub url: String,
        #[schema(min_items = 1, max_items = 14)]
        pub events: Vec<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(min_length = 8, max_length = 256)]
        pub secret: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub active: Option<bool>,
    }

    impl std::fmt::Debug for NewWebhook {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.debug_struct("NewWebhook").field("url", &self.url).field("events", &self.events).finish_non_exhaustive()
        }
    }

    /// What a `DELETE` answers.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
    pub struct Deleted {
        pub webhook_id: String,
        pub deleted: bool,
        pub message: String,
    }
}

/// The Caxton door, whose service asks over internal routes.
pub mod caxton {
    use chrono::{DateTime, Utc};
    use serde::{Deserialize, Serialize};

    /// More webhooks of this door than this are refused with 409.
    pub const WEBHOOKS_MAX: i64 = 100;

    /// Of which events a webhook wants to hear.
    #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
    pub struct Filter {
        /// Any of these; an empty list means all.
        pub capabilities: Vec<String>,
    }

    /// How the receiver knows that it is us.
    #[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(tag = "type", rename_all = "lowercase")]
    pub enum Authentication {
        #[default]
        None,
        Bearer {
            token: String,
        },
        Basic {
            username: String,
            password: String,
        },
        Hmac {
            secret: String,
        },
    }

    impl Authentication {
        /// As an answer shows it.
        #[must_use]
        pub const fn kind(&self) -> &'static str {
            match self {
                Self::None => "none",
                Self::Bearer { .. } => "bearer",
                Self::Basic { .. } => "basic",
                Self::Hmac { .. } => "hmac",
            }
        }
    }

    impl std::fmt::Debug for Authentication {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(self.kind())
        }
    }

    /// `POST /internal/v1/caxton/webhooks`. The door has checked the fields; the control plane checks the address (422, field
    /// `url`) and the number of webhooks (409).
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    pub struct NewWebhook {
        pub url: String,
        /// Some of [`crate::kinds::CAXTON`].
        pub events: Vec<String>,
        #[serde(default)]
        pub filter: Option<Filter>,
        #[serde(default)]
        pub authentication: Authentication,
    }

    /// The type of its authentication, which is all that is shown of it.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    pub struct ShownAuthentication {
        #[serde(rename = "type")]
        pub kind: String,
    }

    /// A webhook. The door prints times to the second.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    pub struct Webhook {
        /// `wh-` and 32 hex digits.
        pub id: String,
        pub url: String,
        pub events: Vec<String>,
        pub filter: Option<Filter>,
        pub authentication: ShownAuthentication,
        /// `active`, or `disabled` once the receiver answered 410.
        pub status: String,
        #[serde(with = "crate::time")]
        pub created: DateTime<Utc>,
    }

    /// All webhooks of the door, newest first.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    pub struct Webhooks {
        pub webhooks: Vec<Webhook>,
        pub total: i64,
    }

    /// A webhook that is gone.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    pub struct Removed {
        pub id: String,
        #[serde(with = "crate::time")]
        pub removed_at: DateTime<Utc>,
    }

    /// What an event of this door carries under `caxton` in its payload: what receivers get, and what filters look at.
    /// Readers of the event log are not shown it, since it holds messages.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub struct Notice {
        pub data: serde_json::Value,
        /// Any one of these lets the event through a filter.
        pub capabilities: Vec<String>,
    }
}
