//! The agent builder by itself.

use std::{process::ExitCode, sync::Arc};

use agent_builder::Deps;
use anyhow::Context as _;
use api_core::{platform::Platform, server};
use migrations::Service;

fn main() -> ExitCode {
    server::alone("agent-builder", 5000, |settings| {
        let admin_url = settings.text("database_url").context("setting DATABASE_URL: required")?;
        let database_url = migrations::service_url(&admin_url, Service::AgentBuilder)?;
        let platform = Platform::new(settings.clone())?;
        let running = agent_builder::start(Deps { platform: Arc::clone(&platform), database_url })?;
        Ok((platform, running))
    })
}
