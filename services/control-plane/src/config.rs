//! The service's own settings.

use std::time::Duration;

use api_core::{auth::split_key, platform::Platform, secret::Secret, settings::Error};
use serde::Deserialize;

use crate::domain::secrets;

#[derive(Debug, Deserialize)]
#[serde(default)]
struct Section {
    /// `key_id.secret` of a key that is an administrator's from the start on.
    bootstrap_admin_key: Secret,
    event_retention_days: u16,
    audit_retention_days: u16,
    event_streams_max: usize,
    event_keep_alive_seconds: u64,
    /// `open` or `closed`.
    auth_registration: String,
}

impl Default for Section {
    fn default() -> Self {
        Self {
            bootstrap_admin_key: Secret::default(),
            event_retention_days: 30,
            audit_retention_days: 90,
            event_streams_max: 100,
            event_keep_alive_seconds: 15,
            auth_registration: String::new(),
        }
    }
}

/// The settings, read and checked.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) administrator: Option<Administrator>,
    /// Ids of keys that are administrators' whatever their roles.
    pub(crate) admin_key_ids: Vec<String>,
    /// How long events are kept.
    pub(crate) event_retention_days: u16,
    /// How long the audit log is kept.
    pub(crate) audit_retention_days: u16,
    /// Event streams that may be open at once in one process.
    pub(crate) event_streams_max: usize,
    /// How often a stream without news says that it is there, and looks whether it may go on.
    pub(crate) event_keep_alive: Duration,
    /// Whether anybody may become a user.
    pub(crate) registration_is_open: bool,
}

/// The key of `BOOTSTRAP_ADMIN_KEY`.
#[derive(Debug, Clone)]
pub(crate) struct Administrator {
    pub(crate) id: String,
    pub(crate) secret_sha256: String,
}

impl Config {
    /// # Errors
    /// When a setting cannot be read or has not the right form.
    pub(crate) fn read(platform: &Platform) -> Result<Self, Error> {
        let section: Section = platform.settings.section()?;
        for (name, days) in [
            ("event_retention_days", section.event_retention_days),
            ("audit_retention_days", section.audit_retention_days),
        ] {
            if days == 0 {
                return Err(Error::new(name, "must be at least 1"));
            }
        }
        if section.event_keep_alive_seconds == 0 {
            return Err(Error::new("event_keep_alive_seconds", "must be at least 1"));
        }
        Ok(Self {
            administrator: administrator(&section.bootstrap_admin_key)?,
            admin_key_ids: platform.core.admin_key_ids.0.clone(),
            event_retention_days: section.event_retention_days,
            audit_retention_days: section.audit_retention_days,
            event_streams_max: section.event_streams_max,
            event_keep_alive: Duration::from_secs(section.event_keep_alive_seconds),
            registration_is_open: match section.auth_registration.as_str() {
                "" => !platform.core.is_production(),
                "open" => true,
                "closed" => false,
                _ => return Err(Error::new("auth_registration", "must be open or closed")),
            },
        })
    }
}

fn administrator(key: &Secret) -> Result<Option<Administrator>, Error> {
    if key.expose().is_empty() {
        return Ok(None);
    }
    // The value stays out of the message: it is a secret, if a bad one.
    let (id, secret) = split_key(key.expose()).ok_or_else(|| {
        let form = "must be key_id.secret: 1 to 64 and 1 to 256 letters, digits, _ or -";
        Error::new("bootstrap_admin_key", form)
    })?;
    Ok(Some(Administrator { id: id.to_owned(), secret_sha256: secrets::digest(secret) }))
}

#[cfg(test)]
mod tests {
    use api_core::{platform::Platform, settings::Settings};

    use super::Config;

    fn read(pairs: &[(&str, &str)]) -> Result<Config, String> {
        let settings = Settings::from_pairs(pairs.iter().copied()).unwrap();
        Config::read(&Platform::new(settings).unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_malformed_administrator_key_stops_the_start_naming_the_setting_and_not_the_key() {
        for bad in ["nodot", ".geheim", "geheim.", "a b.geheim"] {
            let error = read(&[("BOOTSTRAP_ADMIN_KEY", bad)]).unwrap_err();
            assert!(error.contains("BOOTSTRAP_ADMIN_KEY") && !error.contains("geheim"), "{error}");
        }
        assert!(read(&[("BOOTSTRAP_ADMIN_KEY", "")]).unwrap().administrator.is_none());
        assert_eq!(read(&[("BOOTSTRAP_ADMIN_KEY", "a.b.c")]).unwrap().administrator.unwrap().id, "a");
    }

    #[test]
    fn registration_is_open_except_in_production_unless_the_settings_say_otherwise() {
        let production = [("IMAGO_ENV", "production"), ("JWT_SECRET", "0123456789012345678901234567890123")];
        let is_open = |pairs: &[(&str, &str)]| read(pairs).unwrap().registration_is_open;
        assert!(is_open(&[]) && !is_open(&production));
        assert!(!is_open(&[("AUTH_REGISTRATION", "closed")]));
        assert!(is_open(&[production.as_slice(), &[("AUTH_REGISTRATION", "open")]].concat()));
        assert!(read(&[("AUTH_REGISTRATION", "ajar")]).unwrap_err().contains("AUTH_REGISTRATION"));
    }

    #[test]
    fn events_and_the_audit_log_are_kept_for_a_day_at_least() {
        assert!(read(&[("EVENT_RETENTION_DAYS", "0")]).is_err());
        assert!(read(&[("AUDIT_RETENTION_DAYS", "0")]).is_err());
        let config = read(&[]).unwrap();
        assert_eq!((config.event_retention_days, config.audit_retention_days), (30, 90));
    }
}
