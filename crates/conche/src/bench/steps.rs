//! B8: steps of playbooks a second that do nothing but be recorded: what many runs commit
//! together against a commit for each.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use conche_core::Json;
use conche_core::run::{OnUncertain, Repeat, Status};
use conche_modules::command::EXECUTE;
use conche_modules::{Action, ActionModule, ActionSpec, Call, Error as Refusal, Output};
use conche_store::sqlite::SqliteConfig;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::chain::{self, Link};
use super::cpu::{Cpu, Shares};
use super::report::{Row, Words};
use super::runs::Runs;
use super::stand::Stand;
use super::statistics::{Goal, Rate, Spread, figure, median};
use super::{Bench, Benchmark, Error};

pub(crate) static BENCHMARK: Benchmark = Benchmark {
    ids: &["B8"],
    summary: "steps of playbooks that do nothing",
    limit: Duration::from_mins(2),
    run: |bench| Box::pin(run(bench)),
};

/// Steps of a run.
const STEPS: usize = 10;
/// Runs under way at once: below what a node holds.
const RUNS: usize = 128;

/// Carries out every command by doing nothing but count it, as the module of the commands that
/// it is registered for.
#[derive(Default)]
struct Nothing(Arc<AtomicU64>);

static MODULE: ActionModule = ActionModule {
    name: "bash",
    summary: "Does nothing.",
    actions: &[ActionSpec {
        name: EXECUTE,
        summary: "Does nothing.",
        input: &any,
        output: &any,
        repeat: Repeat::Idempotent,
        on_uncertain: OnUncertain::Repeat,
    }],
    config: &any,
    build: &|_config, _cx| Ok(Arc::new(Nothing::default())),
};

fn any() -> Value {
    json!({})
}

#[async_trait]
impl Action for Nothing {
    async fn invoke(&self, _call: &Call) -> Result<Output, Refusal> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(Json::empty_object())
    }
}

/// An engine whose steps do nothing.
struct Chain {
    stand: Stand,
    runs: Arc<Runs>,
    /// Steps that were carried out, each after its intent was committed.
    done: Arc<AtomicU64>,
}

async fn run(bench: &mut Bench) -> Result<Vec<Row>, Error> {
    let grouped = Chain::start(SqliteConfig::new(bench.folder("grouped"))).await?;
    let single = Chain::start(SqliteConfig {
        batch_max: 1,
        ..SqliteConfig::new(bench.folder("single"))
    })
    .await?;
    let windows = bench
        .interleave(
            async |window| grouped.load(window).await,
            async |window| single.load(window).await,
        )
        .await?;
    grouped.stop().await?;
    single.stop().await?;
    let (a_second, commits) = (
        |window: &(Rate, Shares)| window.0.done_per_second(),
        |window: &(Rate, Shares)| window.0.commits_per_second(),
    );
    let (ours, other) = (
        median(windows.of_a(a_second)),
        median(windows.of_b(a_second)),
    );
    let ratio = windows.ratios(a_second);
    let words = |steps: f64, commits: Option<Spread>| {
        let (steps, commits) = (figure(steps), figure(median(commits)));
        format!("{steps} steps/s, {commits} commits/s")
    };
    let goals = [
        Goal::at_least(2000.0, "steps/s", ours),
        Goal::at_least(2.0, "×", median(ratio)),
    ];
    let shares = windows.a.last();
    let row = Words {
        id: "B8",
        what: "a playbook of 10 steps that do nothing, durable: group commit vs one a commit",
        a: format!("group commit: {}", words(ours, windows.of_a(commits))),
        b: format!("one a commit: {}", words(other, windows.of_b(commits))),
        bound: shares.map_or_else(String::new, |(_, shares)| shares.bound(ours)),
    };
    Ok(vec![bench.row(row, ratio, &goals)])
}

impl Chain {
    async fn start(config: SqliteConfig) -> Result<Self, Error> {
        let done = Arc::<AtomicU64>::default();
        let nothing: Arc<dyn Action> = Arc::new(Nothing(done.clone()));
        let actions = BTreeMap::from([(MODULE.name.to_owned(), (nothing, &MODULE, 0))]);
        let stand = Stand::with(config, actions).await?;
        let program = chain::program(&Link::command(MODULE.name), STEPS)?;
        Ok(Self {
            runs: Runs::of(&stand, program),
            done,
            stand,
        })
    }

    /// Keeps as many runs under way for a window; the steps that were carried out in it.
    async fn load(&self, window: Duration) -> Result<(Rate, Shares), Error> {
        let stopped = Arc::new(AtomicBool::new(false));
        let mut under_way = JoinSet::new();
        for _ in 0..RUNS {
            let (runs, stopped) = (self.runs.clone(), stopped.clone());
            under_way.spawn(async move {
                while !stopped.load(Ordering::Relaxed) {
                    runs.one(Status::Succeeded).await?;
                }
                Ok::<(), Error>(())
            });
        }
        tokio::time::sleep(window / 4).await;
        let done = || self.done.load(Ordering::Relaxed);
        let commits = || self.stand.store.stats().commits;
        let (start, before, committed, cpu) = (Instant::now(), done(), commits(), Cpu::now());
        tokio::time::sleep(window).await;
        let rate = Rate {
            done: done() - before,
            commits: commits() - committed,
            seconds: start.elapsed().as_secs_f64(),
        };
        let shares = cpu.since();
        stopped.store(true, Ordering::Relaxed);
        while let Some(ended) = under_way.join_next().await {
            ended.map_err(|cause| Error::of("a run", cause))??;
        }
        Ok((rate, shares))
    }

    async fn stop(self) -> Result<(), Error> {
        drop(self.runs);
        self.stand.stop().await
    }
}
