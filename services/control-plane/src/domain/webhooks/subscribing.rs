//! Making, reading, changing and deleting webhooks, whatever their door.

use api_core::{
    db::{self, Db, Unavailable},
    list::ListQuery,
    outbox,
    seal::SealError,
};
use api_types::{
    ains::{Window, new_id},
    envelope::Pagination,
    kinds,
    webhooks::{Delivery, DeliveryStatus, Tested},
};
use chrono::{DateTime, SubsecRound as _, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Door,
    message::{Credential, Happened, delivery_id, delivery_number, event_id},
    sending::{Outcome, Sender},
    work::Ended,
};
use crate::store::{
    Conn, QueryError,
    webhooks::{
        deliveries,
        subscriptions::{self, AinsFilter, Set, Subscription},
    },
};

/// Webhooks of the native door.
const MESH_MAX: i64 = 200;
/// Webhooks of one client of the AINS door.
const AINS_CLIENT_MAX: i64 = 10_000;
const CAXTON_MAX: i64 = api_types::webhooks::caxton::WEBHOOKS_MAX;
/// Why deliveries end that waited for a webhook as it was switched off.
const SWITCHED_OFF: &str = "the webhook was switched off";

/// Why something cannot be done with a webhook.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("there is no webhook '{0}'")]
    NotFound(String),
    #[error("there is no delivery '{0}'")]
    NoDelivery(String),
    #[error("At most {limit} webhooks are possible")]
    TooMany { door: Door, limit: i64 },
    #[error("Revision {sent} is outdated, current is {current}")]
    Outdated { sent: i64, current: i64 },
    /// Events of users, keys and secrets are not for everybody.
    #[error("Permission 'audit:read' required")]
    NotForYou,
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error(transparent)]
    Store(#[from] db::Error),
}

impl From<Unavailable> for Error {
    fn from(error: Unavailable) -> Self {
        Self::Store(error.into())
    }
}

/// A webhook to be made.
#[derive(Debug)]
pub(crate) struct New {
    pub(crate) door: Door,
    /// Whose it is.
    pub(crate) client_id: String,
    pub(crate) agent_id: Option<String>,
    pub(crate) url: String,
    pub(crate) events: Vec<String>,
    pub(crate) capabilities: Option<Vec<String>>,
    pub(crate) credential: Credential,
    pub(crate) description: Option<String>,
    pub(crate) active: bool,
    pub(crate) sees_audited: bool,
    pub(crate) created_by: String,
}

/// What is to be different about a webhook; `None` stays as it is.
#[derive(Debug, Default)]
pub(crate) struct Change {
    pub(crate) url: Option<String>,
    pub(crate) events: Option<Vec<String>>,
    pub(crate) credential: Option<Credential>,
    pub(crate) description: Option<Option<String>>,
    pub(crate) active: Option<bool>,
    /// That whoever changes it has seen.
    pub(crate) revision: Option<i64>,
    /// Whether whoever changes it may see events of users, keys and secrets.
    pub(crate) sees_audited: bool,
}

/// Which webhook, and to whose eyes.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) door: Door,
    pub(crate) id: String,
    /// The only client whose webhooks are there for the caller.
    pub(crate) only_client: Option<String>,
}

impl Wanted {
    fn of(self, found: Option<Subscription>) -> Result<Subscription, Error> {
        let visible = found.filter(|found| self.only_client.as_ref().is_none_or(|only| *only == found.set.client_id));
        visible.ok_or(Error::NotFound(self.id))
    }
}

fn new_webhook_id(door: Door) -> String {
    match door {
        Door::Ains => new_id("wh"),
        Door::Mesh => format!("whk_{}", hex::encode(rand::random::<[u8; 10]>())),
        Door::Caxton => format!("wh-{}", Uuid::now_v7().simple()),
    }
}

/// # Errors
/// When there are too many already, or whoever makes it may not see what it is to tell.
pub(crate) async fn create(db: &Db, sender: &Sender, new: New) -> Result<Subscription, Error> {
    may_be_told(&new.events, new.sees_audited)?;
    let (id, now) = (new_webhook_id(new.door), Utc::now().trunc_subsecs(3));
    let (authentication, secret_sealed) = sender.sealed(&id, &new.credential)?;
    let door = new.door;
    let set = Set {
        id,
        door: door.as_str().to_owned(),
        client_id: new.client_id,
        agent_id: new.agent_id,
        url: new.url,
        events: new.events,
        capabilities: new.capabilities,
        authentication: authentication.to_owned(),
        secret_sealed,
        description: new.description,
        active: new.active,
        disabled_at: None,
        sees_audited: new.sees_audited,
        created_by: new.created_by,
        created_at: now,
        updated_at: now,
    };
    db.transaction(move |conn| {
        let (limit, client) = match door {
            Door::Ains => (AINS_CLIENT_MAX, Some(set.client_id.as_str())),
            Door::Mesh => (MESH_MAX, None),
            Door::Caxton => (CAXTON_MAX, None),
        };
        if subscriptions::count_alone(conn, door, client)? >= limit {
            return Err(Error::TooMany { door, limit });
        }
        tell(conn, "webhook.created", &set, Some(&set.created_by))?;
        Ok(subscriptions::insert(conn, &set)?)
    })
    .await
}

