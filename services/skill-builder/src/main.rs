//! The skill builder by itself.

use std::{process::ExitCode, sync::Arc};

use anyhow::Context as _;
use api_core::{platform::Platform, server};
use embedding::Embedder;
use migrations::Service;
use skill_builder::Deps;

fn main() -> ExitCode {
    server::alone("skill-builder", 5001, |settings| {
        let admin_url = settings.text("database_url").context("setting DATABASE_URL: required")?;
        let database_url = migrations::service_url(&admin_url, Service::SkillBuilder)?;
        let platform = Platform::new(settings.clone())?;
        let embedder = Embedder::from_config(&settings.section()?, platform.http().clone());
        let running = skill_builder::start(Deps { platform: Arc::clone(&platform), database_url, embedder })?;
        Ok((platform, running))
    })
}
