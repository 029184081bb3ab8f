//! The moments at which a schedule is due.
//!
//! A local time is due when a clock on the wall first reads it or something later: what a clock change skips is due right after
//! the gap, and what comes twice is due the first time only.

use chrono::{DateTime, Months, NaiveDateTime, NaiveTime, TimeDelta, TimeZone as _, Timelike as _, Utc};
use chrono_tz::Tz;

use super::Cron;

/// How far ahead a date is looked for.
const HORIZON: Months = Months::new(120);
/// More than any zone differs from UTC.
const OFFSET_MAX: TimeDelta = TimeDelta::hours(16);

/// What a look at a schedule that is due brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// When it is due next.
    pub next: Option<DateTime<Tz>>,
}

impl Cron {
    /// The first time after `after` at which it is due; `None` when there is none within ten years.
    #[must_use]
    pub fn next_after(&self, zone: Tz, after: DateTime<Utc>) -> Option<DateTime<Tz>> {
        let local = after.with_timezone(&zone).naive_local();
        let last = local.date().checked_add_months(HORIZON)?;
        let mut from = local.time();
        let mut days = local.date().iter_days().take_while(|date| *date <= last);
        days.find_map(|date| {
            let from = std::mem::replace(&mut from, NaiveTime::MIN);
            let mut times = self.times(from).filter(|_| self.fits(date));
            times.find_map(|time| Some(first_reading(zone, date.and_time(time))).filter(|moment| *moment > after))
        })
    }

    /// What to do about a schedule that was due at `due`: nothing while that is to come, else one run, however many were
    /// missed, and the next one from now on.
    #[must_use]
    pub fn run(&self, zone: Tz, due: DateTime<Utc>, now: DateTime<Utc>) -> Option<Run> {
        (due <= now).then(|| Run { next: self.next_after(zone, now) })
    }

    /// The times of a day from the minute of `from` on.
    fn times(&self, from: NaiveTime) -> impl Iterator<Item = NaiveTime> {
        let hours = (from.hour()..24).filter(|hour| self.hours.has(*hour));
        let first_minute = move |hour| if hour == from.hour() { from.minute() } else { 0 };
        hours
            .flat_map(move |hour| (first_minute(hour)..60).map(move |minute| (hour, minute)))
            .filter(|(_, minute)| self.minutes.has(*minute))
            .filter_map(|(hour, minute)| NaiveTime::from_hms_opt(hour, minute, 0))
    }
}

/// When a clock in the zone first reads `local` or something later.
fn first_reading(zone: Tz, local: NaiveDateTime) -> DateTime<Tz> {
    if let Some(moment) = zone.from_local_datetime(&local).earliest() {
        return moment;
    }
    // In a gap: its end is the only moment around at which the clock passes that reading.
    let reads = |moment: DateTime<Utc>| moment.with_timezone(&zone).naive_local();
    let (mut before, mut after) = (local.and_utc() - OFFSET_MAX, local.and_utc() + OFFSET_MAX);
    while after - before > TimeDelta::seconds(1) {
        let middle = before + TimeDelta::seconds((after - before).num_seconds() / 2);
        if reads(middle) < local { before = middle } else { after = middle }
    }
    after.with_timezone(&zone)
}
