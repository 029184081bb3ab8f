//! What a kind of event says by its name alone.

pub(crate) use api_types::kinds::{AUDITED as CONFIDENTIAL, family_of as family};
use api_types::{events::Level, kinds::FAMILIES};

/// Whether only our own services write such events.
pub(crate) fn is_own(kind: &str) -> bool {
    FAMILIES.iter().any(|(name, _)| *name == family(kind))
}

/// Whether only those who may read the audit log are shown such events.
pub(crate) fn is_confidential(kind: &str) -> bool {
    CONFIDENTIAL.contains(&family(kind))
}

/// How much an event of one of our services matters.
pub(crate) fn level(kind: &str) -> Level {
    match kind.rsplit('.').next().unwrap_or(kind) {
        "login_failed" | "timeout" | "retry" | "cancelled" | "execution_cancelled" | "triggered" => Level::Warning,
        what if what == "failed" || what.ends_with("_failed") => Level::Error,
        _ => Level::Info,
    }
}

/// What an event of one of our services says in words: `Agent ada: execution started`.
pub(crate) fn message(kind: &str, aggregate: &str) -> String {
    let (family, what) = kind.split_once('.').unwrap_or((kind, "noted"));
    let (family, what) = (family.replace('_', " "), what.replace(['_', '.'], " "));
    let id = aggregate.split_once(':').map_or(aggregate, |(_, id)| id);
    let first = family.get(..1).unwrap_or_default().to_uppercase();
    format!("{first}{} {id}: {what}", family.get(1..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use api_types::events::Level;

    use super::{is_confidential, is_own, level, message};

    #[test]
    fn what_went_wrong_matters_more() {
        for (kind, expected) in [
            ("agent.ready", Level::Info),
            ("agent.failed", Level::Error),
            ("workflow.execution_failed", Level::Error),
            ("user.login_failed", Level::Warning),
            ("task.timeout", Level::Warning),
            ("alert.triggered", Level::Warning),
        ] {
            assert_eq!(level(kind), expected, "{kind}");
        }
    }

    #[test]
    fn the_message_names_what_happened_to_what() {
        assert_eq!(message("agent.ready", "agent:ada"), "Agent ada: ready");
        assert_eq!(message("api_connection.created", "api_connection:conn_1"), "Api connection conn_1: created");
        assert_eq!(message("workflow.execution_started", "workflow:a:b"), "Workflow a:b: execution started");
        assert_eq!(message("odd", ""), "Odd : noted");
    }

    #[test]
    fn families_are_told_by_their_whole_name() {
        assert!(is_own("agent.created") && is_own("agent") && !is_own("agents.created") && !is_own("shop.agent"));
        assert!(is_confidential("key.created") && !is_confidential("keys.created") && !is_confidential("shop.key"));
    }
}
