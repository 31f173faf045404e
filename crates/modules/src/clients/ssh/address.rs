//! Where an agent or target can be reached, and the connection to the first address that
//! answers.
//!
//! Addresses come from playbooks: the egress policy is asked for each, and what it refuses is
//! not connected to.

use std::net::SocketAddr;
use std::time::Duration;

use conche_runtime::egress::{self, Egress};
use conche_runtime::secrets::{Host, Receiver};
use conche_runtime::whereabouts;
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use tokio::net::TcpStream;
use url::Url;

use crate::action::Error;
use crate::command::Party;

/// The port of SSH.
const PORT: u16 = 22;

/// An address has a start of so much on the next one (RFC 8305 §5).
const HEAD_START: Duration = Duration::from_millis(250);

/// More addresses of one agent or target are not tried.
const ENDPOINTS_MAX: usize = 16;

/// A host as the playbook writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) host: String,
    pub(super) port: u16,
    /// Who logs in, where the address says so.
    pub(super) user: Option<String>,
}

impl Endpoint {
    /// Who gets what is shown to log in. It is sent only to a host that has proved its key.
    pub(super) fn receiver(&self) -> Receiver {
        Receiver::Host(Host::new(&self.host, Some(self.port), true))
    }
}

/// All addresses of an agent or target: names first, then IPv4, IPv6 and `ssh://` URLs.
pub(super) fn endpoints(party: &Party) -> Result<Vec<Endpoint>, Error> {
    let port = match party.port.as_deref().map(str::trim) {
        None | Some("") => None,
        Some(text) => Some(text.parse().map_err(|_| {
            Error::permanent(format!("the port of `{}` is no number: {text}", party.name))
        })?),
    };
    let mut found = Vec::new();
    for kind in ["dname", "ipv4", "ipv6"] {
        for host in party.address.get(kind).into_iter().flatten() {
            let read = whereabouts::host(host).map_err(|_| {
                let name = &party.name;
                Error::permanent(format!("the address of `{name}` is no {kind}: {host}"))
            })?;
            found.push(Endpoint {
                host: plain(&read),
                port: port.unwrap_or(PORT),
                user: None,
            });
        }
    }
    let urls = party.address.get("url").into_iter().flatten();
    found.extend(urls.filter_map(|text| from_url(text, port)));
    found.truncate(ENDPOINTS_MAX);
    if found.is_empty() {
        return Err(Error::permanent(format!(
            "`{}` has no address for SSH: give it a `dname`, `ipv4`, `ipv6` or a `url` with ssh://",
            party.name
        )));
    }
    Ok(found)
}

fn from_url(text: &str, port: Option<u16>) -> Option<Endpoint> {
    let url = Url::parse(text.trim()).ok()?;
    if url.scheme() != "ssh" {
        return None;
    }
    let host = plain(&whereabouts::host_of(&url).ok()?);
    let user = percent_encoding::percent_decode_str(url.username()).decode_utf8_lossy();
    Some(Endpoint {
        host,
        port: url.port().or(port).unwrap_or(PORT),
        user: (!user.is_empty()).then(|| user.into_owned()),
    })
}

/// A host as the resolver takes it.
fn plain(host: &url::Host) -> String {
    match host {
        url::Host::Domain(name) => name.trim_end_matches('.').to_owned(),
        url::Host::Ipv4(address) => address.to_string(),
        url::Host::Ipv6(address) => address.to_string(),
    }
}

/// Connects to whichever allowed address answers first, each with a start on the next one.
pub(super) async fn connect(
    egress: &Egress,
    endpoints: &[Endpoint],
) -> Result<(TcpStream, Endpoint), Error> {
    let looked_up = endpoints.iter().map(async |endpoint| {
        let found = egress.resolve_and_check(&endpoint.host, endpoint.port);
        (endpoint, found.await)
    });
    let (mut addresses, mut failures) = (Vec::new(), Vec::new());
    for (endpoint, found) in join_all(looked_up).await {
        match found {
            Ok(found) => addresses.extend(found.into_iter().map(|address| (address, endpoint))),
            Err(error) => failures.push(error),
        }
    }
    if addresses.is_empty() {
        return Err(nowhere(failures));
    }
    let attempts = in_turns(addresses).into_iter().enumerate();
    let mut attempts: FuturesUnordered<_> = attempts
        .map(async |(turn, (address, endpoint))| {
            let turn = u32::try_from(turn).unwrap_or(u32::MAX);
            tokio::time::sleep(HEAD_START * turn).await;
            match TcpStream::connect(address).await {
                Ok(socket) => Ok((socket, endpoint)),
                Err(error) => Err(format!("{address}: {error}")),
            }
        })
        .collect();
    let mut reasons = Vec::new();
    while let Some(result) = attempts.next().await {
        match result {
            Ok((socket, endpoint)) => {
                // Small packets would wait for acknowledgements without it.
                socket.set_nodelay(true).ok();
                return Ok((socket, endpoint.clone()));
            }
            Err(reason) => reasons.push(reason),
        }
    }
    Err(Error::retry(format!(
        "can't connect: {}",
        reasons.join("; ")
    )))
}

