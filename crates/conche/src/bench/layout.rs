//! B3: what the layout of the store is worth: ordered keys, 8 KiB pages and group commit,
//! against random keys, 4 KiB pages and a commit for each event. Both sync every commit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use conche_core::{Json, Timestamp};
use conche_script::bench::EVENT;
use conche_store::sqlite::{SqliteConfig, SqliteStore};
use conche_store::{Intake, RunStore as _};
use tokio::task::JoinSet;

use super::cpu::{Cpu, Shares};
use super::report::{Row, Words};
use super::statistics::{Goal, Rate, figure};
use super::stored::{Ids, acceptance, data};
use super::{Bench, Benchmark, Error, stand};

pub(crate) static BENCHMARK: Benchmark = Benchmark {
    ids: &["B3"],
    summary: "the layout of the store",
    limit: Duration::from_mins(1),
    run: |bench| Box::pin(run(bench)),
};

/// Events under way at once.
const SENDERS: usize = 256;
/// Pages in the log at which the naive layout moves them into the database: SQLite's own default.
const NAIVE_CHECKPOINT: u32 = 1000;

async fn run(bench: &mut Bench) -> Result<Vec<Row>, Error> {
    let ours = stand::open(SqliteConfig::new(bench.folder("ours"))).await?;
    let naive = stand::open(SqliteConfig {
        batch_max: 1,
        page_size: 4096,
        checkpoint_pages: NAIVE_CHECKPOINT,
        ..SqliteConfig::new(bench.folder("naive"))
    })
    .await?;
    let random = Arc::new(AtomicU64::new(1));
    let windows = bench
        .interleave(
            async |window| load(&ours, None, window).await,
            async |window| load(&naive, Some(random.clone()), window).await,
        )
        .await?;
    for store in [ours, naive] {
        store
            .close()
            .await
            .map_err(|cause| Error::of("the store", cause))?;
    }
    let ratio = windows.ratios(|(rate, _)| rate.done_per_second());
    let words = |rate: Option<&(Rate, Shares)>| {
        rate.map_or_else(String::new, |(rate, _)| {
            format!(
                "{} events/s, {} commits/s",
                figure(rate.done_per_second()),
                figure(rate.commits_per_second())
            )
        })
    };
    let goals = [Goal::at_least(
        5.0,
        "×",
        ratio.map_or(f64::NAN, |ratio| ratio.median),
    )];
    let shares = windows
        .a
        .last()
        .map(|(rate, shares)| shares.bound(rate.done_per_second()));
    let row = Words {
        id: "B3",
        what: "store: 2 KiB event with one run, our layout vs naive",
        a: format!(
            "ordered keys, 8 KiB pages, group commit: {}",
            words(windows.a.last())
        ),
        b: format!(
            "random keys, 4 KiB pages, one a commit: {}",
            words(windows.b.last())
        ),
        bound: shares.unwrap_or_default(),
    };
    Ok(vec![bench.row(row, ratio, &goals)])
}

/// Accepts events for a window, with ordered ids or, from this number on, random ones.
async fn load(
    store: &Arc<SqliteStore>,
    random: Option<Arc<AtomicU64>>,
    window: Duration,
) -> Result<(Rate, Shares), Error> {
    let data = data(EVENT)?;
    let (stopped, done) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let mut senders = JoinSet::new();
    for _ in 0..SENDERS {
        let (store, stopped, done) = (store.clone(), stopped.clone(), done.clone());
        let (data, random) = (data.clone(), random.clone());
        senders.spawn(async move {
            while !stopped.load(Ordering::Relaxed) {
                accept(&store, &data, random.as_deref()).await?;
                done.fetch_add(1, Ordering::Relaxed);
            }
            Ok::<(), Error>(())
        });
    }
    tokio::time::sleep(window / 4).await;
    let (start, before, commits, cpu) = (
        Instant::now(),
        done.load(Ordering::Relaxed),
        store.stats().commits,
        Cpu::now(),
    );
    tokio::time::sleep(window).await;
    let rate = Rate {
        done: done.load(Ordering::Relaxed) - before,
        commits: store.stats().commits - commits,
        seconds: start.elapsed().as_secs_f64(),
    };
    let shares = cpu.since();
    stopped.store(true, Ordering::Relaxed);
    while let Some(sender) = senders.join_next().await {
        sender.map_err(|cause| Error::of("a sender", cause))??;
    }
    Ok((rate, shares))
}

async fn accept(store: &SqliteStore, data: &Json, random: Option<&AtomicU64>) -> Result<(), Error> {
    let ids = random.map_or(Ids::Ordered, |next| {
        Ids::Random(next.fetch_add(1, Ordering::Relaxed))
    });
    let now = Timestamp::now();
    let intake = Intake {
        acceptances: vec![acceptance(data, ids, now)],
        cursor: None,
        holder: None,
        now,
    };
    let accepted = store.accept(intake).await;
    accepted
        .map(drop)
        .map_err(|cause| Error::of("the store", cause))
}
