//! What a text means that says where something is on the network: a host, an address, a network
//! or a URL, in whichever of their spellings.
//!
//! Who connects and who decides whether that may be must read the same: `127.1`, `0x7f.1`,
//! `127%2e0.0.1` and `127.0.0.1` are one address. Hosts are read as the URL standard says, since
//! that is what the clients do. What can be read in several ways, or not at all, is an error and
//! never a guess. Pure: no name is looked up.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use url::{Host, Url};

/// A text that says nothing that everybody would read as the same place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no host, address or network that everybody reads as the same")]
pub struct Error(String);

/// Where something is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// A host by its name: ASCII, in lower case, without a dot at the end.
    Name(String),
    /// One address, or many.
    Network(Network),
    /// A hardware address: its hexadecimal digits in lower case.
    Hardware(String),
}

/// Addresses from one to another of the same family. An IPv4 address within an IPv6 one
/// (`::ffff:10.0.0.1`) is the former.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network {
    first: IpAddr,
    last: IpAddr,
}

/// The one host that a client connects to for a text: a name or an address, with or without
/// brackets.
///
/// # Errors
/// Where it is none; a port, a user or the zone of an address is too much.
pub fn host(text: &str) -> Result<Host, Error> {
    let trimmed = text.trim();
    if let Ok(address) = unbracketed(trimmed).parse() {
        return Ok(Host::Ipv6(address));
    }
    match Host::parse(trimmed) {
        Ok(Host::Domain(name)) if name.trim_end_matches('.').is_empty() => Err(wrong(text)),
        Ok(host) => Ok(host),
        Err(_) => Err(wrong(text)),
    }
}

/// The host of a URL, of whichever scheme.
///
/// # Errors
/// Where it has none.
pub fn host_of(url: &Url) -> Result<Host, Error> {
    host(url.host_str().unwrap_or_default()).map_err(|_| wrong(url.as_str()))
}

impl Place {
    /// Reads a host, an address, a network (`10.0.0.0/8`, `10.0.0.0/255.0.0.0`,
    /// `10.0.0.1-10.0.0.9`) or a URL. A port, a user and the zone of an address say nothing about
    /// where it is.
    ///
    /// # Errors
    /// Where it is none of them, or readers would disagree which one.
    pub fn read(text: &str) -> Result<Self, Error> {
        let trimmed = text.trim();
        // Some leave these out, some end there, and a `\` is a slash to some.
        if trimmed.contains(|char: char| char.is_control() || char == '\\') {
            return Err(wrong(text));
        }
        if let Some(network) = Network::read(trimmed) {
            return Ok(Self::Network(network));
        }
        let url = Url::parse(trimmed).ok().filter(Url::has_host);
        let found = match url {
            Some(url) => host_of(&url),
            None if trimmed.contains(['/', '?', '#']) => Err(wrong(text)),
            None => plain_host(trimmed),
        };
        found.and_then(Self::of).map_err(|_| wrong(text))
    }

    /// Reads a hardware address: six or eight bytes, however they are set apart.
    ///
    /// # Errors
    /// Where it is none.
    pub fn read_hardware(text: &str) -> Result<Self, Error> {
        let mut digits = text.trim().replace([':', '-', '.'], "");
        digits.make_ascii_lowercase();
        let is_one = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_one && matches!(digits.len(), 12 | 16) {
            Ok(Self::Hardware(digits))
        } else {
            Err(wrong(text))
        }
    }

    /// Whether something is at both.
    pub fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Network(one), Self::Network(other)) => one.overlaps(*other),
            (one, other) => one == other,
        }
    }

    fn of(host: Host) -> Result<Self, Error> {
        let name = match host {
            Host::Ipv4(address) => return Ok(Self::Network(Network::one(address.into()))),
            Host::Ipv6(address) => return Ok(Self::Network(Network::one(address.into()))),
            Host::Domain(name) => name,
        };
        let name = name.trim_end_matches('.');
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        // Without a letter it is rather a range of addresses, in one of many spellings.
        let has_letter = name.bytes().any(|byte| byte.is_ascii_alphabetic());
        if has_letter && name.bytes().all(is_plain) {
            Ok(Self::Name(name.to_ascii_lowercase()))
        } else {
            Err(wrong(name))
        }
    }
}

