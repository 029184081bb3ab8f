//! Points in time as they cross the wire: UTC, RFC 3339, milliseconds, `Z`.
//!
//! `#[serde(with = "api_types::time")]` on a `DateTime<Utc>` field, `#[serde(with = "api_types::time::option")]` on an optional one.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

/// `2026-01-31T12:00:00.000Z`
#[must_use]
pub fn format(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Reads any RFC 3339 text; `None` when it is none.
#[must_use]
pub fn parse(text: &str) -> Option<DateTime<Utc>> {
    Some(DateTime::parse_from_rfc3339(text).ok()?.to_utc())
}

/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format(*time))
}

/// # Errors
/// When the value is no RFC 3339 text.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DateTime<Utc>, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse(&text).ok_or_else(|| D::Error::custom("not an RFC 3339 time"))
}

/// The same for `Option<DateTime<Utc>>`.
pub mod option {
    use chrono::{DateTime, Utc};
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(time: &Option<DateTime<Utc>>, serializer: S) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => super::serialize(time, serializer),
            None => serializer.serialize_none(),
        }
    }

    /// # Errors
    /// When the value is neither null nor RFC 3339 text.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<DateTime<Utc>>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| super::parse(&text).ok_or_else(|| D::Error::custom("not an RFC 3339 time"))).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::{format, parse};

    #[test]
    fn time_is_printed_in_utc_with_milliseconds() {
        let time = parse("2026-03-01T12:00:00.1234567+02:00").unwrap();
        assert_eq!(format(time), "2026-03-01T10:00:00.123Z");
    }

    #[test]
    fn a_time_without_a_zone_is_refused() {
        assert_eq!(parse("2026-03-01T12:00:00"), None);
    }
}
