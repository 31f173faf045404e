//! The maps and how each request changes them. Every change checks first and writes then,
//! so that a refused one leaves nothing behind.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use conche_core::run::{Record, Status, Summary};
use conche_core::{Digest, Event, EventId, RunId, Timestamp};

use super::ledger::Kept;
use super::not_found;
use super::storms::{Maps, Storms};
use crate::aside::Aside;
use crate::birth::birth;
use crate::storms::{Candidate, admit, notes};
use crate::{
    Acceptance, Accepted, Append, Claim, Claimed, DefinitionText, Error, EventRow, Fate, ListEntry,
    NewRun, Next, NodeId, PlaybookRow, ReactionRow, RunRow, Signal, SignalId,
};

/// All that the store knows.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) closed: bool,
    pub(super) events: BTreeMap<EventId, EventRow>,
    /// By source and the sender's id: the event accepted, and when.
    pub(super) dedup: HashMap<(String, String), (EventId, Timestamp)>,
    pub(super) runs: BTreeMap<RunId, Stored>,
    /// Unheld runs by the time at which they are due.
    pub(super) due: BTreeSet<(Timestamp, RunId)>,
    pub(super) signals: BTreeMap<SignalId, (RunId, Signal)>,
    signals_ever: i64,
    pub(super) nodes: HashMap<NodeId, Timestamp>,
    pub(super) cursors: HashMap<String, String>,
    /// With the number of the last put: the highest of a name is its current version.
    pub(super) definitions: BTreeMap<Digest, (u64, DefinitionText)>,
    puts: u64,
    pub(super) reactions: BTreeMap<String, ReactionRow>,
    /// By id and time of modification.
    pub(super) playbooks: BTreeMap<(String, String), PlaybookRow>,
    pub(super) ledger: Kept,
    pub(super) storms: Storms,
    pub(super) lists: BTreeMap<(String, String), ListEntry>,
}

/// A run with its journal and lease.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) definition: Digest,
    name: String,
    pub(super) event: Option<EventId>,
    pub(super) events: Vec<EventId>,
    started_at: Timestamp,
    pub(super) summary: Summary,
    pub(super) journal: Vec<Record>,
    epoch: u64,
    pub(super) holder: Option<NodeId>,
    pub(super) due: Option<Timestamp>,
}

impl Stored {
    pub(super) fn row(&self, run: RunId) -> RunRow {
        RunRow {
            run,
            definition: self.definition,
            name: self.name.clone(),
            event: self.event,
            started_at: self.started_at,
            summary: self.summary.clone(),
            version: self.journal.len() as u64,
            due: self.due,
            held: self.holder.is_some(),
        }
    }

    /// Whether nothing will happen to it any more unless someone asks.
    pub(super) fn is_at_rest(&self) -> bool {
        self.summary.finished_at.is_some() && self.holder.is_none() && self.due.is_none()
    }
}

/// What will become of each acceptance: the event accepted before, or none.
pub(super) type Plan = Vec<Option<EventId>>;

impl State {
    /// Checks acceptances as a whole. Nothing is written.
    pub(super) fn plan(&self, acceptances: &[Acceptance]) -> Result<Plan, Error> {
        let mut pairs = HashMap::new();
        let (mut events, mut runs) = (HashSet::new(), HashSet::new());
        let mut plan = Plan::with_capacity(acceptances.len());
        for acceptance in acceptances {
            let event = &acceptance.event;
            let pair = (event.source.clone(), event.id.clone());
            let known = self.dedup.get(&pair).map(|(event, _)| *event);
            if let Some(event) = known.or_else(|| pairs.get(&pair).copied()) {
                plan.push(Some(event));
                continue;
            }
            if self.events.contains_key(&event.event_id) || !events.insert(event.event_id) {
                return Err(exists("event", event.event_id));
            }
            pairs.insert(pair, event.event_id);
            for new in &acceptance.runs {
                if self.runs.contains_key(&new.run) || !runs.insert(new.run) {
                    return Err(exists("run", new.run));
                }
                birth(new)?;
            }
            plan.push(None);
        }
        Ok(plan)
    }

