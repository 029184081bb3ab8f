//! The control plane, as other services use it.

use std::time::Duration;

use api_types::{
    access::{AccessBatch, AccessReceipt},
    events::{EventBatch, EventReceipt},
    keys::{KeyLookup, KeyRecord},
    users::{EndedAfter, EndedSessions},
};

use crate::{CallContext, ClientError, Outgoing, ServiceClient};

/// A client of the control plane.
#[derive(Debug, Clone)]
pub struct ControlPlane(pub ServiceClient);

impl ControlPlane {
    /// The record of a key; `None` when there is no such key.
    ///
    /// # Errors
    /// When the control plane does not answer.
    pub async fn look_up_key(&self, lookup: &KeyLookup) -> Result<Option<KeyRecord>, ClientError> {
        let call = post("/internal/v1/keys/lookup", lookup)?.within(Duration::from_secs(3));
        self.0.send(&CallContext::background(), &call).await
    }

    /// The sessions that ended after those already known.
    ///
    /// # Errors
    /// When the control plane does not answer.
    pub async fn ended_sessions(&self, after: EndedAfter) -> Result<EndedSessions, ClientError> {
        let call = post("/internal/v1/sessions/ended", &after)?.within(Duration::from_secs(2));
        self.0.send(&CallContext::background(), &call).await
    }

    /// Hands events over; an event that is known already is accepted again without effect.
    ///
    /// # Errors
    /// When the control plane does not answer; nothing is known of the batch then.
    pub async fn publish(&self, batch: &EventBatch) -> Result<EventReceipt, ClientError> {
        let call = post("/internal/v1/events", batch)?;
        self.0.send(&CallContext::background(), &call).await
    }

    /// Tells who used what; a batch that is known already is accepted again without effect.
    ///
    /// # Errors
    /// When the control plane does not answer; nothing is known of the batch then.
    pub async fn record_access(&self, batch: &AccessBatch) -> Result<AccessReceipt, ClientError> {
        let call = post("/internal/v1/access", batch)?.within(Duration::from_secs(5));
        self.0.send(&CallContext::background(), &call).await
    }
}

pub(crate) fn post(path: &str, body: &impl serde::Serialize) -> Result<Outgoing, ClientError> {
    Outgoing::post(path, body).map_err(|source| ClientError::Protocol { service: "self", source: Some(source) })
}
