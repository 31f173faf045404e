//! P2: runs of playbooks that wait for a person. That many wait must cost neither much memory
//! nor the time of those that come after: what is compared is an engine with very many and one
//! with few, each of which accepts and answers one run after another, and servers that are
//! started over their folders.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use conche_core::RunId;
use conche_core::run::Status;
use conche_store::sqlite::SqliteConfig;
use tokio::task::JoinSet;

use super::chain::{self, Link};
use super::child::{self, Server};
use super::report::{Row, Words};
use super::runs::Runs;
use super::stand::Stand;
use super::statistics::{Goal, Latencies, Windows, figure, median};
use super::{Bench, Benchmark, Error};

pub(crate) static BENCHMARK: Benchmark = Benchmark {
    ids: &["P2", "P2-start"],
    summary: "runs that wait for people",
    limit: Duration::from_mins(5),
    run: |bench| Box::pin(run(bench)),
};

/// Runs that wait in the large store; a tenth of them with `--quick`.
const MANY: u64 = 100_000;
/// And in the small one.
const FEW: u64 = 100;
/// Runs that are started at once while a store is filled: fewer than a node holds.
const AT_ONCE: usize = 256;
/// A server is idle after this time.
const SETTLE: Duration = Duration::from_secs(2);

/// An engine with runs that wait.
struct Asking {
    stand: Stand,
    runs: Arc<Runs>,
}

/// Latencies of acceptances, and of answers: from the answer to the end of the run.
struct Window {
    accept: Latencies,
    answer: Latencies,
}

/// A server that was started over waiting runs: how soon it was ready, and what it took idle.
struct Started {
    ready: f64,
    resident: f64,
}

async fn run(bench: &mut Bench) -> Result<Vec<Row>, Error> {
    let count = if bench.quick { MANY / 10 } else { MANY };
    let before = child::memory("self")?.resident;
    let many = Asking::fill(bench, "asked-many", count).await?;
    let grown = child::memory("self")?.resident - before;
    let few = Asking::fill(bench, "asked-few", FEW).await?;
    let windows = bench
        .interleave(
            async |window| many.window(window).await,
            async |window| few.window(window).await,
        )
        .await?;
    let costs = row_costs(bench, &windows, (count, grown));
    many.stop().await?;
    few.stop().await?;
    let (large, small) = (bench.folder("asked-many"), bench.folder("asked-few"));
    let started = bench
        .interleave(
            async |_window| start(&large).await,
            async |_window| start(&small).await,
        )
        .await?;
    Ok(vec![costs, row_start(bench, &started, count)])
}

impl Asking {
    /// An engine over a new store in which so many runs wait.
    async fn fill(bench: &Bench, name: &str, count: u64) -> Result<Self, Error> {
        let stand = Stand::over(SqliteConfig::new(bench.folder(name))).await?;
        let runs = Runs::of(&stand, chain::program(&Link::question(), 1)?);
        let mut starts = JoinSet::new();
        for _ in 0..count {
            let runs = runs.clone();
            starts.spawn(async move { runs.one(Status::AwaitingAnswer).await });
            if starts.len() >= AT_ONCE {
                one(&mut starts).await?;
            }
        }
        while !starts.is_empty() {
            one(&mut starts).await?;
        }
        Ok(Self { stand, runs })
    }

    /// One run after another is accepted, and answered when it asks.
    async fn window(&self, length: Duration) -> Result<Window, Error> {
        let (begin, mut window) = (Instant::now(), Window::new());
        while window.answer.len() == 0 || begin.elapsed() < length {
            let start = Instant::now();
            let run = self.runs.start().await?;
            window.accept.record(start.elapsed());
            self.runs.until(run, Status::AwaitingAnswer).await?;
            let start = Instant::now();
            self.runs.answer(run).await?;
            window.answer.record(start.elapsed());
        }
        Ok(window)
    }

