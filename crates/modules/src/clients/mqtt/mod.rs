//! MQTT 3.1.1 and 5: one way to speak both, QoS 1, acknowledged by hand.
//!
//! The library has two sets of the same types; they are told apart here and in [`link`] and
//! nowhere else, so that another library could take its place.

mod link;

use std::sync::Arc;
use std::time::Duration;

use conche_runtime::egress::ClientTls;
use conche_runtime::secrets::{Host, Secrets};
use conche_runtime::tls;
use conche_runtime::units::Size;
use rumqttc::v5::mqttbytes::v5::ConnectProperties;
use rumqttc::{TlsConfiguration, Transport, v5};
use rustls::ClientConfig;
use schemars::JsonSchema;
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use url::Url;

use self::link::Connection;
pub(crate) use self::link::{Happening, Link, Message, Receipt, Speaker};
use crate::config::SecretName;

/// How often a silent connection is proved alive.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// How long a broker keeps our session while we are away, in seconds (MQTT 5): a week.
const SESSION_SECONDS: u32 = 7 * 24 * 3600;

/// Where a broker is and who we are there.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BrokerConfig {
    /// `mqtt://` or `mqtts://`, host and port, such as `mqtts://mqtt.example.com`.
    pub(crate) url: String,
    /// The version of MQTT: `3.1.1` or `5`. With 3.1.1 a message over `packet_bytes` breaks
    /// the connection each time; limit them at the broker. Default: `5`.
    #[serde(default)]
    pub(crate) version: Version,
    /// The user. Default: none.
    #[serde(default)]
    pub(crate) user: Option<String>,
    /// The user's password. Default: none.
    #[serde(default)]
    pub(crate) password: Option<SecretName>,
    /// The most bytes of a packet, both ways. Default: 4MiB.
    #[serde(default = "default_packet_bytes")]
    pub(crate) packet_bytes: Size,
    /// Whom to trust and as whom to appear, for `mqtts`. Default: the system's authorities.
    #[serde(default)]
    pub(crate) tls: ClientTls,
}

/// A version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
pub(crate) enum Version {
    #[serde(rename = "3.1.1")]
    V3,
    #[default]
    #[serde(rename = "5")]
    V5,
}

fn default_packet_bytes() -> Size {
    Size::from_mib(4)
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
    /// The connection failed or broke.
    #[error("{0}")]
    Connection(String),
    /// The broker will not let us read a topic.
    #[error("the broker refuses the subscription")]
    Subscription,
    /// Nothing more can be asked for now.
    #[error("too many requests wait for the connection")]
    Full,
}

/// A broker that can be connected to.
pub(crate) struct Broker {
    config: BrokerConfig,
    host: String,
    port: u16,
    tls: Option<Arc<ClientConfig>>,
    secrets: Arc<Secrets>,
}

/// How a connection is used.
#[derive(Debug, Clone)]
pub(crate) struct Use {
    pub(crate) client_id: String,
    /// Whether the broker shall keep what is sent while we are away.
    pub(crate) keeps_session: bool,
    /// The most messages that the broker may send unacknowledged (MQTT 5), and the most
    /// requests that wait for the connection.
    pub(crate) window: u16,
}

impl Broker {
    /// Checks what can be checked without the network and without reading a secret.
    pub(crate) fn new(config: BrokerConfig, secrets: Arc<Secrets>) -> Result<Self, Error> {
        let wrong = |message: &str| Error::Config(format!("`url` {message}"));
        let url = Url::parse(&config.url).map_err(|error| wrong(&error.to_string()))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("must hold no user: write `user` and `password`"));
        }
        let (is_tls, port) = match url.scheme() {
            "mqtt" => (false, 1883),
            "mqtts" => (true, 8883),
            _ => return Err(wrong("begins with mqtt:// or mqtts://")),
        };
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| wrong("names no host"))?.to_owned();
        let tls = is_tls.then(|| tls::client(&config.tls)).transpose();
        let tls = tls.map_err(|error| Error::Config(error.to_string()))?;
        Ok(Self {
            port: url.port().unwrap_or(port),
            tls: tls.map(Arc::new),
            config,
            host,
            secrets,
        })
    }

    /// Where what is sent goes first.
    pub(crate) fn host(&self) -> Host {
        Host::new(&self.host, Some(self.port), self.tls.is_some())
    }

    /// The names of the secrets that connecting needs.
    pub(crate) fn secret_names(config: &BrokerConfig) -> impl Iterator<Item = &SecretName> {
        config.password.iter()
    }

    /// A connection that [`Link::poll`] opens.
    pub(crate) fn link(&self, how: &Use) -> Result<(Speaker, Link), Error> {
        let password = match &self.config.password {
            Some(name) => self.secrets.get(&name.secret)?.expose_secret().to_owned(),
            None => String::new(),
        };
        let login = self.config.user.clone().map(|user| (user, password));
        let transport = self.tls.clone().map_or(Transport::Tcp, |tls| {
            Transport::Tls(TlsConfiguration::Rustls(tls))
        });
        let waiting = usize::from(how.window) * 2;
        Ok(match self.config.version {
            Version::V3 => {
                let options = self.options_3(how, transport, login);
                let (client, link) = rumqttc::AsyncClient::new(options, waiting);
                (
                    Speaker::V3(client),
                    Link::new(Connection::V3(Box::new(link))),
                )
            }
            Version::V5 => {
                let options = self.options_5(how, transport, login);
                let (client, link) = v5::AsyncClient::new(options, waiting);
                (
                    Speaker::V5(client),
                    Link::new(Connection::V5(Box::new(link))),
                )
            }
        })
    }

    fn options_3(
        &self,
        how: &Use,
        transport: Transport,
        login: Option<(String, String)>,
    ) -> rumqttc::MqttOptions {
        let size = self.config.packet_bytes.length();
        let mut options = rumqttc::MqttOptions::new(&how.client_id, &self.host, self.port);
        options
            .set_transport(transport)
            .set_keep_alive(KEEP_ALIVE)
            .set_clean_session(!how.keeps_session)
            .set_max_packet_size(size, size)
            .set_manual_acks(true);
        if let Some((user, password)) = login {
            options.set_credentials(user, password);
        }
        options
    }

    fn options_5(
        &self,
        how: &Use,
        transport: Transport,
        login: Option<(String, String)>,
    ) -> v5::MqttOptions {
        let mut options = v5::MqttOptions::new(&how.client_id, &self.host, self.port);
        let mut properties = ConnectProperties::new();
        properties.receive_maximum = Some(how.window);
        properties.max_packet_size = u32::try_from(self.config.packet_bytes.bytes()).ok();
        properties.session_expiry_interval = how.keeps_session.then_some(SESSION_SECONDS);
        options
            .set_transport(transport)
            .set_keep_alive(KEEP_ALIVE)
            .set_clean_start(!how.keeps_session)
            .set_connect_properties(properties)
            .set_manual_acks(true);
        if let Some((user, password)) = login {
            options.set_credentials(user, password);
        }
        options
    }
}
