//! A test stand: a whole engine in this process, over a store of the benchmark's choice, with
//! the real script workers and the tap as its only action.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use conche_core::reaction::{Authored, Format};
use conche_core::{EventId, Json};
use conche_engine::{Config, Engine, Parts, Safety, SandboxEvaluator};
use conche_modules::{Batch, Intake as _, NewEvent, Receipt};
use conche_runtime::clock::SystemClock;
use conche_runtime::listener::{Auth, Listener, ListenerConfig};
use conche_runtime::secrets::Secrets;
use conche_runtime::supervisor::{Grace, Stage, Supervisor};
use conche_script::{Sandbox, WorkerCommand};
use conche_store::RunStore as _;
use conche_store::sqlite::{SqliteConfig, SqliteStore};
use tokio::task::JoinSet;

use crate::parts::Actions;

use super::Error;
use super::cpu::{Cpu, Shares};
use super::statistics::Rate;
use super::tap::{self, Tap};
use crate::telemetry::Telemetry;

/// The event type that the benchmark's reaction waits for.
pub(crate) const EVENT_TYPE: &str = "bench.event";

/// The first script: a filter and a small result, as most reactions begin.
pub(crate) const DECIDE: &str = "if (event.severity === 'high') { nextAction = 'first'; result = { n: event.n, host: event.host } }";
/// The second script, after the first action.
pub(crate) const THEN: &str = "nextAction = 'last'; result = { n: event.n, done: true }";

/// Events under way at once: below what a node holds, so that none goes to the back of a queue.
const UNDER_WAY: u32 = 384;
/// Tasks that hand events in, each one after another.
const SENDERS: usize = 128;
/// Before a window is counted, work gets going for this share of it.
const WARM_UP: u32 = 4;
/// Work under way gets this long to end.
const DRAIN: Duration = Duration::from_secs(20);

/// A small event, as a sensor sends it.
pub(crate) fn small_event(n: u32) -> String {
    format!(
        r#"{{"n":{n},"host":"web-{}.example.com","severity":"high","message":"sudo: 3 incorrect password attempts","user":"alice"}}"#,
        n % 100
    )
}

/// The engine and what it stands on.
pub(crate) struct Stand {
    /// The engine.
    pub(crate) engine: Engine,
    /// The action that it calls.
    pub(crate) tap: Tap,
    /// The durable store.
    pub(crate) store: Arc<SqliteStore>,
    supervisor: Supervisor,
}

/// A sandbox of workers that are this same program.
pub(crate) async fn sandbox() -> Result<Sandbox, Error> {
    let config = conche_script::Config::new(WorkerCommand::current_executable());
    let started = Sandbox::start(config).await;
    started.map_err(|cause| Error::of("the script workers", cause))
}

/// Opens a store.
pub(crate) async fn open(config: SqliteConfig) -> Result<Arc<SqliteStore>, Error> {
    let opened = tokio::task::spawn_blocking(move || SqliteStore::open(&config)).await;
    let opened = opened.map_err(|cause| Error::of("the store", cause))?;
    opened
        .map(Arc::new)
        .map_err(|cause| Error::of("the store", cause))
}

impl Stand {
    /// Starts an engine over a new store in this folder, with the benchmark's reaction:
    /// script → action → script → action.
    pub(crate) async fn start(dir: &Path) -> Result<Self, Error> {
        let stand = Self::over(SqliteConfig::new(dir)).await?;
        stand.react("first", "last").await?;
        Ok(stand)
    }

    /// Starts an engine without reactions over a store.
    pub(crate) async fn over(config: SqliteConfig) -> Result<Self, Error> {
        Self::with(config, BTreeMap::new()).await
    }

    /// The same, with more action modules than the tap.
    pub(crate) async fn with(config: SqliteConfig, mut actions: Actions) -> Result<Self, Error> {
        let store = open(config).await?;
        let (supervisor, tap) = (Supervisor::new(), Tap::default());
        let action: Arc<dyn conche_modules::Action> = Arc::new(tap.clone());
        actions.insert(tap::NAME.to_owned(), (action, &tap::MODULE, 0));
        let parts = Parts {
            store: store.clone(),
            evaluator: Arc::new(SandboxEvaluator::new(sandbox().await?)),
            actions,
            clock: Arc::new(SystemClock),
            tasks: supervisor.tasks(),
            secrets: Arc::new(Secrets::default()),
            config: Config::default(),
            safety: Safety::default(),
        };
        let engine = Engine::start(parts).await;
        let engine = engine.map_err(|cause| Error::of("the engine", cause))?;
        Ok(Self {
            engine,
            tap,
            store,
            supervisor,
        })
    }

    /// Puts the benchmark's reaction in force, with these actions of the tap.
    pub(crate) async fn react(&self, first: &str, last: &str) -> Result<(), Error> {
        let text = serde_json::json!({
            "name": "bench", "event": EVENT_TYPE, "script": DECIDE,
            "actions": {
                "first": { "module": tap::NAME, "action": first, "script": THEN },
                "last": { "module": tap::NAME, "action": last },
            },
        });
        let authored = Authored::parse(&text.to_string(), Format::Json);
        let reaction = authored
            .and_then(|authored| authored.resolve(&mut |path| Err(format!("no file {path}"))))
            .map_err(|cause| Error::of("the reaction", cause))?;
        let put = self.engine.put_reaction(reaction).await;
        put.map(drop)
            .map_err(|cause| Error::of("the reaction", cause))
    }

