//! B16: what a well-behaved script notices of a hostile one.
//!
//! The hostile script hangs where no interpreter can stop it, so that each call costs a
//! worker its life. Its source differs each time: otherwise quarantine would end it after
//! three calls and nothing were left to measure.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use conche_script::bench::{EVENT, SCRIPT};
use conche_script::{Isolation, Sandbox};
use tokio::task::JoinSet;

use super::pace::Pace;
use super::report::{Row, Words};
use super::script::evaluation;
use super::statistics::{Goal, Latencies, figure};
use super::{Bench, Benchmark, Error, stand};

pub(crate) static BENCHMARK: Benchmark = Benchmark {
    ids: &["B16"],
    summary: "a hostile script beside a good one",
    limit: Duration::from_mins(1),
    run: |bench| Box::pin(run(bench)),
};

/// Calls of the good script a second.
const RATE: f64 = 200.0;

async fn run(bench: &mut Bench) -> Result<Vec<Row>, Error> {
    let sandbox = Arc::new(stand::sandbox().await?);
    let killed = AtomicU64::new(0);
    let windows = bench
        .interleave(
            async |window| {
                let stopped = AtomicBool::new(false);
                let calls = async {
                    let calls = good(&sandbox, window).await;
                    stopped.store(true, Ordering::Relaxed);
                    calls
                };
                let (calls, cost) = tokio::try_join!(calls, hang(&sandbox, &stopped))?;
                killed.fetch_add(cost, Ordering::Relaxed);
                Ok(calls)
            },
            async |window| good(&sandbox, window).await,
        )
        .await?;
    let ratio = windows.ratios(|calls| calls.ms(0.99));
    let goals = [Goal::at_most(
        2.0,
        "×",
        ratio.map_or(f64::NAN, |ratio| ratio.median),
    )];
    let words = |window: Option<&Latencies>| {
        window.map_or_else(String::new, |calls| {
            format!(
                "p50 {} ms, p99 {} ms",
                figure(calls.ms(0.5)),
                figure(calls.ms(0.99))
            )
        })
    };
    let row = Words {
        id: "B16",
        what: "p99 of a script called 200 times a second, with a hostile script beside it vs without",
        a: format!("beside: {}", words(windows.a.last())),
        b: format!("without: {}", words(windows.b.last())),
        bound: format!(
            "{} workers were killed and replaced meanwhile; p50 beside is {} × that without",
            killed.load(Ordering::Relaxed),
            figure(
                windows
                    .ratios(|calls| calls.ms(0.5))
                    .map_or(f64::NAN, |ratio| ratio.median)
            )
        ),
    };
    Ok(vec![bench.row(row, ratio, &goals)])
}

/// Calls the good script at an even pace, whatever became of the calls before.
async fn good(sandbox: &Arc<Sandbox>, window: Duration) -> Result<Latencies, Error> {
    let call = evaluation("good", SCRIPT, EVENT, Isolation::Warm)?;
    let (mut pace, mut calls) = (Pace::start(RATE, window)?, JoinSet::new());
    while let Some((_n, intended)) = pace.next().await {
        let (sandbox, call) = (sandbox.clone(), call.clone());
        calls.spawn(async move {
            let evaluated = sandbox.evaluate(call).await;
            evaluated
                .map(|_| intended.elapsed())
                .map_err(|cause| Error::of("the good script", cause))
        });
    }
    pace.end()?;
    let mut latencies = Latencies::new();
    while let Some(call) = calls.join_next().await {
        latencies.record(call.map_err(|cause| Error::of("a call", cause))??);
    }
    Ok(latencies)
}

/// Calls hostile scripts one after another; how many workers that cost.
async fn hang(sandbox: &Sandbox, stopped: &AtomicBool) -> Result<u64, Error> {
    let mut killed = 0;
    while !stopped.load(Ordering::Relaxed) {
        // Unlike any before, also those of earlier windows.
        let source = format!(
            "/* {:?} */ var big = 'x'.repeat(5e6); for (;;) big.indexOf('y')",
            Instant::now()
        );
        let call = evaluation("hostile", &source, "{}", Isolation::Warm)?;
        if sandbox.evaluate(call).await.is_ok() {
            return Err(Error::of("the hostile script", "it came back"));
        }
        killed += 1;
    }
    Ok(killed)
}
