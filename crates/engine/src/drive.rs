//! Drives one held run until it is parked or finished.
//!
//! Each turn: apply what was signalled, decide, record, commit intents, start what is to
//! be performed, wait for something to happen. Entries gather in `pending` and are
//! committed in one append just before something is performed, parked or finished, so
//! that one disk write carries an outcome, the verdict after it and the next intent.

mod line;

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use conche_core::definition::Step;
use conche_core::event::{RUN_AWAITING_ANSWER, RUN_FAILED, RUN_NEEDS_ATTENTION};
use conche_core::run::{
    Done, Effect, Entry, ErrorKind, Illegal, Invocation, Outcome, Person, Phase, Record, Report,
    StepError, VisitNo, VisitState, answer, decide, resume, settle,
};
use conche_core::{Definition, Json, StepId, Timestamp};
use conche_runtime::supervisor::{Stage, Stop};
use conche_store::{Acceptance, Append, Error, Next, Signal, SignalId};
use futures_util::StreamExt;
use futures_util::future::{AbortHandle, Abortable, Aborted};
use futures_util::stream::FuturesUnordered;
use serde_json::Value;
use tokio::sync::Notify;

use self::line::TURN_WAITS;
use crate::Inner;
use crate::executor::Held;
use crate::faults::{self, point};
use crate::housekeeping::later;
use crate::intake::Told;
use crate::perform::{self, ScriptCall, Subject};
use crate::sealed;
use crate::tail::Change;
use crate::targets::Place;

/// First and longest wait between tries to commit while the store is not available.
const STORE_WAIT: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// A run whose definition has no slot free comes back after this time.
const SLOT_WAIT: Duration = Duration::from_secs(1);

/// Why driving ended before its time.
enum Broken {
    /// The run is another's now: nothing may be written.
    Lost(Error),
    /// Its journal makes no sense.
    Illegal(Illegal),
    /// The process is stopping and the store cannot be written: the next process takes over.
    Abandoned,
}

impl From<Illegal> for Broken {
    fn from(illegal: Illegal) -> Self {
        Self::Illegal(illegal)
    }
}

type Flight = Pin<Box<dyn Future<Output = Result<(VisitNo, Report), Aborted>> + Send>>;

/// Drives a run, come what may.
pub(crate) async fn drive(engine: &Arc<Inner>, held: Held) {
    let run = held.state.run();
    let epoch = held.epoch;
    let poke = engine.held.enter(run);
    engine.waits.clear(run);
    let mut drive = Drive::new(engine, held, poke);
    let result = drive.go().await;
    drop(drive);
    engine.held.leave(run);
    match result {
        Ok(()) => {}
        Err(Broken::Lost(error)) => {
            tracing::warn!(run_id = %run, %error, "run left to its new holder");
        }
        Err(Broken::Illegal(error)) => engine.put_aside(run, epoch, &error.to_string()).await,
        Err(Broken::Abandoned) => tracing::warn!(run_id = %run, "run left to the next start"),
    }
}

struct Drive<'a> {
    engine: &'a Arc<Inner>,
    held: Held,
    poke: Arc<Notify>,
    stop: Stop,
    subject: Subject,
    /// Applied to the state but not committed yet.
    pending: Vec<Record>,
    /// How many records are committed.
    committed: u64,
    emit: Vec<Acceptance>,
    dealt_with: Vec<SignalId>,
    flights: FuturesUnordered<Flight>,
    under_way: HashMap<VisitNo, AbortHandle>,
    /// Bytes of the run's results so far.
    bytes: usize,
    /// Events about this run so far.
    told: u32,
    /// The last reminder of each question.
    reminded: HashMap<VisitNo, u64>,
    /// How often the run came to an action of each module, repeats by operators included.
    entered: HashMap<String, u32>,
}

