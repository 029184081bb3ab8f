//! The service's own settings.

use api_core::settings::{Error, Settings};
use serde::Deserialize;

use crate::domain::matching::{FULL_SCORE, hundredths};

#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub(crate) struct Config {
    /// From which similarity on (0 to 1) an occupation is taken for the one that is meant.
    occupation_match_threshold: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { occupation_match_threshold: 0.55 }
    }
}

impl Config {
    /// # Errors
    /// When a value cannot be read or is out of its range.
    pub(crate) fn read(settings: &Settings) -> Result<Self, Error> {
        let config: Self = settings.section()?;
        if (0.0..=1.0).contains(&config.occupation_match_threshold) {
            Ok(config)
        } else {
            Err(Error::new("occupation_match_threshold", "must be between 0 and 1"))
        }
    }

    /// In hundredths.
    pub(crate) fn match_threshold(&self) -> u32 {
        hundredths(self.occupation_match_threshold).min(FULL_SCORE)
    }
}

#[cfg(test)]
mod tests {
    use api_core::settings::Settings;

    use super::Config;

    fn threshold(value: &str) -> Result<u32, String> {
        let settings = Settings::from_pairs([("OCCUPATION_MATCH_THRESHOLD", value)]).unwrap();
        Config::read(&settings).map(|config| config.match_threshold()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_threshold_is_a_share() {
        assert_eq!(Config::default().match_threshold(), 55);
        assert_eq!(threshold("0.7"), Ok(70));
        assert!(threshold("55").unwrap_err().contains("OCCUPATION_MATCH_THRESHOLD"));
        assert!(threshold("much").is_err());
    }
}
