//! What a request says of where it comes from.

use std::net::IpAddr;

use actix_web::{
    dev::ServiceRequest,
    http::header::{AUTHORIZATION, HeaderMap, HeaderValue, USER_AGENT},
};
use api_types::events::USER_AGENT_CHARS;

use crate::{client_address, settings::Networks};

/// What stands in the place of a secret.
const REDACTED: &str = "[redacted]";
/// Shorter parts of a credential are no secrets, and words might be taken for them.
const SECRET_BYTES_MIN: usize = 6;

/// Where a request comes from. The headers are shared, not copied.
#[derive(Debug, Clone, Default)]
pub(crate) struct Visitor {
    pub(crate) ip: Option<IpAddr>,
    user_agent: Option<HeaderValue>,
    /// What was presented as a credential, in either header.
    presented: [Option<HeaderValue>; 2],
}

impl Visitor {
    /// `proxies` are believed in what they say of whom they forward.
    pub(crate) fn of(request: &ServiceRequest, proxies: &Networks) -> Self {
        let ip = client_address::of(request.request().head(), proxies);
        Self { ip: Some(ip), ..Self::by_headers(request.headers()) }
    }

    fn by_headers(headers: &HeaderMap) -> Self {
        Self {
            ip: None,
            user_agent: headers.get(USER_AGENT).cloned(),
            presented: [headers.get(AUTHORIZATION).cloned(), headers.get("x-api-key").cloned()],
        }
    }

    /// The address as text.
    pub(crate) fn ip(&self) -> Option<String> {
        self.ip.map(|ip| ip.to_string())
    }

    /// The user agent by its own account, cut to what is kept, without the credential of the request, should it stand there.
    pub(crate) fn user_agent(&self) -> Option<String> {
        let given = self.user_agent.as_ref().filter(|value| !value.is_empty())?;
        let mut text = String::from_utf8_lossy(given.as_bytes()).into_owned();
        for value in self.presented.iter().flatten() {
            let value = String::from_utf8_lossy(value.as_bytes());
            let token = value.trim().rsplit(' ').next().unwrap_or_default();
            // The whole of it, and the secret of `key_id.secret`.
            for secret in [Some(token), token.split_once('.').map(|(_, secret)| secret)].into_iter().flatten() {
                if secret.len() >= SECRET_BYTES_MIN {
                    text = text.replace(secret, REDACTED);
                }
            }
        }
        Some(text.chars().take(USER_AGENT_CHARS).collect())
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, USER_AGENT};

    use super::Visitor;

    fn told(user_agent: &str, credential: (HeaderName, &str)) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, HeaderValue::from_str(user_agent).unwrap());
        headers.insert(credential.0, HeaderValue::from_str(credential.1).unwrap());
        Visitor::by_headers(&headers).user_agent()
    }

    #[test]
    fn a_credential_in_the_user_agent_is_left_out() {
        let key = HeaderName::from_static("x-api-key");
        for (user_agent, credential, expected) in [
            ("me/1 admin.geheim", (AUTHORIZATION, "Bearer admin.geheim"), "me/1 [redacted]"),
            ("me/1 geheim", (AUTHORIZATION, "Bearer admin.geheim"), "me/1 [redacted]"),
            ("ains_abcdefgh", (key.clone(), "ains_abcdefgh"), "[redacted]"),
            // Not even the form of a credential.
            ("geheim-1", (AUTHORIZATION, "Basic geheim-1"), "[redacted]"),
            ("Production/1.0", (key, "a.b"), "Production/1.0"),
        ] {
            assert_eq!(told(user_agent, credential).as_deref(), Some(expected), "{user_agent}");
        }
    }

    #[test]
    fn it_is_cut() {
        assert_eq!(told(&"ab ".repeat(300), (AUTHORIZATION, "")).unwrap().chars().count(), 512);
        assert_eq!(told("", (AUTHORIZATION, "")), None);
    }
}