impl<'a> Drive<'a> {
    fn new(engine: &'a Arc<Inner>, held: Held, poke: Arc<Notify>) -> Self {
        let subject = Subject {
            run: held.state.run(),
            definition: held.definition.clone(),
            event: held.event.clone(),
            deadline: held.state.deadline(),
            budget: engine.budget(&held.state),
            by: held.state.starters().into(),
            own: sealed::own(&engine.secrets, held.state.started()),
            nth: 0,
        };
        let mut entered = HashMap::new();
        for visit in held.state.visits() {
            count_entry(&mut entered, &held.definition, &visit.step, visit.rerun + 1);
        }
        let in_doubt = held
            .state
            .visits()
            .iter()
            .filter(|visit| matches!(visit.state, VisitState::Attention { .. }));
        let asked = held.state.visits().iter().filter(|visit| {
            let step = held.definition.steps.get(&visit.step);
            matches!(step, Some(Step::Ask(_))) && visit.state != VisitState::Ready
        });
        // Each end of the run, each doubt and each question may have been told of.
        let told = held.state.rerun() + (in_doubt.count() + asked.count()) as u32;
        let bytes = held.state.visits().iter().map(|visit| match &visit.state {
            VisitState::Done(Done::Output(output)) => output.as_str().len(),
            _ => 0,
        });
        let bytes = bytes.sum();
        Self {
            stop: engine.tasks.stop(Stage::Executor),
            committed: held.state.version(),
            engine,
            held,
            poke,
            subject,
            pending: Vec::new(),
            emit: Vec::new(),
            dealt_with: Vec::new(),
            flights: FuturesUnordered::new(),
            under_way: HashMap::new(),
            bytes,
            told,
            reminded: HashMap::new(),
            entered,
        }
    }

    async fn go(&mut self) -> Result<(), Broken> {
        self.recover()?;
        // Words are heeded also by a run that waits for its slot.
        self.heed_signals()?;
        let definition = &self.held.definition;
        let limit = match self.held.state.phase() {
            Phase::Running => definition.limits.concurrency,
            // Nothing is begun.
            Phase::Paused { .. } | Phase::Cancelling { .. } | Phase::Finished { .. } => 0,
        };
        let Ok(_slot) = self.engine.slots.take(&definition.name, limit) else {
            let what = format!(
                "{limit} runs of '{}' are worked on already",
                definition.name
            );
            return self.wait_in_line(what, SLOT_WAIT).await;
        };
        if let Err(place) = self.turn() {
            let what = format!("its turn: {place} other runs of the playbook end first");
            let wait = SLOT_WAIT * u32::try_from(place).unwrap_or(u32::MAX).min(TURN_WAITS);
            return self.wait_in_line(what, wait).await;
        }
        loop {
            let effects = self.advance()?;
            if matches!(self.held.state.phase(), Phase::Finished { .. }) {
                return self.finish().await;
            }
            let wake = self.launch(effects).await?;
            if self.flights.is_empty() {
                return self.park(wake).await;
            }
            self.wait(wake).await?;
        }
    }

    /// Attempts that were under way when their process ended: nobody will report of them.
    fn recover(&mut self) -> Result<(), Broken> {
        let orphans: Vec<VisitNo> = self.held.state.performing().collect();
        for visit in orphans {
            let evidence =
                "the process that performed it ended before it recorded the outcome".to_owned();
            self.report(visit, Report::Uncertain { evidence })?;
        }
        Ok(())
    }

    /// Applies what the core decides without needing anything performed, until there is no more.
    fn advance(&mut self) -> Result<Vec<Effect>, Broken> {
        loop {
            let mut rest = Vec::new();
            let mut recorded = false;
            for effect in decide(&self.held.definition, &self.held.state, self.engine.now()) {
                match effect {
                    Effect::Record(entry) => {
                        self.record(entry)?;
                        recorded = true;
                    }
                    // This process knows of no such attempt, or stops its own.
                    Effect::Stop { visit } => {
                        self.stop_attempt(visit)?;
                        recorded = true;
                    }
                    other => rest.push(other),
                }
            }
            if !recorded {
                return Ok(rest);
            }
        }
    }

    fn stop_attempt(&mut self, visit: VisitNo) -> Result<(), Broken> {
        if let Some(flight) = self.under_way.remove(&visit) {
            flight.abort();
        }
        let evidence = "it was stopped while it was under way".to_owned();
        self.report(visit, Report::Uncertain { evidence })
    }

