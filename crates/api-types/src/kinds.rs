//! Which events there are, by family; what a subscription may name.

/// The AINS door's own events, in the order of its page.
pub const AINS: &[&str] = &[
    "task.created",
    "task.assigned",
    "task.started",
    "task.completed",
    "task.failed",
    "task.cancelled",
    "task.timeout",
    "task.retry",
    "agent.registered",
    "agent.updated",
    "agent.deactivated",
    "chain.started",
    "chain.completed",
    "chain.failed",
];

/// The Caxton door's own events that can be subscribed to there.
pub const CAXTON: &[&str] =
    &["message.response", "conversation.complete", "message.delivered", "agent.deployed", "agent.removed"];

/// Every event that Imago writes, by family (what stands before the first dot). An outsider's events are of other families.
pub const FAMILIES: &[(&str, &[&str])] = &[
    ("user", &["registered", "login", "login_failed", "logout", "updated", "session_revoked"]),
    (
        "agent",
        &[
            "created",
            "ready",
            "updated",
            "failed",
            "deleted",
            "deployed",
            "undeployed",
            "interacted",
            "registered",
            "deactivated",
            "removed",
        ],
    ),
    (
        "workflow",
        &[
            "created",
            "updated",
            "deleted",
            "execution_started",
            "execution_completed",
            "execution_failed",
            "execution_cancelled",
            "approval_requested",
            "approval_decided",
            "ready",
            "failed",
        ],
    ),
    ("tool", &["created", "updated", "deleted", "deployed", "tested", "executed", "failed"]),
    ("skill", &["created", "updated", "deleted"]),
    ("constraint", &["created", "updated", "deleted"]),
    ("prompt", &["created", "updated", "deleted"]),
    ("model", &["created", "updated", "deleted"]),
    ("secret", &["created", "updated", "deleted", "rotated"]),
    ("template", &["created", "updated", "deleted", "version_created", "instantiated", "imported", "exported"]),
    ("alert", &["created", "updated", "deleted", "triggered", "resolved"]),
    ("webhook", &["created", "updated", "deleted", "test"]),
    ("api_connection", &["created", "updated", "deleted"]),
    (
        "integration",
        &[
            "agent_from_template",
            "agent_workflow_deployed",
            "external_tool_added",
            "master_data_synced",
            "exported",
            "imported",
            "batch",
        ],
    ),
    ("system", &["config_updated", "worker_restarted", "cache_cleared", "backup_created"]),
    ("task", &["created", "assigned", "started", "completed", "failed", "cancelled", "timeout", "retry"]),
    ("chain", &["started", "completed", "failed"]),
    ("chat", &["turn.completed", "turn.failed"]),
    ("thread", &["deleted"]),
    ("message", &["delivered", "response"]),
    ("conversation", &["complete", "archived"]),
    ("skills", &["generated", "updated", "deleted"]),
    ("knowledge", &["generated", "updated", "deleted"]),
    ("document", &["created", "deleted"]),
    ("key", &["created", "updated", "revoked", "rotated"]),
];

/// Families that only holders of `audit:read` are shown.
pub const AUDITED: &[&str] = &["user", "key", "secret"];

/// What stands before the first dot of an event's type.
#[must_use]
pub fn family_of(kind: &str) -> &str {
    kind.split_once('.').map_or(kind, |(family, _)| family)
}

/// Whether a subscription may name this: a type, a family as `workflow.*`, or `*`.
#[must_use]
pub fn is_pattern(text: &str) -> bool {
    if text == "*" {
        return true;
    }
    let Some((family, rest)) = text.split_once('.') else { return false };
    FAMILIES.iter().any(|(name, kinds)| *name == family && (rest == "*" || kinds.contains(&rest)))
}

#[cfg(test)]
mod tests {
    use super::{AINS, CAXTON, family_of, is_pattern};

    #[test]
    fn types_families_and_everything_can_be_named() {
        for good in ["*", "workflow.*", "agent.created", "chat.turn.completed", "chat.*", "webhook.test"] {
            assert!(is_pattern(good), "{good}");
        }
        for bad in ["", "sun.rise", "sun.*", "agent", "agent.", "agent.flew", "*.created", "agent.created.*", "Agent.*"]
        {
            assert!(!is_pattern(bad), "{bad}");
        }
    }

    #[test]
    fn the_events_of_the_doors_are_among_them() {
        assert!(AINS.iter().chain(CAXTON).all(|kind| is_pattern(kind)));
        assert_eq!(AINS.len(), 14);
        assert_eq!(family_of("chat.turn.completed"), "chat");
    }
}
