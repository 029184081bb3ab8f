//! Settings: defaults, then `imago.toml` in the working directory, then the environment.
//!
//! Names are those of the environment; in the file they are written in lower case. An unknown `IMAGO_*` name
//! and an unreadable value stop the start with one line.

use std::{collections::BTreeMap, fmt, net::IpAddr, str::FromStr, time::Duration};

use config::{Config, Environment, File, FileFormat};
use ipnet::IpNet;
use serde::{Deserialize, Deserializer, de::DeserializeOwned};

use crate::secret::Secret;

/// Where settings are read from, besides the environment.
const FILE: &str = "imago.toml";

/// Every `IMAGO_*` name that the programs read.
const IMAGO_NAMES: &[&str] =
    &["imago_bind", "imago_data_dir", "imago_env", "imago_install_dir", "imago_model_dir", "imago_port_base"];

/// Names that clients, test suites and scripts read; they may stand in the environment of the programs that they start.
const CLIENT_NAMES: &[&str] = &[
    "imago_admin_key",
    "imago_bin",
    "imago_jwt_secret",
    "imago_open_doors",
    "imago_public_url",
    "imago_receiver_bind",
    "imago_receiver_host",
    "imago_request_timeout",
    "imago_require_server",
    "imago_restart_cmd",
    "imago_time_scale",
    "imago_webhook_backoff",
];

/// What stops the start: one line, naming the setting.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Error(String);

impl Error {
    /// `name` is the setting as in the environment.
    pub fn new(name: &str, problem: impl fmt::Display) -> Self {
        Self(format!("setting {}: {problem}", name.to_uppercase()))
    }
}

/// All settings, from which each part reads its own section.
#[derive(Debug, Clone)]
pub struct Settings(Config);

impl Settings {
    /// Reads the file and the environment.
    ///
    /// # Errors
    /// When the file cannot be read, or an `IMAGO_*` name is unknown.
    pub fn load() -> Result<Self, Error> {
        let loaded = Config::builder()
            .add_source(File::new(FILE, FileFormat::Toml).required(false))
            .add_source(Environment::default())
            .build()
            .map_err(|error| one_line(&error))?;
        let names: BTreeMap<String, config::Value> =
            loaded.clone().try_deserialize().map_err(|error| one_line(&error))?;
        for name in names.keys() {
            let known = IMAGO_NAMES.contains(&name.as_str()) || CLIENT_NAMES.contains(&name.as_str());
            if name.starts_with("imago_") && !known {
                return Err(Error::new(name, "unknown name"));
            }
        }
        Ok(Self(loaded))
    }

    /// Settings from pairs alone, for tests and for parts started by hand.
    ///
    /// # Errors
    /// When a name is no setting's name.
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, Error> {
        Self(Config::default()).with(pairs)
    }

    /// These settings with others in their place.
    ///
    /// # Errors
    /// When a name is no setting's name.
    pub fn with<'a>(&self, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, Error> {
        let mut builder = Config::builder().add_source(self.0.clone());
        for (name, value) in pairs {
            builder = builder.set_override(name.to_lowercase(), value).map_err(|error| one_line(&error))?;
        }
        builder.build().map(Self).map_err(|error| one_line(&error))
    }

    /// The part of the settings that `T` describes; `T` has a default for each of its fields.
    ///
    /// # Errors
    /// When a value cannot be read as its type.
    pub fn section<T: DeserializeOwned>(&self) -> Result<T, Error> {
        self.0.clone().try_deserialize().map_err(|error| one_line(&error))
    }

    /// One text by its name; empty counts as absent.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        self.0.get_string(&name.to_lowercase()).ok().filter(|text| !text.is_empty())
    }
}

fn one_line(error: &config::ConfigError) -> Error {
    Error(format!("settings: {error}").replace('\n', " "))
}

/// A comma-separated list; spaces around entries do not count, empty entries neither.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommaList(pub Vec<String>);

impl CommaList {
    #[must_use]
    pub fn contains(&self, entry: &str) -> bool {
        self.0.iter().any(|own| own == entry)
    }
}

impl<'de> Deserialize<'de> for CommaList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        Ok(Self(entries.map(str::to_owned).collect()))
    }
}

/// Networks as a comma list: `10.0.0.0/8, 2001:db8::/32`; a single address is a network of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks(Vec<IpNet>);

