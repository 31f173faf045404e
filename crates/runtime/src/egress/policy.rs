//! Which destinations may be connected to.
//!
//! Without rules: every public address and nothing else. A rule opens more:
//! by address (`10.0.0.0/8`, `127.0.0.1:9000`) it opens exactly those, by name
//! (`vault.lan`, `*.svc.cluster.local:443`) it opens the public, private and
//! loopback addresses of that name. A name never opens link-local, metadata,
//! multicast or reserved addresses, because who controls its zone could point
//! it there: those need a rule by address.

use std::{
    borrow::Cow,
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use ipnet::IpNet;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::address::Scope;

/// A text is not a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not an egress rule: write a network (10.0.0.0/8), an address (127.0.0.1, [::1]:9000), a host (vault.lan, vault.lan:8200) or a domain (*.svc.cluster.local)"
)]
pub struct InvalidRule(String);

/// A destination that is allowed, at one port or at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    target: Target,
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Target {
    Network(IpNet),
    /// Lower case, without a dot at the end.
    Host(String),
    /// The part after `*.`, likewise.
    Domain(String),
}

impl Rule {
    fn opens_address(&self, address: SocketAddr) -> bool {
        let Target::Network(network) = &self.target else {
            return false;
        };
        self.opens_port(address.port()) && network.contains(&address.ip())
    }

    fn opens_name(&self, name: &str, port: u16) -> bool {
        let matches = match &self.target {
            Target::Network(_) => false,
            Target::Host(host) => host == name,
            Target::Domain(domain) => name
                .strip_suffix(domain.as_str())
                .is_some_and(|below| below.len() > 1 && below.ends_with('.')),
        };
        matches && self.opens_port(port)
    }

    fn opens_port(&self, port: u16) -> bool {
        self.port.is_none_or(|only| only == port)
    }
}

impl FromStr for Rule {
    type Err = InvalidRule;

    fn from_str(text: &str) -> Result<Self, InvalidRule> {
        let network = |network, port| Self {
            target: Target::Network(network),
            port,
        };
        if let Ok(parsed) = text.parse::<IpNet>() {
            return Ok(network(parsed, None));
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(network(address.to_canonical().into(), None));
        }
        if let Ok(address) = text.parse::<SocketAddr>() {
            let ip = address.ip().to_canonical();
            return Ok(network(ip.into(), Some(address.port())));
        }
        let invalid = || InvalidRule(text.to_owned());
        let (name, port) = match text.split_once(':') {
            Some((name, port)) => (name, Some(port.parse().map_err(|_| invalid())?)),
            None => (text, None),
        };
        let target = match name.strip_prefix("*.") {
            Some(domain) => Target::Domain(normal_name(domain)),
            None => Target::Host(normal_name(name)),
        };
        let (Target::Host(name) | Target::Domain(name)) = &target else {
            return Err(invalid());
        };
        let is_name = name.split('.').all(|label| {
            let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            !label.is_empty() && label.bytes().all(known)
        });
        // `10.0.0` is a network written wrongly, not a host.
        let is_number = name
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.');
        if !is_name || is_number {
            return Err(invalid());
        }
        Ok(Self { target, port })
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.target, self.port) {
            (Target::Network(network), Some(port)) => {
                return write!(f, "{}", SocketAddr::new(network.addr(), port));
            }
            (Target::Network(network), None) => write!(f, "{network}")?,
            (Target::Host(name), _) => f.write_str(name)?,
            (Target::Domain(name), _) => write!(f, "*.{name}")?,
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Rule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Rule {
    fn schema_name() -> Cow<'static, str> {
        "EgressRule".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A network, an address, a host or a domain, with an optional port.",
            "examples": ["10.0.0.0/8", "127.0.0.1:9000", "vault.lan:8200", "*.svc.cluster.local"],
        })
    }
}

/// Decides on destinations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EgressPolicy {
    /// What is allowed beside public addresses.
    pub allow: Vec<Rule>,
    /// Whether public addresses need a rule as well.
    pub deny_public: bool,
}

