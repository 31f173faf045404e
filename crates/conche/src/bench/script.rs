//! B5 and B6: what a script call costs through the sandbox, against the same engine in this
//! process: kept (what isolation costs) and made anew for each call (the model of old).

use std::fmt::Display;
use std::sync::Arc;
use std::time::{Duration, Instant};

use conche_script::bench::{Bare, EVENT, SCRIPT};
use conche_script::{Evaluation, Isolation, Sandbox, Script};
use serde_json::value::RawValue;

use super::report::{Row, Words};
use super::statistics::{Goal, Latencies, Windows, figure, median};
use super::{Bench, Benchmark, Error, stand};

pub(crate) static BENCHMARK: Benchmark = Benchmark {
    ids: &["B5", "B6"],
    summary: "script calls",
    limit: Duration::from_secs(90),
    run: |bench| Box::pin(run(bench)),
};

async fn run(bench: &mut Bench) -> Result<Vec<Row>, Error> {
    let sandbox = stand::sandbox().await?;
    let bare = Bare::new(SCRIPT).map_err(|cause| Error::of("a script", cause))?;
    let kept = async |window| in_process(window, || bare.call(EVENT));
    let anew = async |window| in_process(window, || Bare::once(SCRIPT, EVENT));
    let isolated = bench
        .interleave(
            async |window| through(&sandbox, Isolation::Warm, window).await,
            kept,
        )
        .await?;
    let first = row_isolated(bench, &isolated);
    let old = bench
        .interleave(anew, async |window| {
            through(&sandbox, Isolation::Warm, window).await
        })
        .await?;
    let empty = in_process(bench.window() / 4, || Bare::once("", "{}"))?;
    let second = row_old(bench, &old, empty.ms(0.5));
    Ok(vec![first, second])
}

fn row_isolated(bench: &Bench, windows: &Windows<Latencies>) -> Row {
    let ratio = windows.ratios(|calls| calls.ms(0.5));
    let added =
        median(windows.of_a(|calls| calls.ms(0.5))) - median(windows.of_b(|calls| calls.ms(0.5)));
    let goals = [Goal::at_most(
        1.6,
        "×",
        ratio.map_or(f64::NAN, |ratio| ratio.median),
    )];
    let words = Words {
        id: "B5",
        what: "script call, p50: isolated and warm vs the bare engine in process",
        a: format!("isolated: {}", micros(windows.a.last())),
        b: format!("in process: {}", micros(windows.b.last())),
        bound: format!("isolation adds {} µs a call", figure(added * 1000.0)),
    };
    bench.row(words, ratio, &goals)
}

fn row_old(bench: &Bench, windows: &Windows<Latencies>, empty: f64) -> Row {
    let ratio = windows.ratios(|calls| calls.ms(0.5));
    let goals = [Goal::at_least(
        4.0,
        "×",
        ratio.map_or(f64::NAN, |ratio| ratio.median),
    )];
    let words = Words {
        id: "B6",
        what: "script call, p50: new VM and compilation each time (in process) vs ours (isolated, warm)",
        a: format!("new VM each time: {}", micros(windows.a.last())),
        b: format!("ours: {}", micros(windows.b.last())),
        bound: format!(
            "making a VM and running nothing in it takes {} µs of that",
            figure(empty * 1000.0)
        ),
    };
    bench.row(words, ratio, &goals)
}

fn micros(calls: Option<&Latencies>) -> String {
    let Some(calls) = calls else {
        return String::new();
    };
    format!(
        "p50 {} µs, p99 {} µs",
        figure(calls.ms(0.5) * 1000.0),
        figure(calls.ms(0.99) * 1000.0)
    )
}

/// One call after another in this process.
fn in_process<E: Display>(
    window: Duration,
    call: impl Fn() -> Result<String, E>,
) -> Result<Latencies, Error> {
    let (start, mut calls) = (Instant::now(), Latencies::new());
    while start.elapsed() < window {
        let begin = Instant::now();
        call().map_err(|cause| Error::of("a script", cause))?;
        calls.record(begin.elapsed());
    }
    Ok(calls)
}

/// One call after another through the sandbox.
async fn through(
    sandbox: &Sandbox,
    isolation: Isolation,
    window: Duration,
) -> Result<Latencies, Error> {
    let call = evaluation("bench", SCRIPT, EVENT, isolation)?;
    let (start, mut calls) = (Instant::now(), Latencies::new());
    while start.elapsed() < window {
        let begin = Instant::now();
        let evaluated = sandbox.evaluate(call.clone()).await;
        evaluated.map_err(|cause| Error::of("a script", cause))?;
        calls.record(begin.elapsed());
    }
    Ok(calls)
}

/// A call of a script.
pub(crate) fn evaluation(
    name: &str,
    source: &str,
    event: &str,
    isolation: Isolation,
) -> Result<Evaluation, Error> {
    let event = RawValue::from_string(event.to_owned());
    Ok(Evaluation {
        script: Arc::new(Script::new(name, source)),
        event: event.map_err(|cause| Error::of("an event", cause))?.into(),
        action_data: None,
        lists: None,
        isolation,
        limits: None,
    })
}
