//! Settings of the sources.

use api_core::{
    secret::Secret,
    settings::{self, CommaList},
};
use api_types::knowledge::SourceName;
use egress::{Client, Limits, Policy};
use serde::Deserialize;

use super::{
    Runner, Source, Timing, brave::Brave, exa::Exa, firecrawl::Firecrawl, tavily::Tavily, wikidata::Wikidata,
    wikipedia::Wikipedia,
};

/// What the operator says about sources. Names are those of the environment.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub(crate) struct Settings {
    /// The outside sources that may be asked; all when absent.
    pub(crate) knowledge_sources: Option<CommaList>,
    pub(crate) knowledge_language: String,
    /// Hosts whose pages are dropped, their subdomains included.
    pub(crate) knowledge_blocked_domains: CommaList,
    /// `{language}` stands for the language.
    pub(crate) wikipedia_url: String,
    pub(crate) wikidata_url: String,
    pub(crate) tavily_url: String,
    pub(crate) brave_url: String,
    pub(crate) exa_url: String,
    pub(crate) firecrawl_url: String,
    pub(crate) tavily_api_key: Option<Secret>,
    pub(crate) brave_api_key: Option<Secret>,
    pub(crate) exa_api_key: Option<Secret>,
    pub(crate) firecrawl_api_key: Option<Secret>,
    pub(crate) egress_allow_private: bool,
    pub(crate) egress_allow_cidrs: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            knowledge_sources: None,
            knowledge_language: "en".to_owned(),
            knowledge_blocked_domains: CommaList::default(),
            wikipedia_url: "https://{language}.wikipedia.org".to_owned(),
            wikidata_url: "https://www.wikidata.org".to_owned(),
            tavily_url: "https://api.tavily.com".to_owned(),
            brave_url: "https://api.search.brave.com".to_owned(),
            exa_url: "https://api.exa.ai".to_owned(),
            firecrawl_url: "https://api.firecrawl.dev".to_owned(),
            tavily_api_key: None,
            brave_api_key: None,
            exa_api_key: None,
            firecrawl_api_key: None,
            egress_allow_private: false,
            egress_allow_cidrs: String::new(),
        }
    }
}

/// Whether a source can be asked at all.
#[derive(Debug)]
pub(super) enum Availability {
    Enabled(Box<dyn Source>),
    Disabled,
    NoKey,
}

impl Settings {
    /// The runner over the configured sources.
    ///
    /// # Errors
    /// Names the setting that cannot be read.
    pub(crate) fn runner(&self, timing: Timing) -> Result<Runner, settings::Error> {
        self.check()?;
        let policy = Policy::new(self.egress_allow_private, &self.egress_allow_cidrs)
            .map_err(|error| settings::Error::new("egress_allow_cidrs", error))?;
        let limits = Limits { total: timing.attempt, ..Limits::default() };
        let client = Client::new(policy, limits).map_err(|error| settings::Error::new("egress", error))?;
        let sources = SourceName::ALL.map(|name| self.availability(name, &client));
        Ok(Runner::new(sources.into_iter().flatten().collect(), timing, &self.knowledge_blocked_domains.0)
            .in_language(&self.knowledge_language))
    }

    fn check(&self) -> Result<(), settings::Error> {
        let language = &self.knowledge_language;
        let well_formed = |c: char| c.is_ascii_lowercase() || c == '-';
        if !(2..=12).contains(&language.len()) || !language.chars().all(well_formed) {
            return Err(settings::Error::new("knowledge_language", "must be a language code like en"));
        }
        let names = self.knowledge_sources.iter().flat_map(|names| &names.0);
        match names.into_iter().find(|name| SourceName::parse(name).is_none()) {
            Some(name) => Err(settings::Error::new("knowledge_sources", format!("'{name}' is no source"))),
            None => Ok(()),
        }
    }

    /// Documents and the taxonomy are asked at home and have no entry.
    fn availability(&self, name: SourceName, client: &Client) -> Option<(SourceName, Availability)> {
        let keyed = |key: &Option<Secret>, make: &dyn Fn(Secret) -> Box<dyn Source>| {
            let key = key.clone().filter(|key| !key.expose().trim().is_empty());
            key.map_or(Availability::NoKey, |key| Availability::Enabled(make(key)))
        };
        let client = || client.clone();
        let availability = match name {
            SourceName::Documents | SourceName::Taxonomy => return None,
            SourceName::Wikipedia => {
                let base = self.wikipedia_url.replace("{language}", &self.knowledge_language);
                Availability::Enabled(Box::new(Wikipedia::new(client(), base)))
            }
            SourceName::Wikidata => Availability::Enabled(Box::new(Wikidata::new(client(), self.wikidata_url.clone()))),
            SourceName::Tavily => {
                keyed(&self.tavily_api_key, &|key| Box::new(Tavily::new(client(), self.tavily_url.clone(), key)))
            }
            SourceName::Brave => {
                keyed(&self.brave_api_key, &|key| Box::new(Brave::new(client(), self.brave_url.clone(), key)))
            }
            SourceName::Exa => keyed(&self.exa_api_key, &|key| Box::new(Exa::new(client(), self.exa_url.clone(), key))),
            SourceName::Firecrawl => keyed(&self.firecrawl_api_key, &|key| {
                Box::new(Firecrawl::new(client(), self.firecrawl_url.clone(), key))
            }),
        };
        let listed = self.knowledge_sources.as_ref().is_none_or(|names| names.contains(name.as_str()));
        Some((name, if listed { availability } else { Availability::Disabled }))
    }
}
