//! Which port serves what.

use api_core::settings::{Error, Settings};
use serde::Deserialize;

/// The ports of one stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ports {
    pub(crate) public: u16,
    pub(crate) agent_builder: u16,
    pub(crate) skill_builder: u16,
    pub(crate) knowledge_builder: u16,
    pub(crate) task_router: u16,
    pub(crate) control_plane: u16,
    pub(crate) metrics: u16,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Given {
    imago_port_base: Option<u16>,
    public_port: Option<u16>,
    agent_builder_port: Option<u16>,
    skill_builder_port: Option<u16>,
    knowledge_builder_port: Option<u16>,
    task_router_port: Option<u16>,
    control_plane_port: Option<u16>,
    metrics_port: Option<u16>,
}

/// The highest base that leaves room for the ports above it.
const BASE_MAX: u16 = u16::MAX - 9;

impl Ports {
    /// The published ports; with `IMAGO_PORT_BASE` ten in a row from there; single ones as given.
    pub(crate) fn from_settings(settings: &Settings) -> Result<Self, Error> {
        let given: Given = settings.section()?;
        let defaults = match given.imago_port_base {
            None => Self {
                public: 8000,
                agent_builder: 5000,
                skill_builder: 5001,
                knowledge_builder: 5002,
                task_router: 5003,
                control_plane: 5005,
                metrics: 9090,
            },
            Some(base) if base <= BASE_MAX && base > 0 => Self {
                public: base,
                agent_builder: base + 1,
                skill_builder: base + 2,
                knowledge_builder: base + 3,
                task_router: base + 4,
                // 5 is the chat's, 8 the Caxton door's.
                control_plane: base + 6,
                metrics: base + 9,
            },
            Some(_) => return Err(Error::new("imago_port_base", format!("must be between 1 and {BASE_MAX}"))),
        };
        Ok(Self {
            public: given.public_port.unwrap_or(defaults.public),
            agent_builder: given.agent_builder_port.unwrap_or(defaults.agent_builder),
            skill_builder: given.skill_builder_port.unwrap_or(defaults.skill_builder),
            knowledge_builder: given.knowledge_builder_port.unwrap_or(defaults.knowledge_builder),
            task_router: given.task_router_port.unwrap_or(defaults.task_router),
            control_plane: given.control_plane_port.unwrap_or(defaults.control_plane),
            metrics: given.metrics_port.unwrap_or(defaults.metrics),
        })
    }
}

#[cfg(test)]
mod tests {
    use api_core::settings::Settings;

    use super::Ports;

    fn ports(pairs: &[(&str, &str)]) -> Result<Ports, String> {
        let settings = Settings::from_pairs(pairs.iter().copied()).unwrap();
        Ports::from_settings(&settings).map_err(|error| error.to_string())
    }

    #[test]
    fn by_default_they_are_the_published_ones() {
        let ports = ports(&[]).unwrap();
        assert_eq!((ports.public, ports.agent_builder, ports.control_plane), (8000, 5000, 5005));
    }

    #[test]
    fn a_base_moves_all_and_a_single_one_wins() {
        let ports = ports(&[("IMAGO_PORT_BASE", "7100"), ("METRICS_PORT", "9999")]).unwrap();
        assert_eq!((ports.public, ports.agent_builder, ports.metrics), (7100, 7101, 9999));
    }

    #[test]
    fn a_base_without_room_above_it_is_refused() {
        assert!(ports(&[("IMAGO_PORT_BASE", "65530")]).unwrap_err().contains("IMAGO_PORT_BASE"));
        assert!(ports(&[("IMAGO_PORT_BASE", "x")]).is_err());
    }
}
