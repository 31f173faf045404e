//! What a host may be told. The field documentation is the manual.

use conche_openwhisk::model::{Bounds, LimitRanges};
use conche_runtime::listener::ListenerLimits;
use conche_runtime::units::{Size, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The embedded host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How actions and clients reach this host, such as `http://127.0.0.1:3233`; actions get it
    /// as `__OW_API_HOST`. Default: `http://127.0.0.1:3233`.
    pub url: String,
    /// Whether the users `guest` and `whisk.system` have the keys that OpenWhisk's documentation
    /// prints: for trying things out, never where others reach the host. Default: false.
    pub dev: bool,
    /// What actions may ask for.
    pub actions: ActionSettings,
    /// What bodies may hold.
    pub sizes: Sizes,
    /// How much a namespace may ask for.
    pub throttles: Throttles,
    /// What is kept of the past.
    pub retention: Retention,
}

/// What actions may ask for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ActionSettings {
    /// The longest time limit of an action. Default: 5m.
    pub timeout_max: Span,
    /// The most memory of an action. Default: 512MiB.
    pub memory_max: Size,
    /// The longest log of an action. Default: 10MiB.
    pub logs_max: Size,
    /// The most components of a sequence or composition. Default: 50.
    pub sequence_length: usize,
    /// The longest wait of a blocking invocation; then 202. Default: 60s.
    pub blocking_wait: Span,
}

/// What bodies may hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Sizes {
    /// The code of an action, as it is sent. Default: 48MiB.
    pub code: Size,
    /// The parameters of an entity, and its annotations. Default: 1MiB.
    pub parameters: Size,
    /// The body of an invocation, a firing or a call of a web action. Default: 1MiB.
    pub payload: Size,
    /// The rules of one trigger. Default: 100.
    pub rules: usize,
    /// The actions of one package that a forced removal removes at once, the APIs of a namespace
    /// and the alarms of all. Default: 10000.
    pub entities: usize,
}

/// How much a namespace may ask for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Throttles {
    /// Invocations in a minute. Default: 600000.
    pub invocations_per_minute: u64,
    /// Invocations at a time. Default: 1000.
    pub concurrent_invocations: u64,
    /// Firings of triggers in a minute. Default: 600000.
    pub fires_per_minute: u64,
    /// Activations in flight, of all namespaces; then 503. Default: 10000.
    pub in_flight: u64,
}

/// What is kept of the past.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Retention {
    /// Activations that began longer ago are removed. Default: 7d.
    pub activations: Span,
    /// More activations than these are removed, oldest first. Default: 100000.
    pub most: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            url: "http://127.0.0.1:3233".to_owned(),
            dev: false,
            actions: ActionSettings::default(),
            sizes: Sizes::default(),
            throttles: Throttles::default(),
            retention: Retention::default(),
        }
    }
}

impl Default for ActionSettings {
    fn default() -> Self {
        Self {
            timeout_max: Span::from_secs(300),
            memory_max: Size::from_mib(512),
            logs_max: Size::from_mib(10),
            sequence_length: 50,
            blocking_wait: Span::from_secs(60),
        }
    }
}

impl Default for Sizes {
    fn default() -> Self {
        Self {
            code: Size::from_mib(48),
            parameters: Size::from_mib(1),
            payload: Size::from_mib(1),
            rules: 100,
            entities: 10_000,
        }
    }
}

impl Default for Throttles {
    fn default() -> Self {
        Self {
            invocations_per_minute: 600_000,
            concurrent_invocations: 1000,
            fires_per_minute: 600_000,
            in_flight: 10_000,
        }
    }
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            activations: Span::from_secs(7 * 24 * 3600),
            most: 100_000,
        }
    }
}

const MIB: u64 = 1 << 20;

impl ActionSettings {
    /// The bounds of every limit of an action. What is usual is never above the most.
    pub fn ranges(&self) -> LimitRanges {
        let usual = LimitRanges::default();
        let up_to = |bounds: Bounds, max: u64| Bounds {
            min: bounds.min.min(max),
            std: bounds.std.min(max),
            max,
        };
        LimitRanges {
            timeout: up_to(usual.timeout, millis(self.timeout_max)),
            memory: up_to(usual.memory, self.memory_max.bytes() / MIB),
            logs: up_to(usual.logs, self.logs_max.bytes() / MIB),
            concurrency: usual.concurrency,
        }
    }
}

/// A span in whole milliseconds.
pub(crate) fn millis(span: Span) -> u64 {
    u64::try_from(span.duration().as_millis()).unwrap_or(u64::MAX)
}

impl Settings {
    /// The limits that a listener of this host needs: its bodies are large, and a blocking call
    /// is answered later than a listener's own deadline would allow.
    pub fn listener_limits(&self) -> ListenerLimits {
        let bytes = self.body_bytes();
        let wait = millis(self.actions.blocking_wait).saturating_add(10_000);
        ListenerLimits {
            body_bytes: Size::from_bytes(bytes),
            request: Span::from_millis(wait),
            ..ListenerLimits::default()
        }
    }

    /// The largest body: an action's code with what goes beside it, escaped.
    pub(crate) fn body_bytes(&self) -> u64 {
        let beside = self.sizes.parameters.bytes().saturating_mul(2);
        self.sizes
            .code
            .bytes()
            .saturating_add(beside)
            .saturating_add(MIB)
    }
}
