//! Which addresses may be called.

use std::net::IpAddr;

use ipnet::IpNet;
use url::{Host, Url};

use crate::address::{self, Kind};

/// Why a call is refused. The texts name no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("not a valid URL")]
    InvalidUrl,
    #[error("only http and https URLs are allowed")]
    Scheme,
    #[error("a URL with a user part is not allowed")]
    UserInfo,
    #[error("address not allowed")]
    Address,
}

/// An entry of the operator's list that is no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a network like 10.1.0.0/16")]
pub struct InvalidNetwork(pub String);

/// What the operator allows beyond the public internet.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    allow_private: bool,
    allowed: Vec<IpNet>,
}

impl Policy {
    /// Only the public internet.
    #[must_use]
    pub fn strict() -> Self {
        Self::default()
    }

    /// The operator's settings: `EGRESS_ALLOW_PRIVATE` opens loopback and private addresses, `EGRESS_ALLOW_CIDRS` (a
    /// comma list of networks or single addresses) whatever it lists. Neither opens link-local addresses.
    ///
    /// # Errors
    /// Names the first entry that is no network.
    pub fn new(allow_private: bool, networks: &str) -> Result<Self, InvalidNetwork> {
        let allowed = networks
            .split(',')
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
            .map(|entry| parse_network(entry).ok_or_else(|| InvalidNetwork(entry.to_owned())))
            .collect::<Result<_, _>>()?;
        Ok(Self { allow_private, allowed })
    }

    /// Checks a URL as far as it can be without resolving its name.
    ///
    /// # Errors
    /// The reason for refusing it.
    pub fn check_url(&self, text: &str) -> Result<Url, Refusal> {
        // URL parsers repair and guess; two of them may guess differently. What needs repairing is refused.
        if text.chars().any(|c| c.is_whitespace() || c.is_control() || c == '\\') {
            return Err(Refusal::InvalidUrl);
        }
        let url = Url::parse(text).ok().ok_or(Refusal::InvalidUrl)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Refusal::Scheme);
        }
        let authority = written_authority(text).ok_or(Refusal::InvalidUrl)?;
        if authority.contains('@') {
            return Err(Refusal::UserInfo);
        }
        match url.host().ok_or(Refusal::InvalidUrl)? {
            // Octal, hexadecimal and shortened forms have no honest use.
            Host::Ipv4(address) if written_host(authority) != address.to_string() => {
                return Err(Refusal::Address);
            }
            Host::Ipv4(address) => self.check_address(address.into())?,
            Host::Ipv6(address) => self.check_address(address.into())?,
            Host::Domain(_) => {}
        }
        Ok(url)
    }

    /// Checks an address to connect to.
    ///
    /// # Errors
    /// [`Refusal::Address`].
    pub fn check_address(&self, address: IpAddr) -> Result<(), Refusal> {
        let address = address::canonical(address);
        let allowed = match address::kind(address) {
            Kind::Public => true,
            Kind::LinkLocal => false,
            Kind::Loopback | Kind::Private => self.allow_private || self.lists(address),
            Kind::Reserved => self.lists(address),
        };
        if allowed { Ok(()) } else { Err(Refusal::Address) }
    }

    fn lists(&self, address: IpAddr) -> bool {
        self.allowed.iter().any(|network| network.contains(&address))
    }
}

fn parse_network(entry: &str) -> Option<IpNet> {
    let single = || entry.parse::<IpAddr>().ok().map(IpNet::from);
    entry.parse().ok().or_else(single)
}

/// What stands between the slashes, exactly as written.
fn written_authority(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    (!authority.is_empty()).then_some(authority)
}

/// The authority without its port.
fn written_host(authority: &str) -> &str {
    authority.rsplit_once(':').map_or(authority, |(host, _)| host)
}

#[cfg(test)]
mod tests {
    use super::{Policy, Refusal};

    fn refusal(policy: &Policy, url: &str) -> Option<Refusal> {
        policy.check_url(url).err()
    }

