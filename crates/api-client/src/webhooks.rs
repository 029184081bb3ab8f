//! The webhooks of the Caxton door, which the control plane keeps for the chat service.

use api_types::webhooks::caxton::{NewWebhook, Removed, Webhook, Webhooks};
use reqwest::Method;

use crate::{CallContext, ClientError, Outgoing, control_plane::ControlPlane, control_plane::post};

const PATH: &str = "/internal/v1/caxton/webhooks";

/// All of them are the door's: there is no ownership among its callers. Ids must be checked to be of the form of ids first.
impl ControlPlane {
    /// Makes a webhook.
    ///
    /// # Errors
    /// `Api` with 422 and field `url` for an address that is refused, with 409 when there are
    /// [`WEBHOOKS_MAX`](api_types::webhooks::caxton::WEBHOOKS_MAX); others when the control plane does not answer.
    pub async fn create_caxton_webhook(&self, context: &CallContext, new: &NewWebhook) -> Result<Webhook, ClientError> {
        self.0.send(context, &post(PATH, new)?).await
    }

    /// All webhooks, newest first.
    ///
    /// # Errors
    /// When the control plane does not answer.
    pub async fn caxton_webhooks(&self, context: &CallContext) -> Result<Webhooks, ClientError> {
        self.0.send(context, &Outgoing::get(PATH)).await
    }

    /// One webhook; `None` when there is none of that id.
    ///
    /// # Errors
    /// When the control plane does not answer.
    pub async fn caxton_webhook(&self, context: &CallContext, id: &str) -> Result<Option<Webhook>, ClientError> {
        found(self.0.send(context, &Outgoing::get(format!("{PATH}/{id}"))).await)
    }

    /// Removes a webhook and what waits for it; `None` when there is none of that id.
    ///
    /// # Errors
    /// When the control plane does not answer.
    pub async fn remove_caxton_webhook(&self, context: &CallContext, id: &str) -> Result<Option<Removed>, ClientError> {
        let call = Outgoing { method: Method::DELETE, ..Outgoing::get(format!("{PATH}/{id}")) };
        found(self.0.send(context, &call).await)
    }
}

fn found<T>(answer: Result<T, ClientError>) -> Result<Option<T>, ClientError> {
    match answer {
        Err(ClientError::Api { status: 404, .. }) => Ok(None),
        answer => answer.map(Some),
    }
}
