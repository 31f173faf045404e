//! The way in: events become durable together with the runs that they trigger.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use conche_core::event::{RUN_NEEDS_ATTENTION, is_storable};
use conche_core::run::{Declared, Entry, Person, Record, RunState, Started};
use conche_core::storm::Gates;
use conche_core::{Definition, Event, EventId, RunId, Timestamp};
use conche_modules::{
    Asked, Audience, Batch, Connection, Consulted, Intake, NewEvent, Receipt, Refusal, Settles,
};
use conche_runtime::supervisor::Stage;
use conche_store::{Acceptance, Accepted, Cursor, Fate, NewRun};
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

use crate::answers::Forget;
use crate::budget;
use crate::executor::Held;
use crate::faults::{self, point};
use crate::housekeeping::later;
use crate::triggers::{Around, Match, Matches};
use crate::{Engine, Inner};

/// How long a source is asked to wait when too much is waiting.
const BUSY_WAIT: Duration = Duration::from_secs(2);

/// Where events come from.
#[derive(Clone, Copy)]
pub(crate) struct Origin<'a> {
    pub(crate) source: &'a str,
    /// The run of ours that emits them.
    pub(crate) cause: Option<RunId>,
    pub(crate) depth: u16,
    /// How many events may stem from each.
    pub(crate) follow: u32,
    /// The people who brought them about, as far as that were people.
    pub(crate) by: &'a [Person],
    /// What to run, whatever triggers it; none to run the reactions that are triggered.
    pub(crate) only: Option<&'a Only>,
}

/// What is run alone, since it was asked for by name.
#[derive(Clone)]
pub(crate) enum Only {
    /// The reaction of this name.
    Reaction(String),
    /// A playbook.
    Playbook {
        /// What its run follows.
        definition: Arc<Definition>,
        /// Its variables with the caller's values.
        scope: Declared,
    },
}

/// What is told of a run by an event of our own.
pub(crate) struct Told<'a> {
    pub(crate) event_type: &'a str,
    pub(crate) reason: &'a str,
    /// The number, from 1, of the event about that run; none for a reminder.
    pub(crate) nth: Option<u32>,
    /// The id of the event; that of the run at its version where there is none.
    pub(crate) id: Option<String>,
    /// More members of its data.
    pub(crate) more: Value,
}

#[async_trait]
impl Intake for Engine {
    async fn accept(&self, batch: Batch) -> Result<Vec<Receipt>, Refusal> {
        check_types(&batch.events)?;
        self.0
            .take_in(
                self.0.outside(&batch.source),
                batch.events,
                batch.cursor,
                None,
            )
            .await
    }

    async fn ask(
        &self,
        source: &str,
        event: NewEvent,
        timeout: Duration,
    ) -> Result<Asked, Refusal> {
        check_types(std::slice::from_ref(&event))?;
        let id = EventId::new(Uuid::now_v7());
        let _forget = Forget {
            engine: &self.0,
            event: id,
        };
        let waiter = self.0.answers.wait(id);
        let receipts = self
            .0
            .take_in(self.0.outside(source), vec![event], None, Some(id))
            .await?;
        let receipt = receipts
            .into_iter()
            .next()
            .ok_or_else(|| Refusal::Invalid("no event".to_owned()))?;
        if receipt.duplicate {
            let answer = self.0.answer_again(receipt.event, timeout).await;
            let answer = answer.map_err(refusal)?;
            return Ok(Asked { receipt, answer });
        }
        // The waiter's other end is dropped when no run is left that could answer.
        let answer = tokio::time::timeout(timeout, waiter)
            .await
            .ok()
            .and_then(Result::ok);
        Ok(Asked { receipt, answer })
    }

    async fn consult(
        &self,
        source: &str,
        event: NewEvent,
        timeout: Duration,
        settles: Settles<'_>,
    ) -> Result<Consulted, Refusal> {
        check_types(std::slice::from_ref(&event))?;
        self.0.consult(source, event, timeout, settles).await
    }

    fn audience(&self, event_type: &str) -> Audience {
        let (lists, now) = (&self.0.lists, self.0.now());
        let triggers = self.0.triggers.load();
        let (reactions, policy) = triggers.audience(event_type, lists, now);
        Audience { reactions, policy }
    }

