//! F2 and F3: what stands between a trigger and the end of the action that its rule starts, and
//! what a sequence costs beside the calls that it makes.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::functions::{Caller, Functions, SCRIPT, words};
use super::report::{Row, Words};
use super::statistics::{Latencies, Windows};
use super::{Bench, Benchmark, Error};

pub(crate) static BENCHMARK: Benchmark = Benchmark {
    ids: &["F2", "F3"],
    summary: "triggers with a rule, and sequences",
    limit: Duration::from_mins(3),
    run: |bench| Box::pin(run(bench)),
};

/// Actions of the sequence.
const ACTIONS: usize = 10;
/// A record that is not there after this time will not come.
const PATIENCE: Duration = Duration::from_secs(10);

async fn run(bench: &mut Bench) -> Result<Vec<Row>, Error> {
    let functions = Functions::start(&bench.folder("fire")).await?;
    prepare(&mut functions.caller().await?).await?;
    let fired = bench
        .interleave(
            async |window| firings(&functions, window).await,
            async |window| functions.caller().await?.keep("one", window).await,
        )
        .await?;
    let fired = rule(bench, &fired);
    let chained = bench
        .interleave(
            async |window| functions.caller().await?.keep("ten", window).await,
            async |window| functions.caller().await?.keep("one", window).await,
        )
        .await?;
    let chained = sequence(bench, &chained);
    functions.stop().await?;
    Ok(vec![fired, chained])
}

/// An action, a sequence of it, and a trigger with a rule that starts it.
async fn prepare(caller: &mut Caller) -> Result<(), Error> {
    caller.nothing("one", SCRIPT).await?;
    let components = vec!["/guest/one"; ACTIONS];
    let sequence = json!({ "exec": { "kind": "sequence", "components": components } });
    caller.make("actions", "ten", &sequence).await?;
    caller.make("triggers", "now", &json!({})).await?;
    let rule = json!({ "trigger": "/guest/now", "action": "/guest/one" });
    caller.make("rules", "then", &rule).await?;
    caller.invoke("ten").await
}

/// Fires one after another, each until the record of the action that it started can be read.
async fn firings(functions: &Functions, window: Duration) -> Result<Latencies, Error> {
    let mut caller = functions.caller().await?;
    let (begin, mut all) = (Instant::now(), Latencies::new());
    while begin.elapsed() < window {
        let start = Instant::now();
        let fired = caller.send("POST", "triggers/now", "{}").await?;
        let trigger = record(&mut caller, id(&fired)?).await?;
        let told = trigger["logs"][0].as_str().unwrap_or_default();
        let told: Value = serde_json::from_str(told).unwrap_or_default();
        let done = record(&mut caller, id(&told)?).await?;
        if done["response"]["success"] != true {
            return Err(Error::of("the action of a rule", done));
        }
        all.record(start.elapsed());
    }
    Ok(all)
}

fn id(answer: &Value) -> Result<&str, Error> {
    answer["activationId"]
        .as_str()
        .ok_or_else(|| Error::of("an activation", format!("has no id: {answer}")))
}

/// The record of an activation, once it is there.
async fn record(caller: &mut Caller, id: &str) -> Result<Value, Error> {
    let begin = Instant::now();
    let path = format!("activations/{id}");
    loop {
        match caller.send("GET", &path, "").await {
            Err(_not_there) if begin.elapsed() < PATIENCE => {}
            answer => return answer,
        }
    }
}

fn rule(bench: &Bench, windows: &Windows<Latencies>) -> Row {
    let row = Words {
        id: "F2",
        what: "trigger → rule → action, from the firing until the action's record can be read; ratio: p50",
        a: format!("fired, {SCRIPT}: {}", words(windows.a.last())),
        b: format!("invoked, blocking: {}", words(windows.b.last())),
        bound: "the firing with what it starts is stored, then the action's record".to_owned(),
    };
    bench.row(row, windows.ratios(|all| all.ms(0.5)), &[])
}

fn sequence(bench: &Bench, windows: &Windows<Latencies>) -> Row {
    let row = Words {
        id: "F3",
        what: "a sequence of 10 actions, blocking; ratio: p50",
        a: format!("ten, {SCRIPT}: {}", words(windows.a.last())),
        b: format!("one: {}", words(windows.b.last())),
        bound: "each of them has its own record".to_owned(),
    };
    bench.row(row, windows.ratios(|all| all.ms(0.5)), &[])
}
