//! What kind of network an address belongs to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The kinds of addresses that a policy tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An ordinary address of the internet.
    Public,
    /// This machine.
    Loopback,
    /// The networks of an organisation: RFC 1918, `fc00::/7` and the old `fec0::/10`.
    Private,
    /// The link and, on most clouds, the metadata of the machine: never to be reached.
    LinkLocal,
    /// Everything else that is no ordinary address: unspecified, multicast, carrier-grade NAT, documentation,
    /// benchmarks, and IPv6 forms that carry an IPv4 address elsewhere (6to4, Teredo, NAT64, ISATAP).
    Reserved,
}

/// The metadata service that some clouds put on an address of the private range.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// The address without its IPv4-mapped dress.
pub(crate) fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// Judges a canonical address.
pub(crate) fn kind(address: IpAddr) -> Kind {
    match canonical(address) {
        IpAddr::V4(address) => kind_v4(address),
        IpAddr::V6(address) => kind_v6(address),
    }
}

fn kind_v4(address: Ipv4Addr) -> Kind {
    let [a, b, c, _] = address.octets();
    match (a, b, c) {
        (127, ..) => Kind::Loopback,
        (10, ..) | (172, 16..=31, _) | (192, 168, _) => Kind::Private,
        (169, 254, _) => Kind::LinkLocal,
        // This network, carrier-grade NAT, protocol assignments, documentation, the 6to4 relay and benchmarks.
        (0, ..)
        | (100, 64..=127, _)
        | (192, 0, 0 | 2)
        | (192, 88, 99)
        | (198, 18..=19, _)
        | (198, 51, 100)
        | (203, 0, 113) => Kind::Reserved,
        // Multicast, the future and broadcast.
        (224..=255, ..) => Kind::Reserved,
        _ => Kind::Public,
    }
}

fn kind_v6(address: Ipv6Addr) -> Kind {
    if address == Ipv6Addr::LOCALHOST {
        return Kind::Loopback;
    }
    if address == METADATA_V6 {
        return Kind::LinkLocal;
    }
    // A translator would carry the packet to the link of whoever runs it.
    if embedded(address).any(|inner| kind_v4(inner) == Kind::LinkLocal) {
        return Kind::LinkLocal;
    }
    let segments = address.segments();
    if is_isatap(&segments) {
        return Kind::Reserved;
    }
    match segments[0] {
        0xfe80..=0xfebf => Kind::LinkLocal,
        0xfc00..=0xfdff | 0xfec0..=0xfeff => Kind::Private,
        // IETF assignments (Teredo and ORCHID among them), 6to4, and both documentation prefixes.
        0x2001 if segments[1] < 0x200 || segments[1] == 0xdb8 => Kind::Reserved,
        0x2002 => Kind::Reserved,
        0x3fff if segments[1] < 0x1000 => Kind::Reserved,
        0x2000..=0x3fff => Kind::Public,
        // Only 2000::/3 is handed out; this leaves ::, IPv4-compatible, NAT64, discard, multicast and the unassigned.
        _ => Kind::Reserved,
    }
}

/// The IPv4 addresses that transition mechanisms might make of this one.
fn embedded(address: Ipv6Addr) -> impl Iterator<Item = Ipv4Addr> {
    let octets = address.octets();
    let v4 = |at: [usize; 4]| Ipv4Addr::from(at.map(|index| octets[index]));
    let found = match address.segments() {
        // The local-use prefix of NAT64 may be used at any of its lengths; RFC 6052 says where the address lies in each
        // (octet 8 is left out).
        [0x64, 0xff9b, 1, ..] => vec![v4([6, 7, 9, 10]), v4([7, 9, 10, 11]), v4([9, 10, 11, 12]), v4([12, 13, 14, 15])],
        // IPv4-compatible, and NAT64 with its well-known prefix.
        [0, 0, 0, 0, 0, 0, ..] | [0x64, 0xff9b, ..] => vec![v4([12, 13, 14, 15])],
        // 6to4.
        [0x2002, ..] => vec![v4([2, 3, 4, 5])],
        // Teredo hides its client's address by inverting the bits.
        [0x2001, 0, ..] => vec![Ipv4Addr::from_bits(!v4([12, 13, 14, 15]).to_bits())],
        segments if is_isatap(&segments) => vec![v4([12, 13, 14, 15])],
        _ => Vec::new(),
    };
    found.into_iter()
}