    #[test]
    fn urls_of_the_internet_pass() {
        for url in [
            "http://example.org",
            "https://example.org:8443/a?b=c#d",
            "https://8.8.8.8/",
            "http://8.8.8.8:80",
            "https://[2606:4700::1111]/",
            "https://[2606:4700::1111]:444/",
            "https://bücher.example/",
            "HTTPS://EXAMPLE.ORG/",
        ] {
            assert_eq!(refusal(&Policy::strict(), url), None, "{url}");
        }
    }

    #[test]
    fn every_spelling_of_a_forbidden_address_is_refused() {
        for url in [
            "http://127.0.0.1/",
            "http://127.0.0.1:8080/x",
            "http://0177.0.0.1/",
            "http://0x7f.0.0.1/",
            "http://0x7f000001/",
            "http://2130706433/",
            "http://127.1/",
            "http://127.0.1/",
            "http://0/",
            "http://0.0.0.0/",
            "http://127.0.0.1./",
            "http://127.0.0.1.:8080/",
            "http://127.0.0.01/",
            "http://00000000000177.1/",
            "http://0X7F.1/",
            "http://127.0x0.0.0x1/",
            "http://①②⑦.0.0.1/",
            "http://127.0.0.1\u{ad}/",
            "http://127．0．0．1/",
            "http://127｡0｡0｡1/",
            "http://1%32%37.0.0.1/",
            "http://%30x7f.1/",
            "http://0xa9.0xfe.0xa9.0xfe/",
            "http://0251.0376.0251.0376/",
            "http://169.254.43518/",
            "http://[::ffff:a9fe:a9fe]/",
            "http://[0000:0000:0000:0000:0000:ffff:7f00:0001]/",
            "http://[64:ff9b:1:a9fe:a9:fe00::]/",
            "http://[2606:4700::5efe:127.0.0.1]/",
            "http://198.18.0.1/",
            "http://192.0.0.192/",
            "http://%31%32%37.0.0.1/",
            "http://１２７.0.0.1/",
            "http://127。0。0。1/",
            "http://10.0.0.1/",
            "http://012.0.0.1/",
            "http://172.16.5.4/",
            "http://192.168.0.1/",
            "http://100.64.0.1/",
            "http://169.254.169.254/latest/meta-data",
            "http://2852039166/",
            "http://0xa9fea9fe/",
            "http://[::1]/",
            "http://[::]/",
            "http://[0:0:0:0:0:0:0:1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::ffff:7f00:1]/",
            "http://[::127.0.0.1]/",
            "http://[fe80::1]/",
            "http://[fd00:ec2::254]/",
            "http://[fc00::1]/",
            "http://[64:ff9b::10.0.0.1]/",
            "http://[64:ff9b:1::10.0.0.1]/",
            "http://[2002:7f00:1::]/",
            "http://[2001:0:4136:e378:8000:63bf:80ff:fffe]/",
            "http://[ff02::1]/",
            "http://224.0.0.1/",
            "http://255.255.255.255/",
            "http://192.0.2.1/",
        ] {
            assert_eq!(refusal(&Policy::strict(), url), Some(Refusal::Address), "{url}");
        }
    }

    #[test]
    fn odd_spellings_are_refused_even_of_public_addresses() {
        for url in ["http://134744072/", "http://010.8.8.8/", "http://8.8.2056/"] {
            assert_eq!(refusal(&Policy::strict(), url), Some(Refusal::Address), "{url}");
        }
    }