/// Whoever names events of users, keys and secrets must be allowed to see them. `*` holds them only for those who are.
fn may_be_told(events: &[String], sees_audited: bool) -> Result<(), Error> {
    let names_audited = events.iter().any(|event| kinds::AUDITED.contains(&kinds::family_of(event)));
    if names_audited && !sees_audited { Err(Error::NotForYou) } else { Ok(()) }
}

/// Tells of a change. The address stays out: it may hold a secret of the receiver's.
fn tell(conn: &mut Conn, kind: &str, set: &Set, actor: Option<&str>) -> Result<(), QueryError> {
    let payload = json!({
        "webhook_id": set.id, "client_id": set.client_id, "door": set.door, "events": set.events, "active": set.active,
    });
    outbox::push(conn, kind, &aggregate(&set.id), actor, payload)
}

fn aggregate(id: &str) -> String {
    format!("webhook:{id}")
}

/// # Errors
/// When there is no such webhook.
pub(crate) async fn get(db: &Db, wanted: Wanted) -> Result<Subscription, Error> {
    db.run(move |conn| {
        let found = subscriptions::find(conn, wanted.door, &wanted.id)?;
        wanted.of(found)
    })
    .await
}

/// A page of the native door's webhooks.
///
/// # Errors
/// Those of the database.
pub(crate) async fn list(db: &Db, query: ListQuery) -> Result<(Vec<Subscription>, Pagination), Error> {
    db.run(move |conn| Ok(subscriptions::listed(conn, &query)?)).await
}

/// A part of the AINS door's webhooks, oldest first, and how many there are.
///
/// # Errors
/// Those of the database.
pub(crate) async fn list_of_ains(
    db: &Db,
    filter: AinsFilter,
    window: Window,
) -> Result<(Vec<Subscription>, i64), Error> {
    db.run(move |conn| Ok(subscriptions::of_ains(conn, &filter, window)?)).await
}

/// All webhooks of the Caxton door, newest first.
///
/// # Errors
/// Those of the database.
pub(crate) async fn list_of_caxton(db: &Db) -> Result<Vec<Subscription>, Error> {
    db.run(|conn| Ok(subscriptions::all_of_caxton(conn)?)).await
}

/// Changes a webhook. One that is switched off gives up what waits for it; switched on again, it hears of what happens from
/// then on. A change that changes nothing leaves it as it is.
///
/// # Errors
/// When there is no such webhook, it has changed since it was seen, or it is to tell what is not for whoever changes it.
pub(crate) async fn change(
    db: &Db,
    sender: &Sender,
    wanted: Wanted,
    change: Change,
    actor: String,
) -> Result<Subscription, Error> {
    let credential = change.credential.as_ref().map(|credential| sender.sealed(&wanted.id, credential)).transpose()?;
    db.transaction(move |conn| {
        let found = subscriptions::find_for_update(conn, wanted.door, &wanted.id)?;
        let found = wanted.of(found)?;
        if let Some(sent) = change.revision.filter(|sent| *sent != found.revision) {
            return Err(Error::Outdated { sent, current: found.revision });
        }
        let mut set = found.set.clone();
        set.url = change.url.unwrap_or(set.url);
        set.events = change.events.unwrap_or(set.events);
        set.description = change.description.unwrap_or(set.description);
        set.active = change.active.unwrap_or(set.active);
        if let Some((authentication, sealed)) = credential {
            (set.authentication, set.secret_sealed) = (authentication.to_owned(), sealed);
        }
        if set.active {
            set.disabled_at = None;
        }
        if set.url != found.set.url || set.events != found.set.events {
            // What goes elsewhere, or is more than before, goes by the rights of who wants that.
            set.sees_audited = change.sees_audited;
            may_be_told(&set.events, set.sees_audited)?;
        }
        if set == found.set {
            return Ok(found);
        }
        set.updated_at = Utc::now().trunc_subsecs(3);
        let changed = subscriptions::update(conn, found.no, &set)?;
        if found.set.active && !set.active {
            deliveries::give_up(conn, found.no, SWITCHED_OFF)?;
        }
        tell(conn, "webhook.updated", &set, Some(&actor))?;
        Ok(changed)
    })
    .await
}

/// Deletes a webhook and drops what waits for it; returns its id.
///
/// # Errors
/// When there is no such webhook.
pub(crate) async fn delete(db: &Db, wanted: Wanted, actor: String) -> Result<String, Error> {
    db.transaction(move |conn| {
        let found = subscriptions::find_for_update(conn, wanted.door, &wanted.id)?;
        let found = wanted.of(found)?;
        subscriptions::delete(conn, found.no)?;
        tell(conn, "webhook.deleted", &found.set, Some(&actor))?;
        Ok(found.set.id)
    })
    .await
}

