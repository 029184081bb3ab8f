use chrono::{DateTime, Datelike as _, NaiveDateTime, TimeDelta, Timelike as _, Utc};
use chrono_tz::Tz;
use proptest::prelude::*;

use super::{Cron, format, format_in, zone};

fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

/// The next so many times after `after`, as they are told.
fn next(expression: &str, name: &str, after: &str, count: usize) -> Vec<String> {
    let (cron, zone) = (Cron::parse(expression).unwrap(), zone(name).unwrap());
    let following = |moment: &DateTime<Tz>| cron.next_after(zone, moment.to_utc());
    std::iter::successors(cron.next_after(zone, at(after)), following).take(count).map(|time| format(&time)).collect()
}

#[test]
fn fields_mean_what_they_say() {
    let start = "2025-01-01T00:00:00Z";
    let first = |expression| next(expression, "UTC", start, 1).concat();
    assert_eq!(first("* * * * *"), "2025-01-01T00:01:00Z");
    assert_eq!(first("*/15 * * * *"), "2025-01-01T00:15:00Z");
    assert_eq!(first("10-50/20,5 1 * * *"), "2025-01-01T01:05:00Z");
    assert_eq!(first("59 23 31 dec *"), "2025-12-31T23:59:00Z");
    assert_eq!(first("0 0 29 2 *"), "2028-02-29T00:00:00Z");
    assert_eq!(first("0 9 * * Mon-fri"), "2025-01-01T09:00:00Z");
    assert_eq!(first("0 9 * * 6-7"), "2025-01-04T09:00:00Z");
    assert_eq!((first("0 0 * * 0"), first("0 0 * * 7")), (first("0 0 * * SUN"), first("@weekly")));
    assert_eq!((first("@yearly"), first("@monthly")), (first("@annually"), "2025-02-01T00:00:00Z".to_owned()));
    assert_eq!((first("@daily"), first("@hourly")), (first("@midnight"), "2025-01-01T01:00:00Z".to_owned()));
    assert_eq!(first("  0\t0 2 * *  "), "2025-01-02T00:00:00Z");
}

