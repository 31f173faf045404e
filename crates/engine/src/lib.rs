//! The shell around the core: takes events in, gives runs to the core to decide on,
//! performs what it decides and records what came of it.
//!
//! The straight line of one event: `intake` accepts it with its runs in one transaction
//! → `executor` drives each run it holds → `drive` folds, decides, commits intents,
//! performs and commits outcomes → a run is parked or finished. Retry, restart, takeover
//! and operators' wishes all enter at `executor`: one path, always used.

mod answers;
mod budget;
mod by;
mod caps;
mod config;
mod connections;
mod csf_metrics;
mod definitions;
mod drive;
mod evaluator;
mod executor;
mod faults;
mod filter;
mod folder;
mod groups;
mod hearings;
mod held;
mod host;
mod housekeeping;
mod intake;
mod lists;
mod metrics;
mod perform;
mod playbook_runs;
mod playbooks;
mod queues;
mod rails;
mod reactions;
mod reminders;
mod sandbox;
mod sealed;
mod signals;
mod storms;
mod tail;
mod targets;
mod triggers;
mod turns;
mod waits;

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use conche_core::definition::{ActionTable, Defaults};
use conche_core::run::{OnUncertain, Repeat};
use conche_modules::{Action, ActionModule};
use conche_runtime::clock::SharedClock;
use conche_runtime::secrets::{Masker, Secrets};
use conche_runtime::supervisor::{OnFailure, Stage, Tasks};
use conche_store::{NodeId, Store};
use tokio::sync::Semaphore;
use uuid::Uuid;

pub use by::By;
pub use caps::{ACTED_ON, Cap, Caps};
pub use config::{Config, Retention, Safety};
pub use connections::SourceState;
pub use evaluator::{Evaluated, Evaluation, EvaluationError, Evaluator, SyntaxFault};
pub use filter::{FUNCTIONS, Filter};
pub use folder::{FileFault, Folder, Loaded, read_reaction};
pub use housekeeping::{EXPIRE_CHUNK, expire_rest};
pub use lists::{ListError, NewEntry};
pub use metrics::Metrics;
pub use playbook_runs::{PlaybookBegun, Start, StartError, needs_approval};
pub use playbooks::{
    Checked, LoadedPlaybooks, NewPlaybook, PlaybookError, PlaybookFolder, PlaybookInfo,
    incorrect_signatures,
};
pub use rails::{PROTECTED, STOPPED};
pub use reactions::{Owner, ReactionError, ReactionInfo};
pub use sandbox::SandboxEvaluator;
pub use signals::SignalError;
pub use tail::Change;
pub use turns::AtOnce;

/// Large events that are filtered at once; more wait, and their senders with them.
const FILTERED_AT_ONCE: usize = 2;

/// Runs held at once whose answer somebody waits for.
const URGENT_RUNS: usize = 256;

