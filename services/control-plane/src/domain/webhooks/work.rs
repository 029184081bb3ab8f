//! What a dispatcher takes from the store and gives back to it.

use std::time::Duration;

use api_types::webhooks::DeliveryStatus;
use uuid::Uuid;

use super::{Door, message::Happened};
use crate::store::webhooks::subscriptions::Subscription;

/// Deliveries under one lease, in the order of their events, with the webhooks and events that they are about.
#[derive(Debug, Default)]
pub(crate) struct Claimed {
    pub(crate) lease: Uuid,
    /// The webhooks' numbers; one may have nothing waiting any more.
    pub(crate) lanes: Vec<i64>,
    pub(crate) hooks: Vec<Subscription>,
    pub(crate) events: Vec<Happened>,
    pub(crate) waiting: Vec<Waiting>,
}

/// A delivery that is to be attempted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waiting {
    pub(crate) id: i64,
    pub(crate) webhook_no: i64,
    pub(crate) event_id: Uuid,
    /// Those made so far.
    pub(crate) attempts: i16,
    pub(crate) created_ms: i64,
}

/// An attempt that has ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ended {
    pub(crate) id: i64,
    pub(crate) lease: Uuid,
    /// From 1.
    pub(crate) attempt: i16,
    pub(crate) status: DeliveryStatus,
    pub(crate) response_code: Option<i16>,
    pub(crate) error: Option<String>,
    /// Until the next attempt, if there is to be one.
    pub(crate) pause: Option<Duration>,
    /// For the figures.
    pub(crate) door: Door,
    pub(crate) event: String,
}

impl Ended {
    /// An attempt that was not made since the webhook's secret cannot be read: `JWT_SECRET` is not what it was.
    pub(crate) fn unreadable(waiting: Waiting, lease: Uuid, event: Option<&Happened>, door: Door) -> Self {
        Self {
            id: waiting.id,
            lease,
            attempt: waiting.attempts.saturating_add(1),
            status: DeliveryStatus::Failed,
            response_code: None,
            error: Some("the webhook's secret cannot be read".to_owned()),
            pause: None,
            door,
            event: event.map(|event| event.kind.clone()).unwrap_or_default(),
        }
    }
}
