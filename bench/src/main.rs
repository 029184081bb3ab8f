//! Measurements of a running stack, each with its floor in the same run: `make bench`.
//!
//! Reads the stack's addresses from the environment (`eval "$(imago env)"`).

#![expect(clippy::print_stdout, reason = "printing figures is what it is for")]

mod agents;
mod auth;
mod events;
mod floor;
mod load;
mod memory;
mod search;
mod webhooks;

use std::{net::SocketAddr, time::Duration};

use anyhow::Context as _;
use api_core::settings::Settings;
use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    what: What,
    /// How long each load runs, in seconds.
    #[arg(long, default_value_t = 8, global = true)]
    seconds: u64,
}

#[derive(Debug, Subcommand)]
enum What {
    /// `GET /api/v1/agents/{id}` against a bare handler that does one primary-key SELECT.
    Read,
    /// `POST /api/v1/agents` at 1 and at 32 connections.
    Create,
    /// A read with authentication and limits against the same read without.
    Auth,
    /// Search over 100,000 embedded passages, against the exact answer.
    Search {
        #[arg(long, default_value_t = 100_000)]
        passages: i64,
    },
    /// 5,000 events a second from an outbox to the event log, against plain inserts of the same rows.
    Events,
    /// Deliveries to webhooks: how many a second, and how soon.
    Webhooks,
    /// Resident memory and start-up time of each service by itself.
    Memory,
    /// The bare handler itself.
    #[command(hide = true)]
    Floor,
    /// The handlers that `auth` measures.
    #[command(hide = true)]
    Guarded,
}

/// Where the stack is, and how to get in.
#[derive(Debug, Clone)]
struct Target {
    public: SocketAddr,
    knowledge_builder: SocketAddr,
    database_url: String,
    headers: String,
    time: Duration,
}

impl Target {
    fn from_environment(seconds: u64) -> anyhow::Result<Self> {
        let settings = Settings::load()?;
        let text =
            |name: &str| settings.text(name).with_context(|| format!("{name} is not set; eval \"$(imago env)\""));
        let key = text("IMAGO_ADMIN_KEY").or_else(|_| text("BOOTSTRAP_ADMIN_KEY"))?;
        Ok(Self {
            public: address(&text("IMAGO_PUBLIC_URL")?)?,
            knowledge_builder: address(&text("KNOWLEDGE_BUILDER_URL")?)?,
            database_url: text("DATABASE_URL")?,
            headers: format!("authorization: Bearer {key}\r\n"),
            time: Duration::from_secs(seconds),
        })
    }
}

fn address(url: &str) -> anyhow::Result<SocketAddr> {
    let host = url.trim_start_matches("http://").trim_end_matches('/');
    host.parse().with_context(|| format!("{url} is not http://ADDRESS:PORT"))
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    if matches!(cli.what, What::Memory) {
        return runtime.block_on(memory::run());
    }
    let target = Target::from_environment(cli.seconds)?;
    runtime.block_on(async {
        match cli.what {
            What::Read => agents::read(&target).await,
            What::Create => agents::create(&target).await,
            What::Events => events::run(&target).await,
            What::Webhooks => webhooks::run(&target).await,
            What::Auth => auth::run(&target).await,
            What::Search { passages } => search::run(&target, passages).await,
            What::Floor => floor::serve(&target.database_url).await,
            What::Guarded => auth::serve(&target.database_url).await,
            What::Memory => Ok(()),
        }
    })
}