/// What an engine is made of.
pub struct Parts {
    /// The truth.
    pub store: Arc<dyn Store>,
    /// Evaluates scripts.
    pub evaluator: Arc<dyn Evaluator>,
    /// Built action modules by name, with how many invocations of each may be under way (0: no limit).
    pub actions: BTreeMap<String, (Arc<dyn Action>, &'static ActionModule, usize)>,
    /// The clock.
    pub clock: SharedClock,
    /// Starts tasks.
    pub tasks: Tasks,
    /// Secrets by name. It holds those that stand in playbooks themselves.
    pub secrets: Arc<Secrets>,
    /// Limits and intervals.
    pub config: Config,
    /// Rails for what playbooks do.
    pub safety: Safety,
}

/// The engine. Cheap to clone.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

pub(crate) struct Inner {
    store: Arc<dyn Store>,
    evaluator: Arc<dyn Evaluator>,
    modules: perform::Modules,
    clock: SharedClock,
    tasks: Tasks,
    secrets: Arc<Secrets>,
    masker: Masker,
    config: Config,
    safety: Safety,
    node: NodeId,
    triggers: ArcSwap<triggers::Triggers>,
    /// Large events that are filtered at once.
    filtering: Arc<Semaphore>,
    reactions: tokio::sync::Mutex<reactions::Registry>,
    playbooks: tokio::sync::Mutex<playbooks::Known>,
    definitions: definitions::Definitions,
    slots: held::Slots,
    turns: turns::Turns,
    targets: targets::Targets,
    waits: waits::Waits,
    held: held::HeldRuns,
    /// One for each run that this node may hold at once.
    permits: Arc<Semaphore>,
    /// The same for runs whose answer somebody waits for, beside those.
    urgent: Arc<Semaphore>,
    queues: queues::Queues,
    answers: answers::Answers,
    hearings: hearings::Hearings,
    wake: executor::Wake,
    tail: tail::Tail,
    complaints: storms::Complaints,
    lists: Arc<lists::Lists>,
    connections: connections::Connections,
    /// Held while targets are counted, so that two runs never take the same last place.
    counting: tokio::sync::Mutex<()>,
    metrics: Metrics,
}

impl Engine {
    /// Loads stored reactions and starts the executor. Runs that a process of before left
    /// are gone on with at once.
    pub async fn start(parts: Parts) -> Result<Self, conche_store::Error> {
        let lists = Arc::new(lists::Lists::load(&*parts.store).await?);
        let at_once = parts.safety.at_once.clone();
        let turns = turns::Turns::load(at_once, &*parts.store).await?;
        let targets = targets::Targets::new(parts.safety.attempts_per_target);
        let inner = Arc::new(Inner {
            modules: perform::Modules::new(parts.actions),
            permits: Arc::new(Semaphore::new(parts.config.runs_held)),
            urgent: Arc::new(Semaphore::new(URGENT_RUNS)),
            queues: queues::Queues::new(parts.config.queue_per_source),
            store: parts.store,
            evaluator: parts.evaluator,
            clock: parts.clock,
            tasks: parts.tasks,
            masker: parts.secrets.masker(),
            secrets: parts.secrets,
            config: parts.config,
            safety: parts.safety,
            node: NodeId(Uuid::now_v7()),
            triggers: ArcSwap::default(),
            filtering: Arc::new(Semaphore::new(FILTERED_AT_ONCE)),
            reactions: tokio::sync::Mutex::default(),
            playbooks: tokio::sync::Mutex::default(),
            definitions: definitions::Definitions::default(),
            slots: held::Slots::default(),
            turns,
            targets,
            waits: waits::Waits::default(),
            held: held::HeldRuns::default(),
            answers: answers::Answers::default(),
            hearings: hearings::Hearings::default(),
            wake: executor::Wake::default(),
            tail: tail::Tail::default(),
            complaints: storms::Complaints::default(),
            lists,
            connections: connections::Connections::default(),
            counting: tokio::sync::Mutex::default(),
            metrics: Metrics::new(),
        });
        let engine = Self(inner);
        engine.load_stored_reactions().await?;
        engine.load_stored_playbooks().await?;
        housekeeping::beat(&engine.0).await?;
        let restart = OnFailure::Restart(conche_runtime::supervisor::Backoff::default());
        let inner = engine.0.clone();
        engine
            .0
            .tasks
            .spawn("executor", Stage::Executor, restart, move |stop| {
                executor::run(inner.clone(), stop)
            });
        let inner = engine.0.clone();
        engine
            .0
            .tasks
            .spawn("housekeeping", Stage::Store, restart, move |stop| {
                housekeeping::run(inner.clone(), stop)
            });
        Ok(engine)
    }

    /// The way in for sources.
    pub fn intake(&self) -> Arc<dyn conche_modules::Intake> {
        Arc::new(self.clone())
    }

    /// The store, to look into.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.0.store
    }

    /// Knows the values of secrets, for what quotes stored texts.
    pub fn masker(&self) -> &Masker {
        &self.0.masker
    }

    /// What the engine counts.
    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// What happens to runs from now on.
    pub fn tail(&self) -> tokio::sync::broadcast::Receiver<Arc<Change>> {
        self.0.tail.subscribe()
    }

    /// Runs held by this node now, and how many it may hold.
    pub fn held(&self) -> (usize, usize) {
        (self.0.held.len(), self.0.config.runs_held)
    }

    /// Looks for due runs now, e.g. because the clock was set.
    pub fn look_now(&self) {
        self.0.wake.now();
    }

    /// Accepted runs that wait in the store for this node to have room, as far as it knows.
    pub fn waiting(&self) -> usize {
        self.0.queues.waiting()
    }

    /// What a run waits for that is neither a time nor a person; none where it waits for
    /// neither or is not known to.
    pub fn waits_for(&self, run: conche_core::RunId) -> Option<String> {
        self.0.waits.of(run)
    }

    /// Runs that wait so.
    pub fn in_line(&self) -> usize {
        self.0.waits.count()
    }

    /// How a source stands with what it reads from; none where it has nothing to part from.
    pub fn source_state(&self, source: &str) -> Option<SourceState> {
        self.0.connections.of(source)
    }

    /// The clock that the engine goes by.
    pub fn clock(&self) -> &SharedClock {
        &self.0.clock
    }
}

impl Inner {
    pub(crate) fn now(&self) -> conche_core::Timestamp {
        self.clock.now()
    }

    fn defaults(&self) -> Defaults {
        Defaults {
            limits: self.config.run_limits,
            action_timeout: self.config.action_timeout,
        }
    }
}

impl ActionTable for Inner {
    fn guarantee(&self, module: &str, action: &str) -> Option<(Repeat, OnUncertain)> {
        self.modules
            .spec(module, action)
            .map(|spec| (spec.repeat, spec.on_uncertain))
    }
}
