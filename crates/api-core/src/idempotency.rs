//! `Idempotency-Key`: the same request twice is done once.
//!
//! The key is taken before the work starts and settled when it ends: with the answer if it succeeded, freed if it failed. A process that
//! dies in between frees its keys by the passing of `locked_until`.

use actix_web::http::{
    StatusCode,
    header::{HeaderName, HeaderValue},
};
use api_types::error::Code;
use chrono::{DateTime, Duration, Utc};
use diesel::{
    ExpressionMethods as _, OptionalExtension as _, PgConnection, QueryDsl as _, QueryResult, Queryable,
    RunQueryDsl as _, Selectable, SelectableHelper as _,
};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::{
    auth::{Body, Call, permission::Permission},
    context,
    db::{self, Db},
    error::ApiError,
    input,
    reply::Reply,
};

/// How long an answer is kept.
const KEPT_HOURS: i64 = 24;
/// How much longer than its request's time limit a run keeps its key.
const GRACE_S: i64 = 10;
/// Rows cleared away in one go.
const PURGE_MAX: i64 = 1000;

diesel::table! {
    idempotency_keys (principal, method, path, key) {
        principal -> Text,
        method -> Text,
        path -> Text,
        key -> Text,
        body_sha256 -> Text,
        locked_until -> Nullable<Timestamptz>,
        run -> Uuid,
        request_id -> Text,
        status -> Nullable<SmallInt>,
        headers -> Nullable<Jsonb>,
        body -> Nullable<Text>,
        created_at -> Timestamptz,
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = idempotency_keys, check_for_backend(diesel::pg::Pg))]
struct Row {
    body_sha256: String,
    locked_until: Option<DateTime<Utc>>,
    request_id: String,
    status: Option<i16>,
    headers: Option<Value>,
    body: Option<String>,
    created_at: DateTime<Utc>,
}

#[derive(Debug, Clone)]
struct Key {
    principal: String,
    method: String,
    path: String,
    key: String,
    body_sha256: String,
    run: Uuid,
}

enum Taken {
    Ours,
    Answered(Box<Row>),
    Running,
    OtherBody,
}

impl<P: Permission> Call<P> {
    /// Does `work` once for the request's `Idempotency-Key`, if it has one.
    ///
    /// # Errors
    /// Those of `work`; 422 when the key was used with another body or has not the right form, 409 while the first request runs.
    pub async fn once(
        &self,
        db: &Db,
        body: &Body,
        work: impl Future<Output = Result<Reply, ApiError>>,
    ) -> Result<Reply, ApiError> {
        let Some(key) = self.idempotency_key(body)? else { return work.await };
        let (taking, request_id) = (key.clone(), context::request_id());
        let deadline = context::current().map_or(Duration::seconds(60), |context| {
            let left = context.deadline.saturating_duration_since(std::time::Instant::now());
            Duration::from_std(left).unwrap_or(Duration::seconds(60))
        });
        let locked_until = Utc::now() + deadline + Duration::seconds(GRACE_S);
        let taken: Taken =
            db.transaction::<_, db::Error>(move |conn| Ok(take(conn, &taking, &request_id, locked_until)?)).await?;
        match taken {
            Taken::Answered(row) => return replay(*row),
            Taken::Running => {
                let message = "A request with this Idempotency-Key is still running";
                return Err(ApiError::new(Code::IdempotencyInProgress, message).retry_after(1));
            }
            Taken::OtherBody => {
                let message = "This Idempotency-Key was used with another body";
                return Err(ApiError::new(Code::IdempotencyConflict, message));
            }
            Taken::Ours => {}
        }
        match work.await {
            Ok(mut reply) => {
                let (status, headers) = (reply.status(), headers_json(&reply));
                let body = reply.finish()?.to_owned();
                db.run::<_, db::Error>(move |conn| Ok(settle(conn, &key, status, headers, body)?)).await?;
                Ok(reply)
            }
            Err(error) => {
                if let Err(freeing) = db.run::<_, db::Error>(move |conn| Ok(free(conn, &key)?)).await {
                    tracing::warn!(error = %freeing, "an idempotency key stays taken until its lock runs out");
                }
                Err(error)
            }
        }
    }

    fn idempotency_key(&self, body: &Body) -> Result<Option<Key>, ApiError> {
        let Some(value) = self.request().headers().get("idempotency-key") else { return Ok(None) };
        let printable =
            |text: &&str| (1..=255).contains(&text.len()) && text.bytes().all(|b| (0x20..0x7f).contains(&b));
        let key = value.to_str().ok().filter(printable).ok_or_else(|| {
            let message = "Idempotency-Key must be 1 to 255 printable ASCII characters";
            ApiError::field(Code::InvalidFormat, "Idempotency-Key", message)
        })?;
        Ok(Some(Key {
            principal: self.caller.id().to_owned(),
            method: self.request().method().to_string(),
            path: self.request().path().to_owned(),
            key: key.to_owned(),
            body_sha256: hex::encode(Sha256::digest(input::canonical(&body.0))),
            run: Uuid::new_v4(),
        }))
    }
}

