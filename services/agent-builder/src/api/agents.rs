//! `/api/v1/agents`

use actix_web::{
    delete, get,
    http::{
        StatusCode,
        header::{HeaderName, LOCATION},
    },
    patch, post, put, web,
};
use api_core::{
    auth::{
        Call,
        permission::{AgentsDelete, AgentsRead, AgentsWrite, Permission},
    },
    error::ApiError,
    reply::Reply,
};
use api_types::{
    agents::{
        AGENT_ID_CHARS_MAX, Agent, AgentCapabilities, AgentDeleted, AgentPatch, AgentReplacement, BuildInputs,
        NewAgent, has_agent_id_form,
    },
    envelope::{Failure, Success},
};
use tokio::time::Instant;

use super::{input, patch as change};
use crate::{
    app::App,
    domain::{
        agents::{self, Made},
        record::{Record, Vectors},
    },
    store::records::LIST,
};

/// Make an agent: gather knowledge and derive skills for the role.
#[utoipa::path(
    tag = "agents",
    request_body = NewAgent,
    params(("include" = Option<String>, Query, description = "`embeddings`")),
    responses((status = 201, body = Success<Agent>), (status = 202, body = Success<Agent>), (status = "4XX", body = Failure))
)]
#[post("/api/v1/agents")]
pub(super) async fn create_agent(mut call: Call<AgentsWrite>, app: web::Data<App>) -> Result<Reply, ApiError> {
    let body = call.body().await?;
    let (agent_id, definition) = input::new_agent(&body.0)?;
    let (waiter, until) = (Waiter::of(&call), until(&call, &app));
    let work = async {
        let made = agents::create(&app, &call.caller, agent_id.clone(), definition, until).await?;
        waiter.reply(made, StatusCode::CREATED, &agents::get(&app, &call.caller, agent_id, waiter.vectors).await?)
    };
    Box::pin(call.once(&app.db, &body, work)).await
}

/// List agents.
#[utoipa::path(
    tag = "agents",
    params(
        ("page" = Option<i64>, Query), ("per_page" = Option<i64>, Query), ("sort" = Option<String>, Query),
        ("include" = Option<String>, Query, description = "`embeddings`")
    ),
    responses((status = 200, body = Success<Vec<Agent>>), (status = "4XX", body = Failure))
)]
#[get("/api/v1/agents")]
pub(super) async fn list_agents(call: Call<AgentsRead>, app: web::Data<App>) -> Result<Reply, ApiError> {
    let query = call.list_query(&LIST)?;
    let (records, pagination) = agents::list(&app, &call.caller, query, vectors(&call)).await?;
    Reply::page(&records, pagination)
}

/// Get an agent.
#[utoipa::path(
    tag = "agents",
    params(("agent_id" = String, Path), ("include" = Option<String>, Query, description = "`embeddings`")),
    responses((status = 200, body = Success<Agent>), (status = "4XX", body = Failure))
)]
#[get("/api/v1/agents/{agent_id}")]
pub(super) async fn get_agent(
    call: Call<AgentsRead>,
    app: web::Data<App>,
    agent_id: web::Path<String>,
) -> Result<Reply, ApiError> {
    let agent_id = known_form(agent_id)?;
    Reply::ok(&agents::get(&app, &call.caller, agent_id, vectors(&call)).await?)
}

/// Change parts of an agent. Nothing is built.
#[utoipa::path(
    tag = "agents",
    request_body = AgentPatch,
    params(("agent_id" = String, Path), ("include" = Option<String>, Query, description = "`embeddings`")),
    responses((status = 200, body = Success<Agent>), (status = "4XX", body = Failure))
)]
#[patch("/api/v1/agents/{agent_id}")]
pub(super) async fn change_agent(
    mut call: Call<AgentsWrite>,
    app: web::Data<App>,
    agent_id: web::Path<String>,
) -> Result<Reply, ApiError> {
    let body = call.body().await?;
    let change = change::change(&body.0)?;
    let agent_id = known_form(agent_id)?;
    Reply::ok(&agents::change(&app, &call.caller, agent_id, change, vectors(&call)).await?)
}

/// Put a definition in the place of an agent's own, or make the agent.
#[utoipa::path(
    tag = "agents",
    request_body = AgentReplacement,
    params(("agent_id" = String, Path), ("include" = Option<String>, Query, description = "`embeddings`")),
    responses((status = 200, body = Success<Agent>), (status = 202, body = Success<Agent>), (status = "4XX", body = Failure))
)]
#[put("/api/v1/agents/{agent_id}")]
pub(super) async fn replace_agent(
    mut call: Call<AgentsWrite>,
    app: web::Data<App>,
    agent_id: web::Path<String>,
) -> Result<Reply, ApiError> {
    let body = call.body().await?;
    let agent_id = agent_id.into_inner();
    let definition = input::replacement(&agent_id, &body.0)?;
    let waiter = Waiter::of(&call);
    let replaced = agents::replace(&app, &call.caller, agent_id.clone(), definition.clone(), waiter.vectors).await?;
    if let Some(record) = replaced {
        return Reply::ok(&record);
    }
    let until = until(&call, &app);
    let made = Box::pin(agents::create(&app, &call.caller, agent_id.clone(), definition, until)).await?;
    waiter.reply(made, StatusCode::OK, &agents::get(&app, &call.caller, agent_id, waiter.vectors).await?)
}

