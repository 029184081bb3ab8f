//! `/build`, as older clients know it.

use actix_web::{http::StatusCode, post, web};
use api_core::{
    auth::{Call, permission::LegacyAgentsWrite},
    error::ApiError,
    reply::Reply,
};
use api_types::{
    agents::{Agent, LegacyBuild},
    envelope::{Failure, Success},
};
use serde_json::{Map, Value, value::RawValue};

use super::{
    agents::{Waiter, until},
    input,
};
use crate::{
    app::App,
    domain::{
        agents,
        record::{Record, Vectors},
    },
};

/// Make an agent.
///
/// Deprecated: use `POST /api/v1/agents`.
#[utoipa::path(
    tag = "deprecated",
    request_body = LegacyBuild,
    responses((status = 201, body = Success<Agent>), (status = 202, body = Success<Agent>), (status = "4XX", body = Failure))
)]
#[post("/build")]
pub(super) async fn build(mut call: Call<LegacyAgentsWrite>, app: web::Data<App>) -> Result<Reply, ApiError> {
    let body = call.body().await?;
    let (agent_id, definition) = input::legacy_build(&body.0)?;
    let (waiter, until) = (Waiter { vectors: Vectors::Shown, ..Waiter::of(&call) }, until(&call, &app));
    let work = async {
        let made = agents::create(&app, &call.caller, agent_id.clone(), definition, until).await?;
        let record = agents::get(&app, &call.caller, agent_id, Vectors::Shown).await?;
        let flat = flat(&record)?;
        Ok(waiter.reply(made, StatusCode::CREATED, &record)?.deprecated("POST /api/v1/agents", flat))
    };
    Box::pin(call.once(&app.db, &body, work)).await
}

/// The keys that older clients look for at the top.
fn flat(record: &Record) -> Result<Map<String, Value>, ApiError> {
    let value = |raw: &RawValue| serde_json::from_str::<Value>(raw.get()).map_err(ApiError::internal);
    Ok(Map::from_iter([
        ("agentId".to_owned(), Value::from(record.agent_id.as_str())),
        ("roleModel".to_owned(), value(&record.role_model)?),
        ("generated_skills".to_owned(), value(&record.generated_skills)?),
        ("generated_knowledge".to_owned(), value(&record.generated_knowledge)?),
    ]))
}