    /// Carries out a plan made of the same acceptances.
    pub(super) fn take_in(
        &mut self,
        acceptances: Vec<Acceptance>,
        plan: Plan,
        holder: Option<NodeId>,
        now: Timestamp,
    ) -> Vec<Accepted> {
        let planned = acceptances.into_iter().zip(plan);
        let take = |(acceptance, before): (Acceptance, Option<EventId>)| match before {
            Some(event) => Accepted::before(event),
            None => self.take_one(acceptance, holder, now),
        };
        planned.map(take).collect()
    }

    fn take_one(
        &mut self,
        Acceptance { event, runs }: Acceptance,
        holder: Option<NodeId>,
        now: Timestamp,
    ) -> Accepted {
        let mut fates = Vec::with_capacity(runs.len());
        let mut names = Vec::with_capacity(runs.len());
        for new in runs {
            let (fate, name) = self.pass(&new, &event, now);
            if matches!(fate, Fate::Born | Fate::Uncontrolled { .. })
                && self.bear(&new, now)
                && let Some(holder) = holder
            {
                self.hold(new.run, holder);
            }
            fates.push(fate);
            names.push(name);
        }
        let pair = (event.source.clone(), event.id.clone());
        self.dedup.insert(pair, (event.event_id, now));
        let event_id = event.event_id;
        let reactions = names.iter().map(String::as_str);
        let row = EventRow {
            event,
            received_at: now,
            notes: notes(reactions.zip(fates.iter().copied())),
        };
        self.events.insert(event_id, row);
        Accepted {
            event: event_id,
            duplicate: false,
            fates,
        }
    }

    /// Whether a run is to be born, by its reaction's storm control, and the reaction's name.
    fn pass(&mut self, new: &NewRun, event: &Event, now: Timestamp) -> (Fate, String) {
        // Checked in the plan.
        let Ok((started, _)) = birth(new) else {
            return (Fate::Born, String::new());
        };
        let Some(gates) = &new.gates else {
            return (Fate::Born, started.name.clone());
        };
        let candidate = Candidate {
            run: new.run,
            first: &new.first,
            reaction: &started.name,
            gates,
            event: event.event_id,
            bytes: event.data.as_str().len() as u64,
        };
        let Ok(fate) = admit(&mut Maps { state: self, now }, &candidate, now);
        (fate, started.name.clone())
    }

    /// Stores a new run, due now. Whether it is one, which was checked before.
    pub(super) fn bear(&mut self, new: &NewRun, now: Timestamp) -> bool {
        let Ok((started, summary)) = birth(new) else {
            return false;
        };
        let stored = Stored {
            definition: started.definition,
            name: started.name.clone(),
            event: started.event,
            events: started.events.clone(),
            started_at: new.first.at,
            summary,
            journal: vec![new.first.clone()],
            epoch: 0,
            holder: None,
            due: None,
        };
        self.runs.insert(new.run, stored);
        self.set_due(new.run, Some(now));
        true
    }

    /// Has a new run held from its birth.
    fn hold(&mut self, run: RunId, holder: NodeId) {
        self.set_due(run, None);
        if let Some(stored) = self.runs.get_mut(&run) {
            (stored.holder, stored.epoch) = (Some(holder), 1);
        }
    }

    pub(super) fn claim(&mut self, claim: Claim) -> Vec<Claimed> {
        self.bear_ripe(claim.now, claim.limit as usize);
        let ready = self
            .due
            .iter()
            .take_while(|(due, _)| *due <= claim.now)
            .take(claim.limit as usize);
        let ready: Vec<RunId> = ready.map(|(_, run)| *run).collect();
        let mut claimed = Vec::with_capacity(ready.len());
        for run in ready {
            self.set_due(run, None);
            let signals = self.signals_of(run);
            let Some(stored) = self.runs.get_mut(&run) else {
                continue;
            };
            stored.holder = Some(claim.node);
            stored.epoch += 1;
            let event = stored.event.and_then(|id| self.events.get(&id));
            claimed.push(Claimed {
                run,
                epoch: stored.epoch,
                journal: Ok(stored.journal.clone()),
                event: event.map(|row| row.event.clone()),
                signals,
            });
        }
        claimed
    }

