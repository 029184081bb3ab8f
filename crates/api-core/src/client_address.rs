//! Where a request comes from: the address that limits, logs and the audit log go by.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use actix_web::{dev::RequestHead, http::header::HeaderMap};

use crate::settings::Networks;

const FORWARDED_FOR: &str = "x-forwarded-for";
/// Proxies in a row that are looked at.
const HOPS_MAX: usize = 32;

/// The client's address: the peer's, or, where the peer is one of `proxies`, the right-most address of `X-Forwarded-For`
/// that is none. What stands left of it was written by anybody.
#[must_use]
pub fn of(head: &RequestHead, proxies: &Networks) -> IpAddr {
    let peer = head.peer_addr.map_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED), |peer| peer.ip().to_canonical());
    if proxies.contain(peer) { forwarded(&head.headers, peer, proxies) } else { peer }
}

fn forwarded(headers: &HeaderMap, peer: IpAddr, proxies: &Networks) -> IpAddr {
    let lines: Vec<_> = headers.get_all(FORWARDED_FOR).filter_map(|line| line.to_str().ok()).collect();
    let hops = lines.iter().rev().flat_map(|line| line.rsplit(',')).take(HOPS_MAX);
    let mut nearest = peer;
    for hop in hops {
        // Behind what is no address nobody can be believed; the last proxy that can be named stands for it.
        let Some(address) = address(hop) else { break };
        nearest = address;
        if !proxies.contain(address) {
            break;
        }
    }
    nearest
}

/// `192.0.2.1`, `192.0.2.1:443`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:443`
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let address = text.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()));
    let address = address.or_else(|| text.strip_prefix('[')?.strip_suffix(']')?.parse().ok());
    address.map(|address: IpAddr| address.to_canonical())
}

/// The address as one customer's: an IPv6 customer has a network of 64 bits, and all of its addresses.
pub(crate) fn customer(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::{customer, of};
    use crate::settings::Networks;

    fn client(peer: &str, forwarded: &[&str], proxies: &str) -> String {
        let mut request = TestRequest::default().peer_addr(peer.parse().unwrap());
        for line in forwarded {
            request = request.append_header(("x-forwarded-for", *line));
        }
        let proxies: Networks = proxies.parse().unwrap();
        of(request.to_srv_request().request().head(), &proxies).to_string()
    }

    #[test]
    fn whoever_is_no_proxy_is_the_client_whatever_it_says() {
        assert_eq!(client("192.0.2.7:1", &["198.51.100.1"], ""), "192.0.2.7");
        assert_eq!(client("192.0.2.7:1", &["198.51.100.1"], "10.0.0.0/8"), "192.0.2.7");
        assert_eq!(client("[::ffff:192.0.2.7]:1", &[], ""), "192.0.2.7");
    }

    #[test]
    fn the_hop_nearest_to_us_that_is_no_proxy_is_the_client() {
        let proxies = "10.0.0.0/8, 2001:db8:ffff::/48";
        for (forwarded, expected) in [
            (&["198.51.100.1"][..], "198.51.100.1"),
            // What the client itself wrote stands on the left.
            (&["203.0.113.9, 198.51.100.1"], "198.51.100.1"),
            (&["203.0.113.9, 198.51.100.1, 10.1.1.1"], "198.51.100.1"),
            (&["203.0.113.9", "198.51.100.1", "10.1.1.1, 10.2.2.2"], "198.51.100.1"),
            (&["198.51.100.1:4711"], "198.51.100.1"),
            (&["[2001:db8::5]:443, 2001:db8:ffff::1"], "2001:db8::5"),
            (&["[2001:db8::5]"], "2001:db8::5"),
            (&["::ffff:198.51.100.1"], "198.51.100.1"),
            (&["10.9.9.9, 10.8.8.8"], "10.9.9.9"),
            (&["198.51.100.1, unknown, 10.1.1.1"], "10.1.1.1"),
            (&["198.51.100.1, "], "10.0.0.1"),
            (&["_hidden"], "10.0.0.1"),
            (&[""], "10.0.0.1"),
            (&[], "10.0.0.1"),
        ] {
            assert_eq!(client("10.0.0.1:1", forwarded, proxies), expected, "{forwarded:?}");
        }
    }

    #[test]
    fn an_ipv6_customer_is_one_however_many_addresses_it_uses() {
        let customer = |text: &str| customer(text.parse().unwrap()).to_string();
        assert_eq!(customer("2001:db8:1:2:aaaa::1"), customer("2001:db8:1:2::ffff"));
        assert_ne!(customer("2001:db8:1:2::1"), customer("2001:db8:1:3::1"));
        assert_eq!(customer("192.0.2.1"), "192.0.2.1");
    }
}
