//! Addresses that carry a role and a search path.
//!
//! Done on the text, since libpq allows what general URL parsers refuse (several hosts, sockets) and reads `+` as itself.

use crate::{Error, Service};

/// No statement of a service may take longer. Work that has to says `SET LOCAL statement_timeout`.
const STATEMENT_TIMEOUT_MS: u32 = 60_000;

/// The address under which a service connects: that of the administrator, in the service's role and schema.
///
/// The role is taken on after logging in, so the user in `admin_url` must be a member of it, or be that role.
///
/// # Errors
/// [`Error::Url`].
pub fn service_url(admin_url: &str, service: Service) -> Result<String, Error> {
    schema_url(admin_url, service, service.schema())
}

/// Like [`service_url`], with another schema; tests have one each.
///
/// # Errors
/// [`Error::Url`].
pub fn schema_url(admin_url: &str, service: Service, schema: &str) -> Result<String, Error> {
    let settings = format!(
        "-c role={} -c search_path={schema},public -c statement_timeout={STATEMENT_TIMEOUT_MS}",
        service.role()
    );
    with_options(admin_url, &settings)
}

/// Refuses what is not a URL of PostgreSQL's, such as libpq's older form of keywords and values.
pub(crate) fn check(url: &str) -> Result<(), Error> {
    let known = ["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme));
    if known { Ok(()) } else { Err(Error::Url) }
}

/// Adds session settings to the `options` of an address. Later ones win, so they come last.
fn with_options(url: &str, settings: &str) -> Result<String, Error> {
    check(url)?;
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let (mut options, mut kept) = (String::new(), String::new());
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        match parameter.strip_prefix("options=") {
            // Still encoded, and put back like that.
            Some(theirs) => options = format!("{theirs}%20"),
            None => kept += &format!("{parameter}&"),
        }
    }
    Ok(format!("{base}?{kept}options={options}{}", encode(settings)))
}

/// Percent-encodes everything that could mean something.
fn encode(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded += &format!("%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = "-c%20role%3Dimago_chat%20-c%20search_path%3Dchat%2Cpublic";

    fn with(url: &str) -> String {
        with_options(url, "-c role=imago_chat -c search_path=chat,public").unwrap()
    }

    #[test]
    fn settings_are_added_and_everything_else_is_kept() {
        assert_eq!(with("postgres://u:p@h:1/d"), format!("postgres://u:p@h:1/d?options={OURS}"));
        assert_eq!(
            with("postgresql://u:p@h1:1,h2:2/d?sslmode=require&target_session_attrs=any"),
            format!("postgresql://u:p@h1:1,h2:2/d?sslmode=require&target_session_attrs=any&options={OURS}")
        );
        assert_eq!(
            with("postgres:///d?options=-c%20jit%3Doff&host=/tmp"),
            format!("postgres:///d?host=/tmp&options=-c%20jit%3Doff%20{OURS}")
        );
    }

    #[test]
    fn anything_but_a_url_is_refused() {
        for text in ["host=localhost dbname=imago", "mysql://h/d", ""] {
            assert!(matches!(with_options(text, ""), Err(Error::Url)), "{text}");
        }
    }
}
