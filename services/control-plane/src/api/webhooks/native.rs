//! `/api/v1/integration/webhooks`

use actix_web::{delete, get, post, put, web};
use api_core::{
    auth::{Call, permission::WebhooksManage},
    error::ApiError,
    list::{ListSpec, Plain},
    reply::Reply,
};
use api_types::{
    ains::Window,
    envelope::{Failure, Pagination, Success},
    webhooks::{Deleted, Delivery, FreshWebhook, NewWebhook, Tested, Webhook},
};

use super::input;
use crate::{
    App,
    domain::webhooks::{
        Door,
        message::Credential,
        subscribing::{self, New, Wanted},
    },
    store::webhooks::subscriptions::{self, Subscription},
};

/// Who holds it may hear of users, keys and secrets.
const AUDIT: &str = "audit:read";

/// What the list of webhooks takes besides.
static PLAIN: Plain = Plain { filters: &["active"], ..Plain::NONE };
/// Deliveries have one order and no filters.
static DELIVERIES: ListSpec = ListSpec { fields: &[], id_column: "id" };

/// Make a webhook. Its secret is shown in this answer only.
#[utoipa::path(
    tag = "webhooks",
    request_body = NewWebhook,
    responses((status = 201, body = Success<FreshWebhook>), (status = "4XX", body = Failure))
)]
#[post("/api/v1/integration/webhook")]
pub(crate) async fn create(mut call: Call<WebhooksManage>, app: web::Data<App>) -> Result<Reply, ApiError> {
    let body = call.body().await?;
    let read = input::new_mesh(&body.0, app.webhooks.sender.policy())?;
    call.once_secret(&app.db, &body, async {
        let new = New {
            door: Door::Mesh,
            client_id: call.caller.principal.client_id.clone(),
            agent_id: None,
            url: read.url,
            events: read.events,
            capabilities: None,
            credential: Credential::Hmac(read.secret.clone()),
            description: read.description,
            active: read.active,
            sees_audited: call.caller.may_any(&[AUDIT]),
            created_by: call.caller.id().to_owned(),
        };
        let webhook = shown(subscribing::create(&app.db, &app.webhooks.sender, new).await?);
        Reply::created(&FreshWebhook { webhook, secret: read.secret.expose().to_owned() })
    })
    .await
}

/// List the webhooks of this door.
#[utoipa::path(
    tag = "webhooks",
    params(("active" = Option<bool>, Query)),
    responses((status = 200, body = Success<Vec<Webhook>>), (status = "4XX", body = Failure))
)]
#[get("/api/v1/integration/webhooks")]
pub(crate) async fn list(call: Call<WebhooksManage>, app: web::Data<App>) -> Result<Reply, ApiError> {
    let query = call.list_query_with(&subscriptions::LIST, &PLAIN)?;
    let (rows, pagination) = subscribing::list(&app.db, query).await?;
    Reply::page(&rows.into_iter().map(shown).collect::<Vec<_>>(), pagination)
}

/// Get a webhook.
#[utoipa::path(
    tag = "webhooks",
    params(("webhook_id" = String, Path)),
    responses((status = 200, body = Success<Webhook>), (status = "4XX", body = Failure))
)]
#[get("/api/v1/integration/webhooks/{webhook_id}")]
pub(crate) async fn get(
    _call: Call<WebhooksManage>,
    app: web::Data<App>,
    id: web::Path<String>,
) -> Result<Reply, ApiError> {
    Reply::ok(&shown(subscribing::get(&app.db, wanted(id)).await?))
}

