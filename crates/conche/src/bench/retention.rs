//! B12-delete and B12-beside: what it costs to remove an old run as stored runs grow, and
//! what acceptances and claims notice of it. Removal is what the engine's housekeeping does:
//! chunk after chunk, each of events, runs and deduplication pairs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use conche_core::Timestamp;
use conche_store::sqlite::SqliteStore;
use conche_store::{Expired, Retention, RunStore as _};

use super::growth::{Window, steps, words_of};
use super::report::{Row, Words};
use super::statistics::{Goal, Latencies, figure, median};
use super::{Bench, Error, stored};

/// Runs that are removed, and put back, between two looks at the clock: housekeeping's chunk.
const CHUNK: u32 = conche_engine::EXPIRE_CHUNK;

/// B12-delete. The stores keep their sizes: before each chunk as many finished runs are added.
pub(super) async fn cost(
    bench: &mut Bench,
    large: &Arc<SqliteStore>,
    small: &Arc<SqliteStore>,
    sizes: [u64; 2],
) -> Result<Row, Error> {
    let windows = bench
        .interleave(
            async |window| chunks(large, window).await,
            async |window| chunks(small, window).await,
        )
        .await?;
    let each = |chunks: &Latencies| chunks.ms(0.5) * 1e3 / f64::from(CHUNK);
    let ratio = windows.ratios(each);
    let goals = [Goal::at_most(1.5, "× for a deleted run", median(ratio))];
    let [many, few] = sizes.map(|size| figure(size as f64));
    let chunk = |window: Option<&Latencies>| {
        window.map_or_else(String::new, |chunks| {
            format!(
                "chunk p50 {} ms, p99 {} ms",
                figure(chunks.ms(0.5)),
                figure(chunks.ms(0.99))
            )
        })
    };
    let words = Words {
        id: "B12-delete",
        what: "removal of old runs with their events, journals and deduplication pairs, as stored runs grow",
        a: format!(
            "{many} runs: {} µs for a run; {}",
            figure(median(windows.of_a(each))),
            chunk(windows.a.last())
        ),
        b: format!(
            "{few} runs: {} µs for a run; {}",
            figure(median(windows.of_b(each))),
            chunk(windows.b.last())
        ),
        bound: format!("chunks of {CHUNK}, a commit each"),
    };
    Ok(bench.row(words, ratio, &goals))
}

/// B12-beside.
pub(super) async fn beside(
    bench: &mut Bench,
    store: &Arc<SqliteStore>,
    many: u64,
) -> Result<Row, Error> {
    let mut removed = 0;
    let windows = bench
        .interleave(
            async |window| {
                let (window, runs) = while_removing(store, window).await?;
                removed += runs;
                Ok(window)
            },
            async |window| steps(store, window).await,
        )
        .await?;
    let accept = windows.ratios(|window| window.accept.ms(0.99));
    let claim = windows.ratios(|window| window.claim.ms(0.99));
    let goals = [
        Goal::at_most(2.0, "× p99 of acceptances", median(accept)),
        Goal::at_most(2.0, "× p99 of claims", median(claim)),
    ];
    let worse = if median(accept) > median(claim) {
        accept
    } else {
        claim
    };
    let seconds = bench.window().as_secs_f64() * windows.a.len() as f64;
    let words = Words {
        id: "B12-beside",
        what: "acceptance and claim of one run beside the removal of old ones vs without; ratio: the worse p99",
        a: format!("beside: {}", words_of(windows.a.last())),
        b: format!("without: {}", words_of(windows.b.last())),
        bound: format!(
            "accept {} ×, claim {} ×; {} runs a second were removed of {}",
            figure(median(accept)),
            figure(median(claim)),
            figure(removed as f64 / seconds),
            figure(many as f64)
        ),
    };
    Ok(bench.row(words, worse, &goals))
}

/// Times of whole chunks.
async fn chunks(store: &Arc<SqliteStore>, window: Duration) -> Result<Latencies, Error> {
    let (start, mut took) = (Instant::now(), Latencies::new());
    while start.elapsed() < window {
        stored::fill(store, CHUNK.into(), false).await?;
        let begin = Instant::now();
        let removed = remove(store).await?;
        took.record(begin.elapsed());
        if removed.runs != u64::from(CHUNK) {
            let found = format!("{} of {CHUNK} runs were removed", removed.runs);
            return Err(Error::of("the store", found));
        }
    }
    Ok(took)
}

/// Steps as in B12 while old runs are removed, and how many those were.
async fn while_removing(
    store: &Arc<SqliteStore>,
    window: Duration,
) -> Result<(Window, u64), Error> {
    let stopped = AtomicBool::new(false);
    let removing = async {
        let mut runs = 0;
        while !stopped.load(Ordering::Relaxed) {
            let begin = Instant::now();
            runs += remove(store).await?.runs;
            tokio::time::sleep(conche_engine::expire_rest(begin.elapsed())).await;
        }
        Ok(runs)
    };
    let stepping = async {
        let window = steps(store, window).await;
        stopped.store(true, Ordering::Relaxed);
        window
    };
    tokio::try_join!(stepping, removing)
}

/// One chunk of the oldest.
async fn remove(store: &SqliteStore) -> Result<Expired, Error> {
    let now = Timestamp::now();
    let retention = Retention {
        events_before: now,
        runs_before: now,
        dedup_before: now,
        ended_before: now,
        limit: CHUNK,
    };
    let removed = store.expire(retention).await;
    removed.map_err(|cause| Error::of("the store", cause))
}
