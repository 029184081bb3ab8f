//! The task router by itself.

use std::{process::ExitCode, sync::Arc};

use anyhow::Context as _;
use api_core::{platform::Platform, server};
use migrations::Service;
use task_router::Deps;

fn main() -> ExitCode {
    server::alone("task-router", 5003, |settings| {
        let admin_url = settings.text("database_url").context("setting DATABASE_URL: required")?;
        let database_url = migrations::service_url(&admin_url, Service::TaskRouter)?;
        let platform = Platform::new(settings.clone())?;
        let running = task_router::start(Deps { platform: Arc::clone(&platform), database_url })?;
        Ok((platform, running))
    })
}
