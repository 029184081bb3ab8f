//! Who calls, and whether they may.

mod call;
mod jwt;
mod keys;
mod nonces;
pub mod permission;
mod sessions;

pub use call::{Body, Call};
pub use jwt::Signer;
pub use keys::{AINS_CHARS, AINS_PREFIX, KeySource, KeySourceError, Keys, split_key};
pub use sessions::{SessionKeeper, SessionSource, SessionSourceError, Sessions};

use std::sync::Arc;

use actix_web::{
    HttpRequest,
    dev::RequestHead,
    http::header::{AUTHORIZATION, HeaderMap},
};
use api_client::token::{KEY_ID, Received, Refused, ServiceCall, TokenKey};
use api_types::{
    auth::{Principal, Role},
    error::Code,
    keys::KeyRecord,
    users::SessionId,
};

use crate::{access, error::ApiError, rate_limit::Limits, secret::Secret, server, settings::CommaList};

/// The principal of everyone without a credential, behind a door that the operator left open.
pub const ANONYMOUS: &str = "anonymous";

/// Somebody who proved who they are.
#[derive(Debug, Clone)]
pub struct Caller {
    pub principal: Principal,
    /// The service that calls, when it is one of ours: it may use what only services may.
    pub service: Option<String>,
    /// The caller's own limits; `None` for our own services, which are not counted, and for nobody in particular, who is
    /// counted by its address.
    pub limits: Option<Limits>,
    pub credential: Credential,
}

/// How somebody proved who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// Not at all: the route or the door asks for nothing.
    None,
    Key,
    /// A token of some other issuer, or of a service of ours.
    Token,
    /// A token that descends from a login.
    Session(SessionId),
}

impl Caller {
    /// The session that the caller's token descends from.
    #[must_use]
    pub fn session(&self) -> Option<&SessionId> {
        match &self.credential {
            Credential::Session(id) => Some(id),
            Credential::None | Credential::Key | Credential::Token => None,
        }
    }

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
    sessions: Sessions,
    jwt: jwt::Verifier,
    service_tokens: TokenKey,
    used: nonces::Nonces,
    admin_key_ids: CommaList,
    limits: Limits,
}

/// Limits of administrators without limits of their own.
const ADMIN_LIMITS: Limits = Limits { per_minute: 1_000_000, per_hour: 60_000_000 };

impl Authenticator {
    pub(crate) fn new(
        jwt_secret: &Secret,
        (keys, sessions): (Keys, Sessions),
        admin_key_ids: CommaList,
        limits: Limits,
    ) -> Self {
        Self {
            keys,
            sessions,
            jwt: jwt::Verifier::new(jwt_secret),
            service_tokens: TokenKey::derive(jwt_secret.expose()),
            used: nonces::Nonces::new(),
            admin_key_ids,
            limits,
        }
    }

    #[must_use]
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    #[must_use]
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// Who calls; `signed` is what [`Authenticator::signed`] found, and `from` the address that the request comes from:
    /// what it makes up is counted.
    ///
    /// # Errors
    /// 401 with the reason; 429 when the address has made up too much; 503 when a key can be checked nowhere.
    pub async fn identify(
        &self,
        request: &HttpRequest,
        signed: Option<&Result<ServiceCall, Refused>>,
        from: &str,
    ) -> Result<Caller, ApiError> {
        match signed {
            Some(Ok(call)) => return Ok(service(call)),
            Some(Err(Refused::Expired)) => return Err(expired_token()),
            Some(Err(reason)) => return Err(invalid_token().caused_by(reason.clone())),
            None => {}
        }
        let token = credential(request.headers())?;
        if jwt::header_of(&token).is_some() {
            return self.token(&token, request).await;
        }
        self.key(&token, from).await
    }

    /// Whether the request is one of our own services', by the token that it carries; `None` when it carries none of that kind.
    /// To be asked once for each request, since a token is good for one. `services` are those that listen here.
    pub(crate) fn signed(&self, head: &RequestHead, services: &[&str]) -> Option<Result<ServiceCall, Refused>> {
        let token = credential(&head.headers).ok()?;
        if jwt::header_of(&token)?.kid() != Some(KEY_ID) {
            return None;
        }
        let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
        let received = Received { services, method: head.method.as_str(), target };
        let call = self.service_tokens.verify(&token, &received);
        let call = call.and_then(|call| if self.used.is_first(call.nonce) { Ok(call) } else { Err(Refused::Replayed) });
        match &call {
            Ok(_) => {}
            // Anybody can write such a one, as often as they like.
            Err(reason @ Refused::Forged(_)) => tracing::debug!(reason = %reason, "a service token was refused"),
            Err(reason) => tracing::warn!(reason = %reason, path = head.uri.path(), "a service token was refused"),
        }
        Some(call)
    }

    async fn token(&self, token: &str, request: &HttpRequest) -> Result<Caller, ApiError> {
        let jwt::Verified { principal, session } = self.jwt.verify(token)?;
        let credential = match session {
            Some(session) => {
                self.sessions.check(&session, || server::service_of(request)).await?;
                Credential::Session(session)
            }
            None => Credential::Token,
        };
        let limits = Some(self.default_limits(&principal));
        Ok(Caller { principal, service: None, limits, credential })
    }

    async fn key(&self, token: &str, from: &str) -> Result<Caller, ApiError> {
        let record = self.keys.check(token, from).await?;
        let (principal, limits) = self.rights_of(&record);
        Ok(Caller { principal, service: None, limits: Some(limits), credential: Credential::Key })
    }

    /// Whom a key makes of its holder, and how much the holder may ask.
    #[must_use]
    pub fn rights_of(&self, record: &KeyRecord) -> (Principal, Limits) {
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
        (principal, limits)
    }

    fn default_limits(&self, principal: &Principal) -> Limits {
        if principal.is_admin() { ADMIN_LIMITS } else { self.limits }
    }
}

fn service(call: &ServiceCall) -> Caller {
    let own = || Principal {
        id: call.service.clone(),
        client_id: call.service.clone(),
        roles: [Role::Service].into(),
        permissions: Vec::new(),
    };
    let principal = call.on_behalf_of.clone().unwrap_or_else(own);
    Caller { principal, service: Some(call.service.clone()), limits: None, credential: Credential::Token }
}

/// What the request presents: `Authorization: Bearer`, else `X-API-Key`.
fn credential(headers: &HeaderMap) -> Result<Arc<str>, ApiError> {
    if let Some(value) = headers.get(AUTHORIZATION) {
        let text = value.to_str().map_err(|error| malformed_token().caused_by(error))?;
        let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
        if scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty() {
            return Ok(token.trim().into());
        }
        return Err(if text.trim().is_empty() { missing() } else { malformed_token() });
    }
    match headers.get("x-api-key").map(|value| value.to_str().map(str::trim)) {
        Some(Ok(key)) if !key.is_empty() => Ok(key.into()),
        Some(Err(_not_text)) => Err(malformed_token()),
        Some(Ok(_)) | None => Err(missing()),
    }
}

fn missing() -> ApiError {
    ApiError::new(Code::MissingAuthorization, "Authentication required")
}

pub(crate) fn invalid_token() -> ApiError {
    ApiError::new(Code::InvalidToken, "The credential is not valid")
}

/// The same for what has not the form of a credential; only the record of who was refused tells them apart.
pub(crate) fn malformed_token() -> ApiError {
    access::malformed();
    invalid_token()
}

pub(crate) fn expired_token() -> ApiError {
    ApiError::new(Code::ExpiredToken, "The credential has expired")
}