    #[test]
    fn other_schemes_user_parts_and_repaired_urls_are_refused() {
        let table = [
            ("ftp://example.org/", Refusal::Scheme),
            ("file:///etc/passwd", Refusal::Scheme),
            ("gopher://example.org/", Refusal::Scheme),
            ("javascript:alert(1)", Refusal::Scheme),
            ("http://user@example.org/", Refusal::UserInfo),
            ("http://user:word@example.org/", Refusal::UserInfo),
            ("http://@example.org/", Refusal::UserInfo),
            ("http://example.org@127.0.0.1/", Refusal::UserInfo),
            ("", Refusal::InvalidUrl),
            ("example.org", Refusal::InvalidUrl),
            ("//example.org/", Refusal::InvalidUrl),
            ("http:example.org", Refusal::InvalidUrl),
            ("http:/example.org", Refusal::InvalidUrl),
            ("http:///example.org", Refusal::InvalidUrl),
            ("http://", Refusal::InvalidUrl),
            ("http://exa mple.org/", Refusal::InvalidUrl),
            (" http://example.org/", Refusal::InvalidUrl),
            ("http://exam\tple.org/", Refusal::InvalidUrl),
            ("http://example.org/\r\nHost: x", Refusal::InvalidUrl),
            ("http:\\\\127.0.0.1\\", Refusal::InvalidUrl),
            ("http://example.org\\@127.0.0.1/", Refusal::InvalidUrl),
            ("http://[fe80::1%25eth0]/", Refusal::InvalidUrl),
            ("http://256.256.256.256/", Refusal::InvalidUrl),
            ("http://example.org:99999/", Refusal::InvalidUrl),
            ("http://example.org%40127.0.0.1/", Refusal::InvalidUrl),
            ("http://user%40x:y@example.org/", Refusal::UserInfo),
            ("http://127.0.0.1%2f.example.org/", Refusal::InvalidUrl),
            ("http://127.0.0.1%00.example.org/", Refusal::InvalidUrl),
            ("http://1.2.3.4.5/", Refusal::InvalidUrl),
            ("http://4294967296/", Refusal::InvalidUrl),
            ("http://0x/", Refusal::Address),
            ("http://127\u{2024}0\u{2024}0\u{2024}1/", Refusal::InvalidUrl),
            ("http://[::ffff:0x7f.0.0.1]/", Refusal::InvalidUrl),
            ("http://[127.0.0.1]/", Refusal::InvalidUrl),
            ("http://127.0.0.1:80:80/", Refusal::InvalidUrl),
        ];
        for (url, expected) in table {
            assert_eq!(refusal(&Policy::strict(), url), Some(expected), "{url:?}");
        }
    }

    #[test]
    fn allowing_private_opens_loopback_and_private_only() {
        let policy = Policy::new(true, "").unwrap();
        for url in ["http://127.0.0.1/", "http://[::1]/", "http://10.0.0.1/", "http://[fd12::1]/"] {
            assert_eq!(refusal(&policy, url), None, "{url}");
        }
        for url in [
            "http://169.254.169.254/",
            "http://[fe80::1]/",
            "http://[fd00:ec2::254]/",
            "http://100.64.0.1/",
            "http://0.0.0.0/",
            "http://[::]/",
            "http://[::127.0.0.1]/",
            "http://0x7f.1/",
            "http://255.255.255.255/",
        ] {
            assert_eq!(refusal(&policy, url), Some(Refusal::Address), "{url}");
        }
    }

    #[test]
    fn listed_networks_are_open_and_link_local_never_is() {
        let policy = Policy::new(false, "10.1.0.0/16, 127.0.0.1,100.64.0.0/10 ,64:ff9b::/96,::/0,0.0.0.0/0").unwrap();
        for url in [
            "http://10.1.2.3/",
            "http://127.0.0.1/",
            "http://[::ffff:10.1.2.3]/",
            "http://100.64.0.1/",
            "http://[64:ff9b::8.8.8.8]/",
        ] {
            assert_eq!(refusal(&policy, url), None, "{url}");
        }
        for url in [
            "http://169.254.169.254/",
            "http://[::ffff:169.254.169.254]/",
            "http://[64:ff9b::169.254.169.254]/",
            "http://[fe80::1]/",
            "http://[fd00:ec2::254]/",
        ] {
            assert_eq!(refusal(&policy, url), Some(Refusal::Address), "{url}");
        }
    }

    #[test]
    fn an_unlisted_neighbour_stays_closed() {
        let policy = Policy::new(false, "10.1.0.0/16,127.0.0.1").unwrap();
        for url in ["http://10.2.0.1/", "http://127.0.0.2/"] {
            assert_eq!(refusal(&policy, url), Some(Refusal::Address), "{url}");
        }
    }

    #[test]
    fn a_list_entry_that_is_no_network_is_named() {
        let error = Policy::new(false, "10.0.0.0/8,10.0.0.0/33").unwrap_err();
        assert_eq!(error.to_string(), "'10.0.0.0/33' is not a network like 10.1.0.0/16");
    }
}
