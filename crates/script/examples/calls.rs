//! What a call through the sandbox costs, against the same engine in process.
//!
//! `cargo run --release -p conche-script --example calls`
//!
//! The kinds of call take turns in short rounds, so that a busy machine slows
//! all of them alike; the ratios are what counts.

#![allow(clippy::print_stdout, reason = "its output is its purpose")]

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use conche_script::bench::{Bare, EVENT, SCRIPT};
use conche_script::{
    Config, Evaluation, Isolation, Limits, Sandbox, Script, WORKER_ARGUMENT, WorkerCommand,
};
use serde_json::value::RawValue;
use tokio::task::JoinSet;

const ROUNDS: usize = 9;
const TURNS: usize = 8;
const CALLS: usize = 40;
const SMALL_EVENT: &str = r#"{"n":1,"name":"small"}"#;
const SMALL_SCRIPT: &str = "if (event.n > 0) { nextAction = 'mail'; result = { to: event.name } }";

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some(WORKER_ARGUMENT) {
        return conche_script::worker_main();
    }
    let runtime = tokio::runtime::Runtime::new();
    match runtime
        .map_err(Into::into)
        .and_then(|runtime| runtime.block_on(measure()))
    {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("failed: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn measure() -> Outcome<()> {
    let sandbox = Arc::new(Sandbox::start(Config::new(WorkerCommand::current_executable())).await?);
    for (name, script, event) in [
        ("2 KiB", SCRIPT, EVENT),
        ("small", SMALL_SCRIPT, SMALL_EVENT),
    ] {
        latency(&sandbox, name, script, event).await?;
        for at_once in [8, 64, 512] {
            throughput(&sandbox, name, script, event, at_once).await?;
        }
    }
    kills(&sandbox).await?;
    Ok(())
}

fn evaluation(script: &str, event: &str, isolation: Isolation) -> Outcome<Evaluation> {
    Ok(Evaluation {
        script: Arc::new(Script::new("bench", script)),
        event: RawValue::from_string(event.to_owned())?.into(),
        action_data: None,
        lists: None,
        isolation,
        limits: None,
    })
}

/// One call at a time.
async fn latency(sandbox: &Arc<Sandbox>, name: &str, script: &str, event: &str) -> Outcome<()> {
    let warm = evaluation(script, event, Isolation::Warm)?;
    let fresh = evaluation(script, event, Isolation::Fresh)?;
    let mut medians: [Vec<f64>; 4] = Default::default();
    for _ in 0..ROUNDS {
        let mut samples: [Vec<Duration>; 4] = Default::default();
        for _ in 0..TURNS {
            let bare = Bare::new(script)?;
            samples[0].extend(time(CALLS, || bare.call(event))?);
            drop(bare);
            samples[1].extend(time_sandbox(CALLS, sandbox, &warm).await?);
            samples[2].extend(time(CALLS / 4, || Bare::once(script, event))?);
            samples[3].extend(time_sandbox(CALLS / 4, sandbox, &fresh).await?);
        }
        for (medians, samples) in medians.iter_mut().zip(&mut samples) {
            samples.sort_unstable();
            medians.push(samples[samples.len() / 2].as_secs_f64() * 1e6);
        }
    }
    let [bare, warm, once, fresh] = medians;
    println!("{name}: p50 in µs, median of {ROUNDS} rounds");
    println!("  in process, kept        {:7.1}", median(&bare));
    println!("  sandbox, warm           {:7.1}", median(&warm));
    println!("  in process, new VM      {:7.1}", median(&once));
    println!("  sandbox, fresh          {:7.1}", median(&fresh));
    println!(
        "  B5 warm / kept          {:7.2}  (gate <= 1.6)",
        ratio(&warm, &bare)
    );
    println!(
        "  B5 fresh / new VM       {:7.2}  (gate <= 1.3)",
        ratio(&fresh, &once)
    );
    println!(
        "  B6 new VM / warm        {:7.2}  (gate >= 4)",
        ratio(&once, &warm)
    );
    Ok(())
}

fn time<T, E>(calls: usize, mut call: impl FnMut() -> Result<T, E>) -> Result<Vec<Duration>, E> {
    let timed = (0..calls).map(|_| {
        let start = Instant::now();
        call().map(|_| start.elapsed())
    });
    timed.collect()
}

/// In a task of its own, as in real life: what runs on the main thread would
/// be woken from another thread each time.
async fn time_sandbox(
    calls: usize,
    sandbox: &Arc<Sandbox>,
    call: &Evaluation,
) -> Outcome<Vec<Duration>> {
    let (sandbox, call) = (Arc::clone(sandbox), call.clone());
    let mut task = JoinSet::new();
    task.spawn(async move {
        let mut times = Vec::with_capacity(calls);
        for _ in 0..calls {
            let start = Instant::now();
            sandbox.evaluate(call.clone()).await?;
            times.push(start.elapsed());
        }
        Ok::<_, conche_script::Error>(times)
    });
    let times = task.join_next().await.ok_or("no task")??;
    Ok(times?)
}

/// Many calls at once.
async fn throughput(
    sandbox: &Arc<Sandbox>,
    name: &str,
    script: &str,
    event: &str,
    at_once: usize,
) -> Outcome<()> {
    let call = evaluation(script, event, Isolation::Warm)?;
    let start = Instant::now();
    let mut callers = JoinSet::new();
    for _ in 0..at_once {
        let (sandbox, call) = (Arc::clone(sandbox), call.clone());
        callers.spawn(async move {
            let mut done = 0_u32;
            while start.elapsed() < Duration::from_secs(2) {
                if sandbox.evaluate(call.clone()).await.is_ok() {
                    done += 1;
                }
            }
            done
        });
    }
    let done: u32 = callers.join_all().await.iter().sum();
    let rate = f64::from(done) / start.elapsed().as_secs_f64();
    println!("  {name}, {at_once:3} at once: {rate:8.0} calls/s");
    Ok(())
}

/// How late the kill comes, and what the next call pays for the new worker.
async fn kills(sandbox: &Sandbox) -> Outcome<()> {
    let limits = Limits {
        time: Duration::from_millis(50),
        ..Limits::default()
    };
    let mut late = Vec::new();
    for n in 0..20 {
        // A new source each time, so that no quarantine steps in.
        let source = format!("{n}; var big = 'x'.repeat(5e6); for (;;) big.indexOf('y')");
        let hang = Evaluation {
            limits: Some(limits),
            ..evaluation(&source, "{}", Isolation::Warm)?
        };
        let start = Instant::now();
        if sandbox.evaluate(hang).await.is_ok() {
            return Err("a hanging script came back".into());
        }
        late.push(start.elapsed().saturating_sub(limits.time).as_secs_f64() * 1e3);
    }
    late.sort_unstable_by(f64::total_cmp);
    println!(
        "kill after the deadline: p50 {:.1} ms, worst {:.1} ms",
        median(&late),
        late[late.len() - 1]
    );
    Ok(())
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// The median of the ratios of paired rounds.
fn ratio(upper: &[f64], lower: &[f64]) -> f64 {
    median(
        &upper
            .iter()
            .zip(lower)
            .map(|(upper, lower)| upper / lower)
            .collect::<Vec<_>>(),
    )
}
