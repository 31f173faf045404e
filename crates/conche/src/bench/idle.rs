//! B13: what a server takes while nothing happens but a thousand runs waiting for their time.

use std::path::Path;
use std::time::{Duration, Instant};

use conche_store::sqlite::SqliteConfig;

use super::child::Server;
use super::report::{Row, Words};
use super::stand::Stand;
use super::statistics::{Goal, figure, median};
use super::{Bench, Benchmark, Error, cpu, waiting};

pub(crate) static BENCHMARK: Benchmark = Benchmark {
    ids: &["B13"],
    summary: "a server that waits",
    limit: Duration::from_mins(3),
    run: |bench| Box::pin(run(bench)),
};

/// Runs that wait for a retry an hour away.
const TIMERS: u32 = 1000;
/// A window is so many times as long as others: what is measured is little.
const LONGER: u32 = 2;
/// A server is idle after this time.
const SETTLE: Duration = Duration::from_secs(3);
/// Seconds an hour.
const HOUR: f64 = 3600.0;

async fn run(bench: &mut Bench) -> Result<Vec<Row>, Error> {
    let (waiting, empty) = (bench.folder("timers"), bench.folder("no-timers"));
    let stand = Stand::over(SqliteConfig::new(&waiting)).await?;
    waiting::wait(&stand, TIMERS).await?;
    stand.stop().await?;
    let (with, without) = (start(&waiting).await?, start(&empty).await?);
    tokio::time::sleep(SETTLE).await;
    let windows = bench
        .interleave(
            async |window| share(&with, window * LONGER).await,
            async |window| share(&without, window * LONGER).await,
        )
        .await?;
    with.stop().await?;
    without.stop().await?;
    let percent = |share: &f64| share * 100.0;
    let (a, b) = (median(windows.of_a(percent)), median(windows.of_b(percent)));
    let goals = [Goal::at_most(0.5, "% of a core", a)];
    let words = |percent: f64| {
        format!(
            "{} % of a core, {} s an hour",
            figure(percent),
            figure(percent / 100.0 * HOUR)
        )
    };
    let row = Words {
        id: "B13",
        what: "processor time of a server that only waits, script workers included",
        a: format!("{TIMERS} timers: {}", words(a)),
        b: format!("none: {}", words(b)),
        bound: format!(
            "measured over {} s of each",
            figure(bench.window().as_secs_f64() * f64::from(LONGER) * windows.a.len() as f64)
        ),
    };
    Ok(vec![bench.row(row, windows.ratios(|share| *share), &goals)])
}

async fn start(folder: &Path) -> Result<Server, Error> {
    Server::start(folder).await
}

/// The share of one core that a server uses.
async fn share(server: &Server, window: Duration) -> Result<f64, Error> {
    let id = server.id()?;
    let (start, before) = (Instant::now(), cpu::used(&id));
    tokio::time::sleep(window).await;
    Ok((cpu::used(&id) - before) / start.elapsed().as_secs_f64())
}
