//! The worker's engine: one QuickJS runtime, the scripts it was told about,
//! and a bounded set of kept realms.
//!
//! The limits here are the gentle half: they end a well-behaved loop with an
//! error and keep its logs. They do not hold against builtins that never
//! return to the interpreter; those are for the parent, which kills.

use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use rquickjs::{Context, Runtime};

use super::jq;
use super::realm::{Fault, Input, Logs, Realm};
use super::writes;
use crate::protocol::{CallLimits, CallResult, Failure, Request, Response, Setup};

/// Kept realms; each holds about half a megabyte of the heap.
const KEPT_REALMS: usize = 24;

/// Heap granted on top of a call's limit, for the realms that are kept.
const KEPT_HEAP: usize = 24 * 1024 * 1024;

/// Heap of a realm before its script has run.
const REALM_HEAP: usize = 1024 * 1024;

/// A quarter of the usual 8 MiB main thread stack would be 2 MiB; QuickJS needs
/// a margin below its own limit (quickjs-ng issue 893).
const STACK: usize = 1024 * 1024;

/// What a script is told whose exception is null.
const NULL_THROWN: &str = "null was thrown, by the script or because memory ran out";

/// A kept realm and how long it has been in use.
struct Resident {
    slot: u32,
    realm: Realm,
    calls: u32,
    last_used: u64,
}

struct Source {
    text: String,
    may_write: bool,
}

pub(super) struct Engine {
    sources: HashMap<u32, Source>,
    residents: Vec<Resident>,
    /// A fresh realm made in advance.
    spare: Option<Alone>,
    /// A fresh realm that has been used and is yet to be torn down.
    used: Option<Alone>,
    filters: jq::Filters,
    clock: u64,
    recycle_after: u32,
    watch: Rc<Watch>,
    runtime: Runtime,
}

/// The deadline of the call in hand, as the interrupt handler sees it: in processor time of
/// this process, so that a busy machine is not the script's fault.
#[derive(Default)]
struct Watch {
    deadline: Cell<Option<Duration>>,
    fired: Cell<bool>,
}

impl Watch {
    fn is_over(&self) -> bool {
        let over = self
            .deadline
            .get()
            .is_some_and(|deadline| processor_time() >= deadline);
        if over {
            self.fired.set(true);
        }
        over
    }
}

/// Processor time that this process has used. A clock that cannot be read counts as used up.
fn processor_time() -> Duration {
    let clock = nix::time::ClockId::CLOCK_PROCESS_CPUTIME_ID;
    nix::time::clock_gettime(clock).map_or(Duration::MAX, Duration::from)
}

/// Makes the C library read the time zone while files can still be opened.
pub(super) fn load_time_zone() {
    let offset = Runtime::new()
        .and_then(|runtime| Context::full(&runtime))
        .and_then(|context| {
            context.with(|ctx| ctx.eval::<f64, _>("new Date().getTimezoneOffset()"))
        });
    // Without a zone the engine falls back to UTC, which is a valid zone.
    drop(offset);
}

fn new_runtime(watch: &Rc<Watch>) -> rquickjs::Result<Runtime> {
    let runtime = Runtime::new()?;
    runtime.set_max_stack_size(STACK);
    let watch = Rc::clone(watch);
    runtime.set_interrupt_handler(Some(Box::new(move || watch.is_over())));
    Ok(runtime)
}

/// A realm for one call. Fields in the order in which they must be dropped.
struct Alone {
    realm: Realm,
    runtime: Runtime,
}

impl Alone {
    fn new(watch: &Rc<Watch>) -> Result<Self, Fault> {
        let runtime = new_runtime(watch).map_err(|_| Fault::Memory)?;
        let realm = Realm::fresh(&runtime)?;
        Ok(Self { realm, runtime })
    }
}

impl Engine {
    pub(super) fn new(setup: &Setup) -> rquickjs::Result<Self> {
        let watch = Rc::new(Watch::default());
        let runtime = new_runtime(&watch)?;
        Ok(Self {
            sources: HashMap::new(),
            residents: Vec::with_capacity(KEPT_REALMS),
            spare: None,
            used: None,
            filters: jq::Filters::default(),
            clock: 0,
            recycle_after: setup.recycle_after,
            watch,
            runtime,
        })
    }

