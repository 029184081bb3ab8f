//! `/ains/webhooks`

use actix_web::{delete, get, patch, post, web};
use api_core::{
    auth::{Call, Caller, permission::WebhooksManage},
    context::call_context,
    error::ApiError,
    reply::Reply,
};
use api_types::{
    ains::{AinsCode, AinsFailure, AinsPagination, Window},
    error::Code,
    webhooks::{
        Delivery,
        ains::{Deleted, NewWebhook, Webhook},
    },
};
use serde::Serialize;
use utoipa::ToSchema;

use super::input::{self, Subject};
use crate::{
    App,
    domain::webhooks::{
        Door,
        subscribing::{self, New, Wanted},
    },
    store::webhooks::subscriptions::{AinsFilter, Subscription},
};

/// A part of the webhooks, oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Webhooks {
    webhooks: Vec<Webhook>,
    pagination: AinsPagination,
}

/// A part of a webhook's deliveries, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Deliveries {
    webhook_id: String,
    deliveries: Vec<Delivery>,
    pagination: AinsPagination,
}

/// Make a webhook for a worker's or a client's events.
#[utoipa::path(
    tag = "ains webhooks",
    request_body = NewWebhook,
    responses((status = 201, body = Webhook), (status = "4XX", body = AinsFailure))
)]
#[post("/ains/webhooks")]
pub(crate) async fn create(mut call: Call<WebhooksManage>, app: web::Data<App>) -> Result<Reply, ApiError> {
    let body = call.body().await?;
    let read = input::new_ains(&body.0, app.webhooks.sender.policy(), app.platform.core.is_production())?;
    call.once(&app.db, &body, async {
        let (client_id, agent_id) = match read.subject {
            Subject::Client(client_id) => (client_id, None),
            Subject::Agent(agent_id) => (owner(&app, &agent_id).await?, Some(agent_id)),
        };
        if !call.caller.acts_for(&client_id) {
            let message = if agent_id.is_some() { "The worker is another client's" } else { "Another client's name" };
            return Err(ApiError::new(Code::ForbiddenResource, message));
        }
        let new = New {
            door: Door::Ains,
            client_id,
            agent_id,
            url: read.url,
            events: read.events,
            capabilities: None,
            credential: read.credential,
            description: None,
            active: read.active,
            sees_audited: false,
            created_by: call.caller.id().to_owned(),
        };
        Reply::flat_created(&shown(subscribing::create(&app.db, &app.webhooks.sender, new).await?))
    })
    .await
}

/// Whose a worker is.
async fn owner(app: &App, agent_id: &str) -> Result<String, ApiError> {
    let unknown = || ApiError::not_found("Agent", agent_id).ains(AinsCode::AgentNotFound);
    // What cannot be a worker's name is none's; nor is it a part of a path.
    let is_name = |c: char| c.is_ascii_alphanumeric() || "._:-".contains(c);
    if !agent_id.starts_with(|c: char| c.is_ascii_alphanumeric()) || !agent_id.chars().all(is_name) {
        return Err(unknown());
    }
    let found = app.webhooks.task_router.worker_owner(&call_context(), agent_id).await.map_err(|error| {
        ApiError::unavailable("Workers cannot be looked up now, try again in a moment").caused_by(error)
    })?;
    Ok(found.ok_or_else(unknown)?.client_id)
}

/// List webhooks, oldest first.
#[utoipa::path(
    tag = "ains webhooks",
    params(
        ("agent_id" = Option<String>, Query), ("client_id" = Option<String>, Query),
        ("limit" = Option<i64>, Query), ("offset" = Option<i64>, Query),
    ),
    responses((status = 200, body = Webhooks), (status = "4XX", body = AinsFailure))
)]
#[get("/ains/webhooks")]
pub(crate) async fn list(call: Call<WebhooksManage>, app: web::Data<App>) -> Result<Reply, ApiError> {
    let window = call.window()?;
    let filter = AinsFilter {
        visible_to: call.caller.only_client().map(str::to_owned),
        agent_id: call.query("agent_id"),
        client_id: call.query("client_id"),
    };
    let (rows, total) = subscribing::list_of_ains(&app.db, filter, window).await?;
    let webhooks: Vec<_> = rows.into_iter().map(shown).collect();
    let pagination = paged(window, webhooks.len(), total);
    Reply::flat(&Webhooks { webhooks, pagination })
}

