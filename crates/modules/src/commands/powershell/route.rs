//! By which way a host is reached: SSH, or WinRM over HTTPS.
//!
//! The playbook's word comes first: a port of one of the two, or nothing but `https` or `ssh`
//! URLs. Where it leaves it open the configuration says, and without one it is SSH. WinRM in
//! clear is refused, never tried.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use url::Url;

use crate::action::Error;
use crate::command::Party;
use crate::commands::over_http::Base;

/// The ports of SSH, and of WinRM without and with TLS.
const SSH: &str = "22";
const WINRM_IN_CLEAR: &str = "5985";
const WINRM: &str = "5986";

/// Where the service is, unless the URL says otherwise.
const PATH: &str = "/wsman";

/// The ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Way {
    /// SSH.
    Ssh,
    /// WinRM over HTTPS.
    Winrm,
}

/// The way to one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    Ssh,
    /// At this URL, which is one of `https`.
    Winrm(Url),
}

impl Route {
    /// The way to a party, where it and the configuration leave nothing open: the way that the
    /// configuration has for all, and for single hosts.
    pub(super) fn of(
        party: &Party,
        usual: Way,
        single: &BTreeMap<String, Way>,
    ) -> Result<Self, Error> {
        let way = match said(party)? {
            Some(way) => way,
            None => named(party, single).copied().unwrap_or(usual),
        };
        match way {
            Way::Ssh => Ok(Self::Ssh),
            Way::Winrm => service(party).map(Self::Winrm),
        }
    }
}

/// What a table of hosts has for a party, by an address or its name.
pub(super) fn named<'a, T>(party: &Party, table: &'a BTreeMap<String, T>) -> Option<&'a T> {
    let addresses = party.address.values().flatten();
    let mut named = addresses.chain([&party.name]);
    named.find_map(|name| table.get(name))
}

/// What the playbook itself says.
fn said(party: &Party) -> Result<Option<Way>, Error> {
    match party.port.as_deref().map(str::trim) {
        Some(SSH) => return Ok(Some(Way::Ssh)),
        Some(WINRM) => return Ok(Some(Way::Winrm)),
        Some(WINRM_IN_CLEAR) => return Err(in_clear(party)),
        _ => {}
    }
    let others = ["dname", "ipv4", "ipv6"];
    let urls = party.address.get("url").filter(|urls| !urls.is_empty());
    let Some(urls) = urls.filter(|_| !others.iter().any(|kind| party.first(kind).is_some())) else {
        return Ok(None);
    };
    let begins = |scheme: &str| urls.iter().all(|url| url.trim().starts_with(scheme));
    if begins("https://") {
        Ok(Some(Way::Winrm))
    } else if begins("http") {
        Err(in_clear(party))
    } else {
        Ok(Some(Way::Ssh))
    }
}

fn service(party: &Party) -> Result<Url, Error> {
    let base = Base::read(party, |_, _| false)?;
    let mut url = base.url().clone();
    if url.scheme() != "https" {
        return Err(in_clear(party));
    }
    let is_said = url.port().is_some() || party.port.is_some();
    if !is_said {
        // A URL of HTTPS takes any port.
        url.set_port(WINRM.parse().ok()).ok();
    }
    if matches!(url.path(), "" | "/") {
        url.set_path(PATH);
    }
    Ok(url)
}

fn in_clear(party: &Party) -> Error {
    Error::permanent(format!(
        "`{}` would be reached by WinRM in clear, which is not spoken: set up its HTTPS listener \
         and give its address with port 5986, or give that of its SSH server (22)",
        party.name
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn way(party: Value, usual: Way) -> Result<String, String> {
        let party: Party = serde_json::from_value(party).unwrap();
        let single = [("w.example.com", Way::Winrm), ("box", Way::Ssh)];
        let single = single.map(|(name, way)| (name.to_owned(), way)).into();
        match Route::of(&party, usual, &single) {
            Ok(Route::Ssh) => Ok("ssh".to_owned()),
            Ok(Route::Winrm(url)) => Ok(url.into()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn the_playbook_says_the_way_before_the_configuration_does() {
        let at = |address: Value| json!({ "name": "n", "address": address });
        let port = |port: &str| json!({ "name": "n", "port": port, "address": { "dname": ["w.example.com"] } });
        let url = |url: &str| at(json!({ "url": [url] }));
        let winrm = "https://w.example.com:5986/wsman";
        for (party, usual, expected) in [
            (port("5986"), Way::Ssh, winrm),
            (port("22"), Way::Winrm, "ssh"),
            (port("443"), Way::Ssh, "https://w.example.com/wsman"),
            (url("https://w.example.com"), Way::Ssh, winrm),
            (url("https://v:8443/x"), Way::Ssh, "https://v:8443/x"),
            (url("ssh://w.example.com"), Way::Winrm, "ssh"),
            (at(json!({ "dname": ["w.example.com"] })), Way::Ssh, winrm),
            (at(json!({ "ipv4": ["10.0.0.1"] })), Way::Ssh, "ssh"),
            (
                at(json!({ "ipv6": ["2001:db8::1"] })),
                Way::Winrm,
                "https://[2001:db8::1]:5986/wsman",
            ),
            // Both ways: as ever.
            (
                at(json!({ "dname": ["a"], "url": ["https://a/wsman"] })),
                Way::Ssh,
                "ssh",
            ),
            (
                json!({ "name": "box", "address": { "dname": ["a"] } }),
                Way::Winrm,
                "ssh",
            ),
        ] {
            assert_eq!(
                way(party.clone(), usual).as_deref(),
                Ok(expected),
                "{party}"
            );
        }
    }

    #[test]
    fn winrm_in_clear_is_refused_whoever_asks_for_it() {
        for (party, usual) in [
            (
                json!({ "name": "n", "port": "5985", "address": { "dname": ["a"] } }),
                Way::Ssh,
            ),
            (
                json!({ "name": "n", "address": { "url": ["http://a:5986/"] } }),
                Way::Ssh,
            ),
            (
                json!({ "name": "n", "address": { "dname": ["a"], "url": ["http://a/wsman"] } }),
                Way::Winrm,
            ),
        ] {
            let refused = way(party.clone(), usual).unwrap_err();
            assert!(
                refused.contains("in clear, which is not spoken"),
                "{refused}"
            );
        }
        let nowhere = way(json!({ "name": "n", "port": "5986" }), Way::Ssh).unwrap_err();
        assert!(nowhere.contains("there is none"), "{nowhere}");
    }
}
