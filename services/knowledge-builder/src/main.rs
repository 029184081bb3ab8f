//! The knowledge builder by itself.

use std::{process::ExitCode, sync::Arc};

use anyhow::Context as _;
use api_core::{platform::Platform, server};
use embedding::Embedder;
use knowledge_builder::Deps;
use migrations::Service;

fn main() -> ExitCode {
    server::alone("knowledge-builder", 5002, |settings| {
        let admin_url = settings.text("database_url").context("setting DATABASE_URL: required")?;
        let database_url = migrations::service_url(&admin_url, Service::KnowledgeBuilder)?;
        let platform = Platform::new(settings.clone())?;
        let embedder = Embedder::from_config(&settings.section()?, platform.http().clone());
        let running = knowledge_builder::start(Deps { platform: Arc::clone(&platform), database_url, embedder })?;
        Ok((platform, running))
    })
}
