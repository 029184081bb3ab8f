//! `Idempotency-Key`: the same request twice is done once.
//!
//! The key is taken before the work starts and settled when it ends: with the answer if it succeeded, freed if it
//! failed. A process that dies in between frees its keys by the passing of `locked_until`.

mod store;

use std::sync::Arc;

use actix_web::http::{
    StatusCode,
    header::{HeaderName, HeaderValue},
};
use api_types::error::Code;
use chrono::{DateTime, Duration, Utc};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    auth::{Body, Call, permission::Permission},
    context,
    db::{self, Db},
    error::ApiError,
    input,
    reply::Reply,
    seal::SealKey,
};
pub use store::purge;
use store::{Answer, Key, Row, Taken};

/// How much longer than its request's time limit a run keeps its key, and how much longer than a request that was cut
/// short: a statement of it may still be under way.
const GRACE_S: i64 = 10;
/// How long the purger rests when nothing is left to clear away.
const PURGE_PAUSE: std::time::Duration = std::time::Duration::from_secs(600);
/// Begins a kept answer that is sealed; any other is plain JSON.
const SEALED: &str = "sealed:";

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
        self.once_keeping(Keep::Plain, db, body, work).await
    }

    /// As [`Call::once`], for requests or answers that hold a secret: the answer is kept sealed, and what is kept of the body
    /// confirms no guess. With another `JWT_SECRET` the same body counts as another one.
    ///
    /// # Errors
    /// As [`Call::once`]; 409 when the first answer cannot be read any more.
    pub async fn once_secret(
        &self,
        db: &Db,
        body: &Body,
        work: impl Future<Output = Result<Reply, ApiError>>,
    ) -> Result<Reply, ApiError> {
        let key = SealKey::derive(self.platform()?.jwt_secret(), "answers").map_err(ApiError::internal)?;
        self.once_keeping(Keep::Sealed(Arc::new(key)), db, body, work).await
    }

    async fn once_keeping(
        &self,
        keep: Keep,
        db: &Db,
        body: &Body,
        work: impl Future<Output = Result<Reply, ApiError>>,
    ) -> Result<Reply, ApiError> {
        let Some(key) = self.idempotency_key(body, &keep)? else { return work.await };
        let (taking, request_id, locked_until) = (key.clone(), context::request_id(), locked_until());
        let taken = db
            .transaction::<_, db::Error>(move |conn| Ok(store::take(conn, &taking, &request_id, locked_until)?))
            .await?;
        match taken {
            Taken::Answered(row) => return replay(*row, &key, &keep),
            Taken::Running => {
                let message = "A request with this Idempotency-Key is still running";
                return Err(ApiError::new(Code::IdempotencyInProgress, message).retry_after(1));
            }
            Taken::OtherBody => {
                let message = "This Idempotency-Key was used with another body";
                return Err(ApiError::field(Code::IdempotencyConflict, "Idempotency-Key", message));
            }
            Taken::Ours => {}
        }
        let lock = Lock { db: Some(db.clone()), key };
        match work.await {
            Ok(mut reply) if reply.status().is_success() => {
                let body = keep.written(&lock.key, reply.finish()?)?;
                lock.settle(Answer::new(reply.status(), headers_json(&reply), body)).await;
                Ok(reply)
            }
            other => {
                lock.free().await;
                other
            }
        }
    }

    fn idempotency_key(&self, body: &Body, keep: &Keep) -> Result<Option<Key>, ApiError> {
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
            body_sha256: keep.digest(&input::canonical(&body.0)),
            run: Uuid::new_v4(),
        }))
    }
}

/// Until when the current request may run, and a little longer.
fn locked_until() -> DateTime<Utc> {
    let left = context::current().and_then(|context| {
        let left = context.deadline.saturating_duration_since(std::time::Instant::now());
        Duration::from_std(left).ok()
    });
    Utc::now() + left.unwrap_or(Duration::seconds(60)) + Duration::seconds(GRACE_S)
}

