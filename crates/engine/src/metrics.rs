//! What the engine counts, in base units, with bounded labels.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use conche_store::Expired;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry,
};

use crate::csf_metrics::CsfMetrics;

/// Counters and histograms of one engine.
pub struct Metrics {
    registry: Registry,
    events: IntCounterVec,
    refused: IntCounterVec,
    labels: Mutex<HashSet<String>>,
    pub(crate) runs_started: IntCounter,
    pub(crate) runs_finished: IntCounterVec,
    pub(crate) run_seconds: Histogram,
    pub(crate) actions: IntCounterVec,
    pub(crate) action_seconds: HistogramVec,
    pub(crate) script_seconds: Histogram,
    pub(crate) filter_faults: IntCounter,
    suppressed: IntCounterVec,
    uncontrolled: IntCounterVec,
    pub(crate) quarantined: IntCounter,
    expired: IntCounterVec,
    connected: IntGaugeVec,
    pub(crate) csf: CsfMetrics,
}

/// Sources and reactions with a label of their own.
const LABELS_MAX: usize = 1000;

/// From a tenth of a millisecond to a minute.
const SECONDS: [f64; 12] = [
    0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 10.0, 60.0,
];

impl Metrics {
    pub(crate) fn new() -> Self {
        let make = Maker(Registry::new());
        Self {
            events: make.counters(
                "conche_events_total",
                "Events handed in by source and whether they were accepted before.",
                &["source", "duplicate"],
            ),
            refused: make.counters(
                "conche_events_refused_total",
                "Deliveries refused by source and reason.",
                &["source", "reason"],
            ),
            runs_started: make.counter("conche_runs_started_total", "Runs started."),
            runs_finished: make.counters(
                "conche_runs_finished_total",
                "Runs finished by status.",
                &["status"],
            ),
            run_seconds: make.histogram("conche_run_seconds", "Time from start to end of a run."),
            actions: make.counters(
                "conche_actions_total",
                "Attempts at actions by outcome.",
                &["module", "action", "outcome"],
            ),
            action_seconds: make.histograms(
                "conche_action_seconds",
                "Time of attempts at actions.",
                &["module", "action"],
            ),
            script_seconds: make.histogram(
                "conche_script_seconds",
                "Time of script calls, waiting for a worker included.",
            ),
            filter_faults: make
                .counter("conche_filter_faults_total", "Filters that gave no answer."),
            suppressed: make.counters(
                "conche_suppressed_total",
                "Events that started no run of their own, by reaction and control.",
                &["reaction", "by"],
            ),
            uncontrolled: make.counters(
                "conche_uncontrolled_total",
                "Events that ran without storm control, since a reaction had too many keys.",
                &["reaction", "by"],
            ),
            quarantined: make.counter(
                "conche_runs_put_aside_total",
                "Runs whose record could not be read.",
            ),
            expired: make.counters(
                "conche_expired_total",
                "Rows removed by retention.",
                &["kind"],
            ),
            connected: make.gauges(
                "conche_source_connected",
                "1 where a source reaches what it reads from, else 0.",
                &["source"],
            ),
            labels: Mutex::default(),
            csf: CsfMetrics::new(&make.0),
            registry: make.0,
        }
    }

    /// The registry to gather from.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    pub(crate) fn count_event(&self, source: &str, duplicate: bool) {
        let duplicate = if duplicate { "true" } else { "false" };
        self.events
            .with_label_values(&[self.label(source), duplicate])
            .inc();
    }

    pub(crate) fn count_refusal(&self, source: &str, reason: &str) {
        self.refused
            .with_label_values(&[self.label(source), reason])
            .inc();
    }

    pub(crate) fn source_connected(&self, source: &str, is_connected: bool) {
        self.connected
            .with_label_values(&[self.label(source)])
            .set(i64::from(is_connected));
    }

    pub(crate) fn count_suppressed(&self, reaction: &str, by: &str) {
        self.suppressed
            .with_label_values(&[self.label(reaction), by])
            .inc();
    }

    pub(crate) fn count_uncontrolled(&self, reaction: &str, by: &str) {
        self.uncontrolled
            .with_label_values(&[self.label(reaction), by])
            .inc();
    }

    /// The source or reaction as a label. Senders of the API name sources as they like, so that there is
    /// an end to the labels.
    fn label<'a>(&self, source: &'a str) -> &'a str {
        let mut labels = self.labels.lock().unwrap_or_else(PoisonError::into_inner);
        if labels.contains(source) {
            return source;
        }
        if labels.len() >= LABELS_MAX {
            return "other";
        }
        labels.insert(source.to_owned());
        source
    }

    pub(crate) fn expired(&self, expired: &Expired) {
        for (kind, count) in [
            ("event", expired.events),
            ("run", expired.runs),
            ("dedup", expired.dedup),
            ("definition", expired.definitions),
            ("ended", expired.ended),
        ] {
            self.expired.with_label_values(&[kind]).inc_by(count);
        }
    }
}

/// Makes and registers metrics. Names are constants of this file, so a clash or a bad name is
/// a defect that the first test meets.
struct Maker(Registry);

impl Maker {
    fn register<C: prometheus::core::Collector + Clone + 'static>(
        &self,
        made: prometheus::Result<C>,
    ) -> C {
        let collector = made.expect("the metric's name and labels are well-formed");
        self.0
            .register(Box::new(collector.clone()))
            .expect("the metric's name is unique");
        collector
    }

    fn counter(&self, name: &str, help: &str) -> IntCounter {
        self.register(IntCounter::new(name, help))
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.register(IntCounterVec::new(Opts::new(name, help), labels))
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        self.register(IntGaugeVec::new(Opts::new(name, help), labels))
    }

    fn histogram(&self, name: &str, help: &str) -> Histogram {
        self.register(Histogram::with_opts(
            HistogramOpts::new(name, help).buckets(SECONDS.to_vec()),
        ))
    }

    fn histograms(&self, name: &str, help: &str, labels: &[&str]) -> HistogramVec {
        self.register(HistogramVec::new(
            HistogramOpts::new(name, help).buckets(SECONDS.to_vec()),
            labels,
        ))
    }
}