    /// Carries out one request; none where the request has no answer.
    pub(super) fn answer(&mut self, request: &Request<'_>) -> Option<Response<'static>> {
        match *request {
            Request::Define { slot, source } => {
                let may_write = writes::may_write(source);
                let text = source.to_owned();
                self.sources.insert(slot, Source { text, may_write });
                None
            }
            Request::Forget => {
                self.sources.clear();
                self.residents.clear();
                None
            }
            Request::Evaluate {
                id,
                slot,
                fresh,
                limits,
                event,
                action_data,
                lists,
            } => {
                let input = Input {
                    event,
                    action_data,
                    lists,
                    limits,
                    may_write: self
                        .sources
                        .get(&slot)
                        .is_some_and(|source| source.may_write),
                };
                self.arm(limits);
                let (result, logs) = if fresh {
                    self.fresh(slot, input)
                } else {
                    self.kept(slot, input)
                };
                Some(self.respond(id, result, logs))
            }
            Request::Check { id, limits, source } => {
                self.arm(limits);
                let checked = self
                    .alone(limits)
                    .and_then(|alone| alone.realm.check(source));
                Some(self.respond(id, checked.map(|()| CallResult::Sound), Logs::default()))
            }
            Request::Jq {
                id,
                limits,
                filter,
                input,
            } => {
                let result = self.filters.run(filter, input, limits.output as usize);
                Some(self.respond(id, result, Logs::default()))
            }
        }
    }

    fn arm(&self, limits: CallLimits) {
        self.runtime
            .set_memory_limit(limits.memory as usize + KEPT_HEAP);
        self.watch.fired.set(false);
        let deadline = processor_time() + Duration::from_micros(limits.time_micros);
        self.watch.deadline.set(Some(deadline));
    }

    /// Runs a script in a realm of its own, in a runtime of its own: no kept
    /// realm has to be walked when its garbage is collected.
    fn fresh(&mut self, slot: u32, input: Input<'_>) -> (Result<CallResult<'static>, Fault>, Logs) {
        let alone = match self.alone(input.limits) {
            Ok(alone) => alone,
            Err(fault) => return (Err(fault), Logs::default()),
        };
        let result = alone.realm.run(self.source(slot), input);
        self.drain(&alone.runtime);
        let logs = alone.realm.take_logs();
        if self.watch.fired.get() || matches!(result, Err(Fault::Memory | Fault::Null)) {
            // Tearing it down may abort, and the process ends soon anyway.
            std::mem::forget(alone);
        } else {
            self.used = Some(alone);
        }
        (self.judge(slot, result), logs)
    }

    /// A realm that nothing has run in.
    fn alone(&mut self, limits: CallLimits) -> Result<Alone, Fault> {
        let spare = self.spare.take();
        let alone = spare.map_or_else(|| Alone::new(&self.watch), Ok)?;
        let heap = limits.memory as usize + REALM_HEAP;
        alone.runtime.set_memory_limit(heap);
        Ok(alone)
    }

    /// What can be done after the answer is out: tear down a realm that has
    /// been used, and have the next one ready.
    pub(super) fn rest(&mut self) {
        if let Some(used) = self.used.take() {
            drop(used);
            self.spare = Alone::new(&self.watch).ok();
        }
    }

    fn kept(&mut self, slot: u32, input: Input<'_>) -> (Result<CallResult<'static>, Fault>, Logs) {
        let index = match self.resident(slot) {
            Ok(index) => index,
            Err(fault) => return (Err(fault), Logs::default()),
        };
        let result = self.residents[index].realm.call(input);
        self.drain(&self.runtime);
        let resident = &mut self.residents[index];
        resident.calls += 1;
        resident.last_used = self.clock;
        let logs = resident.realm.take_logs();
        let worn = resident.calls >= self.recycle_after;
        if worn || self.watch.fired.get() || !resident.realm.sweep() {
            self.residents.swap_remove(index);
        }
        (self.judge(slot, result), logs)
    }

    /// The position of the realm kept for a script, made on first use.
    fn resident(&mut self, slot: u32) -> Result<usize, Fault> {
        self.clock += 1;
        if let Some(index) = self.residents.iter().position(|kept| kept.slot == slot) {
            return Ok(index);
        }
        let realm = Realm::kept(&self.runtime, self.source(slot))?;
        if self.residents.len() >= KEPT_REALMS {
            let oldest =
                (0..self.residents.len()).min_by_key(|&index| self.residents[index].last_used);
            if let Some(oldest) = oldest {
                self.residents.swap_remove(oldest);
            }
        }
        self.residents.push(Resident {
            slot,
            realm,
            calls: 0,
            last_used: self.clock,
        });
        Ok(self.residents.len() - 1)
    }

    /// Only a script that knows `throw` can have thrown null itself.
    fn judge<T>(&self, slot: u32, result: Result<T, Fault>) -> Result<T, Fault> {
        match result {
            Err(Fault::Null) if !self.source(slot).contains("throw") => Err(Fault::Memory),
            other => other,
        }
    }

    fn source(&self, slot: u32) -> &str {
        self.sources.get(&slot).map_or("", |source| &source.text)
    }

    /// Runs what promises have queued, until idle or out of time.
    fn drain(&self, runtime: &Runtime) {
        while !self.watch.is_over() {
            // An errand that throws is an unhandled rejection: nobody's verdict.
            if let Ok(false) = runtime.execute_pending_job() {
                break;
            }
        }
    }

    fn respond(
        &self,
        id: u64,
        result: Result<CallResult<'static>, Fault>,
        logs: Logs,
    ) -> Response<'static> {
        let timed_out = self.watch.fired.get();
        self.watch.deadline.set(None);
        self.watch.fired.set(false);
        let (result, retiring) = match result {
            _ if timed_out => (CallResult::Timeout, true),
            Ok(result) => (result, false),
            Err(Fault::Memory) => (CallResult::Memory, true),
            Err(Fault::Null) => (CallResult::Failed(NULL_THROWN.to_owned().into()), true),
            Err(Fault::OutputTooLarge) => (CallResult::OutputTooLarge, false),
            Err(Fault::Script(failure)) => (CallResult::Failed(failure), false),
        };
        Response {
            id,
            retiring,
            result,
            logs: logs.lines,
            logs_truncated: logs.truncated,
        }
    }
}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Self {
            message,
            line: None,
            column: None,
        }
    }
}