    pub(super) fn append(&mut self, append: Append) -> Result<Vec<Accepted>, Error> {
        let run = append.run;
        let stored = self.runs.get(&run).ok_or_else(|| not_found("run", run))?;
        if stored.holder != Some(append.node) || stored.epoch != append.epoch {
            return Err(Error::Fenced(run));
        }
        let found = stored.journal.len() as u64;
        if found != append.expected {
            let expected = append.expected;
            return Err(Error::Conflict {
                run,
                expected,
                found,
            });
        }
        let plan = self.plan(&append.emit)?;
        for id in &append.signals {
            if self.signals.get(id).is_some_and(|(of, _)| *of == run) {
                self.signals.remove(id);
            }
        }
        if let Some(stored) = self.runs.get_mut(&run) {
            stored.journal.extend(append.records);
            stored.summary = append.summary;
        }
        let emitted = self.take_in(append.emit, plan, None, append.now);
        let due = match append.next {
            Next::Hold => return Ok(emitted),
            Next::Park(until) => Some(until),
            Next::Finish => None,
        };
        let waiting = self.signals.values().any(|(of, _)| *of == run);
        self.release(run, due, waiting.then_some(append.now));
        Ok(emitted)
    }

    /// Lets a run go, due at the earlier of two times.
    fn release(&mut self, run: RunId, due: Option<Timestamp>, or: Option<Timestamp>) {
        if let Some(stored) = self.runs.get_mut(&run) {
            stored.holder = None;
        }
        self.set_due(run, due.into_iter().chain(or).min());
    }

    fn set_due(&mut self, run: RunId, due: Option<Timestamp>) {
        let Some(stored) = self.runs.get_mut(&run) else {
            return;
        };
        if let Some(before) = std::mem::replace(&mut stored.due, due) {
            self.due.remove(&(before, run));
        }
        self.due.extend(due.map(|due| (due, run)));
    }

    pub(super) fn signal(
        &mut self,
        run: RunId,
        signal: Signal,
        expected: Option<u64>,
        now: Timestamp,
    ) -> Result<SignalId, Error> {
        let stored = self.runs.get(&run).ok_or_else(|| not_found("run", run))?;
        let found = stored.journal.len() as u64;
        if let Some(expected) = expected
            && (found != expected || self.signals.values().any(|(of, _)| *of == run))
        {
            return Err(Error::Conflict {
                run,
                expected,
                found,
            });
        }
        if stored.holder.is_none() {
            let due = stored.due.map_or(now, |due| due.min(now));
            self.set_due(run, Some(due));
        }
        self.signals_ever += 1;
        let id = SignalId(self.signals_ever);
        self.signals.insert(id, (run, signal));
        Ok(id)
    }

    pub(super) fn signals_of(&self, run: RunId) -> Vec<(SignalId, Signal)> {
        let of_run = self.signals.iter().filter(|(_, (of, _))| *of == run);
        of_run
            .map(|(id, (_, signal))| (*id, signal.clone()))
            .collect()
    }

    pub(super) fn quarantine(
        &mut self,
        run: RunId,
        epoch: u64,
        reason: &str,
        now: Timestamp,
    ) -> Result<Status, Error> {
        let waiting = self.signals_of(run);
        let stored = self
            .runs
            .get_mut(&run)
            .ok_or_else(|| not_found("run", run))?;
        if stored.holder.is_none() || stored.epoch != epoch {
            return Err(Error::Fenced(run));
        }
        let aside = Aside::new(reason, waiting.into_iter().map(|(_, signal)| signal), now);
        stored.summary.status = aside.status;
        stored.summary.reason = Some(aside.reason);
        stored.summary.finished_at = aside.finished_at;
        self.signals.retain(|_, (of, _)| *of != run);
        self.release(run, None, None);
        Ok(aside.status)
    }

    pub(super) fn reap(&mut self, now: Timestamp) -> u64 {
        self.nodes.retain(|_, until| *until > now);
        let orphaned = |stored: &Stored| {
            stored
                .holder
                .is_some_and(|node| !self.nodes.contains_key(&node))
        };
        let orphans = self.runs.iter().filter(|(_, stored)| orphaned(stored));
        let orphans: Vec<RunId> = orphans.map(|(run, _)| *run).collect();
        for run in &orphans {
            self.release(*run, Some(now), None);
        }
        orphans.len() as u64
    }

    pub(super) fn put_definition(&mut self, definition: DefinitionText) {
        self.puts += 1;
        let put = self.puts;
        self.definitions
            .entry(definition.digest)
            .and_modify(|(last, _)| *last = put)
            .or_insert((put, definition));
    }
}

fn exists(kind: &'static str, name: impl ToString) -> Error {
    Error::Exists {
        kind,
        name: name.to_string(),
    }
}
