//! `/internal/v1/caxton/webhooks`: for the service behind the Caxton door.

use actix_web::{delete, get, post, web};
use api_core::{
    auth::{Call, permission::ServiceOnly},
    error::ApiError,
    reply::Reply,
    secret::Secret,
};
use api_types::{
    error::Code,
    kinds,
    webhooks::caxton::{Authentication, Filter, NewWebhook, Removed, ShownAuthentication, Webhook, Webhooks},
};
use chrono::Utc;

use super::input;
use crate::{
    App,
    domain::webhooks::{
        Door,
        message::Credential,
        subscribing::{self, New, Wanted},
    },
    store::webhooks::subscriptions::Subscription,
};

/// Make a webhook whose fields the door has read.
#[utoipa::path]
#[post("/internal/v1/caxton/webhooks")]
pub(crate) async fn create(mut call: Call<ServiceOnly>, app: web::Data<App>) -> Result<Reply, ApiError> {
    let NewWebhook { url, events, filter, authentication } = call.read().await?;
    let url = input::caxton_url(url, app.webhooks.sender.policy())?;
    if events.is_empty() || events.iter().any(|event| !kinds::CAXTON.contains(&event.as_str())) {
        return Err(ApiError::field(Code::InvalidFormat, "events", "events must be events of the Caxton door"));
    }
    let new = New {
        door: Door::Caxton,
        client_id: call.caller.principal.client_id.clone(),
        agent_id: None,
        url,
        events,
        capabilities: filter.map(|filter| filter.capabilities),
        credential: credential(authentication),
        description: None,
        active: true,
        sees_audited: false,
        created_by: call.caller.id().to_owned(),
    };
    Reply::created(&shown(subscribing::create(&app.db, &app.webhooks.sender, new).await?))
}

/// All webhooks, newest first.
#[utoipa::path]
#[get("/internal/v1/caxton/webhooks")]
pub(crate) async fn list(_call: Call<ServiceOnly>, app: web::Data<App>) -> Result<Reply, ApiError> {
    let webhooks: Vec<_> = subscribing::list_of_caxton(&app.db).await?.into_iter().map(shown).collect();
    let total = i64::try_from(webhooks.len()).unwrap_or(i64::MAX);
    Reply::ok(&Webhooks { webhooks, total })
}

/// One webhook.
#[utoipa::path]
#[get("/internal/v1/caxton/webhooks/{id}")]
pub(crate) async fn get(
    _call: Call<ServiceOnly>,
    app: web::Data<App>,
    id: web::Path<String>,
) -> Result<Reply, ApiError> {
    Reply::ok(&shown(subscribing::get(&app.db, wanted(id)).await?))
}

/// Remove a webhook; what waits for it is dropped.
#[utoipa::path]
#[delete("/internal/v1/caxton/webhooks/{id}")]
pub(crate) async fn remove(
    call: Call<ServiceOnly>,
    app: web::Data<App>,
    id: web::Path<String>,
) -> Result<Reply, ApiError> {
    let id = subscribing::delete(&app.db, wanted(id), call.caller.id().to_owned()).await?;
    Reply::ok(&Removed { id, removed_at: Utc::now() })
}

fn wanted(id: web::Path<String>) -> Wanted {
    Wanted { door: Door::Caxton, id: id.into_inner(), only_client: None }
}

fn credential(authentication: Authentication) -> Credential {
    match authentication {
        Authentication::None => Credential::None,
        Authentication::Bearer { token } => Credential::Bearer(Secret::new(token)),
        Authentication::Basic { username, password } => {
            Credential::Basic { username: Secret::new(username), password: Secret::new(password) }
        }
        Authentication::Hmac { secret } => Credential::Hmac(Secret::new(secret)),
    }
}

fn shown(stored: Subscription) -> Webhook {
    let set = stored.set;
    Webhook {
        id: set.id,
        url: set.url,
        events: set.events,
        filter: set.capabilities.map(|capabilities| Filter { capabilities }),
        authentication: ShownAuthentication { kind: set.authentication },
        status: if set.active { "active" } else { "disabled" }.to_owned(),
        created: set.created_at,
    }
}
