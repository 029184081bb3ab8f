//! Users and their sessions.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::{auth::Role, id::Id};

/// What is identified by a [`UserId`].
#[derive(Debug)]
pub struct UserKind;
/// `usr_` and 20 hex digits.
pub type UserId = Id<UserKind>;

/// What is identified by a [`SessionId`].
#[derive(Debug)]
pub struct SessionKind;
/// `ses_` and 20 hex digits: all that descends from one login.
pub type SessionId = Id<SessionKind>;

/// A role by the name that it has among users: what keys call `service` is a `developer` here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum UserRole {
    Admin,
    /// Also called `service`.
    #[serde(alias = "service")]
    Developer,
    /// Also called `viewer`.
    #[default]
    #[serde(alias = "viewer")]
    User,
}

impl UserRole {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Developer => "developer",
            Self::User => "user",
        }
    }
}

impl From<Role> for UserRole {
    fn from(role: Role) -> Self {
        match role {
            Role::Admin => Self::Admin,
            Role::Service => Self::Developer,
            Role::User => Self::User,
        }
    }
}

impl FromStr for UserRole {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        text.parse::<Role>().map(Self::from)
    }
}

impl fmt::Display for UserRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Somebody who signs in with a password, which no answer shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct User {
    #[schema(value_type = String, example = "usr_0123456789abcdef0123")]
    pub id: UserId,
    /// In lower case.
    pub username: String,
    /// In lower case.
    pub email: String,
    pub full_name: String,
    pub role: UserRole,
    pub is_active: bool,
    pub avatar_url: Option<String>,
    pub preferences: Map<String, Value>,
    /// The user itself where it registered itself.
    pub created_by: String,
    #[serde(with = "crate::time")]
    #[schema(value_type = String)]
    pub created_at: DateTime<Utc>,
    #[serde(with = "crate::time")]
    #[schema(value_type = String)]
    pub updated_at: DateTime<Utc>,
    /// 1, then one more with every change of content; signing in is none.
    pub revision: i64,
    #[serde(with = "crate::time::option")]
    #[schema(value_type = Option<String>)]
    pub last_login: Option<DateTime<Utc>>,
    pub login_count: i64,
}

macro_rules! secretive {
    ($($name:ident),+) => {
        $(impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(stringify!($name))
            }
        })+
    };
}

secretive!(NewUser, UserChange, Login, Refresh, Tokens, LoggedIn, PasswordChange);

/// A user to be registered.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct NewUser {
    /// `[A-Za-z0-9_]+`; stored in lower case.
    #[schema(min_length = 3, max_length = 50)]
    pub username: String,
    #[schema(max_length = 254)]
    pub email: String,
    #[schema(min_length = 2, max_length = 100)]
    pub full_name: String,
    /// With an upper-case letter, a lower-case letter and a digit.
    #[schema(min_length = 8, max_length = 128)]
    pub password: String,
    /// `user` when absent; another one takes the scope `users:manage`.
    #[serde(default)]
    pub role: UserRole,
    /// Takes the scope `users:manage`.
    #[serde(default = "yes")]
    #[schema(default = true)]
    pub is_active: bool,
    #[serde(default)]
    #[schema(max_length = 2048)]
    pub avatar_url: Option<String>,
    #[serde(default)]
    pub preferences: Map<String, Value>,
}

const fn yes() -> bool {
    true
}

/// What an administrator changes of a user: what is absent stays, `null` restores the default.
#[derive(Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct UserChange {
    #[serde(default)]
    #[schema(min_length = 2, max_length = 100)]
    pub full_name: Option<String>,
    #[serde(default)]
    #[schema(max_length = 254)]
    pub email: Option<String>,
    #[serde(default)]
    pub role: Option<UserRole>,
    #[serde(default)]
    pub is_active: Option<bool>,
    #[serde(default)]
    #[schema(min_length = 8, max_length = 128)]
    pub password: Option<String>,
    #[serde(default)]
    pub preferences: Option<Map<String, Value>>,
    #[serde(default)]
    #[schema(max_length = 2048)]
    pub avatar_url: Option<String>,
    /// The one that the change is made to.
    #[serde(default)]
    pub revision: Option<i64>,
}

/// What users change of themselves; as [`UserChange`].
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct SelfChange {
    #[serde(default)]
    #[schema(min_length = 2, max_length = 100)]
    pub full_name: Option<String>,
    #[serde(default)]
    #[schema(max_length = 254)]
    pub email: Option<String>,
    #[serde(default)]
    #[schema(max_length = 2048)]
    pub avatar_url: Option<String>,
    #[serde(default)]
    pub preferences: Option<Map<String, Value>>,
    /// The one that the change is made to.
    #[serde(default)]
    pub revision: Option<i64>,
}

/// Name and password, as JSON or as an OAuth 2 form.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct Login {
    /// Or the email address.
    pub username: String,
    pub password: String,
}

/// What a refresh token is exchanged with, as JSON, as an OAuth 2 form, or as the query parameter `token`.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct Refresh {
    pub refresh_token: String,
}

/// A new pair of tokens; durations in seconds.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct Tokens {
    pub access_token: String,
    /// Works once.
    pub refresh_token: String,
    #[schema(example = "bearer")]
    pub token_type: String,
    pub expires_in: i64,
    pub refresh_expires_in: i64,
}

/// The answer to a login.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct LoggedIn {
    #[serde(flatten)]
    pub tokens: Tokens,
    /// The role.
    pub scope: UserRole,
    pub user: User,
}

/// Which sessions end.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, ToSchema)]
pub struct Logout {
    /// All of the caller's user instead of this one.
    #[serde(default)]
    pub all_sessions: bool,
}

/// How many sessions have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LoggedOut {
    pub revoked_sessions: usize,
}

/// How somebody proved who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CallerType {
    User,
    ApiKey,
    /// A token that no login of ours began.
    Token,
}

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Me {
    pub id: String,
    pub r#type: CallerType,
    pub roles: Vec<UserRole>,
    /// The scopes in force.
    pub permissions: Vec<String>,
    /// Of users only.
    #[schema(value_type = Option<String>)]
    pub session_id: Option<SessionId>,
    /// Of users only.
    pub user: Option<User>,
}

/// A new password for oneself.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct PasswordChange {
    pub current_password: String,
    #[schema(min_length = 8, max_length = 128)]
    pub new_password: String,
}

/// A password was changed.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
pub struct PasswordChanged {
    pub changed: bool,
}

/// What another service asks: the sessions that ended after the ones it knows.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct EndedAfter {
    /// The cursor of the last answer; 0 at first.
    pub cursor: i64,
}

/// A session whose tokens are dead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedSession {
    pub id: SessionId,
    /// By then its tokens have expired by themselves.
    #[serde(with = "crate::time")]
    pub until: DateTime<Utc>,
}

/// Sessions that ended, in the order in which they did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedSessions {
    pub ended: Vec<EndedSession>,
    /// Where to go on.
    pub cursor: i64,
    /// Whether there is more to read at once.
    pub more: bool,
}
