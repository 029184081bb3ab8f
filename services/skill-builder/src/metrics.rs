//! What the service counts.

use std::sync::LazyLock;

use api_core::metrics::Counters;

pub(crate) static SETS_CREATED: LazyLock<Counters> =
    LazyLock::new(|| Counters::new("skillbuilder_skill_sets_created_total", "Skill sets generated and stored", &[]));
