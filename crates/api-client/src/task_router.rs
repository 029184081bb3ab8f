//! The task router, as other services use it.

use std::time::Duration;

use api_types::workers::WorkerOwner;

use crate::{CallContext, ClientError, Outgoing, ServiceClient};

/// A client of the task router.
#[derive(Debug, Clone)]
pub struct TaskRouter(pub ServiceClient);

impl TaskRouter {
    /// Whose a worker is; `None` when there is no such worker. `agent_id` must be one that a worker can have.
    ///
    /// # Errors
    /// When the task router does not answer.
    pub async fn worker_owner(
        &self,
        context: &CallContext,
        agent_id: &str,
    ) -> Result<Option<WorkerOwner>, ClientError> {
        let call = Outgoing::get(format!("/internal/v1/workers/{agent_id}")).within(Duration::from_secs(5));
        match self.0.send(context, &call).await {
            // An older task router without the route, too, knows no such worker.
            Err(ClientError::Api { status: 404, .. }) => Ok(None),
            answer => answer.map(Some),
        }
    }
}