/// No address may be connected to: worth another try only where a name was not found.
fn nowhere(failures: Vec<egress::Error>) -> Error {
    let texts: Vec<_> = failures.iter().map(ToString::to_string).collect();
    let message = texts.join("; ");
    let passing = |error: &egress::Error| matches!(error, egress::Error::NotSent { .. });
    if failures.iter().any(passing) {
        Error::retry(message)
    } else {
        Error::permanent(message)
    }
}

/// The families of addresses in turns, that of the first one first (RFC 8305 §4).
fn in_turns<T>(addresses: Vec<(SocketAddr, T)>) -> Vec<(SocketAddr, T)> {
    let first_is_v6 = addresses.first().is_some_and(|(first, _)| first.is_ipv6());
    let (first, second): (Vec<_>, Vec<_>) = addresses
        .into_iter()
        .partition(|(address, _)| address.is_ipv6() == first_is_v6);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut turns = Vec::new();
    loop {
        let (one, other) = (first.next(), second.next());
        if one.is_none() && other.is_none() {
            return turns;
        }
        turns.extend(one);
        turns.extend(other);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(party: serde_json::Value) -> Result<Vec<(String, u16)>, Error> {
        let party: Party = serde_json::from_value(party).unwrap();
        let found = endpoints(&party)?.into_iter();
        Ok(found.map(|one| (one.host, one.port)).collect())
    }

    #[test]
    fn every_kind_of_address_is_taken_in_order() {
        let found = of(
            json!({ "type": "ssh", "name": "n", "port": "2222", "address": {
                "url": ["ssh://soc@c.example.com:2022", "https://d.example.com", "ssh://[2001:db8::2]"],
                "ipv6": ["2001:db8::1"], "ipv4": ["10.0.0.1"], "dname": ["a.example.com", "b."],
            }}),
        );
        let expected = [
            ("a.example.com", 2222),
            ("b", 2222),
            ("10.0.0.1", 2222),
            ("2001:db8::1", 2222),
            ("c.example.com", 2022),
            ("2001:db8::2", 2222),
        ];
        assert_eq!(
            found.unwrap(),
            expected.map(|(host, port)| (host.to_owned(), port))
        );
        let plain = of(json!({ "name": "n", "address": { "ipv4": ["10.0.0.1"] } }));
        assert_eq!(plain.unwrap(), [("10.0.0.1".to_owned(), 22)]);
    }

    #[test]
    fn a_party_that_cannot_be_reached_is_refused() {
        for (party, expected) in [
            (json!({ "name": "n" }), "has no address for SSH"),
            (
                json!({ "name": "n", "address": { "url": ["https://x.example"] } }),
                "has no address for SSH",
            ),
            (
                json!({ "name": "n", "port": "ssh", "address": { "ipv4": ["10.0.0.1"] } }),
                "is no number",
            ),
            (
                json!({ "name": "n", "address": { "dname": ["-oProxyCommand=x y"] } }),
                "is no dname",
            ),
        ] {
            let error = of(party).unwrap_err();
            assert!(
                matches!(&error, Error::Permanent(text) if text.contains(expected)),
                "{error}"
            );
        }
    }

    #[test]
    fn families_of_addresses_take_turns() {
        let addresses = ["10.0.0.1:1", "10.0.0.2:1", "[2001:db8::1]:1"];
        let addresses = addresses.map(|text| (text.parse().unwrap(), text));
        let turns: Vec<_> = in_turns(addresses.to_vec())
            .into_iter()
            .map(|(_, text)| text)
            .collect();
        assert_eq!(turns, ["10.0.0.1:1", "[2001:db8::1]:1", "10.0.0.2:1"]);
    }
}
