//! What a dispatcher takes from the store and gives back to it.

use std::{collections::HashMap, time::Duration};

use api_types::webhooks::DeliveryStatus;
use uuid::Uuid;

use super::{Door, message::Happened};
use crate::store::webhooks::subscriptions::Subscription;

/// Deliveries under one lease, in the order of their events, with the webhooks and events that they are about.
#[derive(Debug, Default)]
pub(crate) struct Claimed {
    pub(crate) lease: Uuid,
    /// The webhooks' numbers; one may have nothing waiting any more.
    pub(crate) lanes: Vec<Lane>,
    pub(crate) hooks: Vec<Subscription>,
    pub(crate) events: Vec<Happened>,
    pub(crate) waiting: Vec<Waiting>,
}

/// The first attempts of one webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lane {
    pub(crate) no: i64,
    /// With whom the webhook shares turns.
    pub(crate) owner: i32,
}

/// Whose turn it is next: owners take turns, and so do the webhooks of each.
#[derive(Debug, Clone, Default)]
pub(crate) struct Turns {
    /// The last owner that was served; `None` begins with the first.
    pub(crate) owner: Option<i32>,
    /// The last webhook of those owners that were not served to the end.
    pub(crate) lanes: HashMap<i32, i64>,
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
