//! What the services of one process share.

use std::{
    fmt,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use api_client::{ServiceClient, control_plane::ControlPlane, http_client, token::TokenKey};

use crate::{
    access::Recorder,
    auth::{Authenticator, KeySource, Keys, SessionSource, Sessions},
    db::Db,
    rate_limit::{Limits, RateLimiter, Store},
    secret::Secret,
    settings::{Core, Error, Settings},
};

/// Settings, credentials, limits and the way to other services, shared by all services of a process.
pub struct Platform {
    pub settings: Settings,
    pub core: Core,
    pub auth: Authenticator,
    pub limiter: RateLimiter,
    pub(crate) access: Recorder,
    /// Where the limits are settled with other processes, if they are.
    pub rate_limit_store: Option<Store>,
    pub(crate) in_flight: AtomicUsize,
    draining: AtomicBool,
    http: reqwest::Client,
    jwt_secret: Secret,
    token_key: TokenKey,
}

impl fmt::Debug for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Platform").field("core", &self.core).finish_non_exhaustive()
    }
}

impl Platform {
    /// A platform that looks keys and ended sessions up with the control plane.
    ///
    /// # Errors
    /// When a setting cannot be read or is refused.
    pub fn new(settings: Settings) -> Result<Arc<Self>, Error> {
        Self::build(settings, None)
    }

    /// A platform that looks keys up with `source`: for the control plane itself when it runs alone. It knows of ended sessions
    /// what it is told, or what their keeper knows.
    ///
    /// # Errors
    /// When a setting cannot be read or is refused.
    pub fn with_key_source(settings: Settings, source: Arc<dyn KeySource>) -> Result<Arc<Self>, Error> {
        Self::build(settings, Some(source))
    }

    fn build(settings: Settings, source: Option<Arc<dyn KeySource>>) -> Result<Arc<Self>, Error> {
        let core: Core = settings.section()?;
        core.check()?;
        let jwt_secret = core.checked_jwt_secret()?;
        let http = http_client().map_err(|error| Error::new("control_plane_url", error))?;
        let token_key = TokenKey::derive(jwt_secret.expose());
        let (keys, sessions): (_, Option<Arc<dyn SessionSource>>) = match source {
            Some(source) => (source, None),
            None => {
                let url = &core.control_plane_url;
                let client = ServiceClient::new(http.clone(), url, "control-plane", "platform", token_key.clone());
                let control_plane = Arc::new(ControlPlane(client));
                (Arc::clone(&control_plane) as Arc<dyn KeySource>, Some(control_plane))
            }
        };
        let credentials = (Keys::new(keys), Sessions::new(sessions));
        let limits = Limits { per_minute: core.rate_limit_per_minute, per_hour: core.rate_limit_per_hour };
        let auth = Authenticator::new(&jwt_secret, credentials, core.admin_key_ids.clone(), limits);
        let rate_limit_store = Store::from_setting(core.rate_limit_store.as_ref())?;
        Ok(Arc::new(Self {
            settings,
            core,
            auth,
            limiter: RateLimiter::new(rate_limit_store.is_some()),
            rate_limit_store,
            access: Recorder::default(),
            in_flight: AtomicUsize::new(0),
            draining: AtomicBool::new(false),
            http,
            jwt_secret,
            token_key,
        }))
    }

    /// A client through which `caller` calls `target` at the address that setting `url_setting` names.
    #[must_use]
    pub fn client(&self, caller: &'static str, target: &'static str, base_url: &str) -> ServiceClient {
        ServiceClient::new(self.http.clone(), base_url, target, caller, self.token_key.clone())
    }

    /// The control plane, as `caller` calls it.
    #[must_use]
    pub fn control_plane(&self, caller: &'static str) -> ControlPlane {
        ControlPlane(self.client(caller, "control-plane", &self.core.control_plane_url))
    }

    /// The HTTP client for calls inside the platform. Calls to the outside go through the `egress` crate.
    #[must_use]
    pub fn http(&self) -> &reqwest::Client {
        &self.http
    }

    #[must_use]
    pub fn jwt_secret(&self) -> &Secret {
        &self.jwt_secret
    }

    /// Whether administration may come from this address (`ADMIN_ALLOW_CIDRS`).
    #[must_use]
    pub fn allows_administration(&self, client: IpAddr) -> bool {
        self.core.admin_allow_cidrs.is_empty() || self.core.admin_allow_cidrs.contain(client)
    }

    /// The pool of a service, on the connection string that is its own.
    #[must_use]
    pub fn db(&self, url: &str) -> Db {
        Db::lazy(url, self.core.pool_size())
    }

    /// From now on the process takes no new work.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Waits until no request takes a slot, or `most` has passed.
    pub(crate) async fn quiet(&self, most: Duration) {
        let end = Instant::now() + most;
        while self.in_flight.load(Ordering::Acquire) > 0 && Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }
}