    /// Commits intents and starts what is not under way yet. Gives the time of the next look.
    async fn launch(&mut self, effects: Vec<Effect>) -> Result<Timestamp, Broken> {
        let deadline = self.held.state.deadline();
        let mut wake = self.remind().unwrap_or(deadline).min(deadline);
        let mut starts = Vec::new();
        for effect in effects {
            match effect {
                Effect::WaitUntil(at) => wake = wake.min(at),
                Effect::Evaluate { visit, .. } | Effect::Query { visit, .. }
                    if self.under_way.contains_key(&visit) => {}
                Effect::Probe(ref call) if self.under_way.contains_key(&call.visit) => {}
                other => starts.push(other),
            }
        }
        let (mut places, again) = self.hold_back(&mut starts);
        wake = again.map_or(wake, |again| wake.min(again));
        if starts.is_empty() {
            return Ok(wake);
        }
        if self.stop.is_requested() {
            // What is under way may end; nothing new begins. The next process finds the run due.
            return Ok(self.engine.now());
        }
        let intents: Vec<Entry> = starts.iter().filter_map(Effect::intent).collect();
        if !intents.is_empty() {
            for intent in intents {
                self.record(intent)?;
            }
            self.commit(Next::Hold).await?;
        }
        for effect in starts {
            let place = match &effect {
                Effect::Invoke(call) => places.remove(&call.visit).flatten(),
                _ => None,
            };
            self.start(effect, place);
        }
        Ok(wake)
    }

    /// Starts an effect, with its place at what it acts on.
    fn start(&mut self, effect: Effect, place: Option<Place>) {
        let engine = self.engine.clone();
        match effect {
            Effect::Evaluate {
                visit,
                script,
                isolation,
                lists,
                event,
                action_data,
            } => {
                let event =
                    event.or_else(|| self.held.event.as_ref().map(|event| event.data.clone()));
                let call = ScriptCall {
                    script,
                    isolation,
                    event: event.unwrap_or_else(Json::empty_object),
                    action_data,
                    lists,
                };
                self.fly(visit, async move { perform::evaluate(&engine, call).await });
            }
            Effect::Query {
                visit,
                queries,
                input,
            } => self.fly(visit, async move {
                perform::query(&engine, queries, input).await
            }),
            Effect::Invoke(call) => {
                let (mut subject, step) = (self.subject.clone(), self.step_of(&call));
                subject.nth = self
                    .entered
                    .get(counted(&call.module))
                    .copied()
                    .unwrap_or(1);
                self.fly(call.visit, async move {
                    let _place = place;
                    perform::invoke(engine, subject, step, call).await
                });
            }
            Effect::Probe(call) => {
                let (subject, step) = (self.subject.clone(), self.step_of(&call));
                self.fly(call.visit, perform::probe(engine, subject, step, call));
            }
            Effect::Record(_) | Effect::Stop { .. } | Effect::WaitUntil(_) => {}
        }
    }

    fn step_of(&self, call: &Invocation) -> conche_core::StepId {
        self.held
            .state
            .visit(call.visit)
            .map_or_else(|| "".into(), |visit| visit.step.clone())
    }

    fn fly(&mut self, visit: VisitNo, work: impl Future<Output = Report> + Send + 'static) {
        let (abort, registration) = AbortHandle::new_pair();
        self.under_way.insert(visit, abort);
        let work = async move { (visit, work.await) };
        self.flights
            .push(Box::pin(Abortable::new(work, registration)));
    }

    /// Waits until something under way ends, a signal comes or the time has come to look again.
    async fn wait(&mut self, wake: Timestamp) -> Result<(), Broken> {
        let left = Duration::try_from(wake.duration_since(self.engine.now())).unwrap_or_default();
        // Right after a stop was requested the time is now: then only what is under way counts.
        let look = !self.stop.is_requested();
        tokio::select! {
            biased;
            Some(landed) = self.flights.next() => {
                // What was stopped has been reported already.
                if let Ok((visit, report)) = landed {
                    self.under_way.remove(&visit);
                    self.land(visit, report)?;
                }
            }
            () = self.poke.notified() => self.fetch_signals().await?,
            () = tokio::time::sleep(left), if look => {}
        }
        Ok(())
    }

    /// A report that came too late, e.g. of a probe in a run that is being cancelled, is dropped.
    fn land(&mut self, visit: VisitNo, report: Report) -> Result<(), Broken> {
        let report = self.within_limits(report);
        let held_back = match &report {
            Report::HeldBack { reason } => Some(reason.clone()),
            _ => None,
        };
        let told = match (self.report(visit, report), held_back) {
            // A run that was paused meanwhile asks nobody: the attempt is one that was cut off.
            (Err(Broken::Illegal(_)), Some(evidence)) => {
                self.report(visit, Report::Uncertain { evidence })
            }
            (told, _) => told,
        };
        match told {
            Err(Broken::Illegal(error)) => {
                tracing::warn!(run_id = %self.held.state.run(), %error, "report came too late");
                Ok(())
            }
            other => other,
        }
    }

