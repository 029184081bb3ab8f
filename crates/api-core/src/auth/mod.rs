//! Who calls, and whether they may.

mod call;
mod jwt;
mod keys;
pub mod permission;

pub use call::{Body, Call};
pub use keys::{KeySource, KeySourceError, Keys, split_key};

use std::sync::Arc;

use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use api_client::token::TokenKey;
use api_types::{
    auth::{Principal, Role},
    error::Code,
};

use crate::{error::ApiError, rate_limit::Limits, secret::Secret, settings::CommaList};

/// The principal of everyone without a credential, behind a door that the operator left open.
pub const ANONYMOUS: &str = "anonymous";

/// Somebody who proved who they are.
#[derive(Debug, Clone)]
pub struct Caller {
    pub principal: Principal,
    /// The service that calls, when it is one of ours: it may use what only services may.
    pub service: Option<String>,
    /// The caller's own limits; `None` for our own services, which are not counted.
    pub limits: Option<Limits>,
}

impl Caller {
    #[must_use]
    pub fn id(&self) -> &str {
        &self.principal.id
    }

    #[must_use]
    pub fn is_service(&self) -> bool {
        self.service.is_some()
    }

    /// Whether the caller holds one of the scopes. Our own services hold all.
    #[must_use]
    pub fn may_any(&self, scopes: &[&str]) -> bool {
        self.is_service() || scopes.iter().any(|scope| self.principal.may(scope))
    }

    /// Whether the caller may act for a tenant: its own, or any with scope `*`.
    #[must_use]
    pub fn acts_for(&self, client_id: &str) -> bool {
        self.may_any(&["*"]) || self.principal.client_id == client_id
    }

    /// The tenant that the caller is restricted to; `None` with scope `*`.
    #[must_use]
    pub fn only_client(&self) -> Option<&str> {
        (!self.may_any(&["*"])).then_some(self.principal.client_id.as_str())
    }

    /// The id to restrict reads to, when the caller sees only what it created.
    #[must_use]
    pub fn only_own(&self) -> Option<&str> {
        self.principal.sees_only_own().then_some(self.id())
    }
}

/// Finds out who calls, from the request's headers.
#[derive(Debug)]
pub struct Authenticator {
    keys: Keys,
    jwt: jwt::Verifier,
    service_tokens: TokenKey,
    admin_key_ids: CommaList,
    limits: Limits,
}

/// Limits of administrators without limits of their own.
const ADMIN_LIMITS: Limits = Limits { per_minute: 1_000_000, per_hour: 60_000_000 };

impl Authenticator {
    pub(crate) fn new(jwt_secret: &Secret, keys: Keys, admin_key_ids: CommaList, limits: Limits) -> Self {
        Self {
            keys,
            jwt: jwt::Verifier::new(jwt_secret),
            service_tokens: TokenKey::derive(jwt_secret.expose()),
            admin_key_ids,
            limits,
        }
    }

    #[must_use]
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// # Errors
    /// 401 with the reason; 503 when a key can be checked nowhere.
    pub async fn identify(&self, headers: &HeaderMap) -> Result<Caller, ApiError> {
        let token = credential(headers)?;
        if let Some(header) = jwt::header_of(&token) {
            return if header.kid() == Some(api_client::token::KEY_ID) {
                self.service(&token)
            } else {
                let principal = self.jwt.verify(&token)?;
                let limits = Some(self.default_limits(&principal));
                Ok(Caller { principal, service: None, limits })
            };
        }
        self.key(&token).await
    }

    /// Whether the request comes from one of our own services.
    pub(crate) fn is_service(&self, headers: &HeaderMap) -> bool {
        let Ok(token) = credential(headers) else { return false };
        // Keys are told apart without any cryptography.
        token.matches('.').count() == 2 && self.service_tokens.verify(&token).is_ok()
    }

    fn service(&self, token: &str) -> Result<Caller, ApiError> {
        let call = self.service_tokens.verify(token).map_err(|error| invalid_token().caused_by(error))?;
        let principal = call.on_behalf_of.unwrap_or_else(|| Principal {
            id: call.service.clone(),
            client_id: call.service.clone(),
            roles: [Role::Service].into(),
            permissions: Vec::new(),
        });
        Ok(Caller { principal, service: Some(call.service), limits: None })
    }

    async fn key(&self, token: &str) -> Result<Caller, ApiError> {
        let record = self.keys.check(token).await?;
        let mut roles: std::collections::BTreeSet<Role> = record.roles.iter().copied().collect();
        let mut permissions = record.permissions.clone();
        if self.admin_key_ids.contains(&record.id) {
            roles.insert(Role::Admin);
            permissions.clear();
        }
        let principal =
            Principal { id: record.id.to_string(), client_id: record.client_id.clone(), roles, permissions };
        let default = self.default_limits(&principal);
        let limits = Limits {
            per_minute: record.rate_limit_per_minute.unwrap_or(default.per_minute),
            per_hour: record.rate_limit_per_hour.unwrap_or(default.per_hour),
        };
        Ok(Caller { principal, service: None, limits: Some(limits) })
    }

    fn default_limits(&self, principal: &Principal) -> Limits {
        if principal.is_admin() { ADMIN_LIMITS } else { self.limits }
    }
}

/// What the request presents: `Authorization: Bearer`, else `X-API-Key`.
fn credential(headers: &HeaderMap) -> Result<Arc<str>, ApiError> {
    if let Some(value) = headers.get(AUTHORIZATION) {
        let text = value.to_str().map_err(|error| invalid_token().caused_by(error))?;
        let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
        if scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty() {
            return Ok(token.trim().into());
        }
        return Err(if text.trim().is_empty() { missing() } else { invalid_token() });
    }
    match headers.get("x-api-key").map(|value| value.to_str().map(str::trim)) {
        Some(Ok(key)) if !key.is_empty() => Ok(key.into()),
        Some(Err(_not_text)) => Err(invalid_token()),
        Some(Ok(_)) | None => Err(missing()),
    }
}

fn missing() -> ApiError {
    ApiError::new(Code::MissingAuthorization, "Authentication required")
}

pub(crate) fn invalid_token() -> ApiError {
    ApiError::new(Code::InvalidToken, "The credential is not valid")
}

pub(crate) fn expired_token() -> ApiError {
    ApiError::new(Code::ExpiredToken, "The credential has expired")
}
