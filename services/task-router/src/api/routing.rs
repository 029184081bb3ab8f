//! `/ains/routing`

use actix_web::{get, post, web};
use api_core::{
    auth::{Call, permission::AgentsRead},
    error::ApiError,
    input::Fields,
    reply::Reply,
};
use api_types::{
    ains::AinsFailure,
    tasks::{RoutingTest, Strategies, StrategyInfo},
};

use super::input;
use crate::{
    app::{App, route},
    domain::routing::Strategy,
};

/// Which worker would get a task now; changes nothing.
#[utoipa::path(tag = "routing", responses((status = 200, body = RoutingTest), (status = "4XX", body = AinsFailure)))]
#[post("/ains/routing/test")]
pub(super) async fn test(mut call: Call<AgentsRead>, app: web::Data<App>) -> Result<Reply, ApiError> {
    let body = call.body().await?;
    let mut fields = Fields::of(&body.0);
    let capability = fields.required("capability_required", &input::tag());
    let strategy = fields.optional("routing_strategy", &input::strategy());
    fields.optional("priority", &input::priority());
    fields.finish()?;
    let strategy = strategy.and_then(|name| Strategy::parse(&name)).unwrap_or_default();
    Reply::flat(&route::test(&app, capability, strategy).await?)
}

/// How workers can be chosen.
#[utoipa::path(tag = "routing", responses((status = 200, body = Strategies), (status = "4XX", body = AinsFailure)))]
#[get("/ains/routing/strategies")]
pub(super) async fn strategies(_call: Call<AgentsRead>) -> Result<Reply, ApiError> {
    let strategies = Strategy::ALL.into_iter().map(|strategy| StrategyInfo {
        name: strategy.as_str(),
        description: strategy.about().description,
        use_cases: strategy.about().use_cases.to_vec(),
    });
    Reply::flat(&Strategies { strategies: strategies.collect(), default_strategy: Strategy::default().as_str() })
}
