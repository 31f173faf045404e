//! F1: the first call of an action, with nothing of it in memory; and what an action that was
//! called takes while it waits for the next call.

use std::time::{Duration, Instant};

use super::functions::{Caller, Functions, NODE, SCRIPT, words};
use super::report::{Row, Words};
use super::statistics::{Latencies, Spread, Windows, figure};
use super::{Bench, Benchmark, Error, child, cpu};

pub(crate) static BENCHMARK: Benchmark = Benchmark {
    ids: &["F1", "F1-memory"],
    summary: "functions that are called for the first time",
    limit: Duration::from_mins(3),
    run: |bench| Box::pin(run(bench)),
};

/// Actions of Node that are kept in memory at once: as many as a machine with few cores keeps.
const NODES: u32 = 8;
/// And of the script sandbox.
const SCRIPTS: u32 = 100;
/// What is idle has come to rest after this time.
const SETTLE: Duration = Duration::from_secs(2);

async fn run(bench: &mut Bench) -> Result<Vec<Row>, Error> {
    let memory = memory(bench).await?;
    let functions = Functions::start(&bench.folder("fresh")).await?;
    let windows = bench
        .interleave(
            async |window| first_calls(&functions, NODE, window).await,
            async |window| first_calls(&functions, SCRIPT, window).await,
        )
        .await?;
    functions.stop().await?;
    Ok(vec![row(bench, &windows), memory])
}

/// Calls one new action after another; the making of them is not counted.
async fn first_calls(
    functions: &Functions,
    kind: &str,
    window: Duration,
) -> Result<Latencies, Error> {
    let mut caller = functions.caller().await?;
    let (begin, mut all) = (Instant::now(), Latencies::new());
    while begin.elapsed() < window {
        let name = format!("new-{}", next());
        caller.nothing(&name, kind).await?;
        let start = Instant::now();
        caller.invoke(&name).await?;
        all.record(start.elapsed());
    }
    Ok(all)
}

/// A number that no action has in its name yet.
fn next() -> u32 {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn row(bench: &Bench, windows: &Windows<Latencies>) -> Row {
    let row = Words {
        id: "F1",
        what: "first call of an action, blocking, over HTTP; ratio: p50",
        a: format!("{NODE}: {}", words(windows.a.last())),
        b: format!("{SCRIPT}: {}", words(windows.b.last())),
        bound: "the start of Node and the reading of its files".to_owned(),
    };
    bench.row(row, windows.ratios(|all| all.ms(0.5)), &[])
}

/// What actions take that wait for their next call.
async fn memory(bench: &mut Bench) -> Result<Row, Error> {
    let functions = Functions::start(&bench.folder("idle-actions")).await?;
    let mut caller = functions.caller().await?;
    // What the first action of a kind brings is not an action's.
    called(&mut caller, SCRIPT, 1).await?;
    let before = all()?;
    called(&mut caller, SCRIPT, SCRIPTS).await?;
    let scripts = (all()? - before) / f64::from(SCRIPTS);
    let before = all()?;
    called(&mut caller, NODE, NODES).await?;
    let nodes = (all()? - before) / f64::from(NODES);
    drop(caller);
    functions.stop().await?;
    bench.calibrate()?;
    let row = Words {
        id: "F1-memory",
        what: "memory of an action that was called and waits; what processes share counts once",
        a: format!("{NODE}: {} MB", figure(nodes / 1e6)),
        b: format!("{SCRIPT}: {} MB", figure(scripts / 1e6)),
        bound: format!("{NODES} and {SCRIPTS} actions, the records of their calls included"),
    };
    let ratio = (scripts > 0.0)
        .then(|| Spread::of([nodes / scripts]))
        .flatten();
    Ok(bench.row(row, ratio, &[]))
}

async fn called(caller: &mut Caller, kind: &str, count: u32) -> Result<(), Error> {
    for _ in 0..count {
        let name = format!("idle-{}", next());
        caller.nothing(&name, kind).await?;
        caller.invoke(&name).await?;
    }
    tokio::time::sleep(SETTLE).await;
    Ok(())
}

/// The share of memory of this process and all that it started.
fn all() -> Result<f64, Error> {
    let mut waiting = vec!["self".to_owned()];
    let mut sum = 0.0;
    while let Some(process) = waiting.pop() {
        match child::memory(&process) {
            Ok(memory) => sum += memory.share,
            // One that ended meanwhile takes nothing.
            Err(_gone) if process != "self" => continue,
            Err(error) => return Err(error),
        }
        waiting.extend(cpu::children(&process));
    }
    Ok(sum)
}
