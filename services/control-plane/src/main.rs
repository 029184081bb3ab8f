//! The control plane by itself: it looks keys up in its own store.

use std::{process::ExitCode, sync::Arc};

use anyhow::Context as _;
use api_core::{db::Db, platform::Platform, server};
use control_plane::{Deps, StoreKeys};
use migrations::Service;

/// Connections for looking up the keys of requests to the control plane itself.
const LOOKUP_POOL: u32 = 4;

fn main() -> ExitCode {
    server::alone("control-plane", 5005, |settings| {
        let admin_url = settings.text("database_url").context("setting DATABASE_URL: required")?;
        let database_url = migrations::service_url(&admin_url, Service::ControlPlane)?;
        let keys = StoreKeys::new(Db::lazy(&database_url, LOOKUP_POOL));
        let platform = Platform::with_key_source(settings.clone(), Arc::new(keys))?;
        let running = control_plane::start(Deps { platform: Arc::clone(&platform), database_url })?;
        Ok((platform, running))
    })
}
