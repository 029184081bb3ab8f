//! `/api/v1/observability/events`

use std::{sync::Arc, time::Duration};

use actix_web::{HttpResponse, get, http::header, post, web};
use api_core::{
    auth::{
        Call,
        permission::{ObservabilityRead, ObservabilityWrite},
    },
    error::ApiError,
    input::{Choice, Fields, JsonObject, Object, Problem, Rule, Text, Time},
    reply::Reply,
};
use api_types::{
    envelope::{Failure, Success},
    error::Code,
    events::{Level, NewEvent, RecordedEvent},
};
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::{Stream, stream};
use serde_json::Value;
use tokio::time::Instant;

use crate::{
    App,
    domain::events::{
        live::{Entry, Next, Reader},
        log::{self, LIST, PLAIN, View},
        report,
    },
};

/// What a stream begins with: how soon, in milliseconds, to come back when it breaks off.
const BEGIN: &str = "retry: 1000\n\n";
const KEEP_ALIVE: &str = ": keep-alive\n\n";

const ID: Text = Text::chars(1..=200);
const MESSAGE: Text = Text::chars(0..=2000);
const KIND: Text = Text::chars(1..=100).of_form(is_kind, "must be a name such as shop.low_stock");
const DATA: JsonObject = JsonObject { bytes_max: 16 << 10 };
/// How far a reporter's clock may be ahead.
const AHEAD: TimeDelta = TimeDelta::minutes(5);

/// List events, the newest first.
#[utoipa::path(
    tag = "observability",
    params(
        ("event_type" = Option<String>, Query, description = "exact, or a family such as `workflow.*`"),
        ("level" = Option<Level>, Query, description = "that or worse"),
        ("source" = Option<String>, Query),
        ("user_id" = Option<String>, Query),
        ("agent_id" = Option<String>, Query),
        ("workflow_id" = Option<String>, Query),
        ("tool_id" = Option<String>, Query),
        ("execution_id" = Option<String>, Query),
        ("trace_id" = Option<String>, Query),
        ("since" = Option<String>, Query),
        ("until" = Option<String>, Query),
        ("search" = Option<String>, Query, description = "in the message"),
    ),
    responses((status = 200, body = Success<Vec<RecordedEvent>>), (status = "4XX", body = Failure))
)]
#[get("/api/v1/observability/events")]
pub(super) async fn list_events(call: Call<ObservabilityRead>, app: web::Data<App>) -> Result<Reply, ApiError> {
    let query = call.list_query_with(&LIST, &PLAIN)?;
    let (events, pagination) = log::list(&app.db, View::new(query, &call.caller.principal)).await?;
    Reply::page(&events, pagination)
}

/// Report an event of one's own.
#[utoipa::path(
    tag = "observability",
    request_body = NewEvent,
    responses((status = 201, body = Success<RecordedEvent>), (status = "4XX", body = Failure))
)]
#[post("/api/v1/observability/events")]
pub(super) async fn report_event(mut call: Call<ObservabilityWrite>, app: web::Data<App>) -> Result<Reply, ApiError> {
    let body = call.body().await?;
    let now = Utc::now();
    let new = new_event(&body.0, now)?;
    call.once(&app.db, &body, async { Reply::created(&report::report(&app, &call.caller.principal, new, now).await?) })
        .await
}

/// Follow events as they come, as server-sent events: `id` is the place to go on from with `Last-Event-ID`, `event` the
/// type, `data` the event. The filters are those of the list.
#[utoipa::path(
    tag = "observability",
    params(
        ("Last-Event-ID" = Option<String>, Header, description = "begin after this one; without it, with what comes next"),
        ("event_type" = Option<String>, Query, description = "exact, or a family such as `workflow.*`"),
        ("level" = Option<Level>, Query, description = "that or worse"),
        ("source" = Option<String>, Query),
        ("user_id" = Option<String>, Query),
        ("agent_id" = Option<String>, Query),
        ("workflow_id" = Option<String>, Query),
        ("tool_id" = Option<String>, Query),
        ("execution_id" = Option<String>, Query),
        ("trace_id" = Option<String>, Query),
        ("since" = Option<String>, Query),
        ("until" = Option<String>, Query),
        ("search" = Option<String>, Query, description = "in the message"),
    ),
    responses(
        (status = 200, content_type = "text/event-stream", body = String),
        (status = "4XX", body = Failure),
        (status = 503, body = Failure, description = "too many streams are open")
    )
)]
#[get("/api/v1/observability/events/stream")]
pub(super) async fn follow_events(
    call: Call<ObservabilityRead>,
    app: web::Data<App>,
) -> Result<HttpResponse, ApiError> {
    let query = call.list_query_with(&LIST, &PLAIN)?;
    let view = View::new(query, &call.caller.principal);
    let alive = app.config.event_keep_alive;
    let reader = Reader::open(app.into_inner(), view, last_event_id(&call)?).await?;
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        // Proxies that gather answers before they pass them on know this one.
        .insert_header(("x-accel-buffering", "no"))
        .streaming(following(call, reader, alive)))
}

fn last_event_id(call: &Call<ObservabilityRead>) -> Result<Option<i64>, ApiError> {
    let Some(text) = call.header("last-event-id").filter(|text| !text.is_empty()) else { return Ok(None) };
    let seen = text.parse().ok().filter(|seen| *seen >= 0);
    let bad = || ApiError::field(Code::InvalidFormat, "Last-Event-ID", "Last-Event-ID must be the id of an event");
    seen.map(Some).ok_or_else(bad)
}

