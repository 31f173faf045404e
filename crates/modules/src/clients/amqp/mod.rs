//! AMQP 0-9-1 (RabbitMQ): where a broker is, connecting to it, the queue to read, publishing.
//!
//! Reconnecting is the caller's loop and not the library's: after a break every declaration
//! is made again, in the open. Declaring anything with other properties than it has closes the
//! channel (406), so each thing is asked for passively first and only what is not there is
//! made. An exchange is never made here: its owner would then find it with other properties.
//!
//! A message's size is bounded by the broker (16 MiB from RabbitMQ 4.0 on), so the memory
//! of a consumer is bounded by that times the prefetch.

mod attempt;
mod queue;
mod uri;

use std::sync::Arc;
use std::time::Duration;

use conche_runtime::egress::ClientTls;
use conche_runtime::secrets::Secrets;
use conche_runtime::tls;
use lapin::tcp::{AsyncTcpStream, RustlsConnector};
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{Channel, Connection, ConnectionProperties};
use rustls::ClientConfig;
use schemars::JsonSchema;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use self::attempt::Attempt;
pub(crate) use self::queue::{DeadLetters, OwnQueue, Queue, consume};
use crate::config::SecretName;

/// Connecting to one address, with TLS and login, takes no longer.
const CONNECT: Duration = Duration::from_secs(10);

/// The heartbeat that is offered; a peer silent for twice as long is given up.
const HEARTBEAT_SECONDS: u16 = 60;

/// Where a broker is and who we are there.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BrokerConfig {
    /// `amqp://` or `amqps://` addresses of one cluster, tried in turn, such as
    /// `amqps://rabbit.example.com/vhost`; one that holds a password is `{ secret: NAME }`.
    pub(crate) urls: Vec<UrlOf>,
    /// The user. Default: the one in the address, else `guest`.
    #[serde(default)]
    pub(crate) user: Option<String>,
    /// The user's password. Default: the one in a secret address, else `guest`.
    #[serde(default)]
    pub(crate) password: Option<SecretName>,
    /// Whom to trust and as whom to appear, for `amqps`. Default: the system's authorities.
    #[serde(default)]
    pub(crate) tls: ClientTls,
}

/// An address, or the secret that is one.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum UrlOf {
    /// In the file; without a password.
    Plain(String),
    /// By name.
    Secret(SecretName),
    /// One that may hold a password, from a module whose users have always written it so.
    #[serde(skip)]
    Literal(SecretString),
}

impl BrokerConfig {
    /// One address that may hold a password.
    pub(crate) fn literal(address: SecretString) -> Self {
        Self {
            urls: vec![UrlOf::Literal(address)],
            user: None,
            password: None,
            tls: ClientTls::default(),
        }
    }
}

/// What goes wrong with a broker.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The configuration makes no sense.
    #[error("{0}")]
    Config(String),
    /// A secret cannot be read.
    #[error(transparent)]
    Secret(#[from] conche_runtime::secrets::Error),
    /// The address in a secret is none. It is not shown.
    #[error("the address of the broker: {0}")]
    Address(String),
    /// The broker did not answer in time.
    #[error("{host}: no connection within {} s", CONNECT.as_secs())]
    Silent { host: String },
    /// The broker or the way to it failed.
    #[error("{what}: {source}")]
    Broker {
        what: String,
        #[source]
        source: lapin::Error,
    },
    /// The broker ended the consumer, as when the queue is deleted or its node fails.
    #[error("the broker has cancelled the consumer of queue `{queue}`")]
    Cancelled { queue: String },
}

impl Error {
    pub(crate) fn of(what: impl Into<String>) -> impl FnOnce(lapin::Error) -> Self {
        let what = what.into();
        |source| Self::Broker { what, source }
    }
}

/// A broker that can be connected to.
pub(crate) struct Broker {
    config: BrokerConfig,
    tls: Arc<ClientConfig>,
    secrets: Arc<Secrets>,
}

