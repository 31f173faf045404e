//! Prints how long functions that do nothing take and what their idle processes hold, for every
//! runtime that is there: `cargo run --profile fast -p conche-openwhisk-host --example runtimes`.

#![allow(clippy::print_stdout, reason = "this is what it is for")]

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use conche_openwhisk_host::runtimes::bench::{Measured, Shape, measure};
use conche_openwhisk_host::runtimes::{
    CAGE_ARGUMENT, CageCommand, Pool, Prewarm, Runtimes as _, Settings, cage_main,
};
use conche_runtime::clock::SystemClock;
use conche_runtime::supervisor::Supervisor;

/// Calls of each shape: cold, warm, and in a crowd.
const CALLS: (usize, usize, usize) = (20, 2000, 5000);
/// Calls at once in a crowd.
const CROWD: usize = 100;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1).peekable();
    if arguments.peek().is_some_and(|first| first == CAGE_ARGUMENT) {
        return cage_main(arguments);
    }
    let runtime = tokio::runtime::Runtime::new();
    match runtime
        .map_err(Into::into)
        .and_then(|runtime| runtime.block_on(measure_all()))
    {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn measure_all() -> Result<(), Box<dyn Error>> {
    println!("| kind | shape | p50 | p99 | calls/s |\n|---|---|---|---|---|");
    for kind in pool().await?.1.kinds().iter().filter(|kind| kind.default) {
        // A pool of its own, so that nothing idle is in the way.
        let (_supervisor, pool) = pool().await?;
        measure_kind(&pool, &kind.kind).await?;
    }
    Ok(())
}

async fn pool() -> std::io::Result<(Supervisor, Pool)> {
    let supervisor = Supervisor::new();
    let settings = Settings::new(CageCommand::current_executable());
    let pool = Pool::start(settings, Arc::new(SystemClock), &supervisor.tasks()).await?;
    Ok((supervisor, pool))
}

async fn measure_kind(pool: &Pool, kind: &str) -> Result<(), Box<dyn Error>> {
    let cold = measure(pool, kind, "cold", Shape::Cold(CALLS.0)).await?;
    row(kind, "cold", &cold);
    let mut ahead = Prewarm {
        kind: kind.to_owned(),
        memory_mb: 128,
        count: 1,
    };
    if pool.prewarm(ahead.clone()).is_ok() {
        let mut times = Vec::new();
        for number in 0..CALLS.0 / 2 {
            while pool.load().idle == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await; // poll
            }
            let name = format!("ahead-{number}");
            times.push(measure(pool, kind, &name, Shape::Cold(1)).await?.p50);
        }
        times.sort_unstable();
        let ahead = Measured {
            p50: times[times.len() / 2],
            p99: times[times.len() - 1],
            calls: times.len(),
            whole: times.iter().sum(),
        };
        row(kind, "cold, interpreter ahead", &ahead);
    }
    ahead.count = 0;
    pool.prewarm(ahead).ok();
    let warm = measure(pool, kind, "warm", Shape::Warm(CALLS.1)).await?;
    row(kind, "warm", &warm);
    if let Some(bytes) = pool.idle_bytes().last() {
        println!(
            "| {kind} | memory of an idle process | {} KiB | | |",
            bytes / 1024
        );
    }
    let crowd = Shape::Crowd(CALLS.2, CROWD);
    row(
        kind,
        "warm, 100 at once",
        &measure(pool, kind, "crowd", crowd).await?,
    );
    Ok(())
}

fn row(kind: &str, shape: &str, measured: &Measured) {
    let rate = measured.calls as f64 / measured.whole.as_secs_f64();
    println!(
        "| {kind} | {shape} | {:.2?} | {:.2?} | {rate:.0} |",
        measured.p50, measured.p99
    );
}
