//! S1: a storm of a million events under storm control, and what a critical reaction beside it
//! notices.
//!
//! While latencies are measured the storm comes at an even pace; what is left of it then comes
//! as fast as it is taken. Memory is this process's, script workers apart.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use conche_core::Json;
use conche_core::reaction::{Authored, Format};
use conche_engine::Engine;
use conche_modules::{Batch, Intake as _, NewEvent};
use conche_runtime::process::Process;

use super::latency::{ended, send};
use super::report::{Row, Words};
use super::stand::{Stand, small_event};
use super::statistics::{Goal, Latencies, figure};
use super::{Bench, Benchmark, Error};

pub(crate) static BENCHMARK: Benchmark = Benchmark {
    ids: &["S1"],
    summary: "a critical reaction beside a storm under control",
    limit: Duration::from_mins(10),
    run: |bench| Box::pin(run(bench)),
};

/// Events of the storm.
const STORM: u64 = 1_000_000;
/// Of them so many a second while latencies are measured.
const PACE: u64 = 5_000;
/// Events handed in at once, as a source that reads a stream does.
const BATCH: u64 = 50;
/// Critical events a second.
const CRITICAL: f64 = 100.0;
/// The storm's reaction, which runs five times a minute for each of a hundred hosts.
const REACTION: &str = "
name: storm
event: bench.storm
throttle: { key: event.data.host, limit: 5, per: 1m }
script: var seen = event.host
";

async fn run(bench: &mut Bench) -> Result<Vec<Row>, Error> {
    let stand = Stand::start(&bench.folder("storm")).await?;
    react(&stand.engine).await?;
    let (engine, sent) = (stand.engine.clone(), AtomicU64::new(0));
    let before = rss();
    let windows = bench
        .interleave(
            async |window| {
                let stopped = AtomicBool::new(false);
                let critical = async {
                    let latencies = critical(&stand, window).await;
                    stopped.store(true, Ordering::Relaxed);
                    latencies
                };
                let (latencies, ()) = tokio::try_join!(critical, blow(&engine, &sent, &stopped))?;
                Ok(latencies)
            },
            async |window| critical(&stand, window).await,
        )
        .await?;
    let total = if bench.quick { STORM / 10 } else { STORM };
    let (start, paced) = (Instant::now(), sent.load(Ordering::Relaxed));
    let mut peak = rss();
    while sent.load(Ordering::Relaxed) < total {
        hand_in(&engine, &sent).await?;
        peak = peak.max(rss());
    }
    let rate = (total.saturating_sub(paced)) as f64 / start.elapsed().as_secs_f64();
    let suppressed = suppressed(&engine);
    stand.stop().await?;
    let ratio = windows.ratios(|latencies: &Latencies| latencies.ms(0.99));
    let grown = (peak.saturating_sub(before)) as f64 / 1024.0;
    let goals = [
        Goal::at_most(2.0, "×", ratio.map_or(f64::NAN, |ratio| ratio.median)),
        Goal::at_most(100.0, "MiB more memory", grown),
    ];
    let words = |window: Option<&Latencies>| {
        window.map_or_else(String::new, |latencies| {
            let (p50, p99) = (latencies.ms(0.5), latencies.ms(0.99));
            format!("p50 {} ms, p99 {} ms", figure(p50), figure(p99))
        })
    };
    let row = Words {
        id: "S1",
        what: "p99 of a critical reaction (100/s, intended send → first action called), beside a storm vs without",
        a: format!("beside {PACE} events/s: {}", words(windows.a.last())),
        b: format!("without: {}", words(windows.b.last())),
        bound: format!(
            "{total} events of the storm, {suppressed} suppressed; memory grew by {} MiB; taken at {}/s when nothing else came",
            figure(grown),
            figure(rate)
        ),
    };
    Ok(vec![bench.row(row, ratio, &goals)])
}

async fn react(engine: &Engine) -> Result<(), Error> {
    let reaction = Authored::parse(REACTION, Format::Yaml)
        .and_then(|authored| authored.resolve(&mut |path| Err(format!("no file {path}"))));
    let reaction = reaction.map_err(|cause| Error::of("the storm's reaction", cause))?;
    let put = engine.put_reaction(reaction).await;
    put.map(drop)
        .map_err(|cause| Error::of("the storm's reaction", cause))
}

/// Sends critical events at an even pace.
async fn critical(stand: &Stand, window: Duration) -> Result<Latencies, Error> {
    let sent = send(stand, CRITICAL, window).await?;
    ended(stand, sent.len() as u32).await
}

/// Sends events of the storm at their pace until it is told to stop.
async fn blow(engine: &Engine, sent: &AtomicU64, stopped: &AtomicBool) -> Result<(), Error> {
    let every = Duration::from_secs(1) * BATCH as u32 / PACE as u32;
    let mut ticks = tokio::time::interval(every);
    while !stopped.load(Ordering::Relaxed) {
        ticks.tick().await;
        hand_in(engine, sent).await?;
    }
    Ok(())
}

async fn hand_in(engine: &Engine, sent: &AtomicU64) -> Result<(), Error> {
    let first = sent.fetch_add(BATCH, Ordering::Relaxed);
    let event = |n: u64| {
        let text = small_event(n as u32);
        let data = Json::parse(text.as_bytes(), conche_core::json::Limits::default());
        Ok(NewEvent {
            id: None,
            event_type: "bench.storm".to_owned(),
            subject: None,
            time: None,
            data: data.map_err(|cause| Error::of("an event", cause))?,
        })
    };
    let events: Result<Vec<NewEvent>, Error> = (first..first + BATCH).map(event).collect();
    let batch = Batch {
        source: "storm".to_owned(),
        events: events?,
        cursor: None,
    };
    let receipts = engine.accept(batch).await;
    receipts
        .map(drop)
        .map_err(|refusal| Error::of("the storm", refusal))
}

/// Events that started no run of their own.
fn suppressed(engine: &Engine) -> u64 {
    let mut suppressed = 0;
    for family in engine.metrics().registry().gather() {
        if family.name() == "conche_suppressed_total" {
            let counts = family.get_metric().iter();
            let counts = counts.map(|one| one.get_counter().get_value() as u64);
            suppressed += counts.sum::<u64>();
        }
    }
    suppressed
}

/// Memory of this process in KiB; 0 where it cannot be read.
fn rss() -> u64 {
    let resident = Process::read().map(|process| process.resident_bytes / 1024);
    resident.unwrap_or_default() as u64
}
