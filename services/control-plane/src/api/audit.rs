//! `/ains/audit-logs`

use std::sync::Arc;

use actix_web::{Either, HttpResponse, get, http::header::ACCEPT, web};
use api_core::{
    auth::{Call, permission::AuditRead},
    error::ApiError,
    reply::Reply,
};
use api_types::{
    ains::{AinsFailure, parse_end, parse_time},
    audit::{AuditLogs, NDJSON},
    error::Code,
};
use chrono::{DateTime, Utc};
use futures_util::stream;

use crate::{
    App,
    domain::audit::{self, Filter, Row},
};

/// Rows that an export reads at a time.
const EXPORT_PAGE: i64 = 500;

/// Read the audit log: who did what, and who was refused. Callers without the scope `*` see what their own client did.
///
/// With `Accept: application/x-ndjson`, all rows that match come as one JSON object a line, the oldest first, with everything that
/// the log holds of them; `limit` and `offset` do not count then.
#[utoipa::path(
    tag = "audit",
    params(
        ("client_id" = Option<String>, Query, description = "Of whoever acted"),
        ("event_type" = Option<String>, Query),
        ("success" = Option<bool>, Query),
        ("start_date" = Option<String>, Query, description = "RFC 3339, or a date"),
        ("end_date" = Option<String>, Query, description = "RFC 3339, or a date, which counts to its end"),
        ("limit" = Option<i64>, Query, description = "1 to 100, by default 50"),
        ("offset" = Option<i64>, Query),
    ),
    responses((status = 200, body = AuditLogs), (status = "4XX", body = AinsFailure)),
)]
#[get("/ains/audit-logs")]
pub(super) async fn list_audit_logs(
    call: Call<AuditRead>,
    app: web::Data<App>,
) -> Result<Either<Reply, HttpResponse>, ApiError> {
    let filter = filter(&call)?;
    if wants_lines(&call) {
        return Ok(Either::Right(lines(&app, filter).await?));
    }
    let window = call.window()?;
    let (rows, total) = match filter {
        Some(filter) => audit::page(&app.db, filter, window.limit, window.offset).await?,
        None => (Vec::new(), 0),
    };
    let has_more = window.has_more(i64::try_from(rows.len()).unwrap_or(i64::MAX), total);
    let logs = rows.into_iter().map(Row::shown).collect();
    let page = AuditLogs { logs, total, limit: window.limit, offset: window.offset, has_more };
    Ok(Either::Left(Reply::flat(&page)?))
}

/// What is asked for; `None` when it is another client's.
fn filter(call: &Call<AuditRead>) -> Result<Option<Filter>, ApiError> {
    let filter = Filter {
        client_id: call.query("client_id"),
        event_type: call.query("event_type"),
        success: call.query_boolean("success")?,
        from: time(call, "start_date", parse_time)?,
        until: time(call, "end_date", parse_end)?,
    };
    Ok(match (call.caller.only_client(), filter.client_id.as_deref()) {
        (Some(own), Some(asked)) if own != asked => None,
        (Some(own), _) => Some(Filter { client_id: Some(own.to_owned()), ..filter }),
        (None, _) => Some(filter),
    })
}

fn time(
    call: &Call<AuditRead>,
    name: &str,
    parse: fn(&str) -> Option<DateTime<Utc>>,
) -> Result<Option<DateTime<Utc>>, ApiError> {
    let Some(text) = call.query(name) else { return Ok(None) };
    // A `+` that was not encoded is a space here; nothing else of a time is one.
    match parse(&text.replace(' ', "+")) {
        Some(time) => Ok(Some(time)),
        None => Err(ApiError::field(Code::InvalidFormat, name, format!("{name} must be an RFC 3339 time or a date"))),
    }
}

fn wants_lines(call: &Call<AuditRead>) -> bool {
    let accepted = call.request().headers().get_all(ACCEPT).filter_map(|value| value.to_str().ok());
    accepted.flat_map(|list| list.split(',')).any(|entry| {
        let media = entry.split(';').next().unwrap_or_default();
        media.trim().eq_ignore_ascii_case(NDJSON)
    })
}

/// All that matches and is there now, read as fast as it is taken.
async fn lines(app: &web::Data<App>, filter: Option<Filter>) -> Result<HttpResponse, ApiError> {
    let mut answer = HttpResponse::Ok();
    answer.content_type(NDJSON);
    let Some(filter) = filter else { return Ok(answer.finish()) };
    let (app, filter) = (app.clone(), Arc::new(filter));
    let newest = audit::newest(&app.db).await?;
    let pages = stream::try_unfold(0, move |after| {
        let (app, filter) = (app.clone(), Arc::clone(&filter));
        async move {
            let rows = audit::next(&app.db, filter, (after, newest), EXPORT_PAGE).await?;
            let Some(last) = rows.last().map(|row| row.seq) else { return Ok(None) };
            let mut text = Vec::new();
            for row in rows {
                text.extend(row.line()?);
            }
            Ok::<_, anyhow::Error>(Some((web::Bytes::from(text), last)))
        }
    });
    Ok(answer.streaming(Box::pin(pages)))
}
