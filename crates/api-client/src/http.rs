//! The plain HTTP client for calls inside the platform.

use std::time::Duration;

/// How long connecting to another service may take.
const CONNECT: Duration = Duration::from_secs(3);

/// A client for calls to our own services: no proxy, no redirects, every request has its own time limit.
///
/// # Errors
/// When the TLS configuration cannot be set up.
pub fn http_client() -> Result<reqwest::Client, reqwest::Error> {
    // Another part of the process may have installed it already; either way the provider is ring.
    drop(rustls::crypto::CryptoProvider::install_default(rustls::crypto::ring::default_provider()));
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT)
        .pool_idle_timeout(Duration::from_secs(20))
        .build()
}
