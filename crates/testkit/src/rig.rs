//! An engine with stand-ins all around, and words for what tests do with it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use conche_core::reaction::{Authored, Format, Reaction};
use conche_core::run::Status;
use conche_core::{EventId, Json, RunId};
use conche_engine::{Config, Engine, Parts, Safety};
use conche_modules::{Action, ActionModule, Batch, Intake as _, NewEvent, Receipt, Refusal};
use conche_runtime::secrets::{Masker, Secrets};
use conche_runtime::supervisor::{Grace, Supervisor};
use conche_store::{Page, RunFilter, RunRow, Store};

use crate::actions::TEST_MODULE;
use crate::{ScriptedEvaluator, SimClock, TestActions, until};

/// An engine over a memory store (or the one given), a clock set by hand, the
/// module `test` and the scripted evaluator.
pub struct Rig {
    /// The engine.
    pub engine: Engine,
    /// Its clock.
    pub clock: SimClock,
    /// The module `test`.
    pub actions: TestActions,
    /// The store.
    pub store: Arc<dyn Store>,
    /// Secrets that the engine knows of; none yet.
    pub masker: Masker,
    supervisor: Supervisor,
}

impl Rig {
    /// A new engine over a new memory store.
    pub async fn new() -> Self {
        Self::over(
            Arc::new(conche_store::memory::MemoryStore::new()),
            SimClock::default(),
            TestActions::default(),
            Config::default(),
        )
        .await
    }

    /// A new engine over what an earlier one left, or with another configuration.
    ///
    /// # Panics
    /// When the engine does not start.
    pub async fn over(
        store: Arc<dyn Store>,
        clock: SimClock,
        actions: TestActions,
        config: Config,
    ) -> Self {
        Self::with_modules(store, clock, actions, config, BTreeMap::new()).await
    }

    /// As [`Rig::over`], with real modules beside the module `test`.
    ///
    /// # Panics
    /// When the engine does not start.
    pub async fn with_modules(
        store: Arc<dyn Store>,
        clock: SimClock,
        actions: TestActions,
        config: Config,
        modules: BTreeMap<String, (Arc<dyn Action>, &'static ActionModule, usize)>,
    ) -> Self {
        let safety = Safety::default();
        Self::safely(store, clock, actions, (config, safety), modules).await
    }

    /// As [`Rig::with_modules`], with rails.
    ///
    /// # Panics
    /// When the engine does not start.
    pub async fn safely(
        store: Arc<dyn Store>,
        clock: SimClock,
        actions: TestActions,
        (config, safety): (Config, Safety),
        mut modules: BTreeMap<String, (Arc<dyn Action>, &'static ActionModule, usize)>,
    ) -> Self {
        let supervisor = Supervisor::new();
        modules.insert(
            "test".to_owned(),
            (Arc::new(actions.clone()), &TEST_MODULE, 0),
        );
        let secrets = Arc::new(Secrets::default());
        let masker = secrets.masker();
        let parts = Parts {
            store: store.clone(),
            evaluator: Arc::new(ScriptedEvaluator),
            actions: modules,
            clock: Arc::new(clock.clone()),
            tasks: supervisor.tasks(),
            secrets,
            config,
            safety,
        };
        let engine = Engine::start(parts)
            .await
            .unwrap_or_else(|error| panic!("the engine starts: {error}"));
        Self {
            engine,
            clock,
            actions,
            store,
            masker,
            supervisor,
        }
    }

    /// Puts a reaction in force, written in YAML.
    ///
    /// # Panics
    /// When it is not a reaction.
    pub async fn react(&self, yaml: &str) {
        let reaction = reaction(yaml);
        if let Err(error) = self.engine.put_reaction(reaction).await {
            panic!("the reaction is taken: {error}");
        }
    }

    /// Hands in one event of the source `tests`.
    pub async fn send(
        &self,
        event_type: &str,
        id: Option<&str>,
        data: serde_json::Value,
    ) -> Result<Receipt, Refusal> {
        let event = NewEvent {
            id: id.map(str::to_owned),
            event_type: event_type.to_owned(),
            subject: None,
            time: None,
            data: Json::from(&data),
        };
        let batch = Batch {
            source: "tests".to_owned(),
            events: vec![event],
            cursor: None,
        };
        let receipts = self.engine.accept(batch).await?;
        receipts
            .into_iter()
            .next()
            .ok_or_else(|| Refusal::Invalid("no receipt".to_owned()))
    }

    /// Hands in an event and gives its id.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn accepted(&self, event_type: &str) -> EventId {
        match self
            .send(event_type, None, serde_json::json!({"n": 1}))
            .await
        {
            Ok(receipt) => receipt.event,
            Err(refusal) => panic!("the event is accepted: {refusal}"),
        }
    }

    /// The runs of an event, newest first.
    ///
    /// # Panics
    /// When the store fails.
    pub async fn runs(&self, event: EventId) -> Vec<RunRow> {
        let filter = RunFilter {
            event: Some(event),
            ..RunFilter::default()
        };
        match self
            .store
            .runs(
                filter,
                Page {
                    before: None,
                    limit: 500,
                },
            )
            .await
        {
            Ok(runs) => runs,
            Err(error) => panic!("runs are listed: {error}"),
        }
    }

    /// Waits until the first run of an event has this status.
    pub async fn run_with(&self, event: EventId, status: Status) -> RunRow {
        until(
            &format!("a run of {event} that is {status}"),
            || async move {
                self.runs(event)
                    .await
                    .into_iter()
                    .find(|run| run.summary.status == status)
            },
        )
        .await
    }

    /// Waits until the run is let go, then moves the clock to its wake-up.
    pub async fn skip_to_wake_up(&self, run: RunId) {
        let due = until(&format!("run {run} to be parked"), || async move {
            self.store.run(run).await.ok().filter(|row| !row.held)?.due
        })
        .await;
        self.clock.set(due);
        self.engine.look_now();
    }

    /// The names of a run's entries, in order.
    ///
    /// # Panics
    /// When the store fails.
    pub async fn journal(&self, run: RunId) -> Vec<&'static str> {
        match self.store.whole_journal(run).await {
            Ok(records) => records.iter().map(|record| record.entry.name()).collect(),
            Err(error) => panic!("the journal is read: {error}"),
        }
    }

    /// Stops as a server does.
    pub async fn stop(self) -> conche_runtime::supervisor::Report {
        let second = Duration::from_secs(1);
        self.supervisor
            .shutdown(Grace {
                per_stage: second,
                total: second * 5,
            })
            .await
    }

    /// Ends as a killed process does: everything under way is dropped where it stands.
    pub async fn kill(self) -> (Arc<dyn Store>, SimClock, TestActions) {
        let none = Duration::ZERO;
        let _report = self
            .supervisor
            .shutdown(Grace {
                per_stage: none,
                total: none,
            })
            .await;
        (self.store, self.clock, self.actions)
    }
}

/// A reaction written in YAML.
///
/// # Panics
/// When it is none.
pub fn reaction(yaml: &str) -> Reaction {
    let parsed = Authored::parse(yaml, Format::Yaml)
        .and_then(|authored| authored.resolve(&mut |_| Err("no files".to_owned())));
    parsed.unwrap_or_else(|error| panic!("the reaction is readable: {error}"))
}
