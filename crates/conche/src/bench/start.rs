//! D7 and B11: how soon a server is ready, what it takes while nothing happens, and how large
//! the program is.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::child::{Memory, Server};
use super::report::{Row, Words};
use super::statistics::{Goal, Spread, figure};
use super::{Bench, Benchmark, Error};

pub(crate) static BENCHMARK: Benchmark = Benchmark {
    ids: &["D7", "B11"],
    summary: "start, idle memory, size",
    limit: Duration::from_mins(1),
    run: |bench| Box::pin(run(bench)),
};

/// Starts of which the median counts.
const STARTS: usize = 9;
/// A server is idle after this time.
const SETTLE: Duration = Duration::from_secs(2);

async fn run(bench: &mut Bench) -> Result<Vec<Row>, Error> {
    let folder = bench.folder("start");
    let mut ready = Vec::new();
    bench.calibration.clear();
    for _ in 0..STARTS {
        bench.calibrate()?;
        let server = Server::start(&folder).await?;
        ready.push(server.ready.as_secs_f64());
        server.stop().await?;
    }
    let server = Server::start(&folder).await?;
    tokio::time::sleep(SETTLE).await;
    let (main, workers) = server.memory()?;
    server.stop().await?;
    let start = row_start(bench, &ready, main, &workers);
    // A size does not depend on how busy the machine is.
    bench.calibration.clear();
    Ok(vec![start, row_size(bench)?])
}

fn row_start(bench: &Bench, ready: &[f64], main: Memory, workers: &[Memory]) -> Row {
    let ready = Spread::of(ready.iter().copied());
    let median = ready.map_or(f64::NAN, |ready| ready.median);
    let all: f64 = main.share + workers.iter().map(|worker| worker.share).sum::<f64>();
    let goals = [
        Goal::at_most(0.1, "s to ready", median),
        Goal::at_most(30.0, "MB idle", all / 1e6),
    ];
    let words = Words {
        id: "D7",
        what: "exec → all listeners answer, on an existing folder; memory while idle",
        a: format!(
            "ready in {} ms ({}–{}); {} MB with all workers",
            figure(median * 1e3),
            figure(ready.map_or(f64::NAN, |ready| ready.min) * 1e3),
            figure(ready.map_or(f64::NAN, |ready| ready.max) * 1e3),
            figure(all / 1e6)
        ),
        b: String::new(),
        bound: format!(
            "the server itself {} MB resident; {} script workers add {} MB of their own (what they share with it counted once)",
            figure(main.resident / 1e6),
            workers.len(),
            figure((all - main.share) / 1e6)
        ),
    };
    bench.row(words, None, &goals)
}

fn row_size(bench: &Bench) -> Result<Row, Error> {
    let size = |path: &Path| std::fs::metadata(path).map(|file| file.len() as f64 / 1e6);
    // By number: to `strip`, `/proc/self` is itself.
    let program = PathBuf::from(format!("/proc/{}/exe", std::process::id()));
    let built = size(&program).map_err(|cause| Error::of("the program", cause))?;
    let stripped = bench.folder("stripped");
    let strip = Command::new("strip")
        .arg("-o")
        .arg(&stripped)
        .arg(&program)
        .output();
    let done = strip.is_ok_and(|output| output.status.success());
    let (size, how) = match size(&stripped) {
        Ok(size) if done => (size, "stripped"),
        _ => (built, "as built; no `strip` is here"),
    };
    let goals = [Goal::at_most(35.0, "MB", size)];
    let words = Words {
        id: "B11",
        what: "size of the program",
        a: format!("{} MB, {how}", figure(size)),
        b: String::new(),
        bound: format!("as built, with what debuggers need: {} MB", figure(built)),
    };
    Ok(bench.row(words, None, &goals))
}
