//! One service in a process of its own, as on a cluster.

use std::{
    io::{Write as _, stderr},
    net::TcpListener,
    process::ExitCode,
    sync::Arc,
};

use anyhow::Context as _;
use serde::Deserialize;

use super::{Mount, asked_to_stop, start};
use crate::{platform::Platform, service::Running, settings::Settings, telemetry};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Port {
    port: Option<u16>,
}

/// Reads the settings, builds the service, and serves it on `PORT` (else `port`) until the process is asked to stop.
/// What stops the start is one line on standard error.
pub fn alone(
    name: &'static str,
    port: u16,
    build: impl FnOnce(&Settings) -> anyhow::Result<(Arc<Platform>, Running)>,
) -> ExitCode {
    match run(name, port, build) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop(writeln!(stderr(), "{name}: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(
    name: &'static str,
    port: u16,
    build: impl FnOnce(&Settings) -> anyhow::Result<(Arc<Platform>, Running)>,
) -> anyhow::Result<()> {
    let settings = Settings::load()?;
    let port = settings.section::<Port>()?.port.unwrap_or(port);
    let _telemetry = telemetry::init(&settings, name)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let asked_to_stop = asked_to_stop()?;
        let (platform, running) = build(&settings)?;
        let address = (platform.core.imago_bind.as_str(), port);
        let listener = TcpListener::bind(address).with_context(|| format!("cannot listen on {address:?}"))?;
        let Running { service, workers } = running;
        let mount =
            Mount { listener, label: service.label, services: vec![service], internal: true, metrics_only: false };
        let server = start(&platform, vec![mount], workers)?;
        tracing::info!(service = name, port, "serving");
        asked_to_stop.await;
        server.stop().await;
        Ok(())
    })
}
