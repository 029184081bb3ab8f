//! `imago import`

use std::path::Path;

use api_core::settings::Settings;
use migrations::Service;

use crate::{Failure, output, run_file, stack};

/// Replaces the taxonomy by an ESCO download. Running services follow within seconds.
pub(crate) fn esco(settings: &Settings, source: &Path, version: Option<&str>) -> Result<(), Failure> {
    let admin_url = run_file::database_url(settings)?;
    stack::migrate(&admin_url)?;
    let url = migrations::service_url(&admin_url, Service::SkillBuilder).map_err(anyhow::Error::from)?;
    let report = skill_builder::import::esco(&url, source, version).map_err(Failure::input)?;
    output::line(&report.to_string());
    Ok(())
}
