//! agent-builder: agents and their builds. Someone names a role; knowledge is gathered, skills are derived, and the agent is there.

mod api;
mod app;
pub mod backup;
mod clients;
mod config;
mod domain;
mod health;
mod metrics;
mod store;

use std::{sync::Arc, time::Duration};

use actix_web::{http::Method, web};
use api_client::{knowledge_builder::KnowledgeBuilder, skill_builder::SkillBuilder};
use api_core::{
    db::{self, Db},
    health::Database,
    idempotency, outbox,
    platform::Platform,
    service::{Routes, Running, Service, Worker, openapi_of},
    settings,
};
use tokio_util::sync::CancellationToken;
use work_queue::{Options, Runner, Wake};

use crate::{
    app::App,
    clients::HttpBuilders,
    config::Config,
    domain::{building::Building, waiting::Waiters},
    health::{Peer, Wellbeing},
};

const NAME: &str = "agent-builder";
/// How often what is past its time is cleared away, and how old it is then.
const CLEARING: Duration = Duration::from_secs(600);
const KEPT: Duration = Duration::from_secs(24 * 3600);

/// How long a build may go on once the process stops. Then another process goes on with it, and nobody here waits for it any more.
const GRACE: Duration = Duration::from_secs(5);

/// What the service runs on.
#[derive(Debug)]
pub struct Deps {
    pub platform: Arc<Platform>,
    /// Of the service's own schema, as its own role.
    pub database_url: String,
}

/// The service, ready to be mounted. Must be called within a Tokio runtime.
///
/// # Errors
/// When a setting cannot be read or is refused.
pub fn start(deps: Deps) -> Result<Running, settings::Error> {
    let Deps { platform, database_url } = deps;
    let config = Config::read(&platform.settings)?;
    let db = platform.db(&database_url);
    let app = App {
        platform: Arc::clone(&platform),
        db: db.clone(),
        builders: Arc::new(HttpBuilders {
            skills: SkillBuilder(platform.client(NAME, "skill-builder", &config.skill_builder_url)),
            knowledge: KnowledgeBuilder(platform.client(NAME, "knowledge-builder", &config.knowledge_builder_url)),
        }),
        waiters: Waiters::default(),
        wake: Wake::default(),
        wait: Duration::from_secs(config.agent_build_wait_seconds),
    };
    let health = Wellbeing {
        database: Database::new(db.clone(), &migrations::Service::AgentBuilder.migrations())?,
        http: platform.http().clone(),
        skill_builder: Peer::new("skillbuilder", &config.skill_builder_url),
        knowledge_builder: Peer::new("knowledgebuilder", &config.knowledge_builder_url),
        control_plane: Peer::new("controlplane", &platform.core.control_plane_url),
    };
    metrics::touch();
    let workers = workers(&platform, &app, config.max_workers);
    let app = web::Data::new(app);
    let routes: Routes = Arc::new(move |config| {
        config.app_data(app.clone());
        api::routes(config);
    });
    let service = Service {
        name: NAME,
        label: "agentbuilder",
        openapi: openapi_of("Agent builder", &routes),
        routes,
        internal: Arc::new(|_| {}),
        health: Arc::new(health),
        is_slow,
    };
    Ok(Running { service, workers })
}

/// Requests that may wait for a build, or for the vectors of many texts.
fn is_slow(method: &Method, path: &str) -> bool {
    let path = path.trim_end_matches('/');
    match *method {
        Method::POST => path == "/build" || path == "/api/v1/agents" || is_build_of_agent(path),
        Method::PUT | Method::PATCH => path.starts_with("/api/v1/agents/"),
        _ => false,
    }
}

fn is_build_of_agent(path: &str) -> bool {
    path.starts_with("/api/v1/agents/") && path.ends_with("/build")
}

fn workers(platform: &Arc<Platform>, app: &App, concurrency: usize) -> Vec<Worker> {
    let building = Building {
        db: app.db.clone(),
        builders: Arc::clone(&app.builders),
        waiters: app.waiters.clone(),
        limit: Duration::from_secs(platform.core.worker_timeout),
    };
    let options = Options { concurrency, grace: GRACE, ..Options::default() };
    let runner = Runner::new(app.db.clone(), Arc::new(building), options, app.wake.clone());
    let (relayed, cleared, purged) = (app.db.clone(), app.db.clone(), app.db.clone());
    let control_plane = platform.control_plane(NAME);
    vec![
        Box::new(move |stop| Box::pin(runner.run(stop))),
        Box::new(move |stop| Box::pin(outbox::relay(relayed, NAME, control_plane, stop))),
        Box::new(move |stop| Box::pin(clear(cleared, stop))),
        Box::new(move |stop| Box::pin(idempotency::purger(purged, stop))),
    ]
}

/// Clears away what is past its time, until told to stop.
async fn clear(db: Db, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(CLEARING) => {}
        }
        let cleared = db.transaction::<_, db::Error>(|conn| {
            work_queue::purge(conn, KEPT)?;
            Ok(store::builds::purge(conn, KEPT)?)
        });
        if let Err(error) = cleared.await {
            tracing::warn!(error = %error, "old builds could not be cleared away");
        }
    }
}
