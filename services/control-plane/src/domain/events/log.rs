//! Events as they are read.

use api_core::{
    db::{self, Db},
    list::{Datum, Field, Kind, ListQuery, ListSpec, Plain},
};
use api_types::{
    auth::Principal,
    envelope::Pagination,
    events::{Level, RecordedEvent},
};

use super::kinds;
use crate::store;

/// The scope without which some families are not shown.
const CONFIDENTIAL: &str = "audit:read";
/// How the source of an event begins that somebody else reported.
pub(crate) const EXTERNAL: &str = "external:";

/// What can be asked of the log.
pub(crate) static LIST: ListSpec = ListSpec {
    fields: &[
        Field { name: "event_type", column: "kind", kind: Kind::Dotted },
        Field { name: "level", column: "level", kind: Kind::Rising(Level::NAMES) },
        Field { name: "source", column: "service", kind: Kind::Text },
        Field { name: "user_id", column: "user_id", kind: Kind::Text },
        Field { name: "agent_id", column: "agent_id", kind: Kind::Text },
        Field { name: "workflow_id", column: "workflow_id", kind: Kind::Text },
        Field { name: "tool_id", column: "tool_id", kind: Kind::Text },
        Field { name: "execution_id", column: "execution_id", kind: Kind::Text },
        Field { name: "trace_id", column: "trace_id", kind: Kind::Text },
        Field { name: "created_at", column: "at", kind: Kind::Time },
        Field { name: "updated_at", column: "at", kind: Kind::Time },
        Field { name: "occurred_at", column: "at", kind: Kind::Time },
        Field { name: "recorded_at", column: "recorded_at", kind: Kind::Time },
    ],
    // A number as a text that sorts like it.
    id_column: "lpad(seq::text, 19, '0')",
};

/// The same by plain parameters.
pub(crate) static PLAIN: Plain = Plain {
    filters: &[
        "event_type",
        "level",
        "source",
        "user_id",
        "agent_id",
        "workflow_id",
        "tool_id",
        "execution_id",
        "trace_id",
    ],
    search: &["message"],
    tag: None,
    time: Some("at"),
    newest_first: true,
};

/// An entry of the log.
#[derive(Debug, Clone)]
pub(crate) struct Logged {
    pub(crate) seq: i64,
    pub(crate) event: RecordedEvent,
}

/// What somebody wants to see, and may.
#[derive(Debug, Clone)]
pub(crate) struct View {
    pub(crate) query: ListQuery,
    /// Whether confidential families are shown.
    pub(crate) confidential: bool,
}

impl View {
    pub(crate) fn new(query: ListQuery, caller: &Principal) -> Self {
        Self { query, confidential: caller.may(CONFIDENTIAL) }
    }

    /// Whether an event is to be shown.
    pub(crate) fn shows(&self, event: &RecordedEvent) -> bool {
        (self.confidential || !kinds::is_confidential(&event.event_type))
            && self.query.matches(|column| datum(event, column))
    }
}

fn datum<'a>(event: &'a RecordedEvent, column: &str) -> Datum<'a> {
    let text = match column {
        "kind" => Some(event.event_type.as_str()),
        "level" => Some(event.level.as_str()),
        "service" => Some(event.source.as_str()),
        "message" => event.message.as_deref(),
        "user_id" => event.user_id.as_deref(),
        "agent_id" => event.agent_id.as_deref(),
        "workflow_id" => event.workflow_id.as_deref(),
        "tool_id" => event.tool_id.as_deref(),
        "execution_id" => event.execution_id.as_deref(),
        "trace_id" => event.trace_id.as_deref(),
        "at" => return Datum::Time(event.occurred_at),
        "recorded_at" => return Datum::Time(event.recorded_at),
        _ => None,
    };
    text.map_or(Datum::Absent, Datum::Text)
}

/// # Errors
/// Those of the database.
pub(crate) async fn list(db: &Db, view: View) -> Result<(Vec<RecordedEvent>, Pagination), db::Error> {
    db.run(move |conn| Ok(store::events::page(conn, &view)?)).await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn every_filter_has_a_value_to_compare_with() {
        use api_types::{
            events::{Level, RecordedEvent},
            time,
        };
        let text = || Some("x".to_owned());
        let event = RecordedEvent {
            id: "evt_1".to_owned(),
            event_type: "a.b".to_owned(),
            level: Level::Info,
            source: "s".to_owned(),
            message: text(),
            data: json!({}),
            user_id: text(),
            agent_id: text(),
            workflow_id: text(),
            tool_id: text(),
            execution_id: text(),
            trace_id: text(),
            request_id: text(),
            occurred_at: time::parse("2026-01-01T00:00:00Z").unwrap(),
            recorded_at: time::parse("2026-01-01T00:00:00Z").unwrap(),
        };
        let columns = super::LIST.fields.iter().map(|field| field.column);
        for column in columns.chain(super::PLAIN.search.iter().copied()).chain(super::PLAIN.time) {
            assert_ne!(super::datum(&event, column), super::Datum::Absent, "{column}");
        }
    }
}