    /// Hands events in, all in one transaction, and waits until they are durable.
    pub(crate) async fn send(
        &self,
        events: impl IntoIterator<Item = u32>,
    ) -> Result<Vec<Receipt>, Error> {
        send(&self.engine, events).await
    }

    /// Hands one event in; durable when the future ends, which gives its id.
    pub(crate) fn sending(&self, n: u32) -> impl Future<Output = Result<EventId, Error>> + use<> {
        let engine = self.engine.clone();
        async move {
            let receipts = send(&engine, [n]).await?;
            let receipt = receipts
                .first()
                .ok_or_else(|| Error::of("an event", "no receipt"))?;
            Ok(receipt.event)
        }
    }

    /// Answers on a free port of the loopback interface.
    pub(crate) async fn listen(&self, router: Router) -> Result<SocketAddr, Error> {
        let config = ListenerConfig {
            listen: Some((Ipv4Addr::LOCALHOST, 0).into()),
            auth: Auth::LoopbackOpen,
            ..ListenerConfig::default()
        };
        let listener = Listener::bind("bench", config).await;
        let listener = listener.map_err(|cause| Error::of("the listener", cause))?;
        let address = listener.local_addr();
        listener.serve(router, &self.supervisor.tasks(), Stage::Sources);
        Ok(address)
    }

    /// Sends traces of its runs from now on.
    pub(crate) fn trace(&self, telemetry: Telemetry) {
        telemetry.start(&self.engine, &self.supervisor.tasks());
    }

    /// Keeps the engine as busy as it can be for a window and counts the runs that ended in
    /// it, and who used the processors.
    pub(crate) async fn saturate(&self, window: Duration) -> Result<(Rate, Shares), Error> {
        let room = self.tap.room();
        room.add_permits(UNDER_WAY as usize);
        let stopped = Arc::new(AtomicBool::new(false));
        let mut senders = JoinSet::new();
        for sender in 0..SENDERS {
            let (engine, tap, stopped) = (self.engine.clone(), self.tap.clone(), stopped.clone());
            senders.spawn(keep_sending(engine, tap, stopped, sender as u32));
        }
        tokio::time::sleep(window / WARM_UP).await;
        let (start, runs, commits, cpu) = (
            Instant::now(),
            self.finished()?,
            self.store.stats().commits,
            Cpu::now(),
        );
        tokio::time::sleep(window).await;
        let rate = Rate {
            done: self.finished()? - runs,
            commits: self.store.stats().commits - commits,
            seconds: start.elapsed().as_secs_f64(),
        };
        let shares = cpu.since();
        stopped.store(true, Ordering::Relaxed);
        while let Some(sender) = senders.join_next().await {
            sender.map_err(|cause| Error::of("a sender", cause))??;
        }
        let drained = tokio::time::timeout(DRAIN, room.acquire_many(UNDER_WAY)).await;
        match drained {
            Ok(Ok(permits)) => permits.forget(),
            _ => return Err(Error::of("the engine", "runs did not end in time")),
        }
        Ok((rate, shares))
    }

    /// Runs that succeeded so far; an error as soon as one did not.
    pub(crate) fn finished(&self) -> Result<u64, Error> {
        let mut succeeded = 0;
        for family in self.engine.metrics().registry().gather() {
            if family.name() != "conche_runs_finished_total" {
                continue;
            }
            for metric in family.get_metric() {
                let status = metric.get_label().first().map_or("", |label| label.value());
                if status != "succeeded" {
                    return Err(Error::of("a run", format!("ended as {status}")));
                }
                succeeded = metric.get_counter().get_value() as u64;
            }
        }
        Ok(succeeded)
    }

    /// Stops it in order.
    pub(crate) async fn stop(self) -> Result<(), Error> {
        let Self {
            engine,
            tap: _,
            store,
            supervisor,
        } = self;
        drop(engine);
        supervisor.shutdown(Grace::default()).await;
        store
            .close()
            .await
            .map_err(|cause| Error::of("the store", cause))
    }
}

async fn keep_sending(
    engine: Engine,
    tap: Tap,
    stopped: Arc<AtomicBool>,
    sender: u32,
) -> Result<(), Error> {
    for n in 0_u32.. {
        let Ok(permit) = tap.room().acquire().await else {
            break;
        };
        if stopped.load(Ordering::Relaxed) {
            break;
        }
        permit.forget();
        send(&engine, [sender + n]).await?;
    }
    Ok(())
}

/// Hands small events in as the source `bench`.
async fn send(
    engine: &Engine,
    events: impl IntoIterator<Item = u32>,
) -> Result<Vec<Receipt>, Error> {
    let event = |n| {
        let data = Json::parse(
            small_event(n).as_bytes(),
            conche_core::json::Limits::default(),
        );
        let data = data.map_err(|cause| Error::of("an event", cause))?;
        Ok(NewEvent {
            id: None,
            event_type: EVENT_TYPE.to_owned(),
            subject: None,
            time: None,
            data,
        })
    };
    let events: Result<Vec<NewEvent>, Error> = events.into_iter().map(event).collect();
    let batch = Batch {
        source: "bench".to_owned(),
        events: events?,
        cursor: None,
    };
    let receipts = engine.accept(batch).await;
    receipts.map_err(|refusal| Error::of("an event", refusal))
}