/// Whether the lower half is an ISATAP interface (RFC 5214), which tunnels to the IPv4 address in its end.
fn is_isatap(segments: &[u16; 8]) -> bool {
    matches!(segments[4], 0 | 0x200) && segments[5] == 0x5efe
}

#[cfg(test)]
mod tests {
    use super::{Kind, kind};

    #[test]
    fn addresses_are_judged_by_their_network() {
        let table = [
            ("8.8.8.8", Kind::Public),
            ("172.15.0.1", Kind::Public),
            ("172.32.0.1", Kind::Public),
            ("100.63.0.1", Kind::Public),
            ("100.128.0.1", Kind::Public),
            ("192.0.1.1", Kind::Public),
            ("2606:4700::1111", Kind::Public),
            ("2001:4860:4860::8888", Kind::Public),
            ("::ffff:8.8.8.8", Kind::Public),
            ("127.0.0.1", Kind::Loopback),
            ("127.255.255.254", Kind::Loopback),
            ("::1", Kind::Loopback),
            ("::ffff:127.0.0.1", Kind::Loopback),
            ("10.0.0.1", Kind::Private),
            ("172.16.0.1", Kind::Private),
            ("172.31.255.255", Kind::Private),
            ("192.168.1.1", Kind::Private),
            ("::ffff:10.1.2.3", Kind::Private),
            ("fc00::1", Kind::Private),
            ("fd12:3456::1", Kind::Private),
            ("fec0::1", Kind::Private),
            ("169.254.169.254", Kind::LinkLocal),
            ("::ffff:169.254.169.254", Kind::LinkLocal),
            ("fe80::1", Kind::LinkLocal),
            ("fd00:ec2::254", Kind::LinkLocal),
            ("64:ff9b::169.254.169.254", Kind::LinkLocal),
            ("64:ff9b:1::169.254.169.254", Kind::LinkLocal),
            ("::169.254.169.254", Kind::LinkLocal),
            ("64:ff9b:1:a9fe:a9:fe00::", Kind::LinkLocal),
            ("64:ff9b:1:a9:fe:a9fe::", Kind::LinkLocal),
            ("64:ff9b:1::a9:fea9:fe00:0", Kind::LinkLocal),
            ("2606:4700::5efe:169.254.169.254", Kind::LinkLocal),
            ("2002:a9fe:a9fe::1", Kind::LinkLocal),
            ("2001:0:4136:e378:8000:63bf:5601:5601", Kind::LinkLocal),
            ("0.0.0.0", Kind::Reserved),
            ("0.1.2.3", Kind::Reserved),
            ("100.64.0.1", Kind::Reserved),
            ("100.127.255.255", Kind::Reserved),
            ("192.0.0.8", Kind::Reserved),
            ("192.0.2.1", Kind::Reserved),
            ("192.88.99.1", Kind::Reserved),
            ("198.18.0.1", Kind::Reserved),
            ("198.51.100.1", Kind::Reserved),
            ("203.0.113.1", Kind::Reserved),
            ("224.0.0.1", Kind::Reserved),
            ("240.0.0.1", Kind::Reserved),
            ("255.255.255.255", Kind::Reserved),
            ("::", Kind::Reserved),
            ("::127.0.0.1", Kind::Reserved),
            ("::8.8.8.8", Kind::Reserved),
            ("64:ff9b::8.8.8.8", Kind::Reserved),
            ("64:ff9b::10.0.0.1", Kind::Reserved),
            ("64:ff9b:1::10.0.0.1", Kind::Reserved),
            ("64:ff9b:1:a00:0:100::", Kind::Reserved),
            ("2606:4700::5efe:10.0.0.1", Kind::Reserved),
            ("2606:4700::200:5efe:8.8.8.8", Kind::Reserved),
            ("5f00::1", Kind::Reserved),
            ("100::1", Kind::Reserved),
            ("2001::1", Kind::Reserved),
            ("2001:db8::1", Kind::Reserved),
            ("2002:0a00:0001::1", Kind::Reserved),
            ("3fff:fff::1", Kind::Reserved),
            ("ff02::1", Kind::Reserved),
            ("4000::1", Kind::Reserved),
        ];
        for (address, expected) in table {
            assert_eq!(kind(address.parse().unwrap()), expected, "{address}");
        }
    }
}
