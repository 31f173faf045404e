//! The settings of a `k8s_imagevalidator` source: CSF's three, and what it had not.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use conche_runtime::listener::{
    Auth, ClientAuth, Identify, ListenerConfig, ListenerLimits, TlsConfig,
};
use conche_runtime::units::{Size, Span};
use schemars::JsonSchema;
use serde::Deserialize;

/// An object of a cluster is at most 1.5 MiB, and an update shows it twice.
const BODY: Size = Size::from_mib(4);

/// From the size that no body is held up for, to a quarter of the room that bodies have.
const BODY_BYTES: RangeInclusive<u64> = 64 * 1024..=16 * 1024 * 1024;

/// A cluster's API server opens a connection for each of its goroutines.
const CONNECTIONS: usize = 4096;

/// Settings of a `k8s_imagevalidator` source.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    /// Address and port of its own listener, such as `0.0.0.0:1323`.
    #[schemars(with = "String")]
    webhook_endpoint: SocketAddr,
    /// PEM file with the certificate chain, leaf first. Default: none, on loopback only.
    #[serde(default)]
    certificate: Option<PathBuf>,
    /// PEM file with the private key. Default: none.
    #[serde(default)]
    key: Option<PathBuf>,
    /// PEM file with the authorities of the callers' certificates; without one of these
    /// nobody is let in. Default: callers show no certificate.
    #[serde(default)]
    client_ca: Option<PathBuf>,
    /// Common names of the callers that are let in. Default: all that `client_ca` vouches for.
    #[serde(default)]
    pub(super) allowed_names: Vec<String>,
    /// Lets callers in that nobody has identified, also from other machines. Default: false.
    #[serde(default)]
    allow_unauthenticated: bool,
    /// Where `ImageReview`s are taken; `*` is any path, as in CSF. Default: `/image_policy`.
    #[serde(default = "image_policy_path")]
    pub(super) image_policy_path: String,
    /// Where `AdmissionReview`s are taken. Default: `/validate`.
    #[serde(default = "admission_path")]
    pub(super) admission_path: String,
    /// The longest wait for a decision; shorter where the caller says so. Default: 25s.
    #[serde(default = "answer_timeout")]
    pub(super) answer_timeout: Span,
    /// The largest review that is taken; a larger one is refused with 413. Default: 4MiB.
    #[serde(default = "body_bytes")]
    pub(super) body_bytes: Size,
    /// What counts where no decision came in time, or none at all. Default: `deny`.
    #[serde(default)]
    pub(super) on_timeout: Fallback,
    /// Where events cannot be stored: `answer` as `on_timeout` says, or `refuse` with 503, so
    /// that the cluster's own setting counts. Default: `answer`.
    #[serde(default)]
    pub(super) on_store_failure: OnStoreFailure,
    /// What a dry run is told that is not decided yet: `allow` with a warning and without
    /// running a reaction, or `ask` the reactions, which then must do nothing but decide.
    /// Default: `allow`.
    #[serde(default)]
    pub(super) on_dry_run: OnDryRun,
    /// `audit` decides, allows all the same and warns of what it would have denied.
    /// Default: `enforce`.
    #[serde(default)]
    pub(super) mode: Mode,
    /// How long decisions count. Default: 5m for a yes, 30s for a no or where there are tags.
    #[serde(default)]
    pub(super) cache: Cache,
}

/// A decision that needs no reaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Fallback {
    /// It may not enter.
    #[default]
    Deny,
    /// It may.
    Allow,
}

/// What is answered while events cannot be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum OnStoreFailure {
    /// As `on_timeout` says.
    #[default]
    Answer,
    /// 503.
    Refuse,
}

/// What is answered to a dry run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum OnDryRun {
    /// Allowed, with a warning, unless it was decided before.
    #[default]
    Allow,
    /// What the reactions say.
    Ask,
}

/// Whether decisions count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Mode {
    /// They do.
    #[default]
    Enforce,
    /// They are only told.
    Audit,
}

/// How long decisions count.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Cache {
    /// That all images may run, where each is named by its digest. Default: 5m.
    pub(super) allow: Span,
    /// That they may not. Default: 30s.
    pub(super) deny: Span,
    /// At most so long where an image is named by a tag, which may be moved. Default: 30s.
    pub(super) tag: Span,
    /// The most decisions kept. Default: 10000.
    pub(super) entries: usize,
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            allow: Span::from_secs(300),
            deny: Span::from_secs(30),
            tag: Span::from_secs(30),
            entries: 10_000,
        }
    }
}

fn image_policy_path() -> String {
    "/image_policy".to_owned()
}

fn admission_path() -> String {
    "/validate".to_owned()
}

fn body_bytes() -> Size {
    BODY
}

fn answer_timeout() -> Span {
    Span::from_secs(25)
}

impl Config {
    /// The source's own listener.
    pub(super) fn listener(&self) -> Result<ListenerConfig, &'static str> {
        let tls = match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => Some(TlsConfig {
                certificate: certificate.clone(),
                key: key.clone(),
                client_ca: self.client_ca.clone(),
                client_certificate: ClientAuth::Required,
            }),
            (None, None) => None,
            _ => return Err("`certificate` and `key` need each other"),
        };
        let is_loopback = self.webhook_endpoint.ip().to_canonical().is_loopback();
        if tls.is_none() && !is_loopback {
            return Err("write `certificate` and `key`: API servers call by https only");
        }
        if tls.is_none() && self.client_ca.is_some() {
            return Err("`client_ca` needs `certificate` and `key`");
        }
        if !self.allowed_names.is_empty() && self.client_ca.is_none() {
            return Err("`allowed_names` needs `client_ca`");
        }
        Ok(ListenerConfig {
            listen: Some(self.webhook_endpoint),
            auth: Auth::None,
            allow_unauthenticated: self.allow_unauthenticated,
            identify: Identify::Clients,
            tls,
            limits: ListenerLimits {
                body_bytes: self.body_bytes,
                connections: CONNECTIONS,
                connections_per_ip: CONNECTIONS,
                request: Span::from_secs(60),
                ..ListenerLimits::default()
            },
            ..ListenerConfig::default()
        })
    }

    /// Refuses what contradicts itself.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        let is_path = |path: &str| {
            let plain = |char: char| char.is_ascii_alphanumeric() || "-._~/".contains(char);
            path.starts_with('/') && path.chars().all(plain)
        };
        if self.image_policy_path != "*" && !is_path(&self.image_policy_path) {
            return Err("`image_policy_path` begins with `/`, or is `*`");
        }
        if !is_path(&self.admission_path) || self.admission_path == self.image_policy_path {
            return Err("`admission_path` begins with `/` and is another than `image_policy_path`");
        }
        if !BODY_BYTES.contains(&self.body_bytes.bytes()) {
            return Err("`body_bytes` is from 64KiB to 16MiB");
        }
        let wait = self.answer_timeout.duration();
        if wait < Duration::from_millis(50) || wait > Duration::from_secs(30) {
            return Err("`answer_timeout` is from 50ms to 30s, the longest that API servers wait");
        }
        Ok(())
    }
}
