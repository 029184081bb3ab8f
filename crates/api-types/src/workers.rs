//! Workers, as far as others than the task router need to know of them.

use serde::{Deserialize, Serialize};

/// Whose a worker is (`GET /internal/v1/workers/{agent_id}` of the task router; 404 for a worker that was never registered).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerOwner {
    pub agent_id: String,
    /// The client of the key that registered it.
    pub client_id: String,
}