impl EgressPolicy {
    /// Whether `address`, to which `host` was resolved (or which it is), may
    /// be connected to; else what kind of address it is.
    pub fn check(&self, host: &str, address: SocketAddr) -> Result<(), Scope> {
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        if self.allow.iter().any(|rule| rule.opens_address(address)) {
            return Ok(());
        }
        let scope = Scope::of(address.ip());
        let name = normal_name(host);
        let allowed = match scope {
            Scope::Public if !self.deny_public => true,
            Scope::Public | Scope::Private | Scope::Loopback => self
                .allow
                .iter()
                .any(|rule| rule.opens_name(&name, address.port())),
            Scope::LinkLocal | Scope::Metadata | Scope::Multicast | Scope::Reserved => false,
        };
        if allowed { Ok(()) } else { Err(scope) }
    }
}

fn normal_name(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(rules: &[&str], deny_public: bool) -> EgressPolicy {
        EgressPolicy {
            allow: rules.iter().map(|rule| rule.parse().unwrap()).collect(),
            deny_public,
        }
    }

    fn allows(policy: &EgressPolicy, host: &str, address: &str) -> bool {
        policy.check(host, address.parse().unwrap()).is_ok()
    }

    #[test]
    fn without_rules_only_public_addresses_are_allowed() {
        let policy = EgressPolicy::default();
        assert!(allows(&policy, "example.com", "8.8.8.8:443"));
        for address in [
            "127.0.0.1:80",
            "10.0.0.1:80",
            "[::ffff:10.0.0.1]:80",
            "[fe80::1]:80",
            "[::]:80",
        ] {
            assert!(!allows(&policy, "example.com", address), "{address}");
        }
    }

    #[test]
    fn a_rule_opens_its_destination_at_its_port_only() {
        let table = [
            ("10.0.0.0/8", "x", "10.1.2.3:1", true),
            ("10.0.0.0/8", "x", "[::ffff:10.1.2.3]:1", true),
            ("10.0.0.0/8", "x", "11.1.2.3:1", true),
            ("10.0.0.0/8", "x", "192.168.0.1:1", false),
            ("127.0.0.1:9000", "x", "127.0.0.1:9000", true),
            ("127.0.0.1:9000", "x", "127.0.0.1:9001", false),
            ("127.0.0.1:9000", "x", "127.0.0.2:9000", false),
            ("[::1]:9000", "x", "[::1]:9000", true),
            ("169.254.169.254", "x", "169.254.169.254:80", true),
            ("Vault.LAN", "vault.lan.", "10.0.0.1:8200", true),
            ("vault.lan:8200", "vault.lan", "10.0.0.1:8200", true),
            ("vault.lan:8200", "vault.lan", "10.0.0.1:22", false),
            ("vault.lan", "other.vault.lan", "10.0.0.1:80", false),
            ("*.lan", "a.b.lan", "127.0.0.1:80", true),
            ("*.lan", "lan", "10.0.0.1:80", false),
            ("*.lan", "evil-lan", "10.0.0.1:80", false),
            ("*.lan", ".lan", "10.0.0.1:80", false),
            ("vault.lan", "vault.lan", "169.254.169.254:80", false),
            ("vault.lan", "vault.lan", "168.63.129.16:80", false),
            ("vault.lan", "vault.lan", "0.0.0.0:80", false),
        ];
        for (rule, host, address, expected) in table {
            let policy = policy(&[rule], false);
            assert_eq!(
                allows(&policy, host, address),
                expected,
                "{rule} {host} {address}"
            );
        }
    }

    #[test]
    fn with_deny_public_everything_needs_a_rule() {
        let policy = policy(&["api.example.com:443"], true);
        assert!(allows(&policy, "api.example.com", "8.8.8.8:443"));
        assert!(!allows(&policy, "api.example.com", "8.8.8.8:80"));
        assert!(!allows(&policy, "example.com", "8.8.8.8:443"));
    }

    #[test]
    fn rules_print_as_they_are_read_and_what_is_none_is_refused() {
        for rule in [
            "10.0.0.0/8",
            "fd00::/8",
            "127.0.0.1:80",
            "[::1]:80",
            "a.b:1",
            "*.b",
            "a_b",
        ] {
            assert_eq!(rule.parse::<Rule>().unwrap().to_string(), rule);
        }
        for rule in [
            "",
            "*",
            "*.",
            "a:b",
            "a:99999",
            "10.0.0",
            "10.0.0.0/33",
            "http://a",
            "a b",
            "a..b",
            "a/8",
        ] {
            assert!(rule.parse::<Rule>().is_err(), "{rule}");
        }
    }
}
