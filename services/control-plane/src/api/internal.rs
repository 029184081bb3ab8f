//! `/internal/v1`: for our own services.

use actix_web::{post, web};
use api_core::{
    auth::{Call, permission::ServiceOnly},
    error::ApiError,
    reply::Reply,
};
use api_types::{error::Code, events::EventBatch, keys::KeyLookup};

use crate::{
    App,
    domain::events::{self, BATCH_MAX},
    source,
};

/// The record of a key that somebody presented.
#[utoipa::path]
#[post("/internal/v1/keys/lookup")]
pub(super) async fn look_up_key(mut call: Call<ServiceOnly>, app: web::Data<App>) -> Result<Reply, ApiError> {
    let lookup: KeyLookup = call.read().await?;
    if !app.is_prepared() {
        // What is not found now may be there in a moment, and callers remember what is no key.
        return Err(ApiError::unavailable("Keys are not ready yet, try again in a moment"));
    }
    Reply::ok(&source::look_up(&app.db, lookup).await?)
}

/// Take in events; those that are known already count for nothing.
#[utoipa::path]
#[post("/internal/v1/events")]
pub(super) async fn take_in_events(mut call: Call<ServiceOnly>, app: web::Data<App>) -> Result<Reply, ApiError> {
    let EventBatch { events } = call.read().await?;
    if events.len() > BATCH_MAX {
        let message = format!("events must have at most {BATCH_MAX} entries");
        return Err(ApiError::field(Code::InvalidRange, "events", message));
    }
    Reply::ok(&events::take_in(&app.db, events).await?)
}