/// Change a webhook: what is absent stays.
#[utoipa::path(
    tag = "webhooks",
    params(("webhook_id" = String, Path)),
    request_body = NewWebhook,
    responses((status = 200, body = Success<Webhook>), (status = "4XX", body = Failure))
)]
#[put("/api/v1/integration/webhooks/{webhook_id}")]
pub(crate) async fn change(
    mut call: Call<WebhooksManage>,
    app: web::Data<App>,
    id: web::Path<String>,
) -> Result<Reply, ApiError> {
    let body = call.body().await?;
    let mut change = input::mesh_change(&body.0, app.webhooks.sender.policy())?;
    change.sees_audited = call.caller.may_any(&[AUDIT]);
    let actor = call.caller.id().to_owned();
    Reply::ok(&shown(subscribing::change(&app.db, &app.webhooks.sender, wanted(id), change, actor).await?))
}

/// Delete a webhook; what waits for it is dropped.
#[utoipa::path(
    tag = "webhooks",
    params(("webhook_id" = String, Path)),
    responses((status = 200, body = Success<Deleted>), (status = "4XX", body = Failure))
)]
#[delete("/api/v1/integration/webhooks/{webhook_id}")]
pub(crate) async fn delete(
    call: Call<WebhooksManage>,
    app: web::Data<App>,
    id: web::Path<String>,
) -> Result<Reply, ApiError> {
    let id = subscribing::delete(&app.db, wanted(id), call.caller.id().to_owned()).await?;
    Reply::ok(&Deleted { deleted: true, id })
}

/// What became of a webhook's deliveries in the last 30 days, newest first.
#[utoipa::path(
    tag = "webhooks",
    params(("webhook_id" = String, Path)),
    responses((status = 200, body = Success<Vec<Delivery>>), (status = "4XX", body = Failure))
)]
#[get("/api/v1/integration/webhooks/{webhook_id}/deliveries")]
pub(crate) async fn deliveries(
    call: Call<WebhooksManage>,
    app: web::Data<App>,
    id: web::Path<String>,
) -> Result<Reply, ApiError> {
    let query = call.list_query(&DELIVERIES)?;
    let window = Window { limit: query.limit, offset: query.offset };
    let (rows, total) = subscribing::history(&app.db, wanted(id), window).await?;
    Reply::page(&rows, Pagination::at(window.offset, window.limit, total))
}

/// Deliver once more, under the same event id.
#[utoipa::path(
    tag = "webhooks",
    params(("webhook_id" = String, Path), ("delivery_id" = String, Path)),
    responses((status = 200, body = Success<Delivery>), (status = "4XX", body = Failure))
)]
#[post("/api/v1/integration/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver")]
pub(crate) async fn redeliver(
    _call: Call<WebhooksManage>,
    app: web::Data<App>,
    path: web::Path<(String, String)>,
) -> Result<Reply, ApiError> {
    let (id, delivery_id) = path.into_inner();
    let delivery = subscribing::redeliver(&app.db, wanted(id.into()), delivery_id).await?;
    app.webhooks.wake.retry();
    Reply::ok(&delivery)
}

/// Send `webhook.test` now, and say what came of it.
#[utoipa::path(
    tag = "webhooks",
    params(("webhook_id" = String, Path)),
    responses((status = 200, body = Success<Tested>), (status = "4XX", body = Failure))
)]
#[post("/api/v1/integration/webhooks/{webhook_id}/test")]
pub(crate) async fn test(
    call: Call<WebhooksManage>,
    app: web::Data<App>,
    id: web::Path<String>,
) -> Result<Reply, ApiError> {
    let actor = call.caller.id().to_owned();
    Reply::ok(&subscribing::test(&app.db, &app.webhooks.sender, wanted(id), actor).await?)
}

/// Scopes decide alone at this door: there is no ownership.
fn wanted(id: web::Path<String>) -> Wanted {
    Wanted { door: Door::Mesh, id: id.into_inner(), only_client: None }
}

fn shown(stored: Subscription) -> Webhook {
    let Subscription { set, revision, .. } = stored;
    Webhook {
        id: set.id,
        url: set.url,
        events: set.events,
        description: set.description,
        active: set.active,
        disabled_at: set.disabled_at,
        created_by: set.created_by,
        created_at: set.created_at,
        updated_at: set.updated_at,
        revision,
    }
}
