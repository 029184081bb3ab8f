//! The services of one process, wired together.

use std::{net::TcpListener, sync::Arc};

use anyhow::Context as _;
use api_core::{
    platform::Platform,
    server::{self, Mount, Server},
    service::{Running, Service, Worker},
};
use embedding::Embedder;
use migrations::Service as Schema;

use crate::ports::Ports;

/// Makes roles and schemas where they are missing, and runs what migrations are pending.
pub(crate) fn migrate(admin_url: &str) -> anyhow::Result<()> {
    migrations::provision(admin_url).context("cannot prepare the database")?;
    for schema in Schema::ALL {
        migrations::migrate(admin_url, *schema).with_context(|| format!("cannot migrate {}", schema.name()))?;
    }
    Ok(())
}

/// Listeners that are bound before anything else is started, so that a taken port is noticed first.
#[derive(Debug)]
pub(crate) struct Listeners {
    public: TcpListener,
    agent_builder: TcpListener,
    skill_builder: TcpListener,
    knowledge_builder: TcpListener,
    task_router: TcpListener,
    control_plane: TcpListener,
    metrics: Option<TcpListener>,
}

impl Listeners {
    pub(crate) fn bind(address: &str, ports: &Ports, metrics: bool) -> anyhow::Result<Self> {
        let bind = |port: u16| {
            TcpListener::bind((address, port)).with_context(|| format!("cannot listen on {address}:{port}"))
        };
        Ok(Self {
            public: bind(ports.public)?,
            agent_builder: bind(ports.agent_builder)?,
            skill_builder: bind(ports.skill_builder)?,
            knowledge_builder: bind(ports.knowledge_builder)?,
            task_router: bind(ports.task_router)?,
            control_plane: bind(ports.control_plane)?,
            metrics: metrics.then(|| bind(ports.metrics)).transpose()?,
        })
    }
}

/// Starts every service on its own port, all of them on the public one, and the metrics.
pub(crate) fn start(
    platform: &Arc<Platform>,
    admin_url: &str,
    embedder: &Embedder,
    listeners: Listeners,
) -> anyhow::Result<Server> {
    let url = |schema: Schema| migrations::service_url(admin_url, schema);
    let mut workers: Vec<Worker> = Vec::new();
    let mut add = |running: Running| -> Service {
        workers.extend(running.workers);
        running.service
    };
    let control_plane = add(control_plane::start(control_plane::Deps {
        platform: Arc::clone(platform),
        database_url: url(Schema::ControlPlane)?,
    })?);
    let skill_builder = add(skill_builder::start(skill_builder::Deps {
        platform: Arc::clone(platform),
        database_url: url(Schema::SkillBuilder)?,
        embedder: embedder.clone(),
    })?);
    let knowledge_builder = add(knowledge_builder::start(knowledge_builder::Deps {
        platform: Arc::clone(platform),
        database_url: url(Schema::KnowledgeBuilder)?,
        embedder: embedder.clone(),
    })?);
    let agent_builder = add(agent_builder::start(agent_builder::Deps {
        platform: Arc::clone(platform),
        database_url: url(Schema::AgentBuilder)?,
    })?);
    let task_router = add(task_router::start(task_router::Deps {
        platform: Arc::clone(platform),
        database_url: url(Schema::TaskRouter)?,
    })?);
    let all = vec![
        agent_builder.clone(),
        skill_builder.clone(),
        knowledge_builder.clone(),
        task_router.clone(),
        control_plane.clone(),
    ];
    let mut mounts = vec![
        own(listeners.agent_builder, agent_builder),
        own(listeners.skill_builder, skill_builder),
        own(listeners.knowledge_builder, knowledge_builder),
        own(listeners.task_router, task_router),
        own(listeners.control_plane, control_plane),
        Mount { listener: listeners.public, label: "imago", services: all, internal: false, metrics_only: false },
    ];
    mounts.extend(listeners.metrics.map(|listener| Mount {
        listener,
        label: "imago",
        services: Vec::new(),
        internal: false,
        metrics_only: true,
    }));
    Ok(server::start(platform, mounts, workers)?)
}

fn own(listener: TcpListener, service: Service) -> Mount {
    Mount { listener, label: service.label, services: vec![service], internal: true, metrics_only: false }
}
