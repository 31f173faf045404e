//! D6: blocking invocations of a function that does nothing, warm: one after another, and a
//! hundred at once. Functions in processes of Node beside those in the script sandbox.

use std::time::Duration;

use super::functions::{Functions, NODE, SCRIPT, crowd, words};
use super::report::{Row, Words};
use super::statistics::{Goal, Latencies, Windows, figure, median};
use super::{Bench, Benchmark, Error};

pub(crate) static BENCHMARK: Benchmark = Benchmark {
    ids: &["D6", "D6-crowd"],
    summary: "functions that do nothing, warm",
    limit: Duration::from_mins(3),
    run: |bench| Box::pin(run(bench)),
};

/// Callers at once.
const CROWD: usize = 100;

/// What one kind did in a window.
struct Window {
    alone: Latencies,
    crowd: Latencies,
    rate: f64,
}

async fn run(bench: &mut Bench) -> Result<Vec<Row>, Error> {
    let functions = Functions::start(&bench.folder("functions")).await?;
    let mut caller = functions.caller().await?;
    for (name, kind) in [("node", NODE), ("script", SCRIPT)] {
        caller.nothing(name, kind).await?;
        caller.invoke(name).await?;
    }
    let windows = bench
        .interleave(
            async |window| measure(&functions, "node", window).await,
            async |window| measure(&functions, "script", window).await,
        )
        .await?;
    drop(caller);
    functions.stop().await?;
    Ok(vec![alone(bench, &windows), at_once(bench, &windows)])
}

async fn measure(
    functions: &Functions,
    action: &'static str,
    window: Duration,
) -> Result<Window, Error> {
    let mut caller = functions.caller().await?;
    let alone = caller.keep(action, window / 2).await?;
    let (crowd, rate) = crowd(functions, action, (CROWD, window / 2)).await?;
    Ok(Window { alone, crowd, rate })
}

fn alone(bench: &Bench, windows: &Windows<Window>) -> Row {
    let p50 = |window: &Window| window.alone.ms(0.5);
    let goals = [Goal::at_most(1.0, "ms at p50", median(windows.of_a(p50)))];
    let words = |kind: &str, window: Option<&Window>| {
        format!("{kind}: {}", words(window.map(|window| &window.alone)))
    };
    let row = Words {
        id: "D6",
        what: "OpenWhisk action that does nothing, invoked blocking over HTTP, warm, one after another; ratio: p50",
        a: words(NODE, windows.a.last()),
        b: words(SCRIPT, windows.b.last()),
        bound: "the record of each activation is stored, durable, before its answer".to_owned(),
    };
    bench.row(row, windows.ratios(p50), &goals)
}

fn at_once(bench: &Bench, windows: &Windows<Window>) -> Row {
    let rate = |window: &Window| window.rate;
    let goals = [Goal::at_least(
        3000.0,
        "calls/s",
        median(windows.of_a(rate)),
    )];
    let words = |kind: &str, rate: f64, window: Option<&Window>| {
        let words = words(window.map(|window| &window.crowd));
        format!("{kind}: {} calls/s, {words}", figure(rate))
    };
    let row = Words {
        id: "D6-crowd",
        what: "the same by 100 callers at once; ratio: calls/s",
        a: words(NODE, median(windows.of_a(rate)), windows.a.last()),
        b: words(SCRIPT, median(windows.of_b(rate)), windows.b.last()),
        bound: "the callers have a share of the same processors".to_owned(),
    };
    bench.row(row, windows.ratios(rate), &goals)
}
