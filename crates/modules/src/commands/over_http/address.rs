//! Where an agent or target is on the network, and where in it a request goes.
//!
//! The host is the first `dname`, else the first `ipv4`, `ipv6` or `url`. A `url` says the
//! scheme, and with its port and path what else there is to say. Without one the port
//! tells: `http` for 80, 8080 and none, `https` for all others.
//!
//! A request never leaves the party that the playbook names: a target that is a whole URL
//! must name the same host and port, and no part of a path may climb or be read in two ways.

use std::net::{Ipv4Addr, Ipv6Addr};

use conche_runtime::secrets::Receiver;
use conche_runtime::whereabouts;
use percent_encoding::percent_decode_str;
use url::{Host, Url};

use crate::action::Error;
use crate::command::Party;

/// Ports where `http` is meant if nothing says `https`.
const PLAIN_PORTS: [u16; 2] = [80, 8080];

/// The URL below which a party's resources are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::commands) struct Base {
    /// Without query, fragment and credentials.
    url: Url,
    /// Whether the party itself says scheme and port, so that no request can choose.
    is_settled: bool,
}

impl Base {
    /// Whether a party has an address that HTTP can use.
    pub(in crate::commands) fn has_address(party: &Party) -> bool {
        let kinds = ["dname", "ipv4", "ipv6", "url"];
        kinds.iter().any(|kind| party.first(kind).is_some())
    }

    /// Reads a URL of the configuration.
    pub(in crate::commands) fn parse(text: &str) -> Result<Self, String> {
        Ok(Self {
            url: base_url(text)?,
            is_settled: true,
        })
    }

    /// Reads a party's address.
    pub(in crate::commands) fn of(party: &Party) -> Result<Self, Error> {
        Self::read(party, |_, port| {
            port.is_none_or(|port| PLAIN_PORTS.contains(&port))
        })
    }

    /// The same with another rule for when `http` is meant without a `url`, by host and port.
    pub(in crate::commands) fn read(
        party: &Party,
        is_plain: impl Fn(&Host, Option<u16>) -> bool,
    ) -> Result<Self, Error> {
        let wrong =
            |flaw: String| Error::permanent(format!("the address of {}: {flaw}", name(party)));
        let given = party
            .first("url")
            .map(base_url)
            .transpose()
            .map_err(wrong)?;
        let port = port(party).map_err(wrong)?;
        let host = host(party).map_err(wrong)?;
        let own = given.as_ref().and_then(Url::port);
        if let (Some(own), Some(port)) = (own, port)
            && own != port
        {
            return Err(wrong(format!(
                "its `url` has the port {own}, its `port` is {port}"
            )));
        }
        let is_settled = given.is_some() || port.is_some();
        let mut url = match (given, &host) {
            (Some(url), _) => url,
            (None, Some(host)) => {
                let scheme = if is_plain(host, port) {
                    "http"
                } else {
                    "https"
                };
                Url::parse(&format!("{scheme}://{host}"))
                    .map_err(|error| wrong(error.to_string()))?
            }
            (None, None) => {
                return Err(wrong(
                    "there is none: give it a `dname`, `ipv4`, `ipv6` or `url`".to_owned(),
                ));
            }
        };
        if let Some(host) = &host {
            url.set_host(Some(&host.to_string()))
                .map_err(|error| wrong(error.to_string()))?;
        }
        if let Some(port) = port {
            url.set_port(Some(port))
                .map_err(|()| wrong("it takes no port".to_owned()))?;
        }
        Ok(Self { url, is_settled })
    }

    /// Who gets what is sent to the party.
    pub(in crate::commands) fn receiver(&self) -> Result<Receiver, Error> {
        super::receiver(&self.url)
    }

    /// The URL itself.
    pub(in crate::commands) fn url(&self) -> &Url {
        &self.url
    }

