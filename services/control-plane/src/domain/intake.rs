//! Taking events in: every event of every service passes here once, whichever way it came.

use std::{ops::Deref, sync::LazyLock};

use api_core::{db, metrics::Counters};
use api_types::events::{Event, Level};
use chrono::{DateTime, Days, NaiveDate, NaiveTime, SubsecRound as _, Utc};
use serde_json::Value;

use super::events::kinds;
use crate::{App, store};

/// Events taken in at once; outboxes hand over no more.
pub(crate) const BATCH_MAX: usize = 1000;
/// The most of an id that events are found by, in characters: an index takes no more than some kilobytes.
const LINK_CHARS: usize = 200;

static EVENTS: LazyLock<Counters> =
    LazyLock::new(|| Counters::new("imago_events_total", "Events taken into the log", &["level"]));
static LATE: LazyLock<Counters> =
    LazyLock::new(|| Counters::new("imago_events_late_total", "Events that came when they were no more kept", &[]));

/// An event on its way into the log.
#[derive(Debug, Clone)]
pub(crate) struct Arriving {
    pub(crate) event: Event,
    pub(crate) level: Level,
    pub(crate) message: Option<String>,
    pub(crate) links: Links,
}

/// Whom and what an event concerns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Links {
    pub(crate) user_id: Option<String>,
    pub(crate) agent_id: Option<String>,
    pub(crate) workflow_id: Option<String>,
    pub(crate) tool_id: Option<String>,
    pub(crate) execution_id: Option<String>,
    pub(crate) trace_id: Option<String>,
}

/// An event as the log keeps it.
#[derive(Debug, Clone)]
pub(crate) struct StoredEvent {
    /// The order of the log: whoever has seen this number has seen every smaller one.
    pub(crate) seq: i64,
    pub(crate) level: Level,
    pub(crate) recorded_at: DateTime<Utc>,
    pub(crate) event: Event,
}

impl Deref for StoredEvent {
    type Target = Event;

    fn deref(&self) -> &Event {
        &self.event
    }
}

/// An event of one of our services says by its kind and payload what the log wants to know.
impl From<Event> for Arriving {
    fn from(mut event: Event) -> Self {
        // As it is printed, so that the same event has the same time whichever way it came.
        event.at = event.at.trunc_subsecs(3);
        let named = |name: &str| event.payload.get(name).and_then(Value::as_str).map(str::to_owned);
        let concerned = if kinds::family(&event.kind) == "user" { named("user_id") } else { None };
        let links = Links {
            user_id: concerned.or_else(|| event.actor.clone()),
            agent_id: named("agent_id"),
            workflow_id: named("workflow_id"),
            tool_id: named("tool_id"),
            execution_id: named("execution_id"),
            trace_id: event.trace_id.clone().or_else(|| named("trace_id")),
        };
        let (level, message) = (kinds::level(&event.kind), Some(kinds::message(&event.kind, &event.aggregate)));
        Self { event, level, message, links: links.clipped() }
    }
}

impl Links {
    /// With ids that an index takes.
    pub(crate) fn clipped(mut self) -> Self {
        for id in [
            &mut self.user_id,
            &mut self.agent_id,
            &mut self.workflow_id,
            &mut self.tool_id,
            &mut self.execution_id,
            &mut self.trace_id,
        ] {
            if let Some(text) = id
                && let Some((end, _)) = text.char_indices().nth(LINK_CHARS)
            {
                text.truncate(end);
            }
        }
        self
    }
}

/// What became of a batch.
#[derive(Debug, Default)]
pub(crate) struct TakenIn {
    /// How many events there were.
    pub(crate) count: usize,
    /// How many of them are older than what is kept.
    pub(crate) late: usize,
    pub(crate) new: Vec<StoredEvent>,
}

/// Keeps the events that are not known yet, in their order. Those older than what is kept are counted and let go.
///
/// # Errors
/// Those of the database; nothing was taken in then.
pub(crate) async fn take_in(app: &App, events: Vec<Arriving>) -> Result<TakenIn, db::Error> {
    let kept_from = kept_from(app.config.event_retention_days, Utc::now());
    // The database lets only one at a time do this; who waits for that here holds no connection.
    let _turn = app.intake.lock().await;
    let taken = app.db.transaction::<_, db::Error>(move |conn| Ok(store::intake::take_in(conn, events, kept_from)?));
    Ok(told(app, taken.await?))
}

