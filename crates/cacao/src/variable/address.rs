//! Addresses of the Internet Protocol, single or as a block (`10.0.0.0/8`).

use std::fmt;
use std::net::IpAddr;

/// An address, perhaps with the length of a prefix. IPv6 is written as RFC 5952 says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Address {
    /// The address; in a block, host bits may be set.
    pub ip: IpAddr,
    /// How many leading bits the addresses of a block share.
    pub prefix: Option<u8>,
}

impl Address {
    /// Reads an address or a block.
    pub fn parse(text: &str) -> Option<Self> {
        let (ip, prefix) = match text.split_once('/') {
            None => (text, None),
            Some((ip, prefix)) => (ip, Some(prefix_length(prefix)?)),
        };
        let ip: IpAddr = ip.parse().ok()?;
        let fits = prefix.is_none_or(|prefix| prefix <= width(ip));
        fits.then_some(Self { ip, prefix })
    }

    /// How many leading bits are shared: all of them by a single address.
    pub fn length(self) -> u8 {
        self.prefix.unwrap_or_else(|| width(self.ip))
    }

    /// Whether every address of `other` is one of this one's. Blocks are within themselves;
    /// IPv4 and IPv6 are never within each other.
    pub fn contains(self, other: Self) -> bool {
        self.ip.is_ipv4() == other.ip.is_ipv4()
            && self.length() <= other.length()
            && self.leading_bits(self.length()) == other.leading_bits(self.length())
    }

    fn leading_bits(self, length: u8) -> u128 {
        let bits = match self.ip {
            IpAddr::V4(ip) => u128::from(ip.to_bits()) << 96,
            IpAddr::V6(ip) => ip.to_bits(),
        };
        // A shift by all bits is none of Rust's.
        bits.checked_shr(128 - u32::from(length)).unwrap_or(0)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.ip)?;
        self.prefix.map_or(Ok(()), |prefix| write!(f, "/{prefix}"))
    }
}

const fn width(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 32 } else { 128 }
}

/// A number without sign and leading zeros, which readers disagree about.
fn prefix_length(text: &str) -> Option<u8> {
    let plain = text == "0" || !text.starts_with(['0', '+']);
    plain.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(outer: &str, inner: &str) -> bool {
        let address = |text| Address::parse(text).unwrap_or_else(|| panic!("{text}"));
        address(outer).contains(address(inner))
    }

    #[test]
    fn a_block_contains_what_shares_its_prefix() {
        assert!(contains("10.0.0.0/8", "10.255.1.2"));
        assert!(
            contains("10.1.2.3/8", "10.0.0.0/8"),
            "host bits do not matter"
        );
        assert!(contains("10.0.0.0/8", "10.9.0.0/16"));
        assert!(!contains("10.9.0.0/16", "10.0.0.0/8"));
        assert!(!contains("10.0.0.0/8", "11.0.0.0"));
        assert!(contains("1.2.3.4", "1.2.3.4/32"));
        assert!(contains("0.0.0.0/0", "255.255.255.255"));
        assert!(contains("2001:db8::/32", "2001:db8:ffff::1"));
        assert!(!contains("2001:db8::/32", "2001:db9::"));
        assert!(contains("::/0", "::1") && !contains("::/0", "1.2.3.4"));
    }

    #[test]
    fn ipv6_is_written_as_rfc_5952_says() {
        for (text, canonical) in [
            ("2001:0DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
            ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
            ("::FFFF:192.0.2.1", "::ffff:192.0.2.1"),
            ("0:0:0:0:0:0:0:0/0", "::/0"),
        ] {
            let address = Address::parse(text).map(|address| address.to_string());
            assert_eq!(address.as_deref(), Some(canonical));
        }
    }

    #[test]
    fn what_readers_disagree_about_is_no_address() {
        for text in [
            "",
            "1.2.3",
            "010.0.0.1",
            "1.2.3.4/33",
            "1.2.3.4/08",
            "1.2.3.4/+8",
            "1.2.3.4/",
            "::1/129",
            "fe80::1%eth0",
            "[::1]",
            " ::1",
            "1.2.3.4/8/8",
        ] {
            assert_eq!(Address::parse(text), None, "{text}");
        }
    }
}