/// Get a webhook.
#[utoipa::path(
    tag = "ains webhooks",
    params(("webhook_id" = String, Path)),
    responses((status = 200, body = Webhook), (status = "4XX", body = AinsFailure))
)]
#[get("/ains/webhooks/{webhook_id}")]
pub(crate) async fn get(
    call: Call<WebhooksManage>,
    app: web::Data<App>,
    id: web::Path<String>,
) -> Result<Reply, ApiError> {
    Reply::flat(&shown(subscribing::get(&app.db, wanted(&call.caller, id)).await?))
}

/// Change a webhook.
#[utoipa::path(
    tag = "ains webhooks",
    params(("webhook_id" = String, Path)),
    request_body = NewWebhook,
    responses((status = 200, body = Webhook), (status = "4XX", body = AinsFailure))
)]
#[patch("/ains/webhooks/{webhook_id}")]
pub(crate) async fn change(
    mut call: Call<WebhooksManage>,
    app: web::Data<App>,
    id: web::Path<String>,
) -> Result<Reply, ApiError> {
    let body = call.body().await?;
    let change = input::ains_change(&body.0, app.webhooks.sender.policy(), app.platform.core.is_production())?;
    let (wanted, actor) = (wanted(&call.caller, id), call.caller.id().to_owned());
    Reply::flat(&shown(subscribing::change(&app.db, &app.webhooks.sender, wanted, change, actor).await?))
}

/// Delete a webhook; what waits for it is dropped.
#[utoipa::path(
    tag = "ains webhooks",
    params(("webhook_id" = String, Path)),
    responses((status = 200, body = Deleted), (status = "4XX", body = AinsFailure))
)]
#[delete("/ains/webhooks/{webhook_id}")]
pub(crate) async fn delete(
    call: Call<WebhooksManage>,
    app: web::Data<App>,
    id: web::Path<String>,
) -> Result<Reply, ApiError> {
    let webhook_id = subscribing::delete(&app.db, wanted(&call.caller, id), call.caller.id().to_owned()).await?;
    Reply::flat(&Deleted { webhook_id, deleted: true, message: "Webhook deleted successfully".to_owned() })
}

/// What became of a webhook's deliveries in the last 30 days, newest first.
#[utoipa::path(
    tag = "ains webhooks",
    params(
        ("webhook_id" = String, Path), ("limit" = Option<i64>, Query), ("offset" = Option<i64>, Query),
    ),
    responses((status = 200, body = Deliveries), (status = "4XX", body = AinsFailure))
)]
#[get("/ains/webhooks/{webhook_id}/deliveries")]
pub(crate) async fn deliveries(
    call: Call<WebhooksManage>,
    app: web::Data<App>,
    id: web::Path<String>,
) -> Result<Reply, ApiError> {
    let window = call.window()?;
    let wanted = wanted(&call.caller, id);
    let webhook_id = wanted.id.clone();
    let (deliveries, total) = subscribing::history(&app.db, wanted, window).await?;
    let pagination = paged(window, deliveries.len(), total);
    Reply::flat(&Deliveries { webhook_id, deliveries, pagination })
}

/// Deliver once more, under the same event id.
#[utoipa::path(
    tag = "ains webhooks",
    params(("webhook_id" = String, Path), ("delivery_id" = String, Path)),
    responses((status = 200, body = Delivery), (status = "4XX", body = AinsFailure))
)]
#[post("/ains/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver")]
pub(crate) async fn redeliver(
    call: Call<WebhooksManage>,
    app: web::Data<App>,
    path: web::Path<(String, String)>,
) -> Result<Reply, ApiError> {
    let (id, delivery_id) = path.into_inner();
    let wanted = wanted(&call.caller, id.into());
    let delivery = subscribing::redeliver(&app.db, wanted, delivery_id).await?;
    app.webhooks.wake.retry();
    Reply::flat(&delivery)
}

fn wanted(caller: &Caller, id: web::Path<String>) -> Wanted {
    Wanted { door: Door::Ains, id: id.into_inner(), only_client: caller.only_client().map(str::to_owned) }
}

fn paged(window: Window, rows: usize, total: i64) -> AinsPagination {
    AinsPagination::new(window, i64::try_from(rows).unwrap_or(i64::MAX), total)
}

fn shown(stored: Subscription) -> Webhook {
    let set = stored.set;
    Webhook {
        webhook_id: set.id,
        client_id: set.agent_id.is_none().then_some(set.client_id),
        agent_id: set.agent_id,
        url: set.url,
        events: set.events,
        active: set.active,
        has_secret: set.secret_sealed.is_some(),
        created_at: set.created_at,
    }
}