/// Switches a webhook off whose receiver is gone for good.
///
/// # Errors
/// Those of the database.
pub(crate) fn switch_off(conn: &mut Conn, no: i64) -> Result<(), QueryError> {
    if let Some(disabled) = subscriptions::disable(conn, no, Utc::now())? {
        deliveries::give_up(conn, no, SWITCHED_OFF)?;
        tell(conn, "webhook.updated", &disabled.set, None)?;
    }
    Ok(())
}

/// A part of a webhook's deliveries, newest first, and how many there are.
///
/// # Errors
/// When there is no such webhook.
pub(crate) async fn history(db: &Db, wanted: Wanted, window: Window) -> Result<(Vec<Delivery>, i64), Error> {
    db.run(move |conn| {
        let door = wanted.door;
        let found = subscriptions::find(conn, door, &wanted.id)?;
        let found = wanted.of(found)?;
        let (rows, total) = deliveries::newest(conn, found.no, window)?;
        Ok((rows.into_iter().map(|row| shown(door, row)).collect(), total))
    })
    .await
}

/// Delivers once more what was delivered or given up, under the same event id; what waits for a retry does not wait any
/// longer. That counts as a further attempt, and another follows only where the schedule has one left. A webhook that is
/// switched off is no obstacle: whoever asks for this wants it.
///
/// # Errors
/// When there is no such webhook or delivery.
pub(crate) async fn redeliver(db: &Db, wanted: Wanted, delivery: String) -> Result<Delivery, Error> {
    db.transaction(move |conn| {
        let door = wanted.door;
        let found = subscriptions::find(conn, door, &wanted.id)?;
        let found = wanted.of(found)?;
        let row = match delivery_number(&delivery) {
            Some(number) => deliveries::find(conn, found.no, number)?,
            None => None,
        };
        let row = row.filter(|row| delivery_id(row.created_at.timestamp_millis(), row.id) == delivery);
        let row = row.ok_or(Error::NoDelivery(delivery))?;
        deliveries::redeliver(conn, row.id)?;
        let row = deliveries::find(conn, found.no, row.id)?.unwrap_or(row);
        Ok(shown(door, row))
    })
    .await
}

/// Sends `webhook.test` at once, whether the webhook is active or not, and never again.
///
/// # Errors
/// When there is no such webhook, or its secret cannot be read.
pub(crate) async fn test(db: &Db, sender: &Sender, wanted: Wanted, actor: String) -> Result<Tested, Error> {
    let found = get(db, wanted).await?;
    let hook = sender.hook(&found)?;
    let (no, id) = (found.no, found.set.id);
    let event = Happened {
        id: Uuid::now_v7(),
        kind: "webhook.test".to_owned(),
        at: Utc::now(),
        payload: json!({"webhook_id": id}),
    };
    let noted = event.clone();
    let row = db.transaction::<_, Error>(move |conn| Ok(deliveries::insert_tried(conn, no, &noted)?)).await?;
    let delivery = delivery_id(row.created_at.timestamp_millis(), row.id);
    let outcome = sender.attempt(&hook, &event, (&delivery, 1), false).await;
    let tested = Tested {
        delivered: outcome.error.is_none(),
        response_code: outcome.response_code,
        duration_ms: u64::try_from(outcome.took.as_millis()).unwrap_or(u64::MAX),
        error: outcome.error.clone(),
    };
    let ended = ended_test(row.id, hook.door, outcome.clone());
    db.transaction::<_, Error>(move |conn| {
        deliveries::settle(conn, &ended)?;
        let payload: Value = json!({
            "webhook_id": id, "delivered": outcome.error.is_none(), "response_code": outcome.response_code,
        });
        outbox::push(conn, "webhook.test", &aggregate(&id), Some(&actor), payload)?;
        if outcome.is_gone() {
            switch_off(conn, no)?;
        }
        Ok(())
    })
    .await?;
    Ok(tested)
}

fn ended_test(id: i64, door: Door, outcome: Outcome) -> Ended {
    Ended {
        id,
        lease: Uuid::nil(),
        attempt: 1,
        status: if outcome.error.is_none() { DeliveryStatus::Success } else { DeliveryStatus::Failed },
        response_code: outcome.response_code,
        error: outcome.error,
        pause: None,
        door,
        event: "webhook.test".to_owned(),
    }
}

/// A delivery as the door shows it.
fn shown(door: Door, row: deliveries::Stored) -> Delivery {
    let status = match row.status.as_str() {
        "success" => DeliveryStatus::Success,
        "failed" => DeliveryStatus::Failed,
        _ => DeliveryStatus::Pending,
    };
    let next: Option<DateTime<Utc>> = (status == DeliveryStatus::Pending).then_some(row.due_at);
    Delivery {
        delivery_id: delivery_id(row.created_at.timestamp_millis(), row.id),
        event_id: event_id(door, row.event_id),
        event: row.event,
        status,
        attempt_count: row.attempts,
        response_code: row.response_code,
        error: row.error,
        created_at: row.created_at,
        delivered_at: row.delivered_at,
        next_attempt_at: next,
    }
}
