//! When a schedule is due: five-field cron expressions in IANA time zones (AINS contract, section 6.2).
//!
//! No crate does just this: those there are also take `L`, `W`, `#`, `?`, seconds or descending ranges, or run what falls into
//! a clock change by rules of their own.

mod occurrence;

use chrono::{DateTime, Datelike as _, NaiveDate, SecondsFormat, TimeZone as _};
use chrono_tz::Tz;

/// Names that mean UTC itself, whose times end in `Z`. London's in winter end in `+00:00`.
const UTC: [&str; 8] = ["UTC", "Etc/UTC", "UCT", "Etc/UCT", "Universal", "Etc/Universal", "Zulu", "Etc/Zulu"];
const ALIASES: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];
/// The most days that each month can have.
const DAYS: [u32; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/// The zone of that IANA name, spelled as IANA does.
#[must_use]
pub fn zone(name: &str) -> Option<Tz> {
    name.parse().ok()
}

/// `2025-11-24T02:00:00-05:00`, and with `Z` in UTC.
#[must_use]
pub fn format(time: &DateTime<Tz>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, UTC.contains(&time.timezone().name()))
}

/// The same moment in a zone's time, as [`format`] prints it.
#[must_use]
pub fn format_in(zone: Tz, time: DateTime<chrono::Utc>) -> String {
    format(&zone.from_utc_datetime(&time.naive_utc()))
}

/// An expression that is none, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(String);

/// The values a field may have, one bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Values(u64);

impl Values {
    const fn has(self, value: u32) -> bool {
        self.0 >> value & 1 == 1
    }

    fn of(values: impl Iterator<Item = u32>) -> Self {
        Self(values.fold(0, |bits, value| bits | 1 << value))
    }
}

/// What a field takes.
struct Field {
    name: &'static str,
    low: u32,
    high: u32,
    /// Names of the values from `low` on.
    names: &'static [&'static str],
}

const MINUTE: Field = Field { name: "minute", low: 0, high: 59, names: &[] };
const HOUR: Field = Field { name: "hour", low: 0, high: 23, names: &[] };
const DAY: Field = Field { name: "day", low: 1, high: 31, names: &[] };
const MONTH: Field = Field {
    name: "month",
    low: 1,
    high: 12,
    names: &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"],
};
const WEEKDAY: Field =
    Field { name: "weekday", low: 0, high: 7, names: &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"] };

impl Field {
    fn read(&self, text: &str) -> Result<Values, Invalid> {
        let mut all = Values(0);
        for part in text.split(',') {
            all.0 |= self.part(part).ok_or_else(|| self.refuse(part))?.0;
        }
        Ok(all)
    }

    fn refuse(&self, part: &str) -> Invalid {
        Invalid(format!("{:?} is no {} ({} to {})", part, self.name, self.low, self.high))
    }

    /// A value, or a range or `*` with or without a step.
    fn part(&self, text: &str) -> Option<Values> {
        let (span, step) = match text.split_once('/') {
            Some((span, step)) => (span, Some(number(step).filter(|step| *step > 0)?)),
            None => (text, None),
        };
        let (first, last) = match span.split_once('-') {
            _ if span == "*" => (self.low, self.high),
            Some((first, last)) => (self.value(first)?, self.value(last)?),
            // A step needs something to step through.
            None if step.is_some() => return None,
            None => (self.value(span)?, self.value(span)?),
        };
        let step = usize::try_from(step.unwrap_or(1)).ok()?;
        (first <= last).then(|| Values::of((first..=last).step_by(step)))
    }

    fn value(&self, text: &str) -> Option<u32> {
        let named = self.names.iter().zip(self.low..).find(|(name, _)| name.eq_ignore_ascii_case(text));
        let value = named.map(|(_, value)| value).or_else(|| number(text))?;
        (self.low..=self.high).contains(&value).then_some(value)
    }
}

/// Digits and nothing else: `parse` alone would take a sign.
fn number(text: &str) -> Option<u32> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// A cron expression that has a date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cron {
    minutes: Values,
    hours: Values,
    days: Values,
    months: Values,
    /// 0 is Sunday.
    weekdays: Values,
}

impl Cron {
    /// Reads an expression or one of the aliases.
    ///
    /// # Errors
    /// When it is not one of those forms, or names no date of the next ten years.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let text = ALIASES.iter().find(|(alias, _)| *alias == text).map_or(text, |(_, meaning)| meaning);
        let fields: Vec<_> = text.split_ascii_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields[..] else {
            return Err(Invalid("must have five fields or be one of the aliases".to_owned()));
        };
        let weekdays = WEEKDAY.read(weekday)?;
        let cron = Self {
            minutes: MINUTE.read(minute)?,
            hours: HOUR.read(hour)?,
            days: DAY.read(day)?,
            months: MONTH.read(month)?,
            // 7 is Sunday, too.
            weekdays: Values::of((0..7).filter(|day| weekdays.has(*day) || (*day == 0 && weekdays.has(7)))),
        };
        if cron.has_date() { Ok(cron) } else { Err(Invalid("has no date".to_owned())) }
    }

    fn any_day(&self) -> bool {
        (1..=31).all(|day| self.days.has(day))
    }

    fn any_weekday(&self) -> bool {
        (0..7).all(|day| self.weekdays.has(day))
    }

    /// A weekday comes every week, and each day of a month within eight years: whether one of the days is in one of the months
    /// is all there is to ask.
    fn has_date(&self) -> bool {
        let exists = |month: u32, days: &u32| self.months.has(month) && (1..=*days).any(|day| self.days.has(day));
        !self.any_weekday() || (1..).zip(&DAYS).any(|(month, days)| exists(month, days))
    }

    /// When day and weekday are both restricted, either one is enough. A field that lists every value restricts nothing.
    fn fits(&self, date: NaiveDate) -> bool {
        let day = self.days.has(date.day());
        let weekday = self.weekdays.has(date.weekday().num_days_from_sunday());
        let fits = if self.any_day() || self.any_weekday() { day && weekday } else { day || weekday };
        fits && self.months.has(date.month())
    }
}

#[cfg(test)]
mod tests;