/// Delete an agent with all that is its own.
#[utoipa::path(
    tag = "agents",
    params(("agent_id" = String, Path)),
    responses((status = 200, body = Success<AgentDeleted>), (status = "4XX", body = Failure))
)]
#[delete("/api/v1/agents/{agent_id}")]
pub(super) async fn delete_agent(
    call: Call<AgentsDelete>,
    app: web::Data<App>,
    agent_id: web::Path<String>,
) -> Result<Reply, ApiError> {
    let agent_id = known_form(agent_id)?;
    agents::delete(&app, &call.caller, agent_id.clone()).await?;
    Reply::ok(&AgentDeleted { deleted: true, agent_id: agent_id.into() })
}

/// What an agent can do and knows.
#[utoipa::path(
    tag = "agents",
    params(("agent_id" = String, Path), ("include" = Option<String>, Query, description = "`embeddings`")),
    responses((status = 200, body = Success<AgentCapabilities>), (status = "4XX", body = Failure))
)]
#[get("/api/v1/agents/{agent_id}/capabilities")]
pub(super) async fn get_agent_capabilities(
    call: Call<AgentsRead>,
    app: web::Data<App>,
    agent_id: web::Path<String>,
) -> Result<Reply, ApiError> {
    let agent_id = known_form(agent_id)?;
    let record = agents::get(&app, &call.caller, agent_id, vectors(&call)).await?;
    Reply::ok(&record.capabilities())
}

/// Build an agent again. What clients wrote survives.
#[utoipa::path(
    tag = "agents",
    request_body = BuildInputs,
    params(("agent_id" = String, Path), ("include" = Option<String>, Query, description = "`embeddings`")),
    responses((status = 200, body = Success<Agent>), (status = 202, body = Success<Agent>), (status = "4XX", body = Failure))
)]
#[post("/api/v1/agents/{agent_id}/build")]
pub(super) async fn build_agent(
    mut call: Call<AgentsWrite>,
    app: web::Data<App>,
    agent_id: web::Path<String>,
) -> Result<Reply, ApiError> {
    let body = call.optional_body().await?;
    let given = input::rebuild(&body.0)?;
    let agent_id = known_form(agent_id)?;
    let (waiter, until) = (Waiter::of(&call), until(&call, &app));
    let work = async {
        let made = agents::rebuild(&app, &call.caller, agent_id.clone(), given, until).await?;
        waiter.reply(made, StatusCode::OK, &agents::get(&app, &call.caller, agent_id, waiter.vectors).await?)
    };
    Box::pin(call.once(&app.db, &body, work)).await
}

/// An id that no agent can have is nobody's; the database need not be asked, which could not even take some of them.
fn known_form(agent_id: web::Path<String>) -> Result<String, ApiError> {
    let agent_id = agent_id.into_inner();
    let could_be = agent_id.len() <= AGENT_ID_CHARS_MAX && has_agent_id_form(&agent_id);
    if could_be { Ok(agent_id) } else { Err(ApiError::not_found("Agent", &agent_id)) }
}

fn vectors<P: Permission>(call: &Call<P>) -> Vectors {
    if call.includes("embeddings") { Vectors::Shown } else { Vectors::Hidden }
}

/// Until when the caller is kept waiting; `None` when it asks not to be.
pub(super) fn until<P: Permission>(call: &Call<P>, app: &App) -> Option<Instant> {
    (!call.prefers_async()).then(|| agents::wait_until(app.wait))
}

/// How somebody who asked for a build is answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiter {
    pub(super) vectors: Vectors,
    pub(super) prefers_async: bool,
}

impl Waiter {
    pub(super) fn of<P: Permission>(call: &Call<P>) -> Self {
        Self { vectors: vectors(call), prefers_async: call.prefers_async() }
    }

    /// `done` when the build is over, else 202.
    pub(super) fn reply(self, made: Made, done: StatusCode, record: &Record) -> Result<Reply, ApiError> {
        let location = format!("/api/v1/agents/{}", record.agent_id);
        match made {
            Made::Completed if done == StatusCode::CREATED => Ok(Reply::new(done, record)?.header(LOCATION, &location)),
            Made::Completed => Reply::new(done, record),
            Made::Accepted => {
                let reply = Reply::new(StatusCode::ACCEPTED, record)?.header(LOCATION, &location);
                let applied = HeaderName::from_static("preference-applied");
                Ok(if self.prefers_async { reply.header(applied, "respond-async") } else { reply })
            }
        }
    }
}
