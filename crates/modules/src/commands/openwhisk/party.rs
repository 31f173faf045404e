//! Where the host is and who asks: the agent's address with its credentials, else the target's,
//! else a host that has a name, with its own. No playbook can have configured credentials sent
//! elsewhere.

use std::sync::Arc;

use conche_runtime::secrets::Receiver;
use url::Host as UrlHost;

use super::hosts::{Embedded, Hosts, NamedHost};
use crate::action::Error;
use crate::command::{Authentication, CommandInput, Credential, Party};
use crate::commands::over_http::Base;
use crate::config::SecretName;

/// Ports on loopback where hosts listen without TLS.
const PLAIN_PORTS: [u16; 3] = [80, 3233, 8080];

/// Where requests go.
#[derive(Debug)]
pub(super) enum Place {
    /// To an address.
    Network(Box<Network>),
    /// To the host within this process.
    Local(Arc<dyn Embedded>),
}

/// An address, and what is shown there.
#[derive(Debug)]
pub(super) struct Network {
    /// Scheme, host, port and what path there is.
    pub(super) root: String,
    /// Who gets the credentials: the configured ones are for their own host.
    pub(super) receiver: Receiver,
    pub(super) authentication: Shown,
}

/// The credentials that are shown.
#[derive(Debug)]
pub(super) enum Shown {
    /// None.
    Nothing,
    /// Those of a playbook, or a token.
    As(Authentication),
    /// A key in one secret: `user:key`.
    Key(Credential),
}

impl Place {
    /// The place of a command.
    pub(super) fn of(given: &CommandInput, hosts: &Hosts) -> Result<Self, Error> {
        let targets = given.target.iter();
        let addressed = std::iter::once(&given.agent).chain(targets);
        match addressed.into_iter().find(|party| Base::has_address(party)) {
            Some(party) => Self::at(party),
            None => hosts.of_agent(&given.agent.name),
        }
    }

    /// That of a configured host.
    pub(super) fn configured(host: &NamedHost) -> Self {
        let credential = |secret: &SecretName| Credential {
            secret: secret.secret.clone(),
            value: None,
        };
        Self::Network(Box::new(Network {
            root: host.url.clone(),
            receiver: Receiver::Configured,
            authentication: match (&host.auth, &host.bearer) {
                (Some(key), _) => Shown::Key(credential(key)),
                (None, Some(token)) => Shown::As(Authentication {
                    id: "bearer".to_owned(),
                    kind: "oauth2".to_owned(),
                    token: Some(credential(token)),
                    ..Authentication::default()
                }),
                (None, None) => Shown::Nothing,
            },
        }))
    }

    /// At a party's address: https, unless its `url` says otherwise, or it is one of the ports
    /// of loopback where hosts listen without TLS.
    fn at(party: &Party) -> Result<Self, Error> {
        let is_plain = |host: &UrlHost, port: Option<u16>| {
            let is_loopback = match host {
                UrlHost::Domain(name) => name == "localhost",
                UrlHost::Ipv4(address) => address.is_loopback(),
                UrlHost::Ipv6(address) => address.is_loopback(),
            };
            is_loopback && port.is_none_or(|port| PLAIN_PORTS.contains(&port))
        };
        let base = Base::read(party, is_plain)?;
        Ok(Self::Network(Box::new(Network {
            root: base.url().as_str().to_owned(),
            receiver: base.receiver()?,
            authentication: party
                .authentication
                .clone()
                .map_or(Shown::Nothing, Shown::As),
        })))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn root(address: serde_json::Value, port: Option<&str>) -> String {
        let mut agent =
            json!({ "id": "a", "type": "http-api", "name": "prod", "address": address });
        if let Some(port) = port {
            agent["port"] = port.into();
        }
        let given = json!({ "command": { "type": "openwhisk" }, "agent": agent });
        let given: CommandInput = serde_json::from_value(given).unwrap();
        match Place::of(&given, &Hosts::default()) {
            Ok(Place::Network(network)) => network.root,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_scheme_is_https_but_on_the_usual_ports_of_loopback() {
        assert_eq!(
            root(json!({ "ipv4": ["127.0.0.1"] }), Some("3233")),
            "http://127.0.0.1:3233/"
        );
        assert_eq!(
            root(json!({ "ipv4": ["127.0.0.1"] }), Some("9443")),
            "https://127.0.0.1:9443/"
        );
        assert_eq!(
            root(json!({ "dname": ["ow.example.com"] }), None),
            "https://ow.example.com/"
        );
        assert_eq!(
            root(json!({ "dname": ["ow.example.com"] }), Some("8080")),
            "https://ow.example.com:8080/"
        );
        assert_eq!(
            root(json!({ "url": ["http://ow.example.com/x"] }), None),
            "http://ow.example.com/x"
        );
    }
}
