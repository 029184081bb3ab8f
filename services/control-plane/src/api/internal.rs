//! `/internal/v1`: for our own services.

use actix_web::{post, web};
use api_core::{
    auth::{Call, permission::ServiceOnly},
    error::ApiError,
    reply::Reply,
};
use api_types::{
    access::{self, AccessBatch},
    error::Code,
    events::{EventBatch, EventReceipt},
    keys::KeyLookup,
    users::EndedAfter,
};
use chrono::Utc;

use crate::{
    App,
    domain::{
        audit,
        intake::{self, Arriving, BATCH_MAX},
        users::sessions,
    },
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

/// The sessions that ended after those that a service knows of.
#[utoipa::path]
#[post("/internal/v1/sessions/ended")]
pub(super) async fn ended_sessions(mut call: Call<ServiceOnly>, app: web::Data<App>) -> Result<Reply, ApiError> {
    let after: EndedAfter = call.read().await?;
    Reply::ok(&sessions::ended_after(&app.db, after, Utc::now()).await?)
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
    let taken = intake::take_in(&app, events.into_iter().map(Arriving::from).collect()).await?;
    Reply::ok(&EventReceipt { accepted: taken.new.len() })
}

/// Take in who used what and who was refused; a batch that is known already counts for nothing.
#[utoipa::path]
#[post("/internal/v1/access")]
pub(super) async fn take_in_access(mut call: Call<ServiceOnly>, app: web::Data<App>) -> Result<Reply, ApiError> {
    let batch: AccessBatch = call.read().await?;
    for (name, entries) in [("counts", batch.counts.len()), ("refused", batch.refused.len())] {
        if entries > access::BATCH_MAX {
            let message = format!("{name} must have at most {} entries", access::BATCH_MAX);
            return Err(ApiError::field(Code::InvalidRange, name, message));
        }
    }
    Reply::ok(&audit::take_in_access(&app.db, batch).await?)
}
