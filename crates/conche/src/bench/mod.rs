//! `conche bench`: what this build does on this machine, as ratios that survive a busy one.
//!
//! Two kinds of work take turns in short windows, A B A B A; before each window a probe
//! measures the machine itself, and where that moved by more than a quarter nothing is
//! judged. Latencies count from the intended time of sending. Every benchmark is a file of
//! its own and runs in a process of its own, so that what one leaves in memory, caches and
//! threads does not touch the next, and one that hangs is ended.
//!
//! Nothing here may reach beyond loopback, outlast its time, or print a figure that was
//! not measured in this run.

mod acknowledge;
mod admission;
mod calibrate;
mod chain;
mod child;
mod client;
mod cpu;
mod crowd;
mod distinct;
mod fire;
mod fresh;
mod functions;
mod growth;
mod idle;
mod invoke;
mod latency;
mod layout;
mod neighbour;
mod pace;
mod playbook;
mod questions;
mod report;
mod retention;
mod runs;
mod script;
mod stand;
mod start;
mod statistics;
mod steps;
mod stored;
mod storm;
mod tap;
mod telemetry;
mod throughput;
mod validation;
mod waiting;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use clap::Args;

use self::calibrate::Probe;
use self::child::Scratch;
use self::report::{Report, Row};
use self::statistics::{Verdict, Windows};
use crate::failure::Failure;
use crate::output::OutputArgs;

/// Measures this build on this machine.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  conche bench --quick
  conche bench --only D1,B4 -o json

The whole takes about twelve minutes, with --quick about three. Exit code 0 even where a goal
is missed: the table says so, and by how much; 1 where a benchmark gave no figure.")]
pub(crate) struct BenchArgs {
    /// Only these benchmarks, by the ids in the table's first column
    #[arg(long, value_name = "IDS", value_delimiter = ',')]
    only: Vec<String>,
    /// Windows of one second instead of four, and a tenth of the stored runs
    #[arg(long)]
    quick: bool,
    /// A folder on the disk to measure; what is made in it is removed again [default: the system's temporary folder]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
}

/// One line of the list of benchmarks.
pub(crate) struct Benchmark {
    /// The rows that it gives.
    ids: &'static [&'static str],
    /// In one sentence.
    summary: &'static str,
    /// It is ended after this time.
    limit: Duration,
    run: for<'a> fn(&'a mut Bench) -> Work<'a>,
}

impl Benchmark {
    /// The rows that say that there are no figures, and why.
    fn failed(&self, error: &Error) -> Vec<Row> {
        let row = |id: &&str| Row::failed(id, self.summary, error);
        self.ids.iter().map(row).collect()
    }
}

type Work<'a> = Pin<Box<dyn Future<Output = Result<Vec<Row>, Error>> + 'a>>;

/// Every benchmark, in the order of the table. `D` numbers are the rows of the design's
/// table of goals, `B` numbers those of the benchmark plan, `P` numbers are of playbooks, `F` numbers of functions.
static ALL: &[&Benchmark] = &[
    &throughput::BENCHMARK,
    &latency::BENCHMARK,
    &playbook::BENCHMARK,
    &crowd::BENCHMARK,
    &steps::BENCHMARK,
    &invoke::BENCHMARK,
    &fresh::BENCHMARK,
    &fire::BENCHMARK,
    &distinct::BENCHMARK,
    &start::BENCHMARK,
    &acknowledge::BENCHMARK,
    &layout::BENCHMARK,
    &script::BENCHMARK,
    &waiting::BENCHMARK,
    &questions::BENCHMARK,
    &growth::BENCHMARK,
    &idle::BENCHMARK,
    &neighbour::BENCHMARK,
    &storm::BENCHMARK,
    &telemetry::BENCHMARK,
    &admission::BENCHMARK,
    &validation::BENCHMARK,
];

/// Why there is no figure.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The command line names a benchmark that there is not.
    #[error("there is no benchmark `{given}` (there are: {known})")]
    Unknown {
        /// As given.
        given: String,
        /// All ids.
        known: String,
    },
    /// Something that a benchmark needs did not work.
    #[error("{what}: {cause}")]
    Failed {
        /// What.
        what: String,
        /// Why.
        cause: String,
    },
}

impl Error {
    fn of(what: impl Into<String>, cause: impl std::fmt::Display) -> Self {
        Self::Failed {
            what: what.into(),
            cause: cause.to_string(),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Unknown { .. } => Self::Usage(error.to_string()),
            Error::Failed { .. } => Self::of("bench", error),
        }
    }
}