impl Broker {
    /// Checks what can be checked without the network and without reading a secret.
    pub(crate) fn new(config: BrokerConfig, secrets: Arc<Secrets>) -> Result<Self, Error> {
        if config.urls.is_empty() {
            return Err(Error::Config("`urls` must not be empty".to_owned()));
        }
        for url in &config.urls {
            if let UrlOf::Literal(text) = url {
                uri::read(text.expose_secret()).map_err(Error::Config)?;
            }
            if let UrlOf::Plain(text) = url {
                let uri = uri::read(text).map_err(Error::Config)?;
                if uri::has_password(text) {
                    return Err(Error::Config(format!(
                        "the address of {} holds a password: write `password: {{ secret: NAME }}`, \
                         or make the whole address a secret",
                        uri.authority.host
                    )));
                }
            }
        }
        let tls = tls::client(&config.tls).map_err(|error| Error::Config(error.to_string()))?;
        Ok(Self {
            config,
            tls: Arc::new(tls),
            secrets,
        })
    }

    /// The names of the secrets that connecting needs.
    pub(crate) fn secret_names(config: &BrokerConfig) -> impl Iterator<Item = &SecretName> {
        let urls = config.urls.iter().filter_map(|url| match url {
            UrlOf::Plain(_) | UrlOf::Literal(_) => None,
            UrlOf::Secret(name) => Some(name),
        });
        urls.chain(&config.password)
    }

    /// Connects to the first address that answers; the error is that of the last one.
    pub(crate) async fn connect(&self, name: &str) -> Result<Connection, Error> {
        let mut last = None;
        for url in &self.config.urls {
            let uri = self.resolve(url)?;
            let host = uri.authority.host.clone();
            match tokio::time::timeout(CONNECT, self.connect_to(uri, name)).await {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(source)) => last = Some(Error::of(host)(source)),
                Err(_elapsed) => last = Some(Error::Silent { host }),
            }
        }
        Err(last.unwrap_or_else(|| Error::Config("`urls` is empty".to_owned())))
    }

    fn resolve(&self, url: &UrlOf) -> Result<AMQPUri, Error> {
        let mut uri = match url {
            UrlOf::Plain(text) => uri::read(text).map_err(Error::Address)?,
            UrlOf::Literal(text) => uri::read(text.expose_secret()).map_err(Error::Address)?,
            UrlOf::Secret(name) => {
                let text = self.secrets.get(&name.secret)?;
                uri::read(text.expose_secret()).map_err(Error::Address)?
            }
        };
        if let Some(user) = &self.config.user {
            uri.authority.userinfo.username.clone_from(user);
        }
        if let Some(name) = &self.config.password {
            let password = self.secrets.get(&name.secret)?;
            password
                .expose_secret()
                .clone_into(&mut uri.authority.userinfo.password);
        }
        uri.query.heartbeat.get_or_insert(HEARTBEAT_SECONDS);
        Ok(uri)
    }

    async fn connect_to(&self, uri: AMQPUri, name: &str) -> lapin::Result<Connection> {
        let properties =
            ConnectionProperties::default().with_connection_name(format!("conche {name}").into());
        let tls = self.tls.clone();
        let runtime = lapin::runtime::default_runtime()?;
        let attempt = Attempt::new();
        let socket = attempt.socket();
        let connection = Connection::connector(
            uri,
            runtime,
            async move |uri: AMQPUri, runtime| {
                let host = uri.authority.host.clone();
                let address = (host.clone(), uri.authority.port);
                let addresses = tokio::net::lookup_host(address).await?.collect::<Vec<_>>();
                let stream = AsyncTcpStream::connect(&runtime, addresses).await?;
                if let AsyncTcpStream::Plain(stream) = &stream {
                    socket.is(stream.get_ref())?;
                }
                let stream = match uri.scheme {
                    AMQPScheme::AMQP => stream,
                    AMQPScheme::AMQPS => {
                        let connector = RustlsConnector::from(tls.clone());
                        stream.into_rustls(&connector, &host).await?
                    }
                };
                Ok(stream)
            },
            properties,
        )
        .await;
        if connection.is_ok() {
            attempt.keep();
        }
        connection
    }
}

/// A channel on which the broker confirms each message.
pub(crate) async fn confirming(connection: &Connection) -> Result<Channel, Error> {
    let channel = connection.create_channel().await;
    let channel = channel.map_err(Error::of("opening a channel"))?;
    channel
        .confirm_select(lapin::options::ConfirmSelectOptions::default())
        .await
        .map_err(Error::of("asking for confirmations"))?;
    Ok(channel)
}

/// Ends a connection politely; a peer that does not answer is left.
pub(crate) async fn close(connection: &Connection) {
    let closing = connection.close(200, "bye".into());
    // A connection that is broken is closed already.
    tokio::time::timeout(Duration::from_secs(1), closing)
        .await
        .ok();
}