    /// The URL of a request target: a path with its query, or a URL of this party.
    pub(in crate::commands) fn join(&self, target: &str) -> Result<Url, Error> {
        let wrong = |flaw: &str| Error::permanent(format!("the request target `{target}` {flaw}"));
        if target.contains(|char: char| char.is_ascii_control() || char == ' ') {
            return Err(wrong("has a space or control character"));
        }
        if target.contains('#') {
            return Err(wrong("has a fragment, which is never sent"));
        }
        let url = if target.starts_with('/') {
            let prefix = self.url.as_str().trim_end_matches('/');
            check_path(target).map_err(|flaw| wrong(&flaw))?;
            Url::parse(&format!("{prefix}{target}")).map_err(|error| wrong(&error.to_string()))?
        } else {
            let absolute = target.split_once("://");
            let (_, rest) = absolute
                .ok_or_else(|| wrong("is neither a path that begins with `/` nor a whole URL"))?;
            // All after the scheme: a `\` would end the host for some and not for others.
            check_path(rest).map_err(|flaw| wrong(&flaw))?;
            let url = Url::parse(target).map_err(|error| wrong(&error.to_string()))?;
            if !self.is_own(&url) {
                return Err(wrong(&format!(
                    "is not of the one that the command is for ({})",
                    self.url
                )));
            }
            url
        };
        // A target can't change the host: whatever reads it otherwise must not be sent.
        if url.host() == self.url.host() {
            Ok(url)
        } else {
            Err(wrong("has another host"))
        }
    }

    /// Whether a whole URL is of this party.
    fn is_own(&self, url: &Url) -> bool {
        let http = matches!(url.scheme(), "http" | "https");
        let anonymous = url.username().is_empty() && url.password().is_none();
        let place = if self.is_settled {
            url.origin() == self.url.origin()
        } else {
            // Its scheme chooses between the two usual ports, and nothing else.
            url.port().is_none() && url.host() == self.url.host()
        };
        http && anonymous && place
    }
}

fn name(party: &Party) -> String {
    let name = if party.name.is_empty() {
        &party.id
    } else {
        &party.name
    };
    format!("`{name}`")
}

/// What the first of `dname`, `ipv4` and `ipv6` names.
fn host(party: &Party) -> Result<Option<Host>, String> {
    if let Some(text) = party.first("dname") {
        let host = whereabouts::host(text).map_err(|error| error.to_string())?;
        return Ok(Some(host));
    }
    if let Some(text) = party.first("ipv4") {
        let address = text.trim().parse::<Ipv4Addr>();
        return match address {
            Ok(address) => Ok(Some(Host::Ipv4(address))),
            Err(_) => Err(format!("`{text}` is no IPv4 address of one host")),
        };
    }
    if let Some(text) = party.first("ipv6") {
        let bare = text.trim().trim_start_matches('[').trim_end_matches(']');
        return match bare.parse::<Ipv6Addr>() {
            Ok(address) => Ok(Some(Host::Ipv6(address))),
            Err(_) => Err(format!("`{text}` is no IPv6 address of one host")),
        };
    }
    Ok(None)
}

fn port(party: &Party) -> Result<Option<u16>, String> {
    let Some(text) = party.port.as_deref().map(str::trim) else {
        return Ok(None);
    };
    match text.parse() {
        Ok(port) if port > 0 => Ok(Some(port)),
        _ => Err(format!("`{text}` is no port")),
    }
}

fn base_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text.trim()).map_err(|error| format!("`{text}`: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("`{text}` is neither http nor https"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("its `url` holds a user or password: use `authentication_info`".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(format!("`{text}` has a query or fragment"));
    }
    Ok(url)
}

/// A part that climbs would reach another resource than the one that is written, also at a
/// service that reads `%2F` as `/`; and `\` is a slash to some.
fn check_path(target: &str) -> Result<(), String> {
    let path = target.split('?').next().unwrap_or_default();
    let read = percent_decode_str(path).decode_utf8_lossy();
    if read.contains('\\') {
        return Err("has a `\\` in its path".to_owned());
    }
    let climbs = read.split('/').any(|part| matches!(part, "." | ".."));
    if climbs {
        return Err("has a part that is `.` or `..`".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests;