/// Moves a batch of the service's own events from its outbox to where everybody's are.
///
/// # Errors
/// Those of the database; nothing was moved then.
pub(crate) async fn take_in_own(app: &App) -> Result<TakenIn, db::Error> {
    let kept_from = kept_from(app.config.event_retention_days, Utc::now());
    let _turn = app.intake.lock().await;
    let taken = app.db.transaction::<_, db::Error>(move |conn| Ok(store::intake::take_in_own(conn, kept_from)?));
    Ok(told(app, taken.await?))
}

/// The first moment of the first day (UTC) whose events are kept.
pub(crate) fn kept_from(retention_days: u16, now: DateTime<Utc>) -> DateTime<Utc> {
    let day = now.date_naive().checked_sub_days(Days::new(retention_days.into())).unwrap_or(NaiveDate::MIN);
    day.and_time(NaiveTime::MIN).and_utc()
}

/// Counts, and wakes those who wait for new events.
fn told(app: &App, taken: TakenIn) -> TakenIn {
    for event in &taken.new {
        EVENTS.inc(&[event.level.as_str()]);
    }
    if taken.late > 0 {
        LATE.add(&[], taken.late.try_into().unwrap_or(u64::MAX));
        tracing::warn!(late = taken.late, "events came that are older than what is kept");
    }
    if let Some(last) = taken.new.last() {
        app.arrived.send_if_modified(|newest| {
            let newer = last.seq > *newest;
            *newest = last.seq.max(*newest);
            newer
        });
    }
    taken
}

#[cfg(test)]
mod tests {
    use api_types::{events::Event, time};
    use serde_json::{Value, json};
    use uuid::Uuid;

    use super::{Arriving, LINK_CHARS, kept_from};

    fn event(kind: &str, payload: Value) -> Event {
        Event {
            id: Uuid::now_v7(),
            kind: kind.to_owned(),
            aggregate: "thing:1".to_owned(),
            service: "s".to_owned(),
            actor: Some("k_1".to_owned()),
            client_id: None,
            request_id: None,
            ip_address: None,
            user_agent: None,
            trace_id: None,
            at: time::parse("2026-01-02T03:04:05.678901Z").unwrap(),
            payload,
        }
    }

    #[test]
    fn ids_of_the_payload_become_links() {
        let arriving =
            Arriving::from(event("tool.executed", json!({"tool_id": "t", "agent_id": "a", "workflow_id": 3})));
        assert_eq!(time::format(arriving.event.at), "2026-01-02T03:04:05.678Z");
        assert_eq!(arriving.event.at.timestamp_subsec_micros(), 678_000);
        let links = arriving.links;
        assert_eq!((links.tool_id.as_deref(), links.agent_id.as_deref()), (Some("t"), Some("a")));
        assert_eq!((links.user_id.as_deref(), links.workflow_id), (Some("k_1"), None));
    }

    #[test]
    fn an_event_about_a_user_links_to_the_user_and_not_to_who_did_it() {
        let of = |kind: &str| Arriving::from(event(kind, json!({"user_id": "usr_1"}))).links.user_id;
        assert_eq!(of("user.updated").as_deref(), Some("usr_1"));
        assert_eq!(of("key.created").as_deref(), Some("k_1"));
    }

    #[test]
    fn an_id_too_long_for_an_index_is_cut() {
        let links = Arriving::from(event("a.b", json!({"agent_id": "ä".repeat(5000)}))).links;
        assert_eq!(links.agent_id.unwrap().chars().count(), LINK_CHARS);
    }

    #[test]
    fn whole_days_are_kept() {
        let now = time::parse("2026-03-02T12:00:00Z").unwrap();
        assert_eq!(time::format(kept_from(1, now)), "2026-03-01T00:00:00.000Z");
        assert_eq!(time::format(kept_from(30, now)), "2026-01-31T00:00:00.000Z");
    }
}
