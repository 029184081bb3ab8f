//! The service's own settings.

use api_core::settings::{Error, Settings};
use chrono::TimeDelta;
use egress::{Client, Limits, Policy};
use serde::Deserialize;

use crate::domain::{signature::Mode, state::Leases};

#[derive(Debug, Deserialize)]
#[serde(default)]
struct Section {
    ains_signature_mode: String,
    ains_assignment_lease_seconds: i64,
    ains_heartbeat_stale_seconds: i64,
    ains_max_pending_tasks: i64,
    egress_allow_private: bool,
    egress_allow_cidrs: String,
}

impl Default for Section {
    fn default() -> Self {
        Self {
            ains_signature_mode: "lenient".to_owned(),
            ains_assignment_lease_seconds: 30,
            ains_heartbeat_stale_seconds: 600,
            ains_max_pending_tasks: 1_000_000,
            egress_allow_private: false,
            egress_allow_cidrs: String::new(),
        }
    }
}

/// The settings, read and checked.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) signature_mode: Mode,
    pub(crate) leases: Leases,
    /// Without a heartbeat for so long, a worker that has sent one is stale.
    pub(crate) stale_after: TimeDelta,
    /// Tasks that may wait before new ones are refused.
    pub(crate) max_pending: i64,
    /// Calls of workers' endpoints.
    pub(crate) egress: Client,
}

impl Config {
    /// # Errors
    /// When a setting cannot be read or is refused.
    pub(crate) fn read(settings: &Settings) -> Result<Self, Error> {
        let section: Section = settings.section()?;
        let signature_mode = Mode::parse(&section.ains_signature_mode)
            .ok_or_else(|| Error::new("ains_signature_mode", "must be lenient, off or required"))?;
        for (name, value) in [
            ("ains_assignment_lease_seconds", section.ains_assignment_lease_seconds),
            ("ains_heartbeat_stale_seconds", section.ains_heartbeat_stale_seconds),
            ("ains_max_pending_tasks", section.ains_max_pending_tasks),
        ] {
            if !(1..=1_000_000_000).contains(&value) {
                return Err(Error::new(name, "must be at least 1"));
            }
        }
        let policy = Policy::new(section.egress_allow_private, &section.egress_allow_cidrs)
            .map_err(|error| Error::new("egress_allow_cidrs", error))?;
        let egress = Client::new(policy, Limits::default()).map_err(|error| Error::new("egress", error))?;
        let assignment = TimeDelta::seconds(section.ains_assignment_lease_seconds);
        Ok(Self {
            signature_mode,
            leases: Leases { assignment, ..Leases::default() },
            stale_after: TimeDelta::seconds(section.ains_heartbeat_stale_seconds),
            max_pending: section.ains_max_pending_tasks,
            egress,
        })
    }
}

#[cfg(test)]
mod tests {
    use api_core::settings::Settings;

    use super::{Config, Mode};

    fn read(pairs: &[(&str, &str)]) -> Result<Config, String> {
        Config::read(&Settings::from_pairs(pairs.iter().copied()).unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_setting_that_makes_no_sense_stops_the_start() {
        for (name, value) in [
            ("AINS_SIGNATURE_MODE", "strict"),
            ("AINS_ASSIGNMENT_LEASE_SECONDS", "0"),
            ("AINS_HEARTBEAT_STALE_SECONDS", "-1"),
            ("AINS_MAX_PENDING_TASKS", "0"),
            ("EGRESS_ALLOW_CIDRS", "everywhere"),
        ] {
            assert!(read(&[(name, value)]).unwrap_err().contains(name), "{name}");
        }
        assert_eq!(read(&[]).unwrap().signature_mode, Mode::Lenient);
    }
}
