//! From names to addresses, of which only allowed ones go any further.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::Semaphore;

use crate::policy::{Policy, Refusal};

/// How the addresses of a host are found. The system's own way, unless somebody brings another.
pub trait Lookup: fmt::Debug + Send + Sync + 'static {
    /// All addresses of `host`, judged or not: the client judges them, and connects to those that it was given here.
    fn lookup(&self, host: String) -> Found;
}

/// The addresses, some time.
pub type Found = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// Look-ups at once. The system's resolver blocks a thread, and those are shared with the database.
const LOOKUPS_MAX: usize = 128;

/// As the system's resolver says.
#[derive(Debug, Clone, Copy)]
pub struct SystemLookup;

impl Lookup for SystemLookup {
    fn lookup(&self, host: String) -> Found {
        static TURNS: Semaphore = Semaphore::const_new(LOOKUPS_MAX);
        Box::pin(async move {
            let _turn = TURNS.acquire().await.map_err(io::Error::other)?;
            Ok(tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect())
        })
    }
}

/// Resolves names to allowed addresses only, so that the connection cannot go anywhere else.
#[derive(Debug)]
pub(crate) struct Resolver {
    policy: Arc<Policy>,
    lookup: Arc<dyn Lookup>,
}

impl Resolver {
    pub(crate) fn new(policy: &Arc<Policy>, lookup: &Arc<dyn Lookup>) -> Self {
        Self { policy: Arc::clone(policy), lookup: Arc::clone(lookup) }
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = Arc::clone(&self.policy);
        let found = self.lookup.lookup(name.as_str().to_owned());
        Box::pin(async move {
            // The port is the URL's; the client puts it in place of 0.
            let allowed: Vec<SocketAddr> = found
                .await?
                .into_iter()
                .filter(|address| policy.check_address(*address).is_ok())
                .map(|address| SocketAddr::new(address, 0))
                .collect();
            if allowed.is_empty() {
                return Err(Refusal::Address.into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}