/// The text of a stream, made only as fast as it is read.
fn following(
    call: Call<ObservabilityRead>,
    reader: Reader,
    alive: Duration,
) -> impl Stream<Item = Result<web::Bytes, std::convert::Infallible>> {
    let begin = stream::once(async { Ok(web::Bytes::from_static(BEGIN.as_bytes())) });
    let rest = stream::unfold((call, reader, Instant::now() + alive), move |(call, mut reader, mut due)| async move {
        if due <= Instant::now() {
            if !call.still_holds().await {
                return None;
            }
            due = Instant::now() + alive;
        }
        let text = match reader.next(due).await {
            Next::Entries(entries) => web::Bytes::from(entries.iter().map(frame).collect::<String>()),
            Next::Nothing => web::Bytes::from_static(KEEP_ALIVE.as_bytes()),
            Next::End => return None,
        };
        Some((Ok(text), (call, reader, due)))
    });
    futures_util::StreamExt::chain(begin, rest)
}

/// An entry as a server-sent event. JSON as it is written here has no line breaks, nor has a type.
fn frame(entry: &Arc<Entry>) -> String {
    let Entry { logged, json } = &**entry;
    format!("id: {}\nevent: {}\ndata: {json}\n\n", logged.seq, logged.event.event_type)
}

fn new_event(body: &Object, now: DateTime<Utc>) -> Result<NewEvent, ApiError> {
    let mut fields = Fields::of(body);
    let read = NewEvent {
        event_type: fields.required("event_type", &KIND),
        level: fields.optional("level", &Choice(Level::NAMES)).and_then(|name| name.parse().ok()),
        message: fields.optional("message", &MESSAGE),
        data: fields.optional("data", &DATA),
        agent_id: fields.optional("agent_id", &ID),
        workflow_id: fields.optional("workflow_id", &ID),
        tool_id: fields.optional("tool_id", &ID),
        execution_id: fields.optional("execution_id", &ID),
        trace_id: fields.optional("trace_id", &ID),
        occurred_at: fields.optional("occurred_at", &NotAhead(now + AHEAD)),
    };
    fields.finish()?;
    Ok(read)
}

/// Parts of small letters, digits and underscores, with dots between them; the first one begins with a letter.
fn is_kind(text: &str) -> bool {
    let part = |part: &str| !part.is_empty() && part.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'));
    text.starts_with(|first: char| first.is_ascii_lowercase()) && text.split('.').all(part)
}

/// A point in time that lies no later than this.
struct NotAhead(DateTime<Utc>);

impl Rule for NotAhead {
    type Out = DateTime<Utc>;

    fn read(&self, field: &str, value: &Value) -> Result<DateTime<Utc>, Vec<Problem>> {
        let time = Time { after: None }.read(field, value)?;
        if time > self.0 {
            let message = format!("{field} must not lie more than 5 minutes ahead");
            return Err(vec![Problem::new(Code::InvalidRange, message)]);
        }
        Ok(time)
    }
}

#[cfg(test)]
mod tests {
    use chrono::Utc;
    use serde_json::{Value, json};

    use super::{is_kind, new_event};

    #[test]
    fn a_kind_is_small_words_with_dots_between() {
        for good in ["shop", "shop.low_stock", "a1.2.b_", "a._"] {
            assert!(is_kind(good), "{good}");
        }
        for bad in ["", "Shop.x", "shop.", ".shop", "shop..x", "1shop", "_shop", "shop x", "shöp", "shop-x", "shop.x\n"]
        {
            assert!(!is_kind(bad), "{bad:?}");
        }
    }

    #[test]
    fn every_field_is_checked() {
        let read = |body: Value| new_event(body.as_object().unwrap(), Utc::now());
        let problems = |body: Value| -> Vec<(String, String)> {
            let error = read(body).unwrap_err();
            error.details().iter().map(|detail| (detail.field.clone(), detail.code.clone())).collect()
        };
        let ahead = |seconds: i64| api_types::time::format(Utc::now() + chrono::TimeDelta::seconds(seconds));
        let found = problems(json!({
            "event_type": "Not Good", "level": "loud", "message": "x".repeat(2001), "data": {"x": "y".repeat(16 << 10)},
            "agent_id": "", "workflow_id": 3, "tool_id": "x".repeat(201), "occurred_at": ahead(310),
        }));
        let expected = [
            ("event_type", "INVALID_FORMAT"),
            ("level", "INVALID_FORMAT"),
            ("message", "INVALID_RANGE"),
            ("data", "INVALID_RANGE"),
            ("agent_id", "INVALID_RANGE"),
            ("workflow_id", "INVALID_TYPE"),
            ("tool_id", "INVALID_RANGE"),
            ("occurred_at", "INVALID_RANGE"),
        ];
        assert_eq!(found, expected.map(|(field, code)| (field.to_owned(), code.to_owned())));
        assert_eq!(problems(json!({}))[0], ("event_type".to_owned(), "REQUIRED_FIELD".to_owned()));
        assert!(read(json!({"event_type": "a", "occurred_at": ahead(290)})).is_ok());
        assert!(read(json!({"event_type": "a", "occurred_at": "2001-01-01T00:00:00Z"})).is_ok());
    }
}
