//! Traces and logs to an OpenTelemetry collector, as the standard `OTEL_*` variables ask.
//!
//! Without an endpoint nothing of this runs. With one, traces are made of what the store
//! holds (`traces`, `spans`, `runs`), log records of log lines (`logs`); both go through the
//! masker of secrets (`clean`) into a bounded queue and out as OTLP over HTTP (`export`).
//! Nothing here may delay or fail a run: what cannot be sent is dropped and counted.

mod clean;
mod export;
mod logs;
mod runs;
mod settings;
mod signal;
mod spans;
mod traces;

use conche_engine::Engine;
use conche_runtime::secrets::Masker;
use conche_runtime::supervisor::{Stage, Stop, Tasks};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

use self::clean::Clean;
use self::export::{Counters, Outlet, Way, queue};
pub(crate) use self::logs::LogLayer;
use self::settings::{Settings, Target};
use self::signal::Signal;
use crate::failure::Failure;

/// Headers with such a word in their names are taken to hold credentials.
const CREDENTIALS: [&str; 5] = ["auth", "key", "pass", "secret", "token"];

/// What is exported. Gathers from the start on, sends once it is started.
pub(crate) struct Telemetry {
    registry: Registry,
    clean: Clean,
    missed: IntCounter,
    traces: Option<Way<Span>>,
    logs: Option<Outlet<LogRecord>>,
}

impl Telemetry {
    /// What the environment asks for, and the layer that gathers log lines where it asks for
    /// those. Credentials in headers are secrets from here on.
    pub(crate) fn from_environment(masker: Masker) -> Result<(Self, Option<LogLayer>), Failure> {
        let settings =
            Settings::from_environment().map_err(|error| Failure::Usage(error.to_string()))?;
        Self::new(settings, masker)
    }

    /// Traces and logs to this endpoint by plain defaults, whatever the environment asks for.
    pub(crate) fn to(endpoint: &str) -> Result<(Self, Option<LogLayer>), Failure> {
        let settings = Settings::to(endpoint).map_err(|error| Failure::Usage(error.to_string()))?;
        Self::new(settings, Masker::default())
    }

    fn new(settings: Settings, masker: Masker) -> Result<(Self, Option<LogLayer>), Failure> {
        for target in settings.traces.iter().chain(&settings.logs) {
            learn(&masker, target);
        }
        let clean = Clean::new(masker);
        let attributes = settings.resource.iter();
        let resource = Resource {
            attributes: attributes
                .map(|(key, value)| clean.attribute(key, value))
                .collect(),
            ..Resource::default()
        };
        let (registry, counts) = (Registry::new(), Counts::new());
        if settings.traces.is_some() || settings.logs.is_some() {
            counts.register(&registry);
        }
        let traces = open(settings.traces, &resource, &counts)?;
        let logs = open(settings.logs, &resource, &counts)?;
        let (inlet, outlet) = logs.unzip();
        let layer = inlet.map(|inlet| LogLayer::new(inlet, clean.clone()));
        let telemetry = Self {
            registry,
            clean,
            missed: counts.missed,
            traces,
            logs: outlet,
        };
        Ok((telemetry, layer))
    }

    /// What is counted here; nothing where nothing is exported.
    pub(crate) fn registry(&self) -> Registry {
        self.registry.clone()
    }

    /// Sends from now on. It stops with the store, which the last runs are read from.
    pub(crate) fn start(self, engine: &Engine, tasks: &Tasks) {
        let stage = Stage::Store;
        let stop = tasks.stop(stage);
        if let Some(outlet) = self.logs {
            tasks.detach("log export", stage, outlet.run(stop.clone()));
        }
        let Some((inlet, outlet)) = self.traces else {
            return;
        };
        let follower = traces::Follower {
            store: engine.store().clone(),
            clean: self.clean,
            inlet,
            missed: self.missed,
            told: traces::Told::default(),
        };
        let (tail, done) = (engine.tail(), Stop::new());
        tasks.detach("trace export", stage, async move {
            let following = async {
                follower.follow(tail, stop).await;
                done.request();
            };
            tokio::join!(following, outlet.run(done.clone()));
        });
    }
}

/// Has the masker know the values of headers that seem to be credentials. Others, such as
/// a tenant's name, may be ordinary words.
fn learn(masker: &Masker, target: &Target) {
    for (name, value) in &target.headers {
        let is_credential = CREDENTIALS.iter().any(|word| name.as_str().contains(word));
        if let (true, Ok(value)) = (is_credential, value.to_str()) {
            masker.learn(name.as_str(), &value.into());
        }
    }
}

fn open<S: Signal>(
    target: Option<Target>,
    resource: &Resource,
    counts: &Counts,
) -> Result<Option<Way<S>>, Failure> {
    let Some(target) = target else {
        return Ok(None);
    };
    queue(target, resource.clone(), counts.of(S::NAME))
        .map(Some)
        .map_err(|error| Failure::of("telemetry", error))
}

/// What is counted of the export itself.
struct Counts {
    exported: IntCounterVec,
    dropped: IntCounterVec,
    missed: IntCounter,
}

impl Counts {
    fn new() -> Self {
        let formed = "the names below are well-formed";
        let vec = |name, help| IntCounterVec::new(Opts::new(name, help), &["signal"]);
        Self {
            exported: vec(
                "conche_telemetry_exported_total",
                "Spans and log records that a collector took.",
            )
            .expect(formed),
            dropped: vec(
                "conche_telemetry_dropped_total",
                "Spans and log records that could not be exported.",
            )
            .expect(formed),
            missed: IntCounter::new(
                "conche_telemetry_missed_total",
                "Changes to runs that came too fast to be traced.",
            )
            .expect(formed),
        }
    }

    fn of(&self, signal: &str) -> Counters {
        Counters {
            exported: self.exported.with_label_values(&[signal]),
            dropped: self.dropped.with_label_values(&[signal]),
        }
    }

    fn register(&self, registry: &Registry) {
        let unique = "the names above are unique";
        registry
            .register(Box::new(self.exported.clone()))
            .expect(unique);
        registry
            .register(Box::new(self.dropped.clone()))
            .expect(unique);
        registry
            .register(Box::new(self.missed.clone()))
            .expect(unique);
    }
}