    /// Results are kept in memory and in the journal, so there is an end to them.
    fn within_limits(&mut self, report: Report) -> Report {
        let Report::Output(output) = &report else {
            return report;
        };
        self.bytes += output.as_str().len();
        let limit = self.engine.config.run_bytes;
        if self.bytes <= limit {
            return report;
        }
        let message = format!(
            "the action took effect, but the run's results together are above the limit of {limit} bytes"
        );
        let error = StepError {
            kind: ErrorKind::Limit,
            message,
        };
        Report::Failed {
            error,
            after: None,
            logs: Vec::new(),
        }
    }

    fn report(&mut self, visit: VisitNo, report: Report) -> Result<(), Broken> {
        let entry = settle(
            &self.held.definition,
            &self.held.state,
            visit,
            report,
            self.engine.now(),
        )?;
        self.record(entry)
    }

    fn record(&mut self, entry: Entry) -> Result<(), Broken> {
        let now = self.engine.now();
        let record = Record { at: now, entry };
        self.held.state.apply(record.clone())?;
        let entered = match &record.entry {
            Entry::Entered { step, .. } => Some(step),
            Entry::Reopened { visit, .. } => self.held.state.visit(*visit).map(|visit| &visit.step),
            _ => None,
        };
        if let Some(step) = entered {
            count_entry(&mut self.entered, &self.held.definition, step, 1);
        }
        let own_event = match &record.entry {
            Entry::AttentionNeeded { reason, .. } => {
                tracing::warn!(run_id = %self.held.state.run(), definition = self.held.definition.name, reason, "run needs attention");
                self.tell(RUN_NEEDS_ATTENTION, reason, now)
            }
            Entry::Asked { question, .. } => self.tell(RUN_AWAITING_ANSWER, &question.text, now),
            Entry::Finished {
                outcome: Outcome::Failed,
                reason,
            } => {
                let reason = reason.as_deref().unwrap_or_default();
                tracing::warn!(run_id = %self.held.state.run(), definition = self.held.definition.name, reason, "run failed");
                self.tell(RUN_FAILED, reason, now)
            }
            _ => None,
        };
        self.emit.extend(own_event);
        self.pending.push(record);
        Ok(())
    }

    fn tell(&mut self, event_type: &str, reason: &str, now: Timestamp) -> Option<Acceptance> {
        self.told += 1;
        let told = Told {
            event_type,
            reason,
            nth: Some(self.told),
            id: None,
            more: Value::Null,
        };
        self.engine.own_event(&self.held, told, now)
    }

    async fn fetch_signals(&mut self) -> Result<(), Broken> {
        match self.engine.store.signals(self.held.state.run()).await {
            Ok(signals) => {
                self.held.signals = signals;
                self.heed_signals()
            }
            // They stay in the store; releasing the run will find them.
            Err(error) => {
                tracing::warn!(run_id = %self.held.state.run(), %error, "cannot read signals");
                Ok(())
            }
        }
    }

    /// Applies signals. One that means nothing (any more) is logged and removed.
    fn heed_signals(&mut self) -> Result<(), Broken> {
        for (id, signal) in std::mem::take(&mut self.held.signals) {
            if self.dealt_with.contains(&id) {
                continue;
            }
            if let Err(error) = self.heed(signal) {
                match error {
                    Broken::Illegal(error) => {
                        tracing::warn!(run_id = %self.held.state.run(), %error, "signal came too late");
                    }
                    other => return Err(other),
                }
            }
            self.dealt_with.push(id);
        }
        Ok(())
    }

    fn heed(&mut self, signal: Signal) -> Result<(), Broken> {
        let entry = match signal {
            Signal::Cancel { by, reason } => Entry::CancelRequested { by, reason },
            Signal::Pause { by, reason } => Entry::Paused { by, reason },
            Signal::Unpause { by } => Entry::Unpaused { by },
            Signal::Resume {
                visit,
                resolution,
                by,
            } => resume(
                &self.held.definition,
                &self.held.state,
                visit,
                resolution,
                by,
            )?,
            Signal::Answer {
                visit,
                answer: given,
                by,
                identity,
            } => answer(
                &self.held.state,
                visit,
                given,
                Person { name: by, identity },
            )
            .map_err(|error| Illegal {
                state: error.to_string(),
                entry: "answered".to_owned(),
            })?,
            Signal::Retry {
                visit,
                by,
                identity,
            } => {
                let deadline = later(self.engine.now(), self.held.definition.limits.deadline);
                Entry::Reopened {
                    visit,
                    by,
                    identity,
                    deadline,
                }
            }
        };
        self.record(entry)
    }

