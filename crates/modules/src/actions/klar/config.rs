//! The configuration of `klar`: CSF's keys with CSF's meaning, and what it lacked.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use conche_runtime::egress::ClientTls;
use conche_runtime::units::{Size, Span};
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::Deserialize;

use super::PLACE;
use crate::clients::clair::vulnerability::Severity;
use crate::clients::clair::{self, ApiOf, Psk, Server};
use crate::clients::registry::{Access, Credentials, Password, Platform, Registries};
use crate::config::{self as settings, SecretName};
use crate::{BuildContext, BuildError};

/// Settings of `klar`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    /// Clair's address: `clair`, `clair:6060` or `https://clair.example.com/clair`. It may be on
    /// this machine or in a private network: no script can choose it.
    #[serde(rename = "clairAddress")]
    clair_address: String,
    /// The generation: `v1`, `v3`, `v4`, or `auto` to ask Clair. Default: `auto`.
    #[serde(default)]
    clair_api: ApiOf,
    /// The least severity that is reported. Default: `Unknown`, all.
    #[serde(default, rename = "clairOutput")]
    clair_output: Word,
    /// More vulnerabilities than this make `report.over_threshold` true. Default: 0.
    #[serde(default)]
    threshold: u64,
    /// The longest time for one image; a number counts seconds. Default: `5m`.
    #[serde(default = "default_clair_timeout", rename = "clairTimeout")]
    clair_timeout: Seconds,
    /// The key that we show to Clair 4 (`auth.psk`). Default: none.
    #[serde(default)]
    psk: Option<Psk>,
    /// Whom to trust and as whom to appear to Clair. Default: as set under `egress:`.
    #[serde(default)]
    tls: Option<ClientTls>,
    /// The largest answer of Clair's. Default: `64MiB`.
    #[serde(default = "default_max_response")]
    max_response: Size,
    /// Which image of a list for several platforms is scanned. Default: Linux on the processor of
    /// this machine.
    #[serde(default)]
    platform: Option<Platform>,
    /// The most images that `scan_images` takes, and that are scanned at a time. Default: 100 and 4.
    #[serde(default)]
    images: Images,
    /// The most vulnerabilities of one image that are given, the worst first; how many were left
    /// out is in `report.omitted`. Default: 1000.
    #[serde(default = "default_findings")]
    max_findings: usize,
    /// Registries by host, with port where one is written in images' names; `docker.io` for
    /// Docker Hub. One that is named here may be in a private network. Default: none.
    #[serde(default)]
    registries: BTreeMap<String, Registry>,
    /// Whom to trust and as whom to appear to registries. Default: as set under `egress:`.
    #[serde(default)]
    registry_tls: Option<ClientTls>,
    /// CSF's: one access for the registries in its `hosts`. Default: none.
    #[serde(default, rename = "dockerConfig")]
    docker: DockerConfig,
}

/// How many images.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Images {
    /// In one call. Default: 100.
    pub(super) max: usize,
    /// At a time. Default: 4.
    pub(super) at_once: usize,
}

impl Default for Images {
    fn default() -> Self {
        Self {
            max: 100,
            at_once: 4,
        }
    }
}

/// How one registry is reached.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Registry {
    /// The user. Default: none, nobody.
    user: Option<String>,
    /// The user's password: `{ secret: NAME }`. Default: none.
    password: Option<SecretName>,
    /// Over HTTP instead of HTTPS. Default: false.
    plain_http: bool,
}

/// CSF's access to registries.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct DockerConfig {
    /// The registries that this is for; `*` for every one that an image names, as in CSF, which
    /// shows the password to all of them. Must be there where anything else is set.
    hosts: Vec<String>,
    /// The user. Default: none.
    user: String,
    /// The password: a text, as in CSF, or `{ secret: NAME }`. Default: none.
    password: TextOrSecret,
    /// What is shown behind `Basic `: a text, as in CSF, or `{ secret: NAME }`. Default: none.
    token: TextOrSecret,
    /// Not supported: certificates are always verified; name the authority in `registry_tls`.
    #[serde(rename = "insecureTLS")]
    insecure_tls: bool,
    /// Over HTTP instead of HTTPS. Default: false.
    #[serde(rename = "insecureRegistry")]
    insecure_registry: bool,
    /// The longest time for one request; a number counts seconds. Default: `30s`.
    timeout: Option<Seconds>,
}

/// A password's name, or itself.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
enum TextOrSecret {
    /// By its name.
    Secret(SecretName),
    /// As text.
    Literal(String),
}

impl Default for TextOrSecret {
    fn default() -> Self {
        Self::Literal(String::new())
    }
}

impl fmt::Debug for TextOrSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret(name) => name.fmt(f),
            Self::Literal(_) => f.write_str("Literal(..)"),
        }
    }
}

impl TextOrSecret {
    fn password(&self) -> Option<Password> {
        match self {
            Self::Secret(name) => Some(Password::Secret(name.clone())),
            Self::Literal(text) if text.is_empty() => None,
            Self::Literal(text) => Some(Password::Literal(SecretString::from(text.clone()))),
        }
    }
}

/// A length of time: a number of seconds, as in CSF, or a text such as `5m`.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Seconds {
    /// As in CSF; 0 for the default.
    Number(u64),
    /// With its unit.
    Span(Span),
}

impl Seconds {
    fn span(self, default: Span) -> Span {
        match self {
            Self::Number(0) => default,
            Self::Number(seconds) => Span::from_secs(seconds),
            Self::Span(span) => span,
        }
    }
}

/// A severity in any case, and CSF's empty text for all.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(transparent)]
struct Word(String);

const fn default_clair_timeout() -> Seconds {
    Seconds::Number(0)
}

