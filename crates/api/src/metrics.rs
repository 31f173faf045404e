//! Gauges that are read when they are asked for: what the engine holds, how many runs have
//! each status, and what the process uses.

use conche_core::run::Status;
use conche_runtime::process::Process;
use prometheus::{IntGauge, IntGaugeVec, Opts, Registry, TextEncoder};

use crate::Api;
use crate::problem::Problem;

/// See the module.
pub(crate) struct Gauges {
    registry: Registry,
    held: IntGauge,
    held_max: IntGauge,
    waiting: IntGauge,
    in_line: IntGauge,
    runs: IntGaugeVec,
    tasks: IntGauge,
    resident: IntGauge,
    threads: IntGauge,
    files: IntGauge,
}

impl Gauges {
    /// Names are constants of this file, so a clash or a bad name is a defect that the first
    /// test meets.
    pub(crate) fn new() -> Self {
        let registry = Registry::new();
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::new(name, help).expect("the metric's name is well-formed");
            let made = registry.register(Box::new(gauge.clone()));
            made.expect("the metric's name is unique");
            gauge
        };
        let runs = Opts::new("conche_runs", "Stored runs by status.");
        let runs = IntGaugeVec::new(runs, &["status"]).expect("the metric's name is well-formed");
        let made = registry.register(Box::new(runs.clone()));
        made.expect("the metric's name is unique");
        Self {
            held: gauge("conche_runs_held", "Runs that this node works on."),
            held_max: gauge("conche_runs_held_max", "Runs that it may work on at once."),
            waiting: gauge(
                "conche_runs_waiting",
                "Accepted runs that wait for this node.",
            ),
            in_line: gauge(
                "conche_runs_in_line",
                "Runs that wait for their turn, a place at a target or the end of a stop.",
            ),
            tasks: gauge("conche_tasks", "Tasks alive."),
            resident: gauge("process_resident_memory_bytes", "Memory in use."),
            threads: gauge("process_threads", "Threads."),
            files: gauge("process_open_fds", "Open file descriptors."),
            runs,
            registry,
        }
    }

    async fn read(&self, api: &Api) {
        let set = |gauge: &IntGauge, value: usize| gauge.set(i64::try_from(value).unwrap_or(-1));
        let (held, held_max) = api.engine.held();
        set(&self.held, held);
        set(&self.held_max, held_max);
        set(&self.waiting, api.engine.waiting());
        set(&self.in_line, api.engine.in_line());
        set(&self.tasks, api.tasks.alive());
        // A store that cannot be read is told by `/readyz`; the other metrics are still wanted.
        match api.engine.store().counts().await {
            Ok(counts) => {
                for status in Status::ALL {
                    let count = counts.get(&status).copied().unwrap_or(0);
                    let gauge = self.runs.with_label_values(&[status.as_str()]);
                    gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
                }
            }
            Err(error) => {
                tracing::warn!(%error, "runs are not counted");
                self.runs.reset();
            }
        }
        if let Some(process) = Process::read() {
            set(&self.resident, process.resident_bytes);
            set(&self.threads, process.threads);
            set(&self.files, process.files);
        }
    }
}

/// Every metric in Prometheus' text format.
pub(crate) async fn text(api: &Api) -> Result<String, Problem> {
    api.gauges.read(api).await;
    let mut families = api.engine.metrics().registry().gather();
    families.extend(api.gauges.registry.gather());
    families.extend(api.metrics.iter().flat_map(Registry::gather));
    TextEncoder::new()
        .encode_to_string(&families)
        .map_err(|error| {
            tracing::error!(%error, "metrics cannot be written");
            Problem::new(&crate::codes::INTERNAL, "the metrics cannot be written")
        })
}
