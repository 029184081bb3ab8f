//! What keys are used for.

use std::{collections::BTreeMap, time::Duration};

use api_core::db::{self, Db};
use api_types::keys::{
    KeyId,
    ains::{DateRange, Usage},
};
use chrono::{DateTime, NaiveTime, TimeDelta, Utc};
use tokio_util::sync::CancellationToken;

use super::keys::{Error, Manager};
use crate::store;

/// Counts older than this are let go: the longest period, and the day that it begins in.
const KEPT_DAYS: i64 = 91;
/// How often old counts are looked for, and how many are let go at once.
const PURGE_PAUSE: Duration = Duration::from_secs(3600);
const PURGE_MAX: i64 = 5000;
const HOURS_PER_DAY: i64 = 24;

/// How far back to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Period {
    name: &'static str,
    days: i64,
}

impl Period {
    pub(crate) const ALL: [Self; 4] = [
        Self { name: "1d", days: 1 },
        Self { name: "7d", days: 7 },
        Self { name: "30d", days: 30 },
        Self { name: "90d", days: 90 },
    ];
    pub(crate) const WEEK: Self = Self::ALL[1];

    /// The period of that name, if there is one.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|period| period.name == name)
    }

    /// The midnight (UTC) at or before the period.
    fn start(self, now: DateTime<Utc>) -> DateTime<Utc> {
        (now - TimeDelta::days(self.days)).date_naive().and_time(NaiveTime::MIN).and_utc()
    }
}

/// The sums of one endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) endpoint: String,
    pub(crate) succeeded: i64,
    pub(crate) failed: i64,
    pub(crate) rate_limited: i64,
}

impl Manager<'_> {
    /// What a key was used for.
    ///
    /// # Errors
    /// When there is no such key, or none that the manager may know of.
    pub(crate) async fn usage(&self, id: String, period: Period, now: DateTime<Utc>) -> Result<Usage, Error> {
        let key_id = self.get(id).await?.key.id;
        let (wanted, start) = (key_id.clone(), period.start(now));
        let (counted, peak) =
            self.app.db.run::<_, Error>(move |conn| Ok(store::usage::since(conn, &wanted, start)?)).await?;
        Ok(summary(key_id, period, now, (&counted, peak)))
    }
}

fn summary(key_id: KeyId, period: Period, now: DateTime<Utc>, (counted, peak): (&[Counted], i64)) -> Usage {
    let sum = |of: fn(&Counted) -> i64| counted.iter().map(of).sum::<i64>();
    let (succeeded, failed) = (sum(|row| row.succeeded), sum(|row| row.failed));
    let by_endpoint = counted.iter().map(|row| (row.endpoint.clone(), row.succeeded + row.failed));
    Usage {
        key_id,
        period: period.name.to_owned(),
        total_requests: succeeded + failed,
        successful_requests: succeeded,
        failed_requests: failed,
        rate_limit_hits: sum(|row| row.rate_limited),
        avg_requests_per_hour: average(succeeded + failed, period.days * HOURS_PER_DAY),
        peak_requests_per_hour: peak,
        requests_by_endpoint: BTreeMap::from_iter(by_endpoint),
        date_range: DateRange { start: period.start(now), end: now },
    }
}

/// `total` by `hours`, with one decimal; more than some 400 million is told as that.
fn average(total: i64, hours: i64) -> f64 {
    let tenths = (total.saturating_mul(10) + hours / 2) / hours;
    f64::from(u32::try_from(tenths).unwrap_or(u32::MAX)) / 10.0
}

/// Lets go of counts past their time until it is told to stop.
pub(crate) async fn purger(db: Db, stop: CancellationToken) {
    loop {
        let before = Utc::now() - TimeDelta::days(KEPT_DAYS);
        let gone = db.run::<_, db::Error>(move |conn| Ok(store::usage::purge(conn, before, PURGE_MAX)?));
        let pause = match gone.await {
            Ok(0) => PURGE_PAUSE,
            Ok(_some) => Duration::ZERO,
            Err(error) => {
                tracing::warn!(error = %error, "old counts stay a while longer");
                PURGE_PAUSE
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use api_types::time::{format, parse};

    use super::{Counted, KEPT_DAYS, Period, average, summary};

    #[test]
    fn a_period_begins_at_midnight_and_is_kept_as_a_whole() {
        let now = parse("2026-03-09T14:50:00Z").unwrap();
        let starts = Period::ALL.map(|period| format(period.start(now)));
        let days = ["2026-03-08", "2026-03-02", "2026-02-07", "2025-12-09"];
        assert_eq!(starts, days.map(|day| format!("{day}T00:00:00.000Z")));
        assert!(Period::ALL.iter().all(|period| now - period.start(now) <= chrono::TimeDelta::days(KEPT_DAYS)));
        let midnight = parse("2026-03-09T00:00:00Z").unwrap();
        assert_eq!(format(Period::WEEK.start(midnight)), "2026-03-02T00:00:00.000Z");
        assert_eq!((Period::named("7d"), Period::named("8d")), (Some(Period::WEEK), None));
    }

    #[test]
    fn an_average_has_one_decimal() {
        for (total, hours, expected) in [(15_847, 168, 94.3), (0, 24, 0.0), (5, 168, 0.0), (9, 168, 0.1), (36, 24, 1.5)]
        {
            assert!((average(total, hours) - expected).abs() < 1e-9, "{total}/{hours}");
        }
    }

    #[test]
    fn totals_are_the_sums_of_the_endpoints() {
        let row = |endpoint: &str, succeeded, failed, rate_limited| Counted {
            endpoint: endpoint.to_owned(),
            succeeded,
            failed,
            rate_limited,
        };
        let rows = [row("/ains/agents", 4, 0, 0), row("/ains/tasks", 1, 3, 2)];
        let usage = summary("k".into(), Period::WEEK, parse("2026-03-09T14:50:00Z").unwrap(), (&rows, 7));
        assert_eq!((usage.total_requests, usage.successful_requests, usage.failed_requests), (8, 5, 3));
        assert_eq!((usage.rate_limit_hits, usage.peak_requests_per_hour), (2, 7));
        assert_eq!(usage.requests_by_endpoint.values().sum::<i64>(), usage.total_requests);
    }
}
