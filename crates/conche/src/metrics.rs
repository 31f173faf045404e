//! What the store and the script workers count, beside what the engine counts, and the
//! listener that shows it all to scrapers.

use std::sync::Arc;

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use conche_engine::{Engine, SandboxEvaluator};
use conche_runtime::process::Process;
use conche_runtime::supervisor::Tasks;
use conche_store::sqlite::SqliteStore;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use prometheus::core::{Collector, Desc};
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::MetricFamily;
use prometheus::{IntCounter, IntGauge, Registry, TEXT_FORMAT, TextEncoder};

/// Registries beside the engine's own.
pub(crate) struct Registries(Vec<Registry>);

impl Registries {
    /// Watches a store and the script workers.
    pub(crate) fn new(
        store: Arc<SqliteStore>,
        evaluator: Arc<SandboxEvaluator>,
        tasks: &Tasks,
    ) -> Self {
        let registry = Registry::new();
        let mut collectors: Vec<Box<dyn Collector>> = vec![
            Box::new(store_counts(store)),
            Box::new(script_counts(evaluator)),
            Box::new(csf_gauges(tasks.clone())),
        ];
        // `process_*`, as every Prometheus client has them.
        collectors.push(Box::new(ProcessCollector::for_self()));
        for collector in collectors {
            registry
                .register(collector)
                .expect("the names below are well-formed and unique");
        }
        Self(vec![registry])
    }

    /// One more.
    pub(crate) fn add(&mut self, registry: Registry) {
        self.0.push(registry);
    }

    /// The registries themselves.
    pub(crate) fn into_inner(self) -> Vec<Registry> {
        self.0
    }

    /// `/metrics` for a listener that has nothing else.
    pub(crate) fn router(&self, engine: &Engine) -> Router {
        let mut registries = self.0.clone();
        registries.push(engine.metrics().registry().clone());
        Router::new().route("/metrics", get(async move || answer(&registries)))
    }
}

fn answer(registries: &[Registry]) -> Response {
    let families: Vec<MetricFamily> = registries.iter().flat_map(Registry::gather).collect();
    match TextEncoder::new().encode_to_string(&families) {
        Ok(text) => ([(CONTENT_TYPE, TEXT_FORMAT)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// Numbers that another part counts, read when they are asked for.
struct Counts {
    counters: Vec<IntCounter>,
    gauges: Vec<IntGauge>,
    read: Box<dyn Fn() -> Values + Send + Sync>,
}

/// The values of the counters and of the gauges, in their order.
struct Values {
    counters: Vec<u64>,
    gauges: Vec<usize>,
}

impl Counts {
    fn new(
        counters: &[(&str, &str)],
        gauges: &[(&str, &str)],
        read: impl Fn() -> Values + Send + Sync + 'static,
    ) -> Self {
        let formed = "the names below are well-formed";
        Self {
            counters: counters
                .iter()
                .map(|(name, help)| IntCounter::new(*name, *help).expect(formed))
                .collect(),
            gauges: gauges
                .iter()
                .map(|(name, help)| IntGauge::new(*name, *help).expect(formed))
                .collect(),
            read: Box::new(read),
        }
    }
}

impl Collector for Counts {
    fn desc(&self) -> Vec<&Desc> {
        let counters = self.counters.iter().flat_map(Collector::desc);
        counters
            .chain(self.gauges.iter().flat_map(Collector::desc))
            .collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let values = (self.read)();
        for (counter, value) in self.counters.iter().zip(values.counters) {
            counter.inc_by(value.saturating_sub(counter.get()));
        }
        for (gauge, value) in self.gauges.iter().zip(values.gauges) {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        }
        let counters = self.counters.iter().flat_map(Collector::collect);
        counters
            .chain(self.gauges.iter().flat_map(Collector::collect))
            .collect()
    }
}

fn store_counts(store: Arc<SqliteStore>) -> Counts {
    Counts::new(
        &[
            (
                "conche_store_commits_total",
                "Commits, each with one fsync.",
            ),
            (
                "conche_store_requests_total",
                "Requests that commits carried.",
            ),
            (
                "conche_store_rows_total",
                "Rows inserted, changed and removed.",
            ),
            (
                "conche_store_checkpoints_total",
                "Checkpoints that moved something.",
            ),
        ],
        &[
            ("conche_store_wal_bytes", "Bytes of the write-ahead log."),
            (
                "conche_store_poisoned",
                "1 where nothing is acknowledged any more.",
            ),
            (
                "conche_store_damaged",
                "1 where the check after an unclean end found damage.",
            ),
        ],
        move || {
            let stats = store.stats();
            Values {
                counters: vec![stats.commits, stats.requests, stats.rows, stats.checkpoints],
                gauges: vec![
                    usize::try_from(stats.wal_bytes).unwrap_or(usize::MAX),
                    usize::from(stats.poisoned.is_some()),
                    usize::from(stats.damage.is_some()),
                ],
            }
        },
    )
}

/// CSF's two gauges, by its names: what comes nearest here to goroutines and to Go's heap.
fn csf_gauges(tasks: Tasks) -> Counts {
    Counts::new(
        &[],
        &[
            (
                "runtime_csf_goroutines_count",
                "Tasks of the server that are alive.",
            ),
            (
                "runtime_csf_mem_allocated_mb",
                "MiB of memory that the server has resident.",
            ),
        ],
        move || Values {
            counters: Vec::new(),
            gauges: vec![tasks.alive(), resident_mib().unwrap_or_default()],
        },
    )
}

fn resident_mib() -> Option<usize> {
    Some(Process::read()?.resident_bytes >> 20)
}

fn script_counts(evaluator: Arc<SandboxEvaluator>) -> Counts {
    Counts::new(
        &[
            (
                "conche_script_calls_total",
                "Script calls that a worker answered.",
            ),
            (
                "conche_script_workers_lost_total",
                "Workers lost to a script.",
            ),
            ("conche_script_workers_started_total", "Workers started."),
        ],
        &[
            (
                "conche_script_calls_waiting",
                "Script calls that wait for a worker.",
            ),
            ("conche_script_workers_busy", "Workers that run a call."),
            (
                "conche_scripts_quarantined",
                "Scripts that are not run for now.",
            ),
        ],
        move || {
            let sandbox = evaluator.sandbox();
            let stats = sandbox.stats();
            Values {
                counters: vec![stats.calls, stats.lost, stats.started],
                gauges: vec![stats.waiting, stats.busy, sandbox.quarantined().len()],
            }
        },
    )
}
