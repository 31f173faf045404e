//! The runtimes that run code: processes without Docker, each for one revision of an action.
//!
//! A call takes the process that its action has idle, else one is started; see `room` for who
//! waits for whom. A process that has answered well waits for the next call of its action. One
//! that did not is ended with all that it has started, as OpenWhisk discards its container.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use conche_runtime::clock::SharedClock;
use conche_runtime::supervisor::{Backoff, OnFailure, Stage, Tasks, ticker};
use tokio::time::Instant;

use super::answer::Verdict;
use super::catalogue::{Catalogue, Engine, Entry};
use super::code::Folders;
use super::launch::Launcher;
use super::logs::Logs;
use super::process::Bounds;
use super::room::{self, Granted, Room, What, Wish};
use super::run::{ActionKey, Kind, OutOfRoom, Prewarm, Ran, Run};
use super::scripts;
use super::settings::Settings;
use super::worker::{Breed, Lane, Maker, Origin, Seat, Worker};
use super::{Begin, Runtimes, texts};

/// How often idle processes are looked at.
const TICK: Duration = Duration::from_secs(1);

/// How long an interpreter may take to come up when nobody waits for it.
const UP: Duration = Duration::from_secs(30);

/// The kind that has an image for code, which would take Docker.
const IMAGE_KIND: &str = "blackbox";

/// See the module. Dropping it ends all processes.
pub struct Pool {
    inner: Arc<Inner>,
}

struct Inner {
    launcher: Launcher,
    folders: Folders,
    catalogue: Catalogue,
    room: Arc<Room<Lane, Breed, Worker>>,
    /// Where there is a sandbox for scripts.
    stage: Option<scripts::Stage>,
    clock: SharedClock,
    /// How many processes are to be kept ready, by their breed and memory.
    ahead: Mutex<HashMap<(Breed, u32), (Engine, usize)>>,
}

/// How many processes there are that do nothing, and how many calls wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Processes without work.
    pub idle: usize,
    /// Calls without a process.
    pub waiting: usize,
}

impl Pool {
    /// Tries the interpreters, each of which is started once, and begins to look after idle
    /// processes. Must be called within a tokio runtime.
    pub async fn start(settings: Settings, clock: SharedClock, tasks: &Tasks) -> io::Result<Self> {
        let room = Room::new(settings.capacity());
        let sandbox = settings.scripts.clone();
        let stage = sandbox.map(|sandbox| scripts::Stage::new(sandbox, settings.waiting));
        let unpack = settings.unpack;
        let launcher = Launcher::new(settings, Arc::clone(&clock))?;
        let catalogue = Catalogue::find(&launcher).await?;
        let inner = Arc::new(Inner {
            folders: Folders::new(launcher.root().to_owned(), unpack),
            launcher,
            catalogue,
            room,
            stage,
            clock,
            ahead: Mutex::default(),
        });
        let weak = Arc::downgrade(&inner);
        let backoff = OnFailure::Restart(Backoff::default());
        tasks.spawn("idle functions", Stage::Api, backoff, move |stop| {
            let weak = weak.clone();
            async move {
                let tick = || async {
                    if let Some(inner) = weak.upgrade() {
                        inner.tick(Instant::now()).await;
                    }
                };
                ticker(TICK, &stop, tick).await;
                if let Some(inner) = weak.upgrade() {
                    inner.close();
                }
                Ok::<(), io::Error>(())
            }
        });
        Ok(Self { inner })
    }

    /// Bytes of memory of the first process of each that is idle, longest idle first. What all
    /// share, such as the interpreter's program text, is not counted.
    pub fn idle_bytes(&self) -> Vec<u64> {
        let mut bytes = Vec::new();
        let room = &self.inner.room;
        room.each_idle(Instant::now(), Duration::ZERO, |worker| {
            bytes.extend(worker.bytes());
        });
        bytes
    }

    /// What there is to do at the moment.
    pub fn load(&self) -> Load {
        let (idle, waiting) = self.inner.room.load();
        let scripts = self.inner.stage.as_ref().map_or(0, scripts::Stage::waiting);
        Load {
            idle,
            waiting: waiting + scripts,
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // Idle processes hold the room, and the room holds them.
        self.inner.close();
    }
}

#[async_trait]
impl Runtimes for Pool {
    async fn run_after(&self, run: Run, begin: Begin<'_>) -> Option<Ran> {
        let asked = Instant::now();
        let entry = match self.inner.entry(&run) {
            Ok(entry) => entry,
            Err(verdict) => return Some(ran(verdict, Vec::new())),
        };
        let mut ran = match entry.engine {
            Engine::Script => self.inner.script(&run, begin, asked).await?,
            _ => {
                self.inner
                    .process(&run, &entry.engine, begin, asked)
                    .await?
            }
        };
        ran.carried_out_by.clone_from(&entry.kind.carried_out_by);
        Some(ran)
    }