    async fn stop(self) -> Result<(), Error> {
        drop(self.runs);
        self.stand.stop().await
    }
}

/// Waits for any of the starts.
async fn one(starts: &mut JoinSet<Result<RunId, Error>>) -> Result<(), Error> {
    match starts.join_next().await {
        Some(started) => started
            .map_err(|cause| Error::of("a start", cause))?
            .map(drop),
        None => Ok(()),
    }
}

impl Window {
    fn new() -> Self {
        Self {
            accept: Latencies::new(),
            answer: Latencies::new(),
        }
    }

    fn words(&self) -> String {
        let figures = [
            self.accept.ms(0.5),
            self.accept.ms(0.99),
            self.answer.ms(0.5),
            self.answer.ms(0.99),
        ];
        let [a50, a99, b50, b99] = figures.map(figure);
        format!("accepted p50 {a50} ms, p99 {a99} ms; answered p50 {b50} ms, p99 {b99} ms")
    }
}

/// Starts a server over a folder, lets it rest, and ends it.
async fn start(folder: &Path) -> Result<Started, Error> {
    let server = Server::start(folder).await?;
    let ready = server.ready.as_secs_f64() * 1e3;
    tokio::time::sleep(SETTLE).await;
    let (main, _workers) = server.memory()?;
    server.stop().await?;
    Ok(Started {
        ready,
        resident: main.resident,
    })
}

/// What it costs those that come after.
fn row_costs(bench: &Bench, windows: &Windows<Window>, (count, grown): (u64, f64)) -> Row {
    let accept = windows.ratios(|window| window.accept.ms(0.5));
    let answer = windows.ratios(|window| window.answer.ms(0.5));
    let worse = if median(accept) > median(answer) {
        accept
    } else {
        answer
    };
    let goals = [
        Goal::at_most(1.2, "× p50 of acceptances", median(accept)),
        Goal::at_most(1.2, "× p50 of answers", median(answer)),
    ];
    let words = |waiting: u64, window: Option<&Window>| {
        let words = window.map_or_else(String::new, Window::words);
        format!("{} waiting: {words}", figure(waiting as f64))
    };
    let row = Words {
        id: "P2",
        what: "one run accepted, and one answered until it has ended, beside runs that wait for people; ratio: the worse of the two",
        a: words(count, windows.a.last()),
        b: words(FEW, windows.b.last()),
        bound: format!(
            "accept {} ×, answer {} ×; the process grew by {} MB while it took them in",
            figure(median(accept)),
            figure(median(answer)),
            figure(grown / 1e6)
        ),
    };
    bench.row(row, worse, &goals)
}

/// What a restart with them costs, and what they take in memory then.
fn row_start(bench: &Bench, started: &Windows<Started>, count: u64) -> Row {
    let ready = |one: &Started| one.ready;
    let resident = |one: &Started| one.resident;
    let (large, small) = (
        median(started.of_a(resident)),
        median(started.of_b(resident)),
    );
    // Of so many of the one, and so few of the other.
    let run = (large - small) / (count - FEW) as f64;
    let ratio = started.ratios(ready);
    let goals = [
        Goal::at_most(5.0, "×", median(ratio)),
        Goal::at_most(300.0, "ms", median(started.of_a(ready))),
        Goal::at_most(30.0, "MB for 100 000", run * 1e5 / 1e6),
    ];
    let words = |waiting: u64, ready: f64, resident: f64| {
        format!(
            "{} waiting: {} ms, {} MB resident",
            figure(waiting as f64),
            figure(ready),
            figure(resident / 1e6)
        )
    };
    let row = Words {
        id: "P2-start",
        what: "exec → all listeners answer, and memory at rest, with runs that wait for people",
        a: words(count, median(started.of_a(ready)), large),
        b: words(FEW, median(started.of_b(ready)), small),
        bound: format!("{} bytes a waiting run", figure(run)),
    };
    bench.row(row, ratio, &goals)
}