    async fn park(&mut self, wake: Timestamp) -> Result<(), Broken> {
        self.commit(Next::Park(wake)).await?;
        self.engine.wake.now();
        Ok(())
    }

    async fn finish(&mut self) -> Result<(), Broken> {
        self.commit(Next::Finish).await?;
        let state = &self.held.state;
        self.engine.turns.leave(&state.started().name, state.run());
        let status = self.held.state.summary().status;
        self.engine
            .metrics
            .runs_finished
            .with_label_values(&[status.as_str()])
            .inc();
        self.engine.metrics.csf.count_run(&self.held.state, status);
        let took = self
            .engine
            .now()
            .duration_since(self.held.state.started_at());
        self.engine.metrics.run_seconds.observe(took.as_secs_f64());
        if let Some(event) = &self.held.event {
            self.engine.answers.run_ended(event.event_id);
            let run = self.held.state.run();
            self.engine.hearings.run_ended(event.event_id, run);
        }
        Ok(())
    }

    /// Commits what is pending. While the store is not available the run waits here: what
    /// was done must be recorded, and nothing new may begin.
    async fn commit(&mut self, next: Next) -> Result<(), Broken> {
        faults::hit(point::BEFORE_RESULT);
        let append = Append {
            run: self.held.state.run(),
            node: self.engine.node,
            epoch: self.held.epoch,
            expected: self.committed,
            records: std::mem::take(&mut self.pending),
            summary: self.held.state.summary(),
            next,
            emit: std::mem::take(&mut self.emit),
            signals: std::mem::take(&mut self.dealt_with),
            now: self.engine.now(),
        };
        let emits = append
            .emit
            .iter()
            .any(|acceptance| !acceptance.runs.is_empty());
        let change = self.change(&append);
        let mut wait = STORE_WAIT.0;
        loop {
            match self.engine.store.append(append.clone()).await {
                Ok(emitted) => break self.engine.tell_emitted(&append.emit, &emitted),
                Err(error @ (Error::Unavailable(_) | Error::Full(_))) => {
                    if self.stop.is_requested() {
                        return Err(Broken::Abandoned);
                    }
                    if wait == STORE_WAIT.0 {
                        tracing::error!(run_id = %append.run, %error, "cannot record; trying again");
                    }
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(STORE_WAIT.1);
                }
                Err(error) => return Err(Broken::Lost(error)),
            }
        }
        self.committed += append.records.len() as u64;
        if emits {
            self.engine.queues.set_backlog(true);
            self.engine.wake.now();
        }
        self.engine.tail.send(move || change.with(append));
        Ok(())
    }

    fn change(&self, append: &Append) -> Draft {
        Draft {
            name: self.held.definition.name.clone(),
            event: self.held.event.as_ref().map(|event| event.event_id),
            from: append.expected,
        }
    }
}

/// Counts that a run came to a step, where that is an action.
fn count_entry(
    entered: &mut HashMap<String, u32>,
    definition: &Definition,
    step: &StepId,
    times: u32,
) {
    let Some(Step::Action(action)) = definition.steps.get(step) else {
        return;
    };
    let module = counted(&action.module);
    match entered.get_mut(module) {
        Some(count) => *count += times,
        None => drop(entered.insert(module.to_owned(), times)),
    }
}

/// What a module's calls are counted as: those that make events share what a run may make.
fn counted(module: &str) -> &str {
    match module {
        "run_reaction" | "playbook" => "emit",
        other => other,
    }
}

/// A change but for what the append carries.
struct Draft {
    name: String,
    event: Option<conche_core::EventId>,
    from: u64,
}

impl Draft {
    fn with(self, append: Append) -> Change {
        Change {
            run: append.run,
            name: self.name,
            event: self.event,
            from: self.from,
            records: append.records,
            summary: append.summary,
        }
    }
}