fn take(conn: &mut PgConnection, key: &Key, request_id: &str, locked_until: DateTime<Utc>) -> QueryResult<Taken> {
    use idempotency_keys::dsl;
    let now = Utc::now();
    let inserted = diesel::insert_into(dsl::idempotency_keys)
        .values((
            dsl::principal.eq(&key.principal),
            dsl::method.eq(&key.method),
            dsl::path.eq(&key.path),
            dsl::key.eq(&key.key),
            dsl::body_sha256.eq(&key.body_sha256),
            dsl::locked_until.eq(Some(locked_until)),
            dsl::run.eq(key.run),
            dsl::request_id.eq(request_id),
        ))
        .on_conflict_do_nothing()
        .execute(conn)?;
    if inserted == 1 {
        return Ok(Taken::Ours);
    }
    let row = dsl::idempotency_keys
        .find((&key.principal, &key.method, &key.path, &key.key))
        .for_update()
        .select(Row::as_select())
        .first(conn)
        .optional()?;
    // Gone between the two statements: its request has just failed and freed it.
    let Some(row) = row else { return Ok(Taken::Running) };
    let abandoned = row.locked_until.is_some_and(|until| until < now);
    if abandoned || row.created_at < now - Duration::hours(KEPT_HOURS) {
        diesel::update(dsl::idempotency_keys.find((&key.principal, &key.method, &key.path, &key.key)))
            .set((
                dsl::body_sha256.eq(&key.body_sha256),
                dsl::locked_until.eq(Some(locked_until)),
                dsl::run.eq(key.run),
                dsl::request_id.eq(request_id),
                dsl::status.eq(None::<i16>),
                dsl::headers.eq(None::<Value>),
                dsl::body.eq(None::<String>),
                dsl::created_at.eq(now),
            ))
            .execute(conn)?;
        return Ok(Taken::Ours);
    }
    Ok(if row.body_sha256 != key.body_sha256 {
        Taken::OtherBody
    } else if row.locked_until.is_some() {
        Taken::Running
    } else {
        Taken::Answered(Box::new(row))
    })
}

fn settle(conn: &mut PgConnection, key: &Key, status: StatusCode, headers: Value, body: String) -> QueryResult<()> {
    use idempotency_keys::dsl;
    diesel::update(dsl::idempotency_keys.find((&key.principal, &key.method, &key.path, &key.key)))
        .filter(dsl::run.eq(key.run))
        .set((
            dsl::locked_until.eq(None::<DateTime<Utc>>),
            dsl::status.eq(i16::try_from(status.as_u16()).ok()),
            dsl::headers.eq(Some(headers)),
            dsl::body.eq(Some(body)),
        ))
        .execute(conn)
        .map(drop)
}

fn free(conn: &mut PgConnection, key: &Key) -> QueryResult<()> {
    use idempotency_keys::dsl;
    diesel::delete(dsl::idempotency_keys.find((&key.principal, &key.method, &key.path, &key.key)))
        .filter(dsl::run.eq(key.run))
        .execute(conn)
        .map(drop)
}

/// Clears away answers past their time; to be called now and then.
///
/// # Errors
/// Those of the database.
pub fn purge(conn: &mut PgConnection) -> QueryResult<usize> {
    diesel::sql_query(
        "DELETE FROM idempotency_keys WHERE ctid IN \
         (SELECT ctid FROM idempotency_keys WHERE created_at < now() - make_interval(hours => $1) LIMIT $2)",
    )
    .bind::<diesel::sql_types::Integer, _>(i32::try_from(KEPT_HOURS).unwrap_or(i32::MAX))
    .bind::<diesel::sql_types::BigInt, _>(PURGE_MAX)
    .execute(conn)
}

fn headers_json(reply: &Reply) -> Value {
    let pair =
        |(name, value): &(HeaderName, HeaderValue)| Some((name.as_str().to_owned(), Value::from(value.to_str().ok()?)));
    Value::Object(reply.headers().iter().filter_map(pair).collect())
}

/// The first answer, to the letter. Its body names the first request's id, so its header does, too.
fn replay(row: Row) -> Result<Reply, ApiError> {
    let status = row.status.and_then(|status| StatusCode::from_u16(u16::try_from(status).ok()?).ok());
    let status = status.ok_or_else(|| ApiError::internal(anyhow::anyhow!("a kept answer without a status")))?;
    let mut headers: Vec<(HeaderName, HeaderValue)> = Vec::new();
    if let Some(Value::Object(kept)) = &row.headers {
        for (name, value) in kept {
            if let (Ok(name), Some(Ok(value))) = (name.parse(), value.as_str().map(str::parse)) {
                headers.push((name, value));
            }
        }
    }
    if let Ok(id) = row.request_id.parse() {
        headers.push((HeaderName::from_static("x-request-id"), id));
    }
    Ok(Reply::replayed(status, row.body.unwrap_or_default(), headers))
}
