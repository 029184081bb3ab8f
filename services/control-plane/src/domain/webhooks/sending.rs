//! One attempt: out through the guard, and what came of it.

use std::time::{Duration, Instant};

use api_core::{
    platform::Platform,
    seal::{SealError, SealKey},
    secret::Secret,
    settings::Error,
};
use chrono::Utc;
use egress::{Client, Connections, Limits, Policy, Request};
use serde_json::json;

use super::{
    Door,
    message::{self, Credential, Happened, Hook, Message},
    settings::{Schedule, WebhookSettings},
};
use crate::store::webhooks::subscriptions::Subscription;

/// How long a connection is kept for the next delivery: less than servers usually wait before they close it.
const IDLE: Duration = Duration::from_secs(2);
/// Connections to one host that are kept; first attempts of a webhook go one after another.
const IDLE_PER_HOST: usize = 4;
const CONNECT: Duration = Duration::from_secs(10);

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) response_code: Option<i16>,
    /// Why it failed; `None` means that it did not.
    pub(crate) error: Option<String>,
    pub(crate) took: Duration,
}

impl Outcome {
    /// One that never got as far as the network.
    pub(crate) fn unsent(error: &str) -> Self {
        Self { response_code: None, error: Some(error.to_owned()), took: Duration::ZERO }
    }

    /// Whether the receiver says that it is gone for good.
    pub(crate) fn is_gone(&self) -> bool {
        self.response_code == Some(410)
    }
}

/// Sends messages to receivers, and knows their secrets.
#[derive(Debug)]
pub(crate) struct Sender {
    client: Client,
    seal: SealKey,
    common: Schedule,
    caxton: Schedule,
}

impl Sender {
    /// # Errors
    /// When TLS or the key cannot be set up.
    pub(crate) fn new(platform: &Platform, settings: &WebhookSettings) -> Result<Self, Error> {
        let limits = Limits { connect: CONNECT, ..Limits::default() };
        let connections = Connections { idle_per_host_max: IDLE_PER_HOST, idle: IDLE, ..Connections::default() };
        Ok(Self {
            client: Client::connecting(settings.policy.clone(), limits, &connections)
                .map_err(|error| Error::new("egress", error))?,
            seal: SealKey::derive(platform.jwt_secret(), "webhooks")
                .map_err(|error| Error::new("jwt_secret", error))?,
            common: settings.common.clone(),
            caxton: settings.caxton.clone(),
        })
    }

    /// Which addresses may be called, to judge one before it is needed.
    pub(crate) fn policy(&self) -> &Policy {
        self.client.policy()
    }

    /// How often and how long receivers of a door are tried.
    pub(crate) fn schedule(&self, door: Door) -> &Schedule {
        match door {
            Door::Ains | Door::Mesh => &self.common,
            Door::Caxton => &self.caxton,
        }
    }

    /// The longest that an attempt may take.
    pub(crate) fn timeout_max(&self) -> Duration {
        self.common.timeout.max(self.caxton.timeout)
    }

    /// A credential as the store may see it: its kind, and the rest sealed for the webhook `id`.
    ///
    /// # Errors
    /// When the machine has no randomness.
    pub(crate) fn sealed(
        &self,
        id: &str,
        credential: &Credential,
    ) -> Result<(&'static str, Option<String>), SealError> {
        let (kind, text) = match credential {
            Credential::None => return Ok(("none", None)),
            Credential::Hmac(secret) => ("hmac", secret.expose().to_owned()),
            Credential::Bearer(token) => ("bearer", token.expose().to_owned()),
            Credential::Basic { username, password } => {
                ("basic", json!([username.expose(), password.expose()]).to_string())
            }
        };
        Ok((kind, Some(self.seal.seal(id, &text)?)))
    }

    /// The receiver behind a stored webhook.
    ///
    /// # Errors
    /// When its secret was sealed with another key: `JWT_SECRET` has changed.
    pub(crate) fn hook(&self, stored: &Subscription) -> Result<Hook, SealError> {
        let set = &stored.set;
        let opened = set.secret_sealed.as_ref().map(|sealed| self.seal.open(&set.id, sealed)).transpose()?;
        let credential = match (set.authentication.as_str(), opened) {
            ("hmac", Some(secret)) => Credential::Hmac(Secret::new(secret)),
            ("bearer", Some(token)) => Credential::Bearer(Secret::new(token)),
            ("basic", Some(pair)) => {
                let (username, password): (String, String) =
                    serde_json::from_str(&pair).map_err(|_not_a_pair| SealError)?;
                Credential::Basic { username: Secret::new(username), password: Secret::new(password) }
            }
            _ => Credential::None,
        };
        Ok(Hook { id: set.id.clone(), door: Door::of(&set.door), url: set.url.clone(), credential })
    }

    /// Makes attempt number `attempt` (from 1) of delivery `delivery`. `keeps` says whether more will follow soon, so that it
    /// is worth while to keep the connection.
    pub(crate) async fn attempt(
        &self,
        hook: &Hook,
        event: &Happened,
        (delivery, attempt): (&str, i16),
        keeps: bool,
    ) -> Outcome {
        let Message { headers, body } = message::message(hook, event, delivery, attempt, Utc::now());
        let mut request = Request::post(&hook.url).body("application/json", body);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        if !keeps {
            request = request.header("connection", "close");
        }
        let started = Instant::now();
        let answer = self.client.deliver(request, self.schedule(hook.door).timeout).await;
        let took = started.elapsed();
        match answer {
            Ok(status) => {
                let error = match status.as_u16() {
                    200..=299 => None,
                    code @ 300..=399 => Some(format!("the receiver answered {code}; redirects are not followed")),
                    410 => Some("the receiver answered 410, so the webhook was switched off".to_owned()),
                    code => Some(format!("the receiver answered {code}")),
                };
                Outcome { response_code: i16::try_from(status.as_u16()).ok(), error, took }
            }
            // The texts of the guard name no address.
            Err(error) => Outcome { response_code: None, error: Some(error.to_string()), took },
        }
    }
}