/// What a benchmark runs with.
pub(crate) struct Bench {
    dir: PathBuf,
    quick: bool,
    probe: Probe,
    calibration: Vec<f64>,
}

impl Bench {
    fn new(dir: &Path, quick: bool) -> Result<Self, Error> {
        Ok(Self {
            probe: Probe::new(dir)?,
            dir: dir.to_owned(),
            quick,
            calibration: Vec::new(),
        })
    }

    /// How long one window is.
    fn window(&self) -> Duration {
        Duration::from_secs(if self.quick { 1 } else { 4 })
    }

    /// A folder for this benchmark alone.
    fn folder(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Measures the machine itself.
    fn calibrate(&mut self) -> Result<(), Error> {
        self.calibration.push(self.probe.run()?);
        Ok(())
    }

    /// Windows of two kinds of work in turn, A B A B A, each after a probe.
    async fn interleave<T>(
        &mut self,
        mut a: impl AsyncFnMut(Duration) -> Result<T, Error>,
        mut b: impl AsyncFnMut(Duration) -> Result<T, Error>,
    ) -> Result<Windows<T>, Error> {
        let mut windows = Windows {
            a: Vec::new(),
            b: Vec::new(),
        };
        self.calibration.clear();
        for turn in 0..5 {
            self.calibrate()?;
            if turn % 2 == 0 {
                windows.a.push(a(self.window()).await?);
            } else {
                windows.b.push(b(self.window()).await?);
            }
        }
        self.calibrate()?;
        Ok(windows)
    }
}

/// Runs what was asked for and prints the table; whether every benchmark gave its figures.
pub(crate) async fn bench(args: BenchArgs) -> Result<bool, Failure> {
    let chosen = choose(&args.only)?;
    let base = args.dir.clone().unwrap_or_else(std::env::temp_dir);
    let rows = measure(&chosen, &base, args.quick).await?;
    let failed = rows.iter().any(|row| row.verdict == Verdict::Failed);
    args.output.print(&Report::new(rows), Report::table)?;
    Ok(!failed)
}

async fn measure(chosen: &[&Benchmark], base: &Path, quick: bool) -> Result<Vec<Row>, Error> {
    let dir = Scratch::new(base)?;
    if let [only] = chosen {
        return (only.run)(&mut Bench::new(dir.path(), quick)?).await;
    }
    let mut rows = Vec::new();
    for benchmark in chosen {
        let measured = child::run(benchmark, quick, dir.path()).await;
        // One that fails takes nothing from the others.
        rows.extend(measured.unwrap_or_else(|error| benchmark.failed(&error)));
    }
    Ok(rows)
}

/// The benchmarks that give the rows asked for, in the order of the list; all where none
/// is named.
fn choose(only: &[String]) -> Result<Vec<&'static Benchmark>, Error> {
    let known = || ALL.iter().flat_map(|benchmark| benchmark.ids);
    if let Some(given) = only
        .iter()
        .find(|id| !known().any(|known| id.eq_ignore_ascii_case(known)))
    {
        return Err(Error::Unknown {
            given: given.clone(),
            known: known().copied().collect::<Vec<_>>().join(", "),
        });
    }
    let wanted = |benchmark: &&&Benchmark| {
        let named = |id: &&str| only.iter().any(|only| only.eq_ignore_ascii_case(id));
        only.is_empty() || benchmark.ids.iter().any(named)
    };
    Ok(ALL.iter().filter(wanted).copied().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_benchmarks_give_the_same_row() {
        let mut ids: Vec<&str> = ALL
            .iter()
            .flat_map(|benchmark| benchmark.ids)
            .copied()
            .collect();
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count);
    }

    #[test]
    fn benchmarks_are_chosen_by_any_of_their_rows_in_the_order_of_the_list() {
        let chosen = choose(&["b6".to_owned(), "D1".to_owned()]).unwrap();
        let ids: Vec<_> = chosen.iter().map(|benchmark| benchmark.ids[0]).collect();
        assert_eq!(ids, ["D1", "B5"]);
        assert_eq!(choose(&[]).unwrap().len(), ALL.len());
    }

    #[test]
    fn an_unknown_benchmark_is_refused_with_those_that_there_are() {
        let Err(error) = choose(&["B99".to_owned()]) else {
            panic!("it was taken")
        };
        assert!(
            error.to_string().contains("`B99`") && error.to_string().contains("B16"),
            "{error}"
        );
    }
}