/// How an answer is kept.
#[derive(Clone)]
enum Keep {
    Plain,
    Sealed(Arc<SealKey>),
}

impl Keep {
    fn digest(&self, body: &str) -> String {
        match self {
            Self::Plain => hex::encode(Sha256::digest(body)),
            Self::Sealed(seal) => seal.digest(body),
        }
    }

    fn written(&self, key: &Key, body: &str) -> Result<String, ApiError> {
        match self {
            Self::Plain => Ok(body.to_owned()),
            Self::Sealed(seal) => {
                let sealed = seal.seal(&place(key), body).map_err(ApiError::internal)?;
                Ok(format!("{SEALED}{sealed}"))
            }
        }
    }

    fn read(&self, key: &Key, kept: String) -> Result<String, ApiError> {
        match (self, kept.strip_prefix(SEALED)) {
            (Self::Sealed(seal), Some(sealed)) => seal.open(&place(key), sealed).map_err(|error| {
                let message = "The first answer to this Idempotency-Key can no longer be shown";
                ApiError::new(Code::ResourceConflict, message).caused_by(error)
            }),
            _ => Ok(kept),
        }
    }
}

/// What a sealed answer belongs to.
fn place(key: &Key) -> String {
    format!("{} {} {} {}", key.method, key.path, key.principal, key.key)
}

/// A key that is ours while its request runs.
struct Lock {
    /// Taken out once the request has ended.
    db: Option<Db>,
    key: Key,
}

impl Lock {
    /// Keeps the answer. What was done is done, so that a failure to keep it is no failure of the request.
    async fn settle(mut self, answer: Answer) {
        let (Some(db), key) = (self.db.take(), self.key.clone()) else { return };
        if let Err(error) = db.run::<_, db::Error>(move |conn| Ok(store::settle(conn, &key, &answer)?)).await {
            tracing::error!(error = %error, "an answer was not kept: the same request again will be done again");
        }
    }

    async fn free(mut self) {
        let (Some(db), key) = (self.db.take(), self.key.clone()) else { return };
        if let Err(error) = db.run::<_, db::Error>(move |conn| Ok(store::free(conn, &key)?)).await {
            tracing::warn!(error = %error, "an idempotency key stays taken until its lock runs out");
        }
    }
}

impl Drop for Lock {
    /// Only when the request did not get to its end: it panicked, ran out of time, or its client went away.
    fn drop(&mut self) {
        let (Some(db), key) = (self.db.take(), self.key.clone()) else { return };
        let grace = if std::thread::panicking() { Duration::zero() } else { Duration::seconds(GRACE_S) };
        let until = Utc::now() + grace;
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            if let Err(error) = db.run::<_, db::Error>(move |conn| Ok(store::shorten(conn, &key, until)?)).await {
                tracing::warn!(error = %error, "an idempotency key stays taken until its lock runs out");
            }
        });
    }
}

/// Clears away answers past their time until it is told to stop: a worker for every service.
pub async fn purger(db: Db, stop: CancellationToken) {
    loop {
        let pause = match db.run::<_, db::Error>(|conn| Ok(purge(conn)?)).await {
            Ok(0) => PURGE_PAUSE,
            Ok(_some) => std::time::Duration::ZERO,
            Err(error) => {
                tracing::warn!(error = %error, "old answers stay a while longer");
                PURGE_PAUSE
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

fn headers_json(reply: &Reply) -> Value {
    let pair =
        |(name, value): &(HeaderName, HeaderValue)| Some((name.as_str().to_owned(), Value::from(value.to_str().ok()?)));
    Value::Object(reply.headers().iter().filter_map(pair).collect())
}

/// The first answer, to the letter. Its body names the first request's id, so its header does, too.
fn replay(row: Row, key: &Key, keep: &Keep) -> Result<Reply, ApiError> {
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
    let body = keep.read(key, row.body.unwrap_or_default())?;
    Ok(Reply::replayed(status, body, headers))
}
