//! The configuration of `http`: which secrets its actions may use, and where to.
//!
//! A script that could name any secret and any URL could send every secret anywhere. So a
//! secret can be named only where it is listed here, and goes only to the hosts listed with it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use conche_runtime::egress::ClientTls;
use conche_runtime::units::{Size, Span};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};
use url::Url;

/// Settings of `http`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Config {
    /// The secrets that requests may name, each with where it may go. Default: none.
    pub(super) secrets: BTreeMap<String, Grant>,
    /// The longest time for one request that sets none itself. Default: `30s`.
    pub(super) timeout: Span,
    /// The largest answer to a request that sets no limit itself; the result holds it as text
    /// and as JSON, and has to fit `limits.result_bytes`. Default: `256KiB`.
    pub(super) max_response: Size,
    /// Whom to trust and as whom to appear. Default: as set under `egress:`.
    pub(super) tls: Option<ClientTls>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            secrets: BTreeMap::new(),
            timeout: Span::from_secs(30),
            max_response: Size::from_kib(256),
            tls: None,
        }
    }
}

/// Where a secret may go.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Grant {
    /// The hosts that may see it: `api.example.com`, `*.example.com`, each with an optional
    /// port; `*` for every host.
    pub(super) hosts: Vec<HostPattern>,
    /// Whether it may go unencrypted, over `http`. Default: false.
    #[serde(default)]
    pub(super) plain_http: bool,
}

impl Grant {
    /// Why the secret may not go along to `url`; `None` where it may.
    pub(super) fn refusal(&self, url: &Url) -> Option<&'static str> {
        if url.scheme() != "https" && !self.plain_http {
            return Some("only goes over https");
        }
        let known = self.hosts.iter().any(|host| host.matches(url));
        (!known).then_some("is not for this host")
    }
}

/// A host, a domain's hosts, or every host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HostPattern {
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
    fn matches(&self, url: &Url) -> bool {
        let Some(host) = url.host_str() else {
            return false;
        };
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let named = match &self.name {
            Name::Any => true,
            Name::Below(domain) => host.len() > domain.len() && host.ends_with(domain.as_str()),
            Name::Exactly(name) => host == *name,
        };
        named
            && self
                .port
                .is_none_or(|port| url.port_or_known_default() == Some(port))
    }
}

impl FromStr for HostPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a host, `*.domain` or `*`, with an optional port");
        // An IPv6 address has its brackets, so the last colon outside them is the port's.
        let (name, port) = match text.rsplit_once(':') {
            Some((name, port)) if !port.ends_with(']') => {
                (name, Some(port.parse().map_err(|_| wrong())?))
            }
            _ => (text, None),
        };
        let name = name.to_ascii_lowercase();
        let allowed = |char: char| char.is_ascii_alphanumeric() || "-._:[]".contains(char);
        let name = match name.strip_prefix('*') {
            Some("") => Name::Any,
            Some(domain) if domain.starts_with('.') && domain.len() > 1 => {
                Name::Below(domain.to_owned())
            }
            Some(_) => return Err(wrong()),
            None => Name::Exactly(name),
        };
        let text = match &name {
            Name::Any => "",
            Name::Below(text) | Name::Exactly(text) if text.is_empty() => return Err(wrong()),
            Name::Below(text) | Name::Exactly(text) => text,
        };
        if text.chars().all(allowed) {
            Ok(Self { name, port })
        } else {
            Err(wrong())
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Name::Any => f.write_str("*")?,
            Name::Below(domain) => write!(f, "*{domain}")?,
            Name::Exactly(name) => f.write_str(name)?,
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
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
            (&[], false, "https://api.example.com/", false),
        ];
        for (hosts, plain_http, url, allowed) in table {
            let hosts = hosts.iter().map(|host| host.parse().unwrap()).collect();
            let grant = Grant { hosts, plain_http };
            let url = Url::parse(url).unwrap();
            assert_eq!(grant.refusal(&url).is_none(), allowed, "{grant:?} {url}");
        }
    }

    #[test]
    fn what_is_no_host_pattern_is_refused() {
        for text in ["*", "*.a.b", "a.b:1", "[::1]:1", "10.0.0.1"] {
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
