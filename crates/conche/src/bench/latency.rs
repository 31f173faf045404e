//! D2 and B4: how long one event takes, alone and beside half of all that the engine can do.
//!
//! Open loop: events are sent when their time has come, whatever became of those before, and
//! every latency counts from that time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use conche_core::EventId;
use conche_core::run::Status;
use conche_engine::Change;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinSet;

use super::cpu::{Cpu, Shares};
use super::pace::Pace;
use super::report::{Row, Words};
use super::stand::Stand;
use super::statistics::{Goal, Latencies, Windows, figure};
use super::{Bench, Benchmark, Error};

pub(crate) static BENCHMARK: Benchmark = Benchmark {
    ids: &["D2", "B4"],
    summary: "latency alone and at half load",
    limit: Duration::from_mins(2),
    run: |bench| Box::pin(run(bench)),
};

/// Events a second that count as low load.
const LOW: f64 = 100.0;
/// Runs under way at the end of a window get this long to end.
const DRAIN: Duration = Duration::from_secs(20);

/// What a window gave.
struct Window {
    /// Until the first action is called.
    called: Latencies,
    /// Until the run has finished; at low load only.
    finished: Latencies,
    shares: Shares,
}

async fn run(bench: &mut Bench) -> Result<Vec<Row>, Error> {
    let stand = Stand::start(&bench.folder("latency")).await?;
    let (most, _) = stand.saturate(bench.window()).await?;
    let half = most.done_per_second() / 2.0;
    let windows = bench
        .interleave(
            async |window| loaded(&stand, half, window).await,
            async |window| alone(&stand, window).await,
        )
        .await?;
    stand.stop().await?;
    Ok(vec![
        row_alone(bench, &windows),
        row_loaded(bench, &windows, half),
    ])
}

fn row_alone(bench: &Bench, windows: &Windows<Window>) -> Row {
    let mut finished = Latencies::new();
    windows
        .b
        .iter()
        .for_each(|window| finished.add(&window.finished));
    let (p50, p99) = (finished.ms(0.5), finished.ms(0.99));
    let goals = [
        Goal::at_most(2.0, "ms at p50", p50),
        Goal::at_most(10.0, "ms at p99", p99),
    ];
    let words = Words {
        id: "D2",
        what: "one event at low load, durable: intended send → run finished (script → action → script → action)",
        a: format!(
            "{} events/s: p50 {} ms, p99 {} ms ({} samples)",
            figure(LOW),
            figure(p50),
            figure(p99),
            finished.len()
        ),
        b: String::new(),
        bound: windows
            .b
            .last()
            .map(|window| window.shares.words())
            .unwrap_or_default(),
    };
    bench.row(words, None, &goals)
}

fn row_loaded(bench: &Bench, windows: &Windows<Window>, half: f64) -> Row {
    let tails = Windows {
        a: windows
            .a
            .iter()
            .map(|window| window.called.ms(0.99))
            .collect(),
        b: windows
            .b
            .iter()
            .map(|window| window.called.ms(0.5))
            .collect(),
    };
    let ratio = tails.ratios(|figure| *figure);
    let (mut loaded, mut idle) = (Latencies::new(), Latencies::new());
    windows
        .a
        .iter()
        .for_each(|window| loaded.add(&window.called));
    windows.b.iter().for_each(|window| idle.add(&window.called));
    let goals = [
        Goal::at_most(
            10.0,
            "× p99 loaded over p50 alone",
            ratio.map_or(f64::NAN, |ratio| ratio.median),
        ),
        Goal::at_most(3.0, "ms at p50 alone", idle.ms(0.5)),
        Goal::at_most(15.0, "ms at p99 alone", idle.ms(0.99)),
    ];
    let pair = |latencies: &Latencies| {
        format!(
            "p50 {} ms, p99 {} ms",
            figure(latencies.ms(0.5)),
            figure(latencies.ms(0.99))
        )
    };
    let words = Words {
        id: "B4",
        what: "intended send → first action called; ratio: p99 loaded over p50 alone",
        a: format!("at half load, {} events/s: {}", figure(half), pair(&loaded)),
        b: format!("alone: {}", pair(&idle)),
        bound: windows
            .a
            .last()
            .map(|window| window.shares.words())
            .unwrap_or_default(),
    };
    bench.row(words, ratio, &goals)
}

async fn loaded(stand: &Stand, rate: f64, window: Duration) -> Result<Window, Error> {
    let cpu = Cpu::now();
    let sent = send(stand, rate, window).await?;
    let called = ended(stand, sent.len() as u32).await?;
    Ok(Window {
        called,
        finished: Latencies::new(),
        shares: cpu.since(),
    })
}

async fn alone(stand: &Stand, window: Duration) -> Result<Window, Error> {
    let cpu = Cpu::now();
    let changes = stand.engine.tail();
    let count = (LOW * window.as_secs_f64()) as usize;
    let (ends, sent) = tokio::try_join!(watch(changes, count), send(stand, LOW, window))?;
    let called = ended(stand, sent.len() as u32).await?;
    let mut finished = Latencies::new();
    for (event, intended) in sent {
        let end = ends
            .get(&event)
            .ok_or_else(|| Error::of("a run", "was not seen to end"))?;
        finished.record(end.saturating_duration_since(intended));
    }
    Ok(Window {
        called,
        finished,
        shares: cpu.since(),
    })
}

/// Waits until so many runs have called their last action; the latencies of the first.
pub(super) async fn ended(stand: &Stand, count: u32) -> Result<Latencies, Error> {
    let calls = tokio::time::timeout(DRAIN, stand.tap.room().acquire_many(count)).await;
    match calls {
        Ok(Ok(calls)) => calls.forget(),
        _ => return Err(Error::of("the engine", "runs did not end in time")),
    }
    Ok(stand.tap.latencies())
}

/// When the runs of events finish.
async fn watch(
    mut changes: Receiver<Arc<Change>>,
    count: usize,
) -> Result<HashMap<EventId, Instant>, Error> {
    let mut ends = HashMap::new();
    while ends.len() < count {
        let change = match tokio::time::timeout(DRAIN, changes.recv()).await {
            Ok(Ok(change)) => change,
            Ok(Err(RecvError::Lagged(missed))) => {
                return Err(Error::of(
                    "the live view",
                    format!("{missed} changes were missed"),
                ));
            }
            Ok(Err(RecvError::Closed)) | Err(_) => {
                return Err(Error::of("the live view", "runs did not end in time"));
            }
        };
        if let (Status::Succeeded, Some(event)) = (change.summary.status, change.event) {
            ends.insert(event, Instant::now());
        }
    }
    Ok(ends)
}

/// Sends every event at its time; each with that time, once all are durable.
pub(super) async fn send(
    stand: &Stand,
    rate: f64,
    window: Duration,
) -> Result<Vec<(EventId, Instant)>, Error> {
    let mut pace = Pace::start(rate, window)?;
    stand.tap.expect(pace.start, pace.period);
    let mut senders = JoinSet::new();
    while let Some((n, intended)) = pace.next().await {
        let sending = stand.sending(n);
        senders.spawn(async move { Ok((sending.await?, intended)) });
    }
    pace.end()?;
    let mut sent = Vec::new();
    while let Some(done) = senders.join_next().await {
        sent.push(done.map_err(|cause| Error::of("a sender", cause))??);
    }
    Ok(sent)
}
