//! P1: a thousand runs of a playbook at once, each making requests to loopback, every step
//! durable: that all succeed, how many a second, how long one takes, and what memory it needs.
//! Beside it the same playbook run one after another, which is what the crowd is worth.

use std::sync::Arc;
use std::time::{Duration, Instant};

use conche_core::run::Status;
use conche_store::sqlite::SqliteConfig;
use tokio::task::JoinSet;

use super::chain::{self, Link};
use super::child;
use super::cpu::{Cpu, Shares};
use super::report::{Row, Words};
use super::runs::Runs;
use super::stand::Stand;
use super::statistics::{Latencies, Rate, figure, median};
use super::{Bench, Benchmark, Error};

pub(crate) static BENCHMARK: Benchmark = Benchmark {
    ids: &["P1"],
    summary: "a thousand playbooks at once",
    limit: Duration::from_mins(3),
    run: |bench| Box::pin(run(bench)),
};

/// Runs at once; a tenth of them with `--quick`.
const RUNS: u64 = 1000;
/// Requests of a run.
const REQUESTS: usize = 5;

/// What a window gave.
struct Window {
    rate: Rate,
    times: Latencies,
    shares: Shares,
}

async fn run(bench: &mut Bench) -> Result<Vec<Row>, Error> {
    let count = if bench.quick { RUNS / 10 } else { RUNS };
    let egress = chain::egress()?;
    let config = SqliteConfig::new(bench.folder("crowd"));
    let stand = Stand::with(config, chain::http_api(&egress)?).await?;
    let address = stand.listen(chain::service()).await?;
    let program = chain::program(&Link::request(address), REQUESTS)?;
    let crowd = Runs::of(&stand, program);
    let windows = bench
        .interleave(
            async |_window| at_once(&stand, &crowd, count).await,
            async |window| one_by_one(&stand, &crowd, window).await,
        )
        .await?;
    let peak = child::peak()?;
    drop(crowd);
    stand.stop().await?;
    let mut times = Latencies::new();
    windows.a.iter().for_each(|window| times.add(&window.times));
    let alone = |share: f64| windows.of_b(|window| window.times.ms(share));
    let a_second = |window: &Window| window.rate.done_per_second();
    let (runs, one) = (
        median(windows.of_a(a_second)),
        median(windows.of_b(a_second)),
    );
    let words = Words {
        id: "P1",
        what: "runs of a playbook with 5 requests to loopback, durable, all succeeded: at once vs one after another",
        a: format!(
            "{} at once: {} runs/s, {} steps/s; a run p50 {} ms, p99 {} ms; at most {} MB resident",
            figure(count as f64),
            figure(runs),
            figure(runs * REQUESTS as f64),
            figure(times.ms(0.5)),
            figure(times.ms(0.99)),
            figure(peak / 1e6)
        ),
        b: format!(
            "one by one: {} runs/s; a run p50 {} ms, p99 {} ms",
            figure(one),
            figure(median(alone(0.5))),
            figure(median(alone(0.99)))
        ),
        bound: windows.a.last().map_or_else(String::new, |window| {
            format!(
                "{}; the service that answers is part of the engine's share",
                window.shares.bound(window.rate.done_per_second())
            )
        }),
    };
    Ok(vec![bench.row(words, windows.ratios(a_second), &[])])
}

/// Starts all at once and waits until every one has succeeded.
async fn at_once(stand: &Stand, crowd: &Arc<Runs>, count: u64) -> Result<Window, Error> {
    let (start, commits, cpu) = (Instant::now(), stand.store.stats().commits, Cpu::now());
    let mut runs = JoinSet::new();
    for _ in 0..count {
        let crowd = crowd.clone();
        runs.spawn(async move { one(&crowd).await });
    }
    let mut times = Latencies::new();
    while let Some(done) = runs.join_next().await {
        times.record(done.map_err(|cause| Error::of("a run", cause))??);
    }
    Ok(window(stand, times, (start, commits, &cpu)))
}

/// Runs it again and again for a window.
async fn one_by_one(stand: &Stand, crowd: &Runs, length: Duration) -> Result<Window, Error> {
    let (start, commits, cpu) = (Instant::now(), stand.store.stats().commits, Cpu::now());
    let mut times = Latencies::new();
    while times.len() == 0 || start.elapsed() < length {
        times.record(one(crowd).await?);
    }
    Ok(window(stand, times, (start, commits, &cpu)))
}

fn window(stand: &Stand, times: Latencies, (start, commits, cpu): (Instant, u64, &Cpu)) -> Window {
    let rate = Rate {
        done: times.len(),
        commits: stand.store.stats().commits - commits,
        seconds: start.elapsed().as_secs_f64(),
    };
    Window {
        rate,
        times,
        shares: cpu.since(),
    }
}

/// From the call that starts a run to its end.
async fn one(crowd: &Runs) -> Result<Duration, Error> {
    let start = Instant::now();
    crowd.one(Status::Succeeded).await?;
    Ok(start.elapsed())
}