    fn kinds(&self) -> Vec<Kind> {
        self.inner.catalogue.kinds()
    }

    fn forget(&self, action: &ActionKey) {
        self.inner.room.forget(|lane| lane.action == *action);
    }

    fn prewarm(&self, wish: Prewarm) -> Result<(), OutOfRoom> {
        let entry = self.inner.catalogue.entry(&wish.kind);
        let found = entry.and_then(|entry| Some((entry, entry.engine.interpreter()?)));
        let Some((entry, interpreter)) = found else {
            return Err(OutOfRoom::Kind(wish.kind));
        };
        let key = (Some(interpreter.program.clone()), wish.memory_mb);
        let mut ahead = self.inner.ahead();
        let others = ahead.iter().filter(|(other, _)| **other != key);
        let asked = others.map(|(_, (_, count))| count).sum::<usize>() + wish.count;
        let limit = self.inner.launcher.settings.processes.saturating_sub(1);
        if asked > limit {
            return Err(OutOfRoom::Processes { asked, limit });
        }
        let room = &self.inner.room;
        room.weed_ahead(&key.0, key.1, wish.count);
        ahead.insert(key, (entry.engine.clone(), wish.count));
        Ok(())
    }
}

impl Inner {
    fn ahead(&self) -> MutexGuard<'_, HashMap<(Breed, u32), (Engine, usize)>> {
        self.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn entry(&self, run: &Run) -> Result<&Entry, Verdict> {
        let kind = run.code.kind.as_str();
        if kind == IMAGE_KIND {
            let image = run.code.image.as_deref().unwrap_or_default();
            return Err(Verdict::unusable(texts::no_image(image)));
        }
        let entry = self.catalogue.entry(kind).ok_or_else(|| {
            tracing::warn!(kind, "nothing here carries out this kind");
            Verdict::not_provisioned()
        })?;
        let limit = self.launcher.settings.process.arguments;
        let length = run.value.to_string().len();
        if length > limit {
            let text = texts::long_arguments(length, limit);
            return Err(Verdict::application(text));
        }
        Ok(entry)
    }

    fn close(&self) {
        self.room.close();
        if let Some(stage) = &self.stage {
            stage.close();
        }
    }

    async fn script(&self, run: &Run, begin: Begin<'_>, asked: Instant) -> Option<Ran> {
        let settings = &self.launcher.settings;
        let Some(stage) = &self.stage else {
            return Some(ran(Verdict::not_provisioned(), Vec::new()));
        };
        let turn = stage.turn(run, settings.wait).await;
        let wait = asked.elapsed();
        if turn.is_ok() && !begin.await {
            return None;
        }
        let begun = Instant::now();
        let (verdict, logs) = match &turn {
            Ok(_turn) => stage.call(run, settings.process.answer).await,
            Err(error) => (no_room(run, error), Logs::new(0)),
        };
        let logs = logs.finish(verdict.in_doubt, self.clock.now());
        Some(Ran {
            wait,
            run: begun.elapsed(),
            ..ran(verdict, logs)
        })
    }

    async fn process(
        &self,
        run: &Run,
        engine: &Engine,
        begin: Begin<'_>,
        asked: Instant,
    ) -> Option<Ran> {
        let mut logs = Logs::new(run.limits.logs_bytes());
        let mut times = Times::default();
        let wish = Wish {
            lane: Lane::of(run),
            breed: breed(run, engine),
            memory_mb: run.limits.memory_mb,
        };
        let limit = self.launcher.settings.wait;
        let verdict = match self.room.acquire_within(wish.clone(), limit).await {
            Ok(granted) => {
                if !begin.await {
                    return None;
                }
                times.wait = asked.elapsed();
                self.serve(run, engine, granted, (wish, &mut times, &mut logs))
                    .await
            }
            Err(error) => {
                times.wait = asked.elapsed();
                no_room(run, &error)
            }
        };
        let logs = logs.finish(verdict.in_doubt, self.clock.now());
        Some(Ran {
            wait: times.wait,
            init: times.init,
            run: times.run,
            ..ran(verdict, logs)
        })
    }

    /// Carries out a call with what it was granted.
    async fn serve(
        &self,
        run: &Run,
        engine: &Engine,
        granted: Granted<Lane, Breed, Worker>,
        (wish, times, logs): (Wish<Lane, Breed>, &mut Times, &mut Logs),
    ) -> Verdict {
        let _turn = granted.turn;
        let mut worker = match self.ready(run, engine, granted.what, (times, logs)).await {
            Ok(worker) => worker,
            Err(verdict) => return verdict,
        };
        let begun = Instant::now();
        let bounds = self.bounds(run, begun);
        let timeout = i64::try_from(run.limits.timeout.as_millis()).unwrap_or(i64::MAX);
        let deadline = self.clock.now().as_millisecond().saturating_add(timeout);
        let verdict = worker
            .call(run, engine.manner(), deadline, (bounds, logs))
            .await;
        times.run = begun.elapsed();
        if verdict.reusable {
            self.room.park(wish, worker);
        } else {
            worker.end().await;
        }
        verdict
    }