const fn default_findings() -> usize {
    1000
}

const fn default_max_response() -> Size {
    Size::from_mib(64)
}

/// What the configuration comes to.
pub(super) struct Settings {
    pub(super) clair: Server,
    pub(super) api: ApiOf,
    pub(super) least: Severity,
    pub(super) threshold: u64,
    pub(super) timeout: Duration,
    pub(super) platform: Platform,
    pub(super) images: Images,
    pub(super) max_findings: usize,
    /// What a whole result may measure.
    pub(super) result_bytes: usize,
    pub(super) registries: Registries,
}

impl Config {
    /// Checks all that can be checked without the network.
    pub(super) fn resolve(self, cx: &BuildContext) -> Result<Settings, BuildError> {
        let wrong = |message: String| settings::error(PLACE, message);
        let least = match Severity::of(&self.clair_output.0) {
            Severity::Unknown
                if !matches!(&*self.clair_output.0.to_lowercase(), "" | "unknown") =>
            {
                return Err(wrong(format!(
                    "`clairOutput`: there is no severity `{}`",
                    self.clair_output.0
                )));
            }
            least => least,
        };
        if !(1..=1000).contains(&self.images.max) || !(1..=32).contains(&self.images.at_once) {
            return Err(wrong(
                "`images.max` is from 1 to 1000, `images.at_once` from 1 to 32".to_owned(),
            ));
        }
        let timeout = self.clair_timeout.span(Span::from_secs(300));
        let registries = self.registries(cx).map_err(wrong)?;
        let url = clair_url(&self.clair_address)
            .map_err(|message| wrong(format!("`clairAddress`: {message}")))?;
        let clair = Server::new(
            clair::Settings {
                url,
                psk: self.psk,
                tls: self.tls,
                timeout,
                max_response: self.max_response,
            },
            cx,
        );
        Ok(Settings {
            clair: clair.map_err(wrong)?,
            api: self.clair_api,
            least,
            threshold: self.threshold,
            timeout: timeout.duration(),
            platform: self.platform.unwrap_or_default(),
            images: self.images,
            max_findings: self.max_findings,
            result_bytes: cx.json.bytes,
            registries,
        })
    }

    fn registries(&self, cx: &BuildContext) -> Result<Registries, String> {
        let mut known = BTreeMap::new();
        for (host, registry) in &self.registries {
            let credentials = match (&registry.user, &registry.password) {
                (None, None) => None,
                (Some(user), Some(password)) => {
                    password
                        .check(PLACE, &cx.secrets)
                        .map_err(|error| error.message)?;
                    Some(Credentials::Basic {
                        user: user.clone(),
                        password: Password::Secret(password.clone()),
                    })
                }
                _ => {
                    return Err(format!(
                        "`registries.{host}`: `user` and `password` need each other"
                    ));
                }
            };
            let access = Access {
                credentials,
                plain_http: registry.plain_http,
            };
            known.insert(host.to_lowercase(), access);
        }
        let others = self.docker.access(cx)?;
        for host in self.docker.hosts.iter().filter(|host| *host != "*") {
            known
                .entry(host.to_lowercase())
                .or_insert_with(|| others.clone());
        }
        let to_all = self.docker.hosts.iter().any(|host| host == "*");
        let timeout = self.docker.timeout.unwrap_or(Seconds::Number(0));
        Registries::new(
            &cx.egress,
            self.registry_tls.as_ref(),
            cx.secrets.clone(),
            known,
            if to_all { others } else { Access::default() },
            timeout.span(Span::from_secs(30)).duration(),
        )
    }
}

impl DockerConfig {
    fn access(&self, cx: &BuildContext) -> Result<Access, String> {
        let wrong = |message: &str| Err(format!("`dockerConfig`: {message}"));
        if self.insecure_tls {
            return wrong(
                "`insecureTLS` is not supported: certificates are always verified; name the registry's authority in `registry_tls.ca_file`",
            );
        }
        for secret in [&self.password, &self.token] {
            if let TextOrSecret::Secret(name) = secret {
                name.check(PLACE, &cx.secrets)
                    .map_err(|error| error.message)?;
            }
        }
        let credentials = match (self.token.password(), self.password.password()) {
            (Some(token), _) => Some(Credentials::Token(token)),
            (None, Some(password)) if !self.user.is_empty() => Some(Credentials::Basic {
                user: self.user.clone(),
                password,
            }),
            _ => None,
        };
        if self.hosts.is_empty() && (credentials.is_some() || self.insecure_registry) {
            return wrong(
                "write the registries that it is for into `hosts`; `*` shows it to every registry that an image names",
            );
        }
        Ok(Access {
            credentials,
            plain_http: self.insecure_registry,
        })
    }
}

/// As klar reads it: HTTP and port 6060 where nothing else is written.
fn clair_url(text: &str) -> Result<url::Url, String> {
    if text.contains("://") {
        return clair::address(text);
    }
    let mut url = clair::address(&format!("http://{text}"))?;
    if url.port().is_none() && !text.ends_with(":80") {
        url.set_port(Some(6060))
            .map_err(|()| format!("`{text}` is no address"))?;
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_klar_read_it() {
        for (text, url) in [
            ("localhost", "http://localhost:6060/"),
            ("clair:6061", "http://clair:6061/"),
            ("clair:80", "http://clair/"),
            ("https://clair.example.com/x", "https://clair.example.com/x"),
            ("[::1]", "http://[::1]:6060/"),
        ] {
            assert_eq!(clair_url(text).unwrap().as_str(), url, "{text}");
        }
        assert!(clair_url("").is_err() && clair_url("a b").is_err());
    }
}
