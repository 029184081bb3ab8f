//! One budget for several processes, kept in Redis.
//!
//! A request never waits for Redis. Each process counts by itself and settles every half second, or after a twentieth of a second
//! when what the others do not know is much beside what is left of somebody's budget: it adds what it has counted and reads what
//! all have. So a process learns of the others' requests one interval after its own at the latest, and what it receives
//! meanwhile is what it may admit too many. When Redis is away, each process goes on with what it knows.

use std::{
    sync::{
        LazyLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use redis::{Client, aio::MultiplexedConnection};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::{
    RateLimiter, Window, now_ms,
    table::{Moment, Share, Table, Untold},
};
use crate::{
    health::{Dependency, Status},
    metrics::Counters,
    secret::Secret,
    settings,
};

/// Between two settlements.
const INTERVAL: Duration = Duration::from_millis(500);
/// Between two settlements when there is something that the others should know soon.
const INTERVAL_DUE: Duration = Duration::from_millis(50);
/// For connecting, and for each exchange.
const PATIENCE: Duration = Duration::from_secs(1);
/// Names that are settled at once; the others wait for the next time.
const NAMES_MAX: usize = 20_000;
/// Names in one exchange.
const NAMES_AT_ONCE: usize = 1000;

static ERRORS: LazyLock<Counters> = LazyLock::new(|| {
    let counters = Counters::new("imago_rate_limit_store_errors_total", "Settlements of rate limits that failed", &[]);
    counters.add(&[], 0);
    counters
});

/// Where processes settle what each of them has counted.
#[derive(Debug)]
pub struct Store {
    client: Client,
    is_well: AtomicBool,
}

impl Store {
    /// `url` is `redis://[user:password@]host[:port][/db]`, or `rediss://` for TLS; `memory` or nothing means that there is none.
    ///
    /// # Errors
    /// When it is no such address.
    pub(crate) fn from_setting(url: Option<&Secret>) -> Result<Option<Self>, settings::Error> {
        let Some(url) = url.map(Secret::expose).filter(|url| !url.is_empty() && *url != "memory") else {
            return Ok(None);
        };
        // The parser's own message might show the password.
        let wrong = || settings::Error::new("rate_limit_store", "must be 'memory' or redis://HOST:PORT/DB");
        if !url.starts_with("redis://") && !url.starts_with("rediss://") {
            return Err(wrong());
        }
        let Ok(client) = Client::open(url) else { return Err(wrong()) };
        Ok(Some(Self { client, is_well: AtomicBool::new(false) }))
    }

    /// As `/health/detailed` tells of it: limits go on without it.
    #[must_use]
    pub fn dependency(&self) -> Dependency {
        let status = if self.is_well.load(Ordering::Relaxed) { Status::Healthy } else { Status::Unreachable };
        Dependency::new("rate_limit_store", status).dispensable()
    }

    /// Settles until told to stop, and once more then.
    pub(crate) async fn run(&self, limiter: &RateLimiter, stop: CancellationToken) {
        LazyLock::force(&ERRORS);
        let mut connection = None;
        loop {
            let began = Instant::now();
            self.settle(limiter, &mut connection).await;
            if stop.is_cancelled() {
                return;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = sleep(INTERVAL) => {}
                () = something_due(limiter, began) => {}
            }
        }
    }

    async fn settle(&self, limiter: &RateLimiter, connection: &mut Option<MultiplexedConnection>) {
        match self.settled(limiter, connection).await {
            Ok(()) => {
                if !self.is_well.swap(true, Ordering::Relaxed) {
                    tracing::info!("the store of rate limits is reached");
                }
            }
            Err(error) => {
                *connection = None;
                ERRORS.inc(&[]);
                if self.is_well.swap(false, Ordering::Relaxed) {
                    tracing::warn!(error = %error, "the store of rate limits is away; each process counts by itself");
                }
            }
        }
    }

    async fn settled(
        &self,
        limiter: &RateLimiter,
        connection: &mut Option<MultiplexedConnection>,
    ) -> Result<(), redis::RedisError> {
        let connection = match connection {
            Some(connection) => connection,
            None => connection.insert(in_time(self.client.get_multiplexed_async_connection()).await?),
        };
        let mut is_asked = false;
        for (table, name) in [(&limiter.principals, "principals"), (&limiter.addresses, "addresses")] {
            let at = Moment::at(now_ms());
            for untold in table.untold(at, NAMES_MAX).chunks(NAMES_AT_ONCE) {
                exchange(connection, (table, name), at, untold).await?;
                is_asked = true;
            }
        }
        if !is_asked {
            in_time(redis::cmd("PING").query_async::<()>(connection)).await?;
        }
        Ok(())
    }
}

/// Ends when there is something that the others should know soon, but not too soon after the last settlement.
async fn something_due(limiter: &RateLimiter, began: Instant) {
    match &limiter.due {
        Some(due) => {
            due.notified().await;
            sleep_until(began + INTERVAL_DUE).await;
        }
        None => std::future::pending().await,
    }
}

/// Tells what is untold and takes the totals back: all of it or, when it fails, none. Only an answer that is lost on its way
/// makes the same requests count twice, for the rest of their window.
async fn exchange(
    connection: &mut MultiplexedConnection,
    (table, name): (&Table, &str),
    at: Moment,
    untold: &[Untold],
) -> Result<(), redis::RedisError> {
    let minutes = format!("imago:rate:{name}:minute:{}", at.minute);
    let hours = format!("imago:rate:{name}:hour:{}", at.hour);
    let mut pipeline = redis::pipe();
    pipeline.atomic();
    for Untold { name, minute, hour } in untold {
        for (key, share) in [(&minutes, minute), (&hours, hour)] {
            if let Some(Share { new, .. }) = share {
                pipeline.hincr(key, &**name, *new);
            }
        }
    }
    // Clocks of processes differ a little, hence twice the window.
    for (key, window) in [(&minutes, Window::Minute), (&hours, Window::Hour)] {
        let seconds = i64::try_from(2 * window.seconds()).unwrap_or(i64::MAX);
        pipeline.expire(key, seconds).ignore();
    }
    let totals: Vec<u64> = in_time(pipeline.query_async(connection)).await?;
    let mut totals = totals.into_iter();
    for untold in untold {
        let minute = untold.minute.and_then(|_| totals.next());
        let hour = untold.hour.and_then(|_| totals.next());
        table.settle(untold, minute, hour);
    }
    Ok(())
}

async fn in_time<T>(work: impl Future<Output = redis::RedisResult<T>>) -> redis::RedisResult<T> {
    timeout(PATIENCE, work)
        .await
        .unwrap_or_else(|_elapsed| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()))
}

#[cfg(test)]
mod tests {
    use super::Store;
    use crate::secret::Secret;

    #[test]
    fn only_an_address_of_redis_is_a_store_and_its_password_is_not_shown() {
        let store = |url: &str| Store::from_setting(Some(&Secret::new(url)));
        assert!(Store::from_setting(None).unwrap().is_none());
        assert!(store("").unwrap().is_none() && store("memory").unwrap().is_none());
        for good in ["redis://127.0.0.1", "redis://user:geheim@redis.internal:6380/3", "rediss://redis.internal"] {
            assert!(store(good).unwrap().is_some(), "{good}");
        }
        for wrong in ["http://geheim@a", "redis://:geheim@", "redis://u:geheim@h:99999", "local", "unix:///tmp/a"] {
            let error = store(wrong).unwrap_err().to_string();
            assert!(error.contains("RATE_LIMIT_STORE") && !error.contains("geheim"), "{wrong}: {error}");
        }
        assert!(!format!("{:?}", store("redis://u:geheim@h").unwrap()).contains("geheim"));
    }
}