    async fn cursor(&self, source: &str) -> Result<Option<String>, Refusal> {
        self.0.store.cursor(source).await.map_err(refusal)
    }

    fn refused(&self, source: &str, reason: &'static str) {
        self.0.metrics.count_refusal(source, reason);
    }

    fn connection(&self, source: &str, part: &str, state: Connection) {
        let (engine, place) = (&self.0, (source, part));
        let now = engine.now();
        let state = engine.connections.note(place, state, now, &engine.masker);
        engine.metrics.source_connected(source, state.is_connected);
    }
}

impl Engine {
    /// Accepts events that somebody sends, as [`Intake::accept`] does: the runs that they start
    /// are that person's.
    ///
    /// # Errors
    /// As [`Intake::accept`].
    pub async fn accept_from(&self, batch: Batch, by: Person) -> Result<Vec<Receipt>, Refusal> {
        check_types(&batch.events)?;
        let origin = Origin {
            by: &[by],
            ..self.0.outside(&batch.source)
        };
        let taken = self.0.take_in(origin, batch.events, batch.cursor, None);
        taken.await
    }

    /// Accepts one event of any type, also of those that Conche alone emits: for trying a
    /// reaction on an engine of its own. What comes from outside goes through
    /// [`Intake::accept`], which refuses such types.
    ///
    /// # Errors
    /// As [`Intake::accept`].
    pub async fn rehearse(&self, source: &str, event: NewEvent) -> Result<Vec<Receipt>, Refusal> {
        let origin = self.0.outside(source);
        self.0.take_in(origin, vec![event], None, None).await
    }
}

fn check_types(events: &[NewEvent]) -> Result<(), Refusal> {
    match events
        .iter()
        .find(|event| event.event_type.is_empty() || event.event_type.starts_with("conche."))
    {
        Some(event) if event.event_type.is_empty() => {
            Err(Refusal::Invalid("the event type is empty".to_owned()))
        }
        Some(event) => Err(Refusal::Invalid(format!(
            "the event type '{}' is reserved: types that start with 'conche.' are emitted by Conche only",
            event.event_type
        ))),
        None => Ok(()),
    }
}

pub(crate) fn refusal(error: conche_store::Error) -> Refusal {
    Refusal::Unavailable(error.to_string())
}

/// A run about to be born, with what it needs to be driven at once.
struct Birth {
    run: RunId,
    first: Record,
    definition: Arc<Definition>,
    event: Arc<Event>,
    gates: Option<Gates>,
}

impl Birth {
    fn new_run(&self) -> NewRun {
        NewRun {
            run: self.run,
            first: self.first.clone(),
            gates: self.gates.clone(),
        }
    }
}