#[test]
fn day_and_weekday_both_restricted_are_either_or() {
    let days = |expression| {
        next(expression, "UTC", "2025-01-01T12:00:00Z", 4)
            .iter()
            .map(|text| text[8..10].parse::<u32>().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(days("0 0 13 * 5"), [3, 10, 13, 17]);
    assert_eq!(days("0 0 * * 5"), [3, 10, 17, 24]);
    assert_eq!(days("0 0 1-31 * 5"), [3, 10, 17, 24], "every day is no restriction");
    assert_eq!(days("0 0 13 * 0-6"), [13, 13, 13, 13]);
    assert_eq!(days("0 0 */10 * 1"), [6, 11, 13, 20]);
}

#[test]
fn anything_else_is_invalid() {
    let bad = [
        "",
        " ",
        "invalid",
        "60 * * * *",
        "* 25 * * *",
        "* 24 * * *",
        "* * 32 * *",
        "* * 0 * *",
        "* * * 13 *",
        "* * * 0 *",
        "* * * * 8",
        "*/0 * * * *",
        "* * * *",
        "0 0 0 * * *",
        "0 0 L * *",
        "0 0 ? * *",
        "0 0 15W * *",
        "0 0 * * 5#2",
        "0 0 31 2 *",
        "0 0 30 2 *",
        "0 0 31 4,6,9,11 *",
        "@sometimes",
        "@Daily",
        "@daily *",
        "5/10 * * * *",
        "10-5 * * * *",
        "0 0 * * SAT-SUN",
        "0 0 * * FRI-MON",
        "* * * JANUARY *",
        "MON * * * *",
        "1, * * * *",
        ",1 * * * *",
        "1-2-3 * * * *",
        "*-5 * * * *",
        "* * * * */-1",
        "+5 * * * *",
        "-5 * * * *",
        "1.5 * * * *",
        "*/ * * * *",
        "*/2/2 * * * *",
        "99999999999 * * * *",
        "*/99999999999 * * * *",
        "** * * * *",
        "*5 * * * *",
        "/5 * * * *",
        "- * * * *",
        "٣ * * * *",
    ];
    for expression in bad {
        assert!(Cron::parse(expression).is_err(), "{expression:?}");
    }
    for good in ["0 0 31 2 1", "0 0 28-31 2 *", "*/99 * * * *", "0-0 0 1 1 *", "00 07 01 01 *"] {
        assert!(Cron::parse(good).is_ok(), "{good:?}");
    }
    assert_eq!(Cron::parse("61 * * * *").unwrap_err().to_string(), "\"61\" is no minute (0 to 59)");
}

#[test]
fn what_a_clock_change_skips_runs_right_after_the_gap() {
    let newyork = |expression, count| next(expression, "America/New_York", "2025-03-08T12:00:00Z", count);
    assert_eq!(newyork("30 2 * * *", 2), ["2025-03-09T03:00:00-04:00", "2025-03-10T02:30:00-04:00"]);
    assert_eq!(newyork("0,59 2,3 9 3 *", 3)[..2], ["2025-03-09T03:00:00-04:00", "2025-03-09T03:59:00-04:00"]);
    // A gap at midnight, one of half an hour, and one of a whole day.
    assert_eq!(next("0 0 4 11 *", "America/Sao_Paulo", "2018-11-03T00:00:00Z", 1), ["2018-11-04T01:00:00-02:00"]);
    assert_eq!(next("15 2 5 10 *", "Australia/Lord_Howe", "2025-10-04T00:00:00Z", 1), ["2025-10-05T02:30:00+11:00"]);
    assert_eq!(
        next("0 */8 30,31 12 *", "Pacific/Apia", "2011-12-29T23:00:00-10:00", 3),
        ["2011-12-31T00:00:00+14:00", "2011-12-31T08:00:00+14:00", "2011-12-31T16:00:00+14:00"]
    );
}

#[test]
fn what_comes_twice_runs_the_first_time() {
    let berlin = |expression, count| next(expression, "Europe/Berlin", "2025-10-25T12:00:00Z", count);
    assert_eq!(berlin("30 2 * * *", 2), ["2025-10-26T02:30:00+02:00", "2025-10-27T02:30:00+01:00"]);
    assert_eq!(berlin("*/30 2-3 * * *", 3)[1..], ["2025-10-26T02:30:00+02:00", "2025-10-26T03:00:00+01:00"]);
    let within_the_second = next("*/30 2-3 * * *", "Europe/Berlin", "2025-10-26T01:10:00Z", 1);
    assert_eq!(within_the_second, ["2025-10-26T03:00:00+01:00"]);
}

#[test]
fn times_carry_the_offset_of_their_zone() {
    let noon = at("2025-01-05T12:00:00Z");
    let told = |name| format_in(zone(name).unwrap(), noon);
    assert_eq!(told("UTC"), "2025-01-05T12:00:00Z");
    assert_eq!(told("Etc/UTC"), "2025-01-05T12:00:00Z");
    assert_eq!(told("Europe/London"), "2025-01-05T12:00:00+00:00");
    assert_eq!(told("America/New_York"), "2025-01-05T07:00:00-05:00");
    assert_eq!(told("Asia/Kathmandu"), "2025-01-05T17:45:00+05:45");
    for bad in ["", "Mars/Olympus", "utc+2", "europe/berlin", "+02:00"] {
        assert_eq!(zone(bad), None, "{bad}");
    }
}

#[test]
fn after_an_outage_one_run_is_made_up() {
    let cron = Cron::parse("0 * * * *").unwrap();
    let run = |now| cron.run(Tz::UTC, at("2025-01-01T10:00:00Z"), at(now));
    assert_eq!(run("2025-01-01T09:59:59Z"), None);
    let next = |now| format(&run(now).unwrap().next.unwrap());
    assert_eq!(next("2025-01-01T10:00:00Z"), "2025-01-01T11:00:00Z");
    assert_eq!(next("2025-01-03T17:20:00Z"), "2025-01-03T18:00:00Z");
}

/// What a schedule allows, written down twice: as sets for the oracle and as an expression.
#[derive(Debug, Clone)]
struct Schedule {
    minutes: Vec<u32>,
    hours: Vec<u32>,
    days: Option<Vec<u32>>,
    weekdays: Option<Vec<u32>>,
}

impl Schedule {
    fn expression(&self) -> String {
        let list = |values: &[u32]| values.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
        let maybe = |values: &Option<Vec<u32>>| values.as_deref().map_or("*".to_owned(), list);
        let (minutes, hours) = (list(&self.minutes), list(&self.hours));
        format!("{minutes} {hours} {} * {}", maybe(&self.days), maybe(&self.weekdays))
    }

    fn allows(&self, local: NaiveDateTime) -> bool {
        let day = self.days.as_ref().map(|days| days.contains(&local.day()));
        let weekday = self.weekdays.as_ref().map(|days| days.contains(&local.weekday().num_days_from_sunday()));
        let date = match (day, weekday) {
            (Some(day), Some(weekday)) => day || weekday,
            (one, other) => one.or(other).unwrap_or(true),
        };
        date && self.minutes.contains(&local.minute()) && self.hours.contains(&local.hour())
    }

    /// Looks at a clock on the wall every minute: due is what it reads for the first time, and what it jumped over.
    fn oracle(&self, zone: Tz, after: DateTime<Utc>, hours: i64) -> Option<DateTime<Utc>> {
        let minute = TimeDelta::minutes(1);
        let mut moment = after - TimeDelta::hours(26);
        let mut read = moment.with_timezone(&zone).naive_local();
        while moment < after + TimeDelta::hours(hours) {
            moment += minute;
            let reading = moment.with_timezone(&zone).naive_local();
            let mut due = false;
            while read < reading {
                read += minute;
                due |= self.allows(read);
            }
            if due && moment > after {
                return Some(moment);
            }
        }
        None
    }
}

fn schedules() -> impl Strategy<Value = Schedule> {
    let some = |high: u32, most: usize| {
        prop::collection::btree_set(0..high, 1..most).prop_map(|set| set.into_iter().collect::<Vec<_>>())
    };
    let days = prop::option::weighted(0.3, some(28, 12).prop_map(|days| days.iter().map(|day| day + 1).collect()));
    (some(60, 6), some(24, 16), days, prop::option::weighted(0.3, some(7, 7)))
        .prop_map(|(minutes, hours, days, weekdays)| Schedule { minutes, hours, days, weekdays })
}

/// Zones, and a moment close to a change of their clocks.
const CHANGES: [(&str, &str); 12] = [
    ("UTC", "2024-02-29T00:00:00Z"),
    ("America/New_York", "2025-03-09T07:00:00Z"),
    ("America/New_York", "2025-11-02T06:00:00Z"),
    ("Europe/Berlin", "2025-03-30T01:00:00Z"),
    ("Europe/Berlin", "2025-10-26T01:00:00Z"),
    ("Australia/Lord_Howe", "2025-04-05T15:00:00Z"),
    ("Australia/Lord_Howe", "2025-10-04T15:30:00Z"),
    ("America/Sao_Paulo", "2018-11-04T03:00:00Z"),
    ("America/Sao_Paulo", "2019-02-17T02:00:00Z"),
    ("Pacific/Apia", "2011-12-30T10:00:00Z"),
    ("Asia/Kathmandu", "2025-06-30T18:15:00Z"),
    ("Antarctica/Troll", "2025-03-30T01:00:00Z"),
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_clock_on_the_wall_agrees(
        schedule in schedules(),
        (name, change) in prop::sample::select(CHANGES.to_vec()),
        minutes in -1_800..600_i64,
    ) {
        let (zone, hours) = (zone(name).unwrap(), 48);
        let after = at(change) + TimeDelta::minutes(minutes);
        let found = Cron::parse(&schedule.expression()).unwrap().next_after(zone, after).map(|time| time.to_utc());
        match schedule.oracle(zone, after, hours) {
            Some(due) => prop_assert_eq!(found, Some(due)),
            None => prop_assert!(found.is_none_or(|found| found > after + TimeDelta::hours(hours))),
        }
    }

    #[test]
    fn reading_never_panics(text in "[0-9*,/@A-Za-z -]{0,24}") {
        drop(Cron::parse(&text));
    }
}
