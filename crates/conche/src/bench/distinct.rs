//! F4: a hundred different actions at a steady pace against one action at the same pace: where a
//! host that keeps something for each action in memory begins to suffer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::functions::{Functions, SCRIPT, words};
use super::pace::Pace;
use super::report::{Row, Words};
use super::statistics::{Goal, Latencies};
use super::{Bench, Benchmark, Error};

pub(crate) static BENCHMARK: Benchmark = Benchmark {
    ids: &["F4"],
    summary: "a hundred different functions",
    limit: Duration::from_mins(2),
    run: |bench| Box::pin(run(bench)),
};

/// Different actions.
const ACTIONS: u32 = 100;
/// Calls a second.
const RATE: f64 = 200.0;
/// Connections that they come over.
const CALLERS: usize = 32;

async fn run(bench: &mut Bench) -> Result<Vec<Row>, Error> {
    let functions = Functions::start(&bench.folder("distinct")).await?;
    let mut caller = functions.caller().await?;
    for n in 0..ACTIONS {
        let name = name(n);
        caller.nothing(&name, SCRIPT).await?;
        caller.invoke(&name).await?;
    }
    let windows = bench
        .interleave(
            async |window| steady(&functions, ACTIONS, window).await,
            async |window| steady(&functions, 1, window).await,
        )
        .await?;
    drop(caller);
    functions.stop().await?;
    let ratio = windows.ratios(|all| all.ms(0.5));
    let found = ratio.map_or(f64::NAN, |ratio| ratio.median);
    let row = Words {
        id: "F4",
        what: "200 calls/s, blocking: intended send → answer; ratio: p50",
        a: format!("of 100 actions, {SCRIPT}: {}", words(windows.a.last())),
        b: format!("of one: {}", words(windows.b.last())),
        bound: "every action was called before".to_owned(),
    };
    Ok(vec![bench.row(
        row,
        ratio,
        &[Goal::at_most(2.0, "×", found)],
    )])
}

fn name(n: u32) -> String {
    format!("action-{n}")
}

/// Calls at an even pace for a window, so many actions in turn.
async fn steady(functions: &Functions, actions: u32, window: Duration) -> Result<Latencies, Error> {
    let pace = Arc::new(Mutex::new(Pace::start(RATE, window)?));
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (mut caller, pace) = (functions.caller().await?, pace.clone());
        callers.spawn(async move {
            let mut all = Latencies::new();
            loop {
                let next = pace.lock().await.next().await;
                let Some((n, intended)) = next else {
                    return Ok::<_, Error>(all);
                };
                caller.invoke(&name(n % actions)).await?;
                all.record(Instant::now().saturating_duration_since(intended));
            }
        });
    }
    let mut all = Latencies::new();
    while let Some(one) = callers.join_next().await {
        all.add(&one.map_err(|cause| Error::of("a caller", cause))??);
    }
    if let Some(pace) = Arc::into_inner(pace) {
        pace.into_inner().end()?;
    }
    Ok(all)
}
