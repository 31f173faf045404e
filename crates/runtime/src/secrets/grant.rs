//! Where a secret may go: hosts by pattern, encrypted unless it is said otherwise.
//!
//! One rule for all that send secrets to places which somebody else names: a script's request, a
//! playbook's command. It is pure: names are compared, nothing is looked up. A loopback address
//! needs no encryption, since what is sent there leaves no machine. Whoever asks must ask with
//! the address that is then connected to, and must not follow a redirect with the secret.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use url::Url;

/// Schemes that encrypt.
const ENCRYPTED: [&str; 4] = ["https", "mqtts", "ssh", "wss"];

/// Where a secret may go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// The hosts that may see it: `api.example.com`, `*.example.com`, each with an optional
    /// port; `*` for every host.
    pub hosts: Vec<HostPattern>,
    /// Whether it may go unencrypted to others than this machine, over `http`. Default: false.
    #[serde(default)]
    pub plain_http: bool,
}

impl Grant {
    /// Why the secret may not go to `host`; `None` where it may.
    pub fn refusal(&self, host: &Host) -> Option<&'static str> {
        if host.is_in_clear() && !self.plain_http {
            return Some("only goes over https");
        }
        (!is_listed(&self.hosts, host)).then_some("is not for this host")
    }
}

/// Whether one of the patterns means the host.
pub(super) fn is_listed(patterns: &[HostPattern], host: &Host) -> bool {
    patterns.iter().any(|pattern| pattern.matches(host))
}

/// A host to which a secret would be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    name: String,
    port: Option<u16>,
    encrypted: bool,
}

impl Host {
    /// The host of a URL; none where it has none.
    pub fn of(url: &Url) -> Option<Self> {
        let encrypted = ENCRYPTED.contains(&url.scheme());
        Some(Self::new(
            url.host_str()?,
            url.port_or_known_default(),
            encrypted,
        ))
    }

    /// A host by its name or address.
    pub fn new(name: &str, port: Option<u16>, encrypted: bool) -> Self {
        Self {
            name: plain(name),
            port,
            encrypted,
        }
    }

    /// Whether somebody between here and there could read what is sent.
    pub fn is_in_clear(&self) -> bool {
        let address = self.name.parse::<IpAddr>();
        let here = self.name == "localhost" || address.is_ok_and(|address| address.is_loopback());
        !self.encrypted && !here
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// A name as it is compared: small letters, no dot at the end, no brackets, an address in its
/// usual form.
fn plain(name: &str) -> String {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().to_string(),
        Err(_) => name,
    }
}

/// A host, a domain's hosts, or every host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPattern {
    name: Name,
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Name {
    Any,
    /// With its leading dot.
    Below(String),
    Exactly(String),
}

impl HostPattern {
    fn matches(&self, host: &Host) -> bool {
        let named = match &self.name {
            Name::Any => true,
            Name::Below(domain) => {
                host.name.len() > domain.len() && host.name.ends_with(domain.as_str())
            }
            Name::Exactly(name) => host.name == *name,
        };
        named && self.port.is_none_or(|port| host.port == Some(port))
    }
}

impl FromStr for HostPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a host, `*.domain` or `*`, with an optional port");
        // An IPv6 address has its brackets where a port follows: the last colon outside them.
        let (name, port) = match text.rsplit_once(':') {
            _ if text.parse::<IpAddr>().is_ok() => (text, None),
            Some((name, port)) if !port.ends_with(']') => {
                (name, Some(port.parse().map_err(|_| wrong())?))
            }
            _ => (text, None),
        };
        let allowed = |char: char| char.is_ascii_alphanumeric() || "-._:[]".contains(char);
        let name = match name.strip_prefix('*') {
            Some("") => Name::Any,
            Some(domain) if domain.starts_with('.') && domain.len() > 1 => {
                Name::Below(domain.to_ascii_lowercase())
            }
            Some(_) => return Err(wrong()),
            None => Name::Exactly(plain(name)),
        };
        match &name {
            Name::Below(text) | Name::Exactly(text)
                if text.is_empty() || !text.chars().all(allowed) =>
            {
                Err(wrong())
            }
            _ => Ok(Self { name, port }),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.name, self.port) {
            (Name::Any, _) => f.write_str("*")?,
            (Name::Below(domain), _) => write!(f, "*{domain}")?,
            (Name::Exactly(name), Some(_)) if name.contains(':') => write!(f, "[{name}]")?,
            (Name::Exactly(name), _) => f.write_str(name)?,
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl Serialize for HostPattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HostPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

impl JsonSchema for HostPattern {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "HostPattern".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A host, `*.domain` or `*`, with an optional port.",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_goes_only_where_its_grant_says() {
        let table = [
            (
                &["api.example.com"][..],
                false,
                "https://api.example.com/x",
                true,
            ),
            (
                &["api.example.com"],
                false,
                "https://API.example.com.:8443/x",
                true,
            ),
            (
                &["api.example.com"],
                false,
                "http://api.example.com/",
                false,
            ),
            (&["api.example.com"], true, "http://api.example.com/", true),
            (
                &["api.example.com"],
                false,
                "https://api.example.com.evil.net/",
                false,
            ),
            (
                &["api.example.com"],
                false,
                "https://evil.net/?api.example.com",
                false,
            ),
            (
                &["api.example.com"],
                false,
                "https://evil-api.example.com/",
                false,
            ),
            (
                &["api.example.com:8443"],
                false,
                "https://api.example.com/",
                false,
            ),
            (
                &["api.example.com:443"],
                false,
                "https://api.example.com/",
                true,
            ),
            (&["*.example.com"], false, "https://a.b.example.com/", true),
            (&["*.example.com"], false, "https://example.com/", false),
            (&["*.example.com"], false, "https://evilexample.com/", false),
            (&["*"], false, "https://anything.net/", true),
            (&["[::1]:8443"], false, "https://[::1]:8443/", true),
            (&["[::1]"], false, "https://[::1]/", true),
            (&["2001:db8::1"], false, "https://[2001:DB8:0::1]/", true),
            (&["[2001:db8::1]:22"], false, "ssh://[2001:db8::1]:22", true),
            (&["127.0.0.1"], false, "http://127.0.0.1:8080/", true),
            (&["localhost"], false, "http://localhost/", true),
            (&["[::1]"], false, "http://[::1]/", true),
            (&["10.0.0.1"], false, "http://10.0.0.1/", false),
            (&["*"], false, "http://localhost.example.com/", false),
            (&["127.0.0.1"], false, "http://127.0.0.2/", false),
            (&[], false, "https://api.example.com/", false),
        ];
        for (hosts, plain_http, url, allowed) in table {
            let hosts = hosts.iter().map(|host| host.parse().unwrap()).collect();
            let grant = Grant { hosts, plain_http };
            let host = Host::of(&Url::parse(url).unwrap()).unwrap();
            assert_eq!(grant.refusal(&host).is_none(), allowed, "{grant:?} {url}");
        }
    }

    #[test]
    fn what_is_no_host_pattern_is_refused() {
        for text in ["*", "*.a.b", "a.b:1", "[::1]:1", "::1", "10.0.0.1"] {
            assert_eq!(text.parse::<HostPattern>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "*a.b",
            "*.",
            "a b",
            "a.b:x",
            "a/b",
            "https://a.b",
            "a.b:99999",
            "a*b",
        ] {
            assert!(text.parse::<HostPattern>().is_err(), "{text}");
        }
    }
}