impl Inner {
    pub(crate) fn outside<'a>(&self, source: &'a str) -> Origin<'a> {
        Origin {
            source,
            cause: None,
            depth: 0,
            follow: self.config.emits_per_event,
            by: &[],
            only: None,
        }
    }

    /// Accepts events; the first gets the id `own` where one is given.
    ///
    /// In a task of its own: a caller that goes away, as one whose connection breaks does,
    /// must not leave runs behind that were accepted and are driven by nobody.
    pub(crate) async fn take_in(
        self: &Arc<Self>,
        origin: Origin<'_>,
        events: Vec<NewEvent>,
        cursor: Option<String>,
        own: Option<EventId>,
    ) -> Result<Vec<Receipt>, Refusal> {
        let (tell, told) = tokio::sync::oneshot::channel();
        let (engine, source) = (self.clone(), origin.source.to_owned());
        let (cause, depth, follow) = (origin.cause, origin.depth, origin.follow);
        let (by, only) = (origin.by.to_vec(), origin.only.cloned());
        self.tasks.detach("intake", Stage::Intake, async move {
            let origin = Origin {
                source: &source,
                cause,
                depth,
                follow,
                by: &by,
                only: only.as_ref(),
            };
            // Whoever asked may be gone.
            drop(tell.send(engine.take_in_whole(origin, events, cursor, own).await));
        });
        told.await.unwrap_or(Err(Refusal::Stopping))
    }

    async fn take_in_whole(
        self: &Arc<Self>,
        origin: Origin<'_>,
        events: Vec<NewEvent>,
        cursor: Option<String>,
        own: Option<EventId>,
    ) -> Result<Vec<Receipt>, Refusal> {
        faults::hit(point::AFTER_RECV);
        if self.tasks.stop(Stage::Intake).is_requested() {
            return Err(Refusal::Stopping);
        }
        if !self.queues.has_room(origin.source) {
            self.metrics.count_refusal(origin.source, "busy");
            return Err(Refusal::Busy {
                retry_after: BUSY_WAIT,
            });
        }
        let now = self.now();
        if events
            .iter()
            .any(|event| event.time.is_some_and(|time| !is_storable(time)))
        {
            return Err(Refusal::Invalid(
                "the event's time is out of range".to_owned(),
            ));
        }
        // Somebody waits for the answer: its runs have places of their own.
        let urgent = own.is_some();
        let mut own = own;
        let (mut acceptances, mut births) = (Vec::with_capacity(events.len()), Vec::new());
        for event in events {
            let event = Arc::new(complete(origin, event, own.take(), now));
            let matches = match origin.only {
                Some(only) => self.alone(only)?,
                None => self.matching(&event).await?,
            };
            if urgent {
                self.hearings.miss(event.event_id, matches.unfiltered());
            }
            let born = self.births(origin, &event, matches, now);
            let runs = born.iter().map(Birth::new_run).collect();
            acceptances.push(Acceptance {
                event: (*event).clone(),
                runs,
            });
            births.push(born);
        }
        let count: usize = births.iter().map(Vec::len).sum();
        // Where there is room new runs are born in the hands of this node; else they wait in
        // the store, and the executor, which asks for room fairly, gets to them.
        let permit = if count == 0 || self.tasks.stop(Stage::Executor).is_requested() {
            None
        } else {
            self.places(u32::try_from(count).unwrap_or(u32::MAX), urgent)
        };
        // Counted before they can be claimed, so that no run is counted after it has left.
        let runs: Vec<RunId> = births.iter().flatten().map(|birth| birth.run).collect();
        if permit.is_none() {
            self.queues.enter(origin.source, runs.iter().copied());
        }
        let accepted = self
            .store
            .accept(conche_store::Intake {
                acceptances,
                cursor: cursor.map(|value| Cursor {
                    source: origin.source.to_owned(),
                    value,
                }),
                holder: permit.is_some().then_some(self.node),
                now,
            })
            .await
            .map_err(|error| {
                for run in &runs {
                    self.queues.leave(*run);
                }
                self.metrics.count_refusal(origin.source, "unavailable");
                refusal(error)
            })?;
        faults::hit(point::BEFORE_ACK);
        self.hand_on(origin, &accepted, births, permit, now);
        Ok(accepted
            .into_iter()
            .map(|one| Receipt {
                event: one.event,
                duplicate: one.duplicate,
            })
            .collect())
    }

    /// Places for so many runs. Runs that somebody waits for take those that are kept for them
    /// first, however busy this node is with others.
    fn places(&self, count: u32, urgent: bool) -> Option<OwnedSemaphorePermit> {
        let from = |permits: &Arc<Semaphore>| permits.clone().try_acquire_many_owned(count).ok();
        let kept = urgent.then(|| from(&self.urgent)).flatten();
        kept.or_else(|| from(&self.permits))
    }

    /// Gives the new runs to the executor, or leaves them to its next claim.
    fn hand_on(
        self: &Arc<Self>,
        origin: Origin<'_>,
        accepted: &[Accepted],
        births: Vec<Vec<Birth>>,
        mut permit: Option<OwnedSemaphorePermit>,
        now: Timestamp,
    ) {
        let held = permit.is_some();
        let (mut waiting, mut timed) = (Vec::new(), false);
        for (accepted, born) in accepted.iter().zip(births) {
            self.metrics.count_event(origin.source, accepted.duplicate);
            if accepted.duplicate {
                for birth in &born {
                    self.queues.leave(birth.run);
                }
                continue;
            }
            let is_born = |fate: &&Fate| matches!(fate, Fate::Born | Fate::Uncontrolled { .. });
            let count = accepted.fates.iter().filter(is_born).count();
            self.metrics.csf.count_event(count);
            self.answers.expect(accepted.event, count);
            self.hearings.miss(accepted.event, born.len() - count);
            self.hearings.expect(accepted.event, || {
                let fates = born.iter().zip(&accepted.fates);
                let speakers = fates.filter(|(_, fate)| is_born(fate));
                speakers.map(|(birth, _)| birth.run).collect()
            });
            for (birth, fate) in born.into_iter().zip(&accepted.fates) {
                self.tell_fate(&birth.definition.name, *fate, now);
                if !is_born(&fate) {
                    self.queues.leave(birth.run);
                    // The executor may sleep past a time that nobody waited for before.
                    timed |=
                        matches!(fate, Fate::Waits { first, until, .. } if *first || *until <= now);
                    continue;
                }
                self.metrics.runs_started.inc();
                match permit.as_mut().and_then(|permit| permit.split(1)) {
                    Some(permit) => self.drive_new(birth, permit),
                    None => waiting.push(birth.run),
                }
            }
        }
        debug_assert!(
            !held || waiting.is_empty(),
            "one permit was taken for each run"
        );
        if !waiting.is_empty() {
            self.queues.set_backlog(true);
        }
        if timed || !waiting.is_empty() {
            self.wake.now();
        }
        faults::hit(point::AFTER_ACK);
    }

    fn drive_new(self: &Arc<Self>, birth: Birth, permit: OwnedSemaphorePermit) {
        match RunState::begin(birth.run, birth.first) {
            Ok(state) => self.spawn_drive(Held {
                epoch: 1,
                state,
                definition: birth.definition,
                event: Some(birth.event),
                signals: Vec::new(),
                _permit: permit,
            }),
            Err(error) => {
                tracing::error!(run_id = %birth.run, %error, "a new run is not startable");
            }
        }
    }

    /// The reactions that an event triggers. Where finding them may take long it is done on a
    /// thread of its own, a few at a time, so that other events are taken in meanwhile.
    pub(crate) async fn matching(&self, event: &Arc<Event>) -> Result<Matches, Refusal> {
        let triggers = self.triggers.load_full();
        if !triggers.is_heavy_for(event) {
            return Ok(triggers.matching(event, &self.around(self.now())));
        }
        let place = self.filtering.clone().acquire_owned().await;
        let (event, around) = (event.clone(), self.around(self.now()));
        let matching = move || {
            let _place = place;
            triggers.matching(&event, &around)
        };
        tokio::task::spawn_blocking(matching)
            .await
            .map_err(|error| Refusal::Unavailable(format!("a filter failed: {error}")))
    }

    fn around(&self, now: Timestamp) -> Around {
        Around {
            keys_max: self.config.storm_keys,
            lists: self.lists.clone(),
            now,
        }
    }

    /// What was asked for alone, so that no storm control stops it.
    fn alone(&self, only: &Only) -> Result<Matches, Refusal> {
        let (definition, scope) = match only {
            Only::Reaction(name) => {
                let found = self.triggers.load().named(name);
                let missing = || Refusal::Invalid(format!("there is no reaction '{name}'"));
                (found.ok_or_else(missing)?, None)
            }
            Only::Playbook { definition, scope } => (definition.clone(), Some(scope.clone())),
        };
        let alone = Match {
            definition,
            gates: None,
            scope,
        };
        Ok(Matches {
            found: vec![alone],
            faults: Vec::new(),
        })
    }

    /// The runs that an event triggers, which share the events that may follow it.
    fn births(
        &self,
        origin: Origin<'_>,
        event: &Arc<Event>,
        matches: Matches,
        now: Timestamp,
    ) -> Vec<Birth> {
        for (reaction, fault) in &matches.faults {
            self.tell_fault(reaction, fault, now);
        }
        let budget = budget::of_each(origin.follow, matches.found.len());
        let birth = |found: Match| {
            let Match {
                definition,
                gates,
                scope,
            } = found;
            let started = Started {
                definition: definition.digest,
                name: definition.name.clone(),
                event: Some(event.event_id),
                events: Vec::new(),
                deadline: later(now, definition.limits.deadline),
                variables: BTreeMap::default(),
                scope,
                budget: Some(budget),
                by: origin.by.to_vec(),
                copied_at: None,
            };
            Birth {
                run: RunId::new(Uuid::now_v7()),
                first: Record {
                    at: now,
                    entry: Entry::Started(started),
                },
                definition,
                event: event.clone(),
                gates,
            }
        };
        matches.found.into_iter().map(birth).collect()
    }

    /// How many events may stem from a run.
    pub(crate) fn budget(&self, run: &RunState) -> u32 {
        let budget = run.started().budget;
        budget.unwrap_or(self.config.emits_per_event)
    }

    /// The event about a run that was put aside. Nothing but its id can be trusted.
    pub(crate) async fn announce_put_aside(
        self: &Arc<Self>,
        run: RunId,
        reason: &str,
    ) -> Result<(), Refusal> {
        let data = serde_json::json!({ "run_id": run, "reason": reason, "put_aside": true });
        let event = NewEvent {
            id: Some(format!("{run}:put_aside")),
            event_type: RUN_NEEDS_ATTENTION.to_owned(),
            subject: None,
            time: None,
            data: conche_core::Json::from(&data),
        };
        let origin = Origin {
            source: crate::host::OWN_SOURCE,
            cause: Some(run),
            depth: 1,
            follow: self.config.emits_per_event,
            by: &[],
            only: None,
        };
        self.take_in(origin, vec![event], None, None)
            .await
            .map(drop)
    }

    /// An event of our own about a run, to be accepted with the append that causes it;
    /// `None` where too many of our own runs or events stand behind it already.
    pub(crate) fn own_event(
        &self,
        about: &Held,
        told: Told<'_>,
        now: Timestamp,
    ) -> Option<Acceptance> {
        let Told {
            event_type, reason, ..
        } = told;
        let depth = about.event.as_ref().map_or(0, |event| event.depth) + 1;
        let run = about.state.run();
        if depth > self.config.emit_depth {
            tracing::warn!(run_id = %run, event_type, depth, "not emitted: too many runs caused each other");
            return None;
        }
        let follow = match told.nth {
            // It starts runs that can start no more: reminders come on without end.
            None => 0,
            Some(nth) => match budget::share(self.budget(&about.state), nth) {
                Some(share) => share - 1,
                None => {
                    tracing::warn!(run_id = %run, event_type, "not emitted: too many events stem from one event");
                    return None;
                }
            },
        };
        let mut data = serde_json::json!({
            "run_id": run,
            "definition": about.definition.name,
            "digest": about.definition.digest,
            "reason": reason,
            "event_id": about.event.as_ref().map(|event| event.event_id),
            "event_type": about.event.as_ref().map(|event| event.event_type.clone()),
        });
        if let (Some(data), Value::Object(more)) = (data.as_object_mut(), told.more) {
            data.extend(more);
        }
        let event = NewEvent {
            // A run may fail again after a retry: another fact, at another version.
            id: Some(
                told.id
                    .unwrap_or_else(|| format!("{run}:{}", about.state.version())),
            ),
            event_type: event_type.to_owned(),
            subject: Some(about.definition.name.clone()),
            time: Some(now),
            data: conche_core::Json::from(&data),
        };
        let origin = Origin {
            source: crate::host::OWN_SOURCE,
            cause: Some(run),
            depth,
            follow,
            by: about.state.starters(),
            only: None,
        };
        let event = Arc::new(complete(origin, event, None, now));
        // It holds no lists, so that no filter takes long.
        let matches = self.triggers.load().matching(&event, &self.around(now));
        let births = self.births(origin, &event, matches, now);
        Some(Acceptance {
            runs: births.iter().map(Birth::new_run).collect(),
            event: (*event).clone(),
        })
    }
}

fn complete(origin: Origin<'_>, event: NewEvent, own: Option<EventId>, now: Timestamp) -> Event {
    let event_id = own.unwrap_or_else(|| EventId::new(Uuid::now_v7()));
    Event {
        event_id,
        id: event.id.unwrap_or_else(|| event_id.to_string()),
        source: origin.source.to_owned(),
        event_type: event.event_type,
        subject: event.subject,
        time: event.time.unwrap_or(now),
        data: event.data,
        cause: origin.cause,
        depth: origin.depth,
    }
}
