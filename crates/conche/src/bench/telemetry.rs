//! T1: what sending traces and logs to a collector takes from the engine under full load.
//!
//! The collector runs in this process and throws away what it is sent, so its share of the
//! processors is charged to the export; a real one on the same machine takes more.

use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;

use super::cpu::Shares;
use super::report::{Row, Words};
use super::stand::Stand;
use super::statistics::{Goal, Rate, figure, median};
use super::{Bench, Benchmark, Error};
use crate::telemetry::Telemetry;

pub(crate) static BENCHMARK: Benchmark = Benchmark {
    ids: &["T1"],
    summary: "traces and logs to a collector",
    limit: Duration::from_secs(90),
    run: |bench| Box::pin(run(bench)),
};

async fn run(bench: &mut Bench) -> Result<Vec<Row>, Error> {
    let plain = Stand::start(&bench.folder("plain")).await?;
    let traced = Stand::start(&bench.folder("traced")).await?;
    let sink = Router::new().fallback(async |_batch: Bytes| StatusCode::OK);
    let address = plain.listen(sink).await?;
    let (telemetry, logs) = Telemetry::to(&format!("http://{address}"))
        .map_err(|cause| Error::of("telemetry", cause))?;
    // This process has a log of its own already; traces are what comes with every run.
    drop(logs);
    let counts = telemetry.registry();
    traced.trace(telemetry);
    for stand in [&plain, &traced] {
        stand.saturate(bench.window() / 2).await?;
    }
    let windows = bench
        .interleave(
            async |window| traced.saturate(window).await,
            async |window| plain.saturate(window).await,
        )
        .await?;
    let count = |name: &str| counted(&counts, name);
    let (sent, dropped, missed) = (
        count("conche_telemetry_exported_total"),
        count("conche_telemetry_dropped_total"),
        count("conche_telemetry_missed_total"),
    );
    traced.stop().await?;
    plain.stop().await?;
    let rate = |(rate, _): &(Rate, Shares)| rate.done_per_second();
    let ratio = windows.ratios(rate);
    let goals = [Goal::at_least(0.8, "×", median(ratio))];
    let words = Words {
        id: "T1",
        what: "runs (script → action → script → action, durable) with traces sent to a collector vs without",
        a: format!("sent: {} runs/s", figure(median(windows.of_a(rate)))),
        b: format!("not: {} runs/s", figure(median(windows.of_b(rate)))),
        bound: format!(
            "{} spans were taken by the collector, {} dropped before it; {} changes to runs came too fast to be traced",
            figure(sent),
            figure(dropped),
            figure(missed)
        ),
    };
    Ok(vec![bench.row(words, ratio, &goals)])
}

/// The sum of a counter over its labels.
fn counted(registry: &prometheus::Registry, name: &str) -> f64 {
    let families = registry.gather();
    let of_name = families.iter().filter(|family| family.name() == name);
    of_name
        .flat_map(prometheus::proto::MetricFamily::get_metric)
        .map(|metric| metric.get_counter().get_value())
        .sum()
}