    /// A process that is ready for the call.
    async fn ready(
        &self,
        run: &Run,
        engine: &Engine,
        what: What<Lane, Breed, Worker>,
        (times, logs): (&mut Times, &mut Logs),
    ) -> Result<Worker, Verdict> {
        let origin = match what {
            What::Own(mut worker) => {
                if !worker.is_unfit() {
                    return Ok(worker);
                }
                // It died, or spoke unasked, since its last call.
                Origin::Seat(vacated(worker).await?)
            }
            What::Ahead(mut worker) => {
                if worker.is_unfit() {
                    Origin::Seat(vacated(worker).await?)
                } else {
                    Origin::Ahead(Box::new(worker))
                }
            }
            What::Seat(seat) => Origin::Seat(seat),
        };
        let begun = Instant::now();
        let bounds = self.bounds(run, begun);
        let maker = Maker {
            launcher: &self.launcher,
            folders: &self.folders,
            engine,
        };
        let limit = run.limits.timeout;
        let made = tokio::time::timeout_at(bounds.until, maker.make(run, origin, (bounds, logs)));
        let made = made
            .await
            .unwrap_or_else(|_| Err(Verdict::late(texts::slow_start(limit))));
        times.init = Some(begun.elapsed());
        made
    }

    fn bounds(&self, run: &Run, begun: Instant) -> Bounds {
        let limits = self.launcher.settings.process;
        Bounds {
            until: begun + run.limits.timeout,
            memory: run.limits.memory_bytes(),
            processes: limits.processes,
            answer: limits.answer,
            kept: limits.truncated_answer,
        }
    }

    /// Ends what was idle for too long, stops what was for a while, and starts processes ahead.
    async fn tick(&self, now: Instant) {
        let settings = &self.launcher.settings;
        self.room
            .weed(now, |lane, idle| lane.is_some() && idle >= settings.idle);
        self.room.each_idle(now, settings.pause, Worker::pause);
        let wishes: Vec<_> = {
            let ahead = self.ahead();
            let wishes = ahead.iter();
            wishes
                .map(|(key, wish)| (key.clone(), wish.clone()))
                .collect()
        };
        for ((breed, memory_mb), (engine, count)) in wishes {
            for _ in self.room.ahead(&breed, memory_mb)..count {
                let Some(seat) = self.room.spare_seat(memory_mb) else {
                    break;
                };
                match self.started_ahead(&engine, memory_mb, seat).await {
                    Some(worker) => self.room.park_ahead(breed.clone(), memory_mb, worker),
                    None => break,
                }
            }
        }
    }

    /// An interpreter that is up and belongs to no action.
    async fn started_ahead(&self, engine: &Engine, memory_mb: u32, seat: Seat) -> Option<Worker> {
        let place = (seat, None);
        let started = Worker::interpreter(&self.launcher, engine, memory_mb, place).await;
        let failed = |error| tracing::warn!(%error, "a process could not be started ahead");
        let mut worker = started.map_err(failed).ok()?;
        let limits = self.launcher.settings.process;
        let bounds = Bounds {
            until: Instant::now() + UP,
            memory: u64::from(memory_mb) << 20,
            processes: limits.processes,
            answer: limits.answer,
            kept: 0,
        };
        let mut logs = Logs::new(0);
        if worker.is_up((bounds, &mut logs)).await {
            return Some(worker);
        }
        tracing::warn!("a process that was started ahead did not come up");
        worker.end().await;
        None
    }
}

/// The seat of a process that can't be used.
async fn vacated(worker: Worker) -> Result<Seat, Verdict> {
    worker.vacate().await.ok_or_else(Verdict::not_provisioned)
}

/// How long the parts of a call took.
#[derive(Default)]
struct Times {
    wait: Duration,
    init: Option<Duration>,
    run: Duration,
}

/// Only code that is a text can go into a process that was started without it.
fn breed(run: &Run, engine: &Engine) -> Breed {
    let interpreter = engine.interpreter().filter(|_| !run.code.binary)?;
    Some(interpreter.program.clone())
}

fn no_room(run: &Run, error: &room::Error) -> Verdict {
    tracing::warn!(action = run.action.name, %error, "no room for a function");
    Verdict::not_provisioned()
}

fn ran(verdict: Verdict, logs: Vec<String>) -> Ran {
    Ran {
        class: verdict.class,
        logs,
        timed_out: verdict.timed_out,
        ..Ran::success(verdict.result)
    }
}