/// A host that is not within a URL, perhaps with a user and a port.
fn plain_host(text: &str) -> Result<Host, Error> {
    let found = host(text).or_else(|error| {
        let url = Url::parse(&format!("http://{text}"));
        url.map_or(Err(error), |url| host_of(&url))
    })?;
    // `010` is ten to some and eight to others.
    let is_octal = |part: &str| {
        part.len() > 1 && part.starts_with('0') && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    if matches!(found, Host::Ipv4(_)) && text.split(['.', '@', ':']).any(is_octal) {
        return Err(wrong(text));
    }
    Ok(found)
}

impl Network {
    fn one(address: IpAddr) -> Self {
        Self::new(address, address)
    }

    fn new(first: IpAddr, last: IpAddr) -> Self {
        match (first.to_canonical(), last.to_canonical()) {
            (first @ IpAddr::V4(_), last @ IpAddr::V4(_)) => Self { first, last },
            _ => Self { first, last },
        }
    }

    /// An address, a block by the length of its prefix or its mask, or a range.
    fn read(text: &str) -> Option<Self> {
        if let Some(address) = address(text) {
            return Some(Self::one(address));
        }
        if let Some((base, size)) = text.split_once('/') {
            let base = address(base)?;
            let block = match size.parse::<IpAddr>() {
                Ok(mask) => IpNet::with_netmask(base, mask).ok()?,
                Err(_) => IpNet::new(base, size.parse().ok()?).ok()?,
            };
            return Some(Self::new(block.network(), block.broadcast()));
        }
        let (first, last) = text.split_once('-')?;
        let (first, last) = (address(first.trim())?, address(last.trim())?);
        (first.is_ipv4() == last.is_ipv4() && first <= last).then(|| Self::new(first, last))
    }

    fn overlaps(self, other: Self) -> bool {
        let meets = |one: Self, other: Self| {
            one.first.is_ipv4() == other.first.is_ipv4()
                && one.first <= other.last
                && other.first <= one.last
        };
        let others = other.reached();
        let mut own = self.reached().into_iter();
        own.any(|own| others.iter().any(|other| meets(own, *other)))
    }

    /// The addresses themselves, and those at which what is sent to them may end up.
    fn reached(self) -> Vec<Self> {
        let mut reached = vec![self];
        if let (IpAddr::V6(first), IpAddr::V6(last)) = (self.first, self.last)
            && let (Some(first), Some(last)) = (embedded(first), embedded(last))
        {
            reached.push(Self::new(first.into(), last.into()));
        }
        // Who connects to no address connects to this machine.
        if self.first == self.last && self.first.is_unspecified() {
            reached.push(Self::one(Ipv4Addr::LOCALHOST.into()));
            reached.push(Self::one(Ipv6Addr::LOCALHOST.into()));
        }
        reached
    }

    /// As a block, where it is one.
    fn block(self) -> Option<IpNet> {
        let width = if self.first.is_ipv4() { 32 } else { 128 };
        let mut blocks = (0..=width).filter_map(|prefix| IpNet::new(self.first, prefix).ok());
        blocks.find(|block| block.network() == self.first && block.broadcast() == self.last)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.block() {
            _ if self.first == self.last => write!(f, "{}", self.first),
            Some(block) => write!(f, "{block}"),
            None => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(text) | Self::Hardware(text) => f.write_str(text),
            Self::Network(network) => network.fmt(f),
        }
    }
}

/// An address as it is written, perhaps in brackets or with a zone.
fn address(text: &str) -> Option<IpAddr> {
    let bare = unbracketed(text);
    match bare.split_once('%') {
        Some((address, _zone)) => address.parse().ok().map(IpAddr::V6),
        None if bare == text => bare.parse().ok(),
        None => bare.parse().ok().map(IpAddr::V6),
    }
}

fn unbracketed(text: &str) -> &str {
    let inner = text.strip_prefix('[');
    inner
        .and_then(|inner| inner.strip_suffix(']'))
        .unwrap_or(text)
}

/// The IPv4 address to which a translator (NAT64, 6to4) sends on what an IPv6 one gets.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let ([0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..]) = address.segments()
    else {
        return None;
    };
    Some(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)))
}

fn wrong(text: &str) -> Error {
    Error(text.to_owned())
}

#[cfg(test)]
mod tests;
