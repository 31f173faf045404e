//! B10 and B12: what stored runs cost those that come after them: a server's start, the
//! acceptance and the claim of one run, and their removal in the end (`retention.rs`).

use std::sync::Arc;
use std::time::{Duration, Instant};

use conche_core::{Json, Timestamp};
use conche_store::sqlite::{SqliteConfig, SqliteStore};
use conche_store::{Claim, Intake, NodeId, RunStore as _};
use uuid::Uuid;

use super::child::Server;
use super::report::{Row, Words};
use super::statistics::{Goal, Latencies, Windows, figure};
use super::stored::{self, Ids, acceptance};
use super::{Bench, Benchmark, Error, retention, stand};

pub(crate) static BENCHMARK: Benchmark = Benchmark {
    ids: &["B10", "B12", "B12-delete", "B12-beside"],
    summary: "start, acceptance, claim and removal as stored runs grow",
    limit: Duration::from_mins(5),
    run: |bench| Box::pin(run(bench)),
};

/// The small store.
const FEW: u64 = 1000;
/// The large one; a tenth of it with `--quick`.
const MANY: u64 = 1_000_000;

/// Latencies of acceptances and of claims.
pub(super) struct Window {
    pub(super) accept: Latencies,
    pub(super) claim: Latencies,
}

async fn run(bench: &mut Bench) -> Result<Vec<Row>, Error> {
    let many = if bench.quick { MANY / 10 } else { MANY };
    for (name, count) in [("many", many), ("few", FEW)] {
        let store = stand::open(SqliteConfig::new(bench.folder(name))).await?;
        stored::fill(&store, count, true).await?;
        store
            .close()
            .await
            .map_err(|cause| Error::of("the store", cause))?;
    }
    let start = start(bench, many).await?;
    let (large, small) = (
        stand::open(SqliteConfig::new(bench.folder("many"))).await?,
        stand::open(SqliteConfig::new(bench.folder("few"))).await?,
    );
    let windows = bench
        .interleave(
            async |window| steps(&large, window).await,
            async |window| steps(&small, window).await,
        )
        .await?;
    let mut rows = vec![start, row_steps(bench, &windows, many)];
    rows.push(retention::cost(bench, &large, &small, [many, FEW]).await?);
    rows.push(retention::beside(bench, &large, many).await?);
    for store in [large, small] {
        store
            .close()
            .await
            .map_err(|cause| Error::of("the store", cause))?;
    }
    Ok(rows)
}

/// B10.
async fn start(bench: &mut Bench, many: u64) -> Result<Row, Error> {
    let (full, empty) = (bench.folder("many"), bench.folder("empty"));
    let ready = async |folder| {
        let server = Server::start(folder).await?;
        let ready = server.ready.as_secs_f64() * 1e3;
        server.stop().await?;
        Ok(ready)
    };
    // The first start makes the folder.
    ready(&empty).await?;
    let windows = bench
        .interleave(
            async |_window| ready(&full).await,
            async |_window| ready(&empty).await,
        )
        .await?;
    let ratio = windows.ratios(|ms| *ms);
    let full = windows.of_a(|ms| *ms);
    let (ms, slowest) = full.map_or((f64::NAN, f64::NAN), |ms| (ms.median, ms.max));
    let goals = [
        Goal::at_most(5.0, "×", ratio.map_or(f64::NAN, |ratio| ratio.median)),
        Goal::at_most(300.0, "ms", ms),
    ];
    let words = Words {
        id: "B10",
        what: "exec → all listeners answer, with stored runs vs an empty store",
        a: format!("{} runs: {} ms", figure(many as f64), figure(ms)),
        b: format!(
            "empty: {} ms",
            figure(
                windows
                    .of_b(|ms| *ms)
                    .map_or(f64::NAN, |spread| spread.median)
            )
        ),
        bound: format!("the slowest of three starts: {} ms", figure(slowest)),
    };
    Ok(bench.row(words, ratio, &goals))
}

fn row_steps(bench: &Bench, windows: &Windows<Window>, many: u64) -> Row {
    let accept = windows.ratios(|window| window.accept.ms(0.5));
    let claim = windows.ratios(|window| window.claim.ms(0.5));
    let worse = if accept.map(|ratio| ratio.median) > claim.map(|ratio| ratio.median) {
        accept
    } else {
        claim
    };
    let median =
        |spread: Option<super::statistics::Spread>| spread.map_or(f64::NAN, |spread| spread.median);
    let goals = [
        Goal::at_most(1.2, "× p50 of acceptances", median(accept)),
        Goal::at_most(1.2, "× p50 of claims", median(claim)),
    ];
    let words = Words {
        id: "B12",
        what: "acceptance and claim of one run, a commit each, as stored runs grow; ratio: the worse of the two",
        a: format!(
            "{} runs: {}",
            figure(many as f64),
            words_of(windows.a.last())
        ),
        b: format!(
            "{} runs: {}",
            figure(FEW as f64),
            words_of(windows.b.last())
        ),
        bound: format!(
            "accept {} ×, claim {} ×",
            figure(median(accept)),
            figure(median(claim))
        ),
    };
    bench.row(words, worse, &goals)
}

/// What a window gave, in words.
pub(super) fn words_of(window: Option<&Window>) -> String {
    window.map_or_else(String::new, |window| {
        let figures = [
            window.accept.ms(0.5),
            window.accept.ms(0.99),
            window.claim.ms(0.5),
            window.claim.ms(0.99),
        ];
        let [a50, a99, c50, c99] = figures.map(|ms| figure(ms * 1e3));
        format!("accept p50 {a50} µs, p99 {a99} µs; claim p50 {c50} µs, p99 {c99} µs")
    })
}

/// One run after another is accepted, claimed and ended.
pub(super) async fn steps(store: &Arc<SqliteStore>, window: Duration) -> Result<Window, Error> {
    let failed = |cause: conche_store::Error| Error::of("the store", cause);
    let data: Json = stored::data(&stand::small_event(1))?;
    let (node, start) = (NodeId(Uuid::now_v7()), Instant::now());
    let mut steps = Window {
        accept: Latencies::new(),
        claim: Latencies::new(),
    };
    let until = Timestamp::now() + Duration::from_mins(10);
    store.heartbeat(node, until).await.map_err(failed)?;
    while start.elapsed() < window {
        let now = Timestamp::now();
        let acceptance = acceptance(&data, Ids::Ordered, now);
        let born = acceptance.runs.first().cloned();
        let begin = Instant::now();
        store
            .accept(Intake {
                acceptances: vec![acceptance],
                cursor: None,
                holder: None,
                now,
            })
            .await
            .map_err(failed)?;
        steps.accept.record(begin.elapsed());
        let begin = Instant::now();
        let claimed = store
            .claim(Claim {
                node,
                now: Timestamp::now(),
                limit: 1,
            })
            .await
            .map_err(failed)?;
        steps.claim.record(begin.elapsed());
        let (Some(born), [claimed]) = (born, claimed.as_slice()) else {
            return Err(Error::of("the store", "the new run was not claimed"));
        };
        let append = stored::release(node, &born, claimed.epoch, false)?;
        store.append(append).await.map_err(failed)?;
    }
    Ok(steps)
}
