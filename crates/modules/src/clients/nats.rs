//! NATS: where the servers are, and connecting to them.
//!
//! The library reconnects by itself, for ever, with a wait that grows up to 30 s; whoever
//! uses a client sees calls that fail meanwhile. Only the servers of the configuration are
//! called, not those that a server names.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event, ServerAddr};
use conche_runtime::egress::ClientTls;
use conche_runtime::secrets::Secrets;
use conche_runtime::tls;
use rustls::ClientConfig;
use schemars::JsonSchema;
use secrecy::ExposeSecret as _;
use serde::Deserialize;

use crate::config::SecretName;

/// Connecting, with TLS and login, takes no longer.
const CONNECT: Duration = Duration::from_secs(10);

/// The longest wait between two attempts to connect again.
const RECONNECT_MAX: Duration = Duration::from_secs(30);

/// Where the servers are and who we are there.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BrokerConfig {
    /// `nats://` or `tls://` addresses of one cluster, such as `tls://nats.example.com:4222`.
    pub(crate) urls: Vec<String>,
    /// The user. Default: none.
    #[serde(default)]
    pub(crate) user: Option<String>,
    /// The user's password. Default: none.
    #[serde(default)]
    pub(crate) password: Option<SecretName>,
    /// A token instead of a user. Default: none.
    #[serde(default)]
    pub(crate) token: Option<SecretName>,
    /// The seed of an NKey instead of a user. Default: none.
    #[serde(default)]
    pub(crate) nkey: Option<SecretName>,
    /// The text of a `.creds` file (JWT and seed) instead of a user. Default: none.
    #[serde(default)]
    pub(crate) credentials: Option<SecretName>,
    /// Whom to trust and as whom to appear, for `tls`. Default: the system's authorities.
    #[serde(default)]
    pub(crate) tls: ClientTls,
}

/// For subscriptions that may lose messages: how many wait to be read, and a count of those
/// that found no room.
pub(crate) struct Slow {
    pub(crate) window: usize,
    pub(crate) dropped: Arc<AtomicU64>,
}

/// What goes wrong with a server.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The configuration makes no sense.
    #[error("{0}")]
    Config(String),
    /// A secret cannot be read.
    #[error(transparent)]
    Secret(#[from] conche_runtime::secrets::Error),
    /// No server lets us in.
    #[error("connecting: {0}")]
    Connect(#[from] async_nats::ConnectError),
    /// A server refused or did not answer.
    #[error("{what}: {reason}")]
    Server { what: String, reason: String },
}

impl Error {
    pub(crate) fn of(what: &str, reason: &dyn std::fmt::Display) -> Self {
        Self::Server {
            what: what.to_owned(),
            reason: reason.to_string(),
        }
    }
}

/// Servers that can be connected to.
pub(crate) struct Broker {
    config: BrokerConfig,
    addresses: Vec<ServerAddr>,
    tls: Option<ClientConfig>,
    secrets: Arc<Secrets>,
}

impl Broker {
    /// Checks what can be checked without the network and without reading a secret.
    pub(crate) fn new(config: BrokerConfig, secrets: Arc<Secrets>) -> Result<Self, Error> {
        let wrong = |message: &str| Error::Config(message.to_owned());
        if config.urls.is_empty() {
            return Err(wrong("`urls` must not be empty"));
        }
        let ways = [
            config.user.is_some(),
            config.token.is_some(),
            config.nkey.is_some(),
            config.credentials.is_some(),
        ];
        if ways.iter().filter(|way| **way).count() > 1 {
            return Err(wrong(
                "one of `user`, `token`, `nkey`, `credentials` is enough",
            ));
        }
        if config.user.is_some() != config.password.is_some() {
            return Err(wrong("`user` and `password` need each other"));
        }
        let mut addresses = Vec::new();
        let mut is_tls = false;
        for url in &config.urls {
            let address: ServerAddr = url
                .parse()
                .map_err(|_| wrong("one of `urls` is no address of a NATS server"))?;
            match address.scheme() {
                "nats" => {}
                "tls" => is_tls = true,
                _ => return Err(wrong("`urls` begin with nats:// or tls://")),
            }
            if address.has_user_pass() {
                return Err(wrong(
                    "`urls` must hold no user: write `user` and `password`",
                ));
            }
            addresses.push(address);
        }
        let tls = is_tls.then(|| tls::client(&config.tls)).transpose();
        Ok(Self {
            tls: tls.map_err(|error| Error::Config(error.to_string()))?,
            addresses,
            config,
            secrets,
        })
    }

    /// The names of the secrets that connecting needs.
    pub(crate) fn secret_names(config: &BrokerConfig) -> impl Iterator<Item = &SecretName> {
        let names = [
            &config.password,
            &config.token,
            &config.nkey,
            &config.credentials,
        ];
        names.into_iter().flatten()
    }

    /// Connects, as `conche NAME`.
    pub(crate) async fn connect(&self, name: &str, slow: Option<Slow>) -> Result<Client, Error> {
        let mut options = self
            .login()?
            .name(format!("conche {name}"))
            .connection_timeout(CONNECT)
            .ignore_discovered_servers()
            .max_reconnects(None)
            .reconnect_delay_callback(|attempts| {
                let doubled = 100_u64.saturating_mul(1 << attempts.min(16));
                Duration::from_millis(doubled).min(RECONNECT_MAX)
            });
        if let Some(Slow { window, dropped }) = slow {
            options = options
                .subscription_capacity(window)
                .event_callback(move |event| {
                    if matches!(event, Event::SlowConsumer(_)) {
                        dropped.fetch_add(1, Ordering::Relaxed);
                    }
                    std::future::ready(())
                });
        }
        if let Some(tls) = &self.tls {
            options = options.require_tls(true).tls_client_config(tls.clone());
        }
        Ok(options.connect(&self.addresses[..]).await?)
    }

    fn login(&self) -> Result<ConnectOptions, Error> {
        let config = &self.config;
        let value = |name: &SecretName| {
            let value = self.secrets.get(&name.secret);
            value.map(|value| value.expose_secret().to_owned())
        };
        let options = ConnectOptions::new();
        Ok(match config {
            BrokerConfig {
                user: Some(user),
                password: Some(password),
                ..
            } => options.user_and_password(user.clone(), value(password)?),
            BrokerConfig {
                token: Some(token), ..
            } => options.token(value(token)?),
            BrokerConfig {
                nkey: Some(seed), ..
            } => options.nkey(value(seed)?),
            BrokerConfig {
                credentials: Some(text),
                ..
            // The library wants the last line to be ended, which no secret's is.
            } => options.credentials(&(value(text)? + "\n")).map_err(|_| {
                Error::Config("`credentials` is no text of a .creds file".to_owned())
            })?,
            _ => options,
        })
    }
}
