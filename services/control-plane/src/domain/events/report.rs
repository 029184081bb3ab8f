//! Events that clients report.

use api_core::{context, db};
use api_types::{
    auth::Principal,
    events::{Event, Level, NewEvent, RecordedEvent, mesh_id},
};
use chrono::{DateTime, SubsecRound as _, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::{kinds, log::EXTERNAL};
use crate::{
    App,
    domain::intake::{self, Arriving, Links},
};

/// Why an event is not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("Events of the family '{0}' are written by Imago alone")]
    OwnFamily(String),
    #[error(transparent)]
    Store(#[from] db::Error),
}

/// Takes an event of a client's own into the log. One from before what is kept is answered and not kept.
///
/// # Errors
/// When its family is one of ours.
pub(crate) async fn report(
    app: &App,
    principal: &Principal,
    new: NewEvent,
    now: DateTime<Utc>,
) -> Result<RecordedEvent, Error> {
    if kinds::is_own(&new.event_type) {
        return Err(Error::OwnFamily(kinds::family(&new.event_type).to_owned()));
    }
    let arriving = arriving(principal, new, now);
    let mut shown = shown(&arriving, now);
    let taken = intake::take_in(app, vec![arriving]).await?;
    if let Some(stored) = taken.new.first() {
        shown.recorded_at = stored.recorded_at;
    }
    Ok(shown)
}

fn arriving(principal: &Principal, new: NewEvent, now: DateTime<Utc>) -> Arriving {
    let request = context::origin();
    let source = format!("{EXTERNAL}{}", principal.id);
    let event = Event {
        id: Uuid::now_v7(),
        kind: new.event_type,
        aggregate: source.clone(),
        service: source,
        actor: Some(principal.id.clone()),
        client_id: Some(principal.client_id.clone()),
        request_id: request.request_id,
        ip_address: request.ip_address,
        user_agent: request.user_agent,
        trace_id: new.trace_id.clone(),
        at: new.occurred_at.unwrap_or(now).trunc_subsecs(3),
        payload: Value::Object(new.data.unwrap_or_default()),
    };
    let links = Links {
        user_id: Some(principal.id.clone()),
        agent_id: new.agent_id,
        workflow_id: new.workflow_id,
        tool_id: new.tool_id,
        execution_id: new.execution_id,
        trace_id: new.trace_id,
    };
    Arriving { event, level: new.level.unwrap_or(Level::Info), message: new.message, links: links.clipped() }
}

fn shown(arriving: &Arriving, now: DateTime<Utc>) -> RecordedEvent {
    let Arriving { event, level, message, links } = arriving.clone();
    RecordedEvent {
        id: mesh_id(event.id),
        event_type: event.kind,
        level,
        source: event.service,
        message,
        data: event.payload,
        user_id: links.user_id,
        agent_id: links.agent_id,
        workflow_id: links.workflow_id,
        tool_id: links.tool_id,
        execution_id: links.execution_id,
        trace_id: links.trace_id,
        request_id: event.request_id,
        occurred_at: event.at,
        recorded_at: now,
    }
}
