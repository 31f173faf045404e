//! B9: what runs that wait cost in memory. They are in the store, so the answer should be
//! next to nothing. What as many runs that finish leave behind (page cache, allocator) is
//! taken off: both take turns.

use std::time::{Duration, Instant};

use super::report::{Row, Words};
use super::stand::Stand;
use super::statistics::{Goal, figure, median};
use super::{Bench, Benchmark, Error};
use conche_store::sqlite::SqliteConfig;

pub(crate) static BENCHMARK: Benchmark = Benchmark {
    ids: &["B9"],
    summary: "memory of waiting runs",
    limit: Duration::from_mins(3),
    run: |bench| Box::pin(run(bench)),
};

/// What the goal is for.
const PER: f64 = 100_000.0;
/// Events handed in at once.
const BATCH: u32 = 250;
/// Runs get this long to come to rest.
const REST: Duration = Duration::from_mins(1);

async fn run(bench: &mut Bench) -> Result<Vec<Row>, Error> {
    let count = if bench.quick { 10_000 } else { 40_000 };
    let stand = Stand::over(SqliteConfig::new(bench.folder("waiting"))).await?;
    let windows = bench
        .interleave(
            async |_window| growth(&stand, "later", count).await,
            async |_window| growth(&stand, "first", count).await,
        )
        .await?;
    let all = resident()?;
    stand.stop().await?;
    let (waiting, finished) = (windows.of_a(|bytes| *bytes), windows.of_b(|bytes| *bytes));
    let run = (median(waiting) - median(finished)) / f64::from(count);
    let goals = [Goal::at_most(30.0, "MB for 100 000", run * PER / 1e6)];
    let many = figure(f64::from(count));
    let words = Words {
        id: "B9",
        what: "memory of runs that wait for a retry an hour away",
        a: format!(
            "{many} more waiting: {} MB more resident",
            figure(median(waiting) / 1e6)
        ),
        b: format!(
            "{many} more finished: {} MB more resident",
            figure(median(finished) / 1e6)
        ),
        bound: format!(
            "{} bytes a waiting run beyond what its traffic leaves in page cache and allocator; {} MB resident with {} waiting",
            figure(run),
            figure(all / 1e6),
            figure(f64::from(count) * 3.0)
        ),
    };
    Ok(vec![bench.row(words, None, &goals)])
}

/// Leaves so many runs that wait for a retry an hour away.
pub(super) async fn wait(stand: &Stand, count: u32) -> Result<(), Error> {
    stand.react("later", "last").await?;
    pass(stand, count).await
}

/// Bytes more in memory after so many runs whose first action is this one.
async fn growth(stand: &Stand, first: &str, count: u32) -> Result<f64, Error> {
    stand.react(first, "last").await?;
    let before = resident()?;
    pass(stand, count).await?;
    Ok(resident()? - before)
}

/// Sends so many events and waits until each of their runs has ended or waits.
async fn pass(stand: &Stand, count: u32) -> Result<(), Error> {
    for from in (0..count).step_by(BATCH as usize) {
        stand.send(from..from + BATCH.min(count - from)).await?;
        let called = stand.tap.room().acquire_many(BATCH.min(count - from));
        let called = tokio::time::timeout(REST, called).await;
        match called {
            Ok(Ok(called)) => called.forget(),
            _ => return Err(Error::of("the engine", "runs did not come to rest in time")),
        }
    }
    let deadline = Instant::now() + REST;
    while stand.engine.held().0 > 0 {
        if Instant::now() > deadline {
            let left = format!(
                "{} runs are still held after {REST:?}",
                stand.engine.held().0
            );
            return Err(Error::of("the engine", left));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// Bytes of this process that are in memory.
fn resident() -> Result<f64, Error> {
    super::child::memory("self").map(|memory| memory.resident)
}
