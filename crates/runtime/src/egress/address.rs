//! What an IP address is good for, by the IANA special-purpose registries.
//!
//! Addresses that carry an IPv4 address inside (mapped, NAT64, 6to4) are
//! judged by that address too, since that is where the packets may end up.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// The kinds of address that the policy tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// A host of the public internet.
    Public,
    /// This machine.
    Loopback,
    /// A network of one's own: RFC 1918, carrier-grade NAT, unique local.
    Private,
    /// The neighbourhood, where clouds also serve instance metadata.
    LinkLocal,
    /// A cloud's metadata or host service on an address that is not link-local.
    Metadata,
    /// Many hosts at once.
    Multicast,
    /// No host: unspecified, documentation, benchmarking, reserved or tunnel addresses.
    Reserved,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "a public address",
            Self::Loopback => "a loopback address",
            Self::Private => "a private address",
            Self::LinkLocal => "a link-local address",
            Self::Metadata => "a cloud metadata address",
            Self::Multicast => "a multicast address",
            Self::Reserved => "a reserved address",
        })
    }
}

impl Scope {
    /// The kind of `address`.
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => of_v4(address),
            IpAddr::V6(address) => of_v6(address),
        }
    }
}

fn of_v4(address: Ipv4Addr) -> Scope {
    match address.octets() {
        // Azure's host service, Oracle's and Alibaba's metadata.
        [168, 63, 129, 16] | [192, 0, 0, 192] | [100, 100, 100, 200] => Scope::Metadata,
        [127, ..] => Scope::Loopback,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => Scope::Private,
        [169, 254, ..] => Scope::LinkLocal,
        [224..=239, ..] => Scope::Multicast,
        [0 | 240..=255, ..]
        | [192, 0, 0 | 2, _]
        | [192, 88, 99, _]
        | [198, 18..=19, ..]
        | [198, 51, 100, _]
        | [203, 0, 113, _] => Scope::Reserved,
        _ => Scope::Public,
    }
}

fn of_v6(address: Ipv6Addr) -> Scope {
    let segments = address.segments();
    match segments {
        [0, 0, 0, 0, 0, 0, 0, 1] => Scope::Loopback,
        [0, 0, 0, 0, 0, 0xffff, high, low] => of_v4(embedded(high, low)),
        // NAT64: the translator sends it on to the IPv4 address.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => of_v4(embedded(high, low)),
        // 6to4, likewise.
        [0x2002, high, low, ..] => of_v4(embedded(high, low)),
        // Amazon's metadata service.
        [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254] => Scope::Metadata,
        [0xfc00..=0xfdff, ..] => Scope::Private,
        [0xfe80..=0xfebf, ..] => Scope::LinkLocal,
        [0xff00..=0xffff, ..] => Scope::Multicast,
        // Protocol assignments (Teredo among them) and documentation.
        [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Scope::Reserved,
        // The only block that is given out to hosts of the internet.
        [0x2000..=0x3fff, ..] => Scope::Public,
        _ => Scope::Reserved,
    }
}

fn embedded(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from((u32::from(high) << 16) | u32::from(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_special_address_has_its_scope() {
        let table = [
            (
                Scope::Public,
                "8.8.8.8 1.1.1.1 172.32.0.1 100.128.0.1 2606:4700::1 64:ff9b::808:808 2002:808:808::1 ::ffff:8.8.8.8",
            ),
            (
                Scope::Loopback,
                "127.0.0.1 127.255.255.254 ::1 ::ffff:127.0.0.1 64:ff9b::7f00:1 2002:7f00:1::",
            ),
            (
                Scope::Private,
                "10.0.0.1 172.16.0.1 172.31.255.255 192.168.1.1 100.64.0.1 100.127.255.255 fc00::1 fdff::1 ::ffff:10.0.0.1 2002:c0a8:101::1",
            ),
            (
                Scope::LinkLocal,
                "169.254.169.254 169.254.0.1 fe80::1 febf::1 ::ffff:169.254.169.254 64:ff9b::a9fe:a9fe",
            ),
            (
                Scope::Metadata,
                "168.63.129.16 192.0.0.192 100.100.100.200 fd00:ec2::254 ::ffff:168.63.129.16",
            ),
            (Scope::Multicast, "224.0.0.1 239.255.255.255 ff02::1"),
            (
                Scope::Reserved,
                "0.0.0.0 0.1.2.3 192.0.0.8 192.0.2.1 192.88.99.1 198.18.0.1 198.51.100.1 203.0.113.1 240.0.0.1 255.255.255.255 :: ::127.0.0.1 ::ffff:0:127.0.0.1 64:ff9b:1::1 100::1 2001::1 2001:db8::1 3fff::1 5f00::1 fec0::1 4000::1",
            ),
        ];
        for (scope, addresses) in table {
            for address in addresses.split(' ') {
                assert_eq!(Scope::of(address.parse().unwrap()), scope, "{address}");
            }
        }
    }
}
