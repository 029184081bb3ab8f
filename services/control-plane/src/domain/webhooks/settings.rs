//! What the operator says about webhooks. Names are those of the environment.

use std::time::Duration;

use api_core::settings::{CommaList, Error, Settings};
use egress::Policy;
use serde::Deserialize;

/// The Caxton door's receivers have this long.
const CAXTON_TIMEOUT: Duration = Duration::from_secs(10);
const BACKOFF_ENTRIES_MAX: usize = 20;
const BACKOFF_MAX_S: f64 = 7.0 * 86_400.0;
const TIMEOUT_MAX_S: u64 = 300;

#[derive(Debug, Deserialize)]
#[serde(default)]
struct Section {
    /// Pauses before the further attempts of the AINS and the native door, in seconds.
    ains_webhook_backoff_seconds: CommaList,
    ains_webhook_timeout_seconds: u64,
    /// The same for the Caxton door.
    caxton_webhook_backoff: CommaList,
    /// Attempts at once, as long as receivers answer at once.
    webhook_concurrency: usize,
    /// Attempts at once to receivers that do not, and further attempts.
    webhook_slow_concurrency: usize,
    egress_allow_private: bool,
    egress_allow_cidrs: String,
    task_router_url: String,
}

impl Default for Section {
    fn default() -> Self {
        let list = |entries: &[&str]| CommaList(entries.iter().map(|&entry| entry.to_owned()).collect());
        Self {
            ains_webhook_backoff_seconds: list(&["60", "300", "900"]),
            ains_webhook_timeout_seconds: 30,
            caxton_webhook_backoff: list(&["1", "5", "30"]),
            webhook_concurrency: 128,
            webhook_slow_concurrency: 512,
            egress_allow_private: false,
            egress_allow_cidrs: String::new(),
            task_router_url: "http://127.0.0.1:5003".to_owned(),
        }
    }
}

/// How often and how long a receiver is tried.
#[derive(Debug, Clone)]
pub(crate) struct Schedule {
    /// Before the second attempt, before the third and so on.
    pub(crate) backoff: Vec<Duration>,
    pub(crate) timeout: Duration,
}

/// The settings, read and checked.
#[derive(Debug)]
pub(crate) struct WebhookSettings {
    /// Of the AINS and the native door.
    pub(crate) common: Schedule,
    pub(crate) caxton: Schedule,
    pub(crate) concurrency: usize,
    pub(crate) slow_concurrency: usize,
    pub(crate) policy: Policy,
    pub(crate) task_router_url: String,
}

impl WebhookSettings {
    /// # Errors
    /// Names the setting that cannot be read.
    pub(crate) fn read(settings: &Settings) -> Result<Self, Error> {
        let section: Section = settings.section()?;
        let timeout_s = section.ains_webhook_timeout_seconds;
        if !(1..=TIMEOUT_MAX_S).contains(&timeout_s) {
            return Err(Error::new("ains_webhook_timeout_seconds", format!("must be 1 to {TIMEOUT_MAX_S}")));
        }
        for (name, value) in [
            ("webhook_concurrency", section.webhook_concurrency),
            ("webhook_slow_concurrency", section.webhook_slow_concurrency),
        ] {
            if !(1..=10_000).contains(&value) {
                return Err(Error::new(name, "must be 1 to 10000"));
            }
        }
        Ok(Self {
            common: Schedule {
                backoff: pauses("ains_webhook_backoff_seconds", &section.ains_webhook_backoff_seconds)?,
                timeout: Duration::from_secs(timeout_s),
            },
            caxton: Schedule {
                backoff: pauses("caxton_webhook_backoff", &section.caxton_webhook_backoff)?,
                timeout: CAXTON_TIMEOUT,
            },
            concurrency: section.webhook_concurrency,
            slow_concurrency: section.webhook_slow_concurrency,
            policy: Policy::new(section.egress_allow_private, &section.egress_allow_cidrs)
                .map_err(|error| Error::new("egress_allow_cidrs", error))?,
            task_router_url: section.task_router_url,
        })
    }
}

fn pauses(name: &str, list: &CommaList) -> Result<Vec<Duration>, Error> {
    let wrong = || Error::new(name, "must be a list of seconds such as 60,300,900");
    if list.0.len() > BACKOFF_ENTRIES_MAX {
        return Err(wrong());
    }
    let seconds = |entry: &String| {
        let seconds = entry.parse::<f64>().ok().filter(|seconds| (0.0..=BACKOFF_MAX_S).contains(seconds));
        seconds.map(Duration::from_secs_f64).ok_or_else(wrong)
    };
    list.0.iter().map(seconds).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use api_core::settings::Settings;

    use super::WebhookSettings;

    fn read(pairs: &[(&str, &str)]) -> Result<WebhookSettings, String> {
        let settings = Settings::from_pairs(pairs.iter().copied()).unwrap();
        WebhookSettings::read(&settings).map_err(|error| error.to_string())
    }

    #[test]
    fn the_published_schedules_are_the_defaults() {
        let read = read(&[]).unwrap();
        assert_eq!(read.common.backoff, [60, 300, 900].map(Duration::from_secs));
        assert_eq!(read.caxton.backoff, [1, 5, 30].map(Duration::from_secs));
        assert_eq!((read.common.timeout.as_secs(), read.caxton.timeout.as_secs()), (30, 10));
    }

    #[test]
    fn a_schedule_may_be_shorter_and_no_nonsense() {
        let short = read(&[("AINS_WEBHOOK_BACKOFF_SECONDS", "1, 2.5"), ("CAXTON_WEBHOOK_BACKOFF", "")]).unwrap();
        assert_eq!(short.common.backoff, [Duration::from_secs(1), Duration::from_millis(2500)]);
        assert!(short.caxton.backoff.is_empty());
        for bad in ["soon", "-1", "NaN", "inf", "1,x", "9999999"] {
            let error = read(&[("AINS_WEBHOOK_BACKOFF_SECONDS", bad)]).unwrap_err();
            assert!(error.contains("AINS_WEBHOOK_BACKOFF_SECONDS"), "{error}");
        }
        for name in ["AINS_WEBHOOK_TIMEOUT_SECONDS", "WEBHOOK_CONCURRENCY", "WEBHOOK_SLOW_CONCURRENCY"] {
            assert!(read(&[(name, "0")]).unwrap_err().contains(name));
        }
        assert!(read(&[("EGRESS_ALLOW_CIDRS", "everything")]).unwrap_err().contains("EGRESS_ALLOW_CIDRS"));
    }
}