impl Networks {
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[must_use]
    pub fn contain(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

impl FromStr for Networks {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        let network = |entry: &str| {
            let network = entry.parse().or_else(|_no_network| entry.parse::<IpAddr>().map(IpNet::from));
            network.map_err(|_no_address| format!("'{entry}' is neither a network nor an address"))
        };
        entries.map(network).collect::<Result<_, _>>().map(Self)
    }
}

impl<'de> Deserialize<'de> for Networks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The secret that development stacks share; production refuses it.
pub const DEVELOPMENT_JWT_SECRET: &str = "dev-secret-change-in-production";

/// What every service needs.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct Core {
    pub imago_env: String,
    pub flask_env: String,
    /// Address to listen on.
    pub imago_bind: String,
    pub jwt_secret: Option<Secret>,
    /// How long the tokens are good for that the control plane gives out.
    pub jwt_expiration_hours: u64,
    pub admin_key_ids: CommaList,
    /// Where administration may come from; empty means from everywhere.
    pub admin_allow_cidrs: Networks,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Networks,
    /// Doors that need no credential: `canvas`, `caxton`, `legacy`.
    pub auth_open_doors: CommaList,
    pub database_pool_size: u32,
    pub database_max_overflow: u32,
    pub cors_allowed_origins: Option<CommaList>,
    pub max_body_bytes: usize,
    /// Of the AINS door, batches excepted.
    pub ains_max_body_bytes: usize,
    pub max_document_bytes: usize,
    pub max_header_bytes: usize,
    pub max_in_flight: usize,
    pub request_timeout_seconds: u64,
    /// Limit of one build, and of the requests that wait for one.
    pub worker_timeout: u64,
    pub keep_alive: u64,
    pub rate_limit_per_minute: u64,
    pub rate_limit_per_hour: u64,
    /// `redis://…`, where several processes share the limits; may hold a password.
    pub rate_limit_store: Option<Secret>,
    /// Of an address behind the open canvas door; 0 means as many as it likes.
    pub canvas_rate_limit_per_minute: u64,
    /// Of an address behind the open Caxton door; 0 means as many as it likes.
    pub caxton_rate_limit_per_minute: u64,
    pub enable_metrics: bool,
    pub control_plane_url: String,
}

impl Default for Core {
    fn default() -> Self {
        Self {
            imago_env: "development".to_owned(),
            flask_env: String::new(),
            imago_bind: "127.0.0.1".to_owned(),
            jwt_secret: None,
            jwt_expiration_hours: 24,
            admin_key_ids: CommaList::default(),
            admin_allow_cidrs: Networks::default(),
            trusted_proxies: Networks::default(),
            auth_open_doors: CommaList::default(),
            database_pool_size: 10,
            database_max_overflow: 20,
            cors_allowed_origins: None,
            max_body_bytes: 4 << 20,
            ains_max_body_bytes: 4 << 20,
            max_document_bytes: 20 << 20,
            max_header_bytes: 32 << 10,
            max_in_flight: 512,
            request_timeout_seconds: 60,
            worker_timeout: 300,
            keep_alive: 5,
            rate_limit_per_minute: 600,
            rate_limit_per_hour: 20_000,
            rate_limit_store: None,
            canvas_rate_limit_per_minute: 0,
            caxton_rate_limit_per_minute: 0,
            enable_metrics: true,
            control_plane_url: "http://127.0.0.1:5005".to_owned(),
        }
    }
}

impl Core {
    #[must_use]
    pub fn is_production(&self) -> bool {
        self.imago_env == "production" || self.flask_env == "production"
    }

    /// The secret that tokens are signed with.
    ///
    /// # Errors
    /// In production, when it is missing, short, or the development default.
    pub fn checked_jwt_secret(&self) -> Result<Secret, Error> {
        let given = self.jwt_secret.clone().filter(|secret| !secret.expose().is_empty());
        if !self.is_production() {
            return Ok(given.unwrap_or_else(|| Secret::new(DEVELOPMENT_JWT_SECRET)));
        }
        let secret = given.ok_or_else(|| Error::new("jwt_secret", "required in production"))?;
        if secret.expose() == DEVELOPMENT_JWT_SECRET || secret.expose().chars().count() < 32 {
            return Err(Error::new("jwt_secret", "production needs one of its own, of 32 characters or more"));
        }
        Ok(secret)
    }

