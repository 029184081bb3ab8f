//! How this service tells of itself.

use std::time::Duration;

use api_core::health::{Check, Database, Dependency, Health, Status};
use futures_util::future::{BoxFuture, join3};
use url::Url;

/// How long another service may take to say that it is well.
const PATIENCE: Duration = Duration::from_secs(5);

/// Another service.
#[derive(Debug)]
pub(crate) struct Peer {
    name: &'static str,
    /// As configured.
    url: String,
}

impl Peer {
    pub(crate) fn new(name: &'static str, url: &str) -> Self {
        Self { name, url: url.trim_end_matches('/').to_owned() }
    }

    async fn dependency(&self, http: &reqwest::Client) -> Dependency {
        let answer = http.get(format!("{}/health", self.url)).timeout(PATIENCE).send().await;
        let status = match answer {
            Ok(answer) if answer.status() == reqwest::StatusCode::OK => Status::Healthy,
            Ok(_) => Status::Unhealthy,
            Err(_) => Status::Unreachable,
        };
        Dependency::new(self.name, status).with("url", without_credentials(&self.url))
    }
}

fn without_credentials(url: &str) -> String {
    let Ok(mut url) = Url::parse(url) else { return String::new() };
    // Fails for addresses that cannot carry credentials, which are no addresses of services.
    if url.set_username("").is_err() || url.set_password(None).is_err() {
        return String::new();
    }
    url.set_query(None);
    url.as_str().trim_end_matches('/').to_owned()
}

#[derive(Debug)]
pub(crate) struct Wellbeing {
    pub(crate) database: Database,
    pub(crate) http: reqwest::Client,
    pub(crate) skill_builder: Peer,
    pub(crate) knowledge_builder: Peer,
    pub(crate) control_plane: Peer,
}

impl Health for Wellbeing {
    fn dependencies(&self) -> BoxFuture<'_, Vec<Dependency>> {
        Box::pin(async {
            let peers = join3(
                self.skill_builder.dependency(&self.http),
                self.knowledge_builder.dependency(&self.http),
                self.control_plane.dependency(&self.http),
            );
            let ((skills, knowledge, control_plane), database) =
                futures_util::future::join(peers, self.database.dependency()).await;
            vec![skills, knowledge, control_plane.dispensable(), database]
        })
    }

    fn checks(&self) -> BoxFuture<'_, Vec<Check>> {
        Box::pin(self.database.checks())
    }
}

#[cfg(test)]
mod tests {
    use super::without_credentials;

    #[test]
    fn an_address_is_shown_as_configured_but_for_its_credentials() {
        for (url, shown) in [
            ("http://127.0.0.1:5001", "http://127.0.0.1:5001"),
            ("https://user:secret@skills.example/base/", "https://skills.example/base"),
            ("http://token@host:1", "http://host:1"),
            ("http://host/?key=secret", "http://host"),
            ("nonsense", ""),
        ] {
            assert_eq!(without_credentials(url), shown);
        }
    }
}
