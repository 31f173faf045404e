//! `openwhisk:`, the embedded OpenWhisk-compatible host, and other hosts by name.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use conche_modules::NamedHost;
use conche_openwhisk_host::{ActionSettings, Retention, Settings, Sizes, Throttles};
use conche_runtime::listener::{Auth, Identify, ListenerConfig, TlsConfig};
use conche_runtime::units::{Size, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// OpenWhisk: the host for functions that comes with the program, and others.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct OpenWhisk {
    /// The embedded host, on a listener of its own. Playbooks and reactions call it `local`.
    pub(crate) host: Host,
    /// Other hosts by name, for reactions and for agents without an address. Default: none.
    pub(crate) hosts: BTreeMap<String, NamedHost>,
}

/// The embedded host.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Host {
    /// Address and port, such as `127.0.0.1:3233`; null turns it off. Default: null.
    #[schemars(with = "Option<String>")]
    pub(crate) listen: Option<SocketAddr>,
    /// Allows an address other than loopback. Everything but web actions asks for credentials
    /// there as well; web actions are for everybody who can reach them. Default: false.
    pub(crate) allow_unauthenticated: bool,
    /// Turns HTTPS on. Default: plain HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tls: Option<TlsConfig>,
    /// How functions and clients reach this host, where that is not the address it listens on.
    /// Default: that address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) url: Option<String>,
    /// Gives `guest` and `whisk.system` the keys that OpenWhisk's documentation prints: for
    /// trying things out, never where others reach the host. Default: false.
    pub(crate) dev: bool,
    /// What actions may ask for.
    pub(crate) actions: ActionSettings,
    /// What bodies may hold.
    pub(crate) sizes: Sizes,
    /// How much a namespace may ask for.
    pub(crate) throttles: Throttles,
    /// What is kept of the past.
    pub(crate) retention: Retention,
    /// What carries functions out.
    pub(crate) runtimes: Runtimes,
}

/// What carries functions out: processes of this machine, without Docker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Runtimes {
    /// Processes at once, idle ones included. Default: eight, or four for each core where that
    /// is more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) processes: Option<NonZeroUsize>,
    /// Memory of all of them together, by the limits of their actions. Default: `4GiB`.
    pub(crate) memory: Size,
    /// How long a process is kept without work. Default: `10m`.
    pub(crate) idle: Span,
    /// Whether functions may use the network. Default: true.
    pub(crate) network: bool,
    /// A folder of npm modules that every JavaScript function may load from. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) node_modules: Option<PathBuf>,
    /// Files and folders that functions may read beside what the system has. Default: none.
    pub(crate) readable: Vec<PathBuf>,
    /// Worker processes of the kind `quickjs:1`. Default: 1.
    pub(crate) script_workers: NonZeroUsize,
    /// Heap of a function of the kind `quickjs:1`. Default: `64MiB`.
    pub(crate) script_memory: Size,
}

impl Default for Runtimes {
    fn default() -> Self {
        Self {
            processes: None,
            memory: Size::from_mib(4096),
            idle: Span::from_secs(600),
            network: true,
            node_modules: None,
            readable: Vec::new(),
            script_workers: NonZeroUsize::MIN,
            script_memory: Size::from_mib(64),
        }
    }
}

impl Host {
    /// Its listener. The host itself asks for credentials.
    pub(crate) fn listener(&self) -> ListenerConfig {
        ListenerConfig {
            listen: self.listen,
            auth: Auth::None,
            allow_unauthenticated: self.allow_unauthenticated,
            identify: Identify::TlsClients,
            tls: self.tls.clone(),
            limits: self.settings(String::new()).listener_limits(),
            ..ListenerConfig::default()
        }
    }

    /// What it is told, reached under this address where no other is configured.
    pub(crate) fn settings(&self, url: String) -> Settings {
        Settings {
            url: self.url.clone().unwrap_or(url),
            dev: self.dev,
            actions: self.actions.clone(),
            sizes: self.sizes.clone(),
            throttles: self.throttles.clone(),
            retention: self.retention.clone(),
        }
    }
}