    /// Checks what no single value shows.
    ///
    /// # Errors
    /// When values do not go together, or development defaults are used in production.
    pub fn check(&self) -> Result<(), Error> {
        if !["development", "production", "test"].contains(&self.imago_env.as_str()) {
            return Err(Error::new("imago_env", "must be development, test or production"));
        }
        if self.is_production() && self.auth_open_doors.contains("legacy") {
            return Err(Error::new("auth_open_doors", "the deprecated endpoints are never open in production"));
        }
        let doors = ["canvas", "caxton", "legacy"];
        if let Some(unknown) = self.auth_open_doors.0.iter().find(|door| !doors.contains(&door.as_str())) {
            return Err(Error::new("auth_open_doors", format!("there is no door '{unknown}'")));
        }
        for (name, value) in [
            ("worker_timeout", self.worker_timeout),
            ("request_timeout_seconds", self.request_timeout_seconds),
            ("jwt_expiration_hours", self.jwt_expiration_hours),
        ] {
            if value == 0 {
                return Err(Error::new(name, "must be at least 1"));
            }
        }
        if self.database_pool_size == 0 {
            return Err(Error::new("database_pool_size", "must be at least 1"));
        }
        self.checked_jwt_secret().map(drop)
    }

    #[must_use]
    pub fn request_timeout(&self) -> Duration {
        Duration::from_secs(self.request_timeout_seconds)
    }

    /// Connections of one service in one process at the most.
    #[must_use]
    pub fn pool_size(&self) -> u32 {
        self.database_pool_size.saturating_add(self.database_max_overflow)
    }

    /// Whether a browser page from `origin` may call us: everyone in development, nobody by default in production.
    #[must_use]
    pub fn allows_origin(&self, origin: &str) -> bool {
        match &self.cors_allowed_origins {
            Some(list) => list.contains("*") || list.contains(origin),
            None => !self.is_production(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Core, DEVELOPMENT_JWT_SECRET, Networks, Settings};

    fn core(pairs: &[(&str, &str)]) -> Core {
        Settings::from_pairs(pairs.iter().copied()).unwrap().section().unwrap()
    }

    #[test]
    fn values_are_read_by_their_environment_names() {
        let core = core(&[("MAX_IN_FLIGHT", "7"), ("ADMIN_KEY_IDS", " a, b ,"), ("ENABLE_METRICS", "false")]);
        assert_eq!((core.max_in_flight, core.enable_metrics), (7, false));
        assert_eq!(core.admin_key_ids.0, ["a", "b"]);
    }

    #[test]
    fn networks_and_single_addresses_are_read() {
        let networks: Networks = " 10.0.0.0/8, 192.0.2.1,, 2001:db8::/32 ".parse().unwrap();
        for (address, is_in) in [("10.9.8.7", true), ("192.0.2.1", true), ("192.0.2.2", false), ("2001:db8::1", true)] {
            assert_eq!(networks.contain(address.parse().unwrap()), is_in, "{address}");
        }
        for wrong in ["10.0.0.0/33", "localhost", "10.0.0"] {
            let settings = Settings::from_pairs([("ADMIN_ALLOW_CIDRS", wrong)]).unwrap();
            assert!(settings.section::<Core>().unwrap_err().to_string().contains(wrong));
        }
    }

    #[test]
    fn an_unreadable_value_names_its_setting() {
        let settings = Settings::from_pairs([("MAX_IN_FLIGHT", "many")]).unwrap();
        let error = settings.section::<Core>().unwrap_err().to_string();
        assert!(error.contains("max_in_flight") && !error.contains('\n'), "{error}");
    }

    #[test]
    fn production_refuses_the_development_secret() {
        assert!(core(&[("IMAGO_ENV", "production")]).check().is_err());
        assert!(core(&[("FLASK_ENV", "production"), ("JWT_SECRET", DEVELOPMENT_JWT_SECRET)]).check().is_err());
        assert!(
            core(&[("IMAGO_ENV", "production"), ("JWT_SECRET", "0123456789012345678901234567890123")]).check().is_ok()
        );
    }

    #[test]
    fn production_is_closed_to_foreign_pages_unless_told_otherwise() {
        assert!(!core(&[("IMAGO_ENV", "production")]).allows_origin("https://a.example"));
        assert!(core(&[]).allows_origin("https://a.example"));
        let listed = core(&[("CORS_ALLOWED_ORIGINS", "https://a.example")]);
        assert!(listed.allows_origin("https://a.example") && !listed.allows_origin("https://b.example"));
    }
}
