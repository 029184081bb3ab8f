//! What this service counts.

use std::{sync::LazyLock, time::Duration};

use api_core::metrics::{Counters, Durations};

const OUTCOMES: [&str; 4] = ["completed", "failed", "cancelled", "lost"];

static CREATED: LazyLock<Counters> = LazyLock::new(|| {
    Counters::new("agentbuilder_agents_created_total", "Agents that were completed for the first time", &[])
});

static CREATION: LazyLock<Durations> = LazyLock::new(|| {
    let help = "Time from the request to the completed agent";
    Durations::new("agentbuilder_agent_creation_duration_seconds", help, &[])
});

static BUILDS: LazyLock<Counters> =
    LazyLock::new(|| Counters::new("agentbuilder_builds_total", "Builds that ended", &["outcome"]));

/// Makes every series exist, so that the first scrape has them.
pub(crate) fn touch() {
    CREATED.add(&[], 0);
    CREATION.touch(&[]);
    for outcome in OUTCOMES {
        BUILDS.add(&[outcome], 0);
    }
}

pub(crate) fn agent_created(took: Duration) {
    CREATED.inc(&[]);
    CREATION.observe(&[], took);
}

pub(crate) fn build_ended(outcome: &'static str) {
    BUILDS.inc(&[outcome]);
}
