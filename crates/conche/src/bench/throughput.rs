//! D1: small events through script → action → script → action, durable, against CSF's model.
//!
//! CSF itself is Go and not at hand on every machine; what is measured is what it does for
//! each event: a new virtual machine and a compilation for each script, in process, nothing
//! recorded. It is given QuickJS, which runs such a script in less than half the time of the
//! engine that CSF has, so the ratio errs in CSF's favour.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use conche_script::bench::Bare;
use tokio::task::JoinSet;

use super::cpu::Shares;
use super::report::{Row, Words};
use super::stand::{DECIDE, Stand, THEN, small_event};
use super::statistics::{Goal, Rate, figure};
use super::{Bench, Benchmark, Error};

pub(crate) static BENCHMARK: Benchmark = Benchmark {
    ids: &["D1"],
    summary: "runs through two scripts and two actions",
    limit: Duration::from_secs(90),
    run: |bench| Box::pin(run(bench)),
};

async fn run(bench: &mut Bench) -> Result<Vec<Row>, Error> {
    let stand = Stand::start(&bench.folder("throughput")).await?;
    stand.saturate(bench.window() / 2).await?;
    let windows = bench
        .interleave(
            async |window| stand.saturate(window).await,
            async |window| csf(window).await,
        )
        .await?;
    stand.stop().await?;
    let ours = windows
        .of_a(|(rate, _)| rate.done_per_second())
        .map_or(0.0, |spread| spread.median);
    let commits = windows
        .of_a(|(rate, _)| rate.commits_per_second())
        .map_or(0.0, |spread| spread.median);
    let old = windows
        .of_b(|(rate, _)| rate.done_per_second())
        .map_or(0.0, |spread| spread.median);
    let ratio = windows.ratios(|(rate, _)| rate.done_per_second());
    let shares = windows
        .a
        .last()
        .map(|(_, shares)| shares.clone())
        .unwrap_or_default();
    let goals = [
        Goal::at_least(5000.0, "events/s", ours),
        Goal::at_least(
            3.0,
            "× CSF's model",
            ratio.map_or(f64::NAN, |ratio| ratio.median),
        ),
    ];
    let words = Words {
        id: "D1",
        what: "event → script → action → script → action, run finished",
        a: format!(
            "durable: {} events/s, {} commits/s",
            figure(ours),
            figure(commits)
        ),
        b: format!(
            "CSF's model on QuickJS, nothing durable: {} events/s",
            figure(old)
        ),
        bound: shares.bound(ours),
    };
    Ok(vec![bench.row(words, ratio, &goals)])
}

/// CSF's model on every core.
async fn csf(window: Duration) -> Result<(Rate, Shares), Error> {
    let (done, stopped) = (
        Arc::new(AtomicU64::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let start = Instant::now();
    let mut workers = JoinSet::new();
    for _ in 0..cores {
        let (done, stopped) = (done.clone(), stopped.clone());
        workers.spawn_blocking(move || {
            let mut n = 0;
            while !stopped.load(Ordering::Relaxed) {
                let event = small_event(n);
                for script in [DECIDE, THEN] {
                    Bare::once(script, &event).map_err(|cause| Error::of("a script", cause))?;
                }
                done.fetch_add(1, Ordering::Relaxed);
                n = n.wrapping_add(1);
            }
            Ok(())
        });
    }
    tokio::time::sleep(window).await;
    let rate = Rate {
        done: done.load(Ordering::Relaxed),
        commits: 0,
        seconds: start.elapsed().as_secs_f64(),
    };
    stopped.store(true, Ordering::Relaxed);
    while let Some(worker) = workers.join_next().await {
        worker.map_err(|cause| Error::of("a script thread", cause))??;
    }
    Ok((rate, Shares::default()))
}
