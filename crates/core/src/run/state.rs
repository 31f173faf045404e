//! The state of a run: a fold of its journal and nothing else.
//!
//! | phase      | accepts |
//! |------------|---------|
//! | running    | everything but *started*, *unpaused* and *reopened* |
//! | paused     | *unpaused*, entries that end what is under way, what people say, *finished* |
//! | cancelling | entries that end what is under way, *cancel requested* again, *finished* |
//! | finished   | *reopened* |

mod pause;
mod reopen;

use std::collections::BTreeMap;

use conche_cacao::variable::Scope;
use conche_cacao::variable::scope::Conflict;
use jiff::Timestamp;

use super::entry::{Entry, Outcome, Path, Person, Record, Started, Turn, VisitNo};
use super::scope::{Declared, Scopes};
use super::visit::{Done, Illegal, Visit, VisitState};
use crate::id::RunId;
use crate::json::Json;

/// Where a run is in its life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// Steps are worked on, waited for, or left to a person.
    Running,
    /// A person has it pause: nothing is begun.
    Paused {
        /// Since when.
        since: Timestamp,
        /// Who asked, and why.
        reason: String,
    },
    /// Asked to end; attempts under way are being stopped.
    Cancelling {
        /// Who asked, and why.
        reason: String,
    },
    /// Over.
    Finished {
        /// How it ended.
        outcome: Outcome,
        /// Why, where it did not succeed.
        reason: Option<String>,
    },
}

/// The state of one run. Changed by [`RunState::apply`] only.
#[derive(Debug, Clone, PartialEq)]
pub struct RunState {
    run: RunId,
    started: Started,
    started_at: Timestamp,
    deadline: Timestamp,
    phase: Phase,
    /// Entries folded in.
    version: u64,
    visits: Vec<Visit>,
    /// The last visit of every live frame.
    frames: BTreeMap<Path, VisitNo>,
    event: Option<Json>,
    variables: BTreeMap<String, Json>,
    scopes: Scopes,
    rerun: u32,
    /// Who had it started or reopened, as far as that were people.
    starters: Vec<Person>,
    /// When the copy was taken that the run was put back from, if it was.
    copied_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
}

impl RunState {
    /// Folds a whole journal.
    pub fn fold(run: RunId, records: impl IntoIterator<Item = Record>) -> Result<Self, Illegal> {
        let mut records = records.into_iter();
        let first = records.next().ok_or_else(|| Illegal {
            state: "empty".to_owned(),
            entry: "end of journal".to_owned(),
        })?;
        let mut state = Self::begin(run, first)?;
        for record in records {
            state.apply(record)?;
        }
        Ok(state)
    }

    /// The state after the first record, which must be [`Entry::Started`].
    pub fn begin(run: RunId, first: Record) -> Result<Self, Illegal> {
        let Entry::Started(started) = first.entry else {
            return Err(Illegal {
                state: "not started".to_owned(),
                entry: first.entry.name().to_owned(),
            });
        };
        Ok(Self {
            run,
            deadline: started.deadline,
            variables: started.variables.clone(),
            scopes: started
                .scope
                .clone()
                .map_or_else(Scopes::default, Scopes::start),
            copied_at: started.copied_at,
            starters: started.by.clone(),
            started,
            started_at: first.at,
            phase: Phase::Running,
            version: 1,
            visits: Vec::new(),
            frames: BTreeMap::new(),
            event: None,
            rerun: 0,
            finished_at: None,
        })
    }

    /// Applies one more record. An entry that the state does not accept changes nothing.
    pub fn apply(&mut self, record: Record) -> Result<(), Illegal> {
        match &self.phase {
            Phase::Running => self.apply_running(record)?,
            Phase::Paused { since, .. } => {
                let since = *since;
                self.apply_paused(since, record)?;
            }
            Phase::Cancelling { .. } => self.apply_cancelling(record)?,
            Phase::Finished { .. } => self.apply_finished(record)?,
        }
        self.version += 1;
        Ok(())
    }

    fn apply_running(&mut self, record: Record) -> Result<(), Illegal> {
        match record.entry {
            Entry::Entered {
                visit,
                step,
                path,
                from,
            } => self.enter(visit, Visit::new(step, path, from)),
            Entry::Opened { visit, .. } => self.open(visit, record.entry),
            Entry::Closed { visit, .. } => self.close(visit, record.entry),
            Entry::Evaluated { visit, .. }
            | Entry::Delayed { visit, .. }
            | Entry::Elapsed { visit }
            | Entry::Found { visit, .. }
            | Entry::Answered { visit, .. }
            | Entry::Intended { visit, .. }
            | Entry::Succeeded { visit, .. }
            | Entry::Failed { visit, .. }
            | Entry::Interrupted { visit, .. }
            | Entry::AttentionNeeded { visit, .. }
            | Entry::Resumed { visit, .. } => self.apply_to(visit, record.entry),
            Entry::Paused { by, reason } => {
                self.phase = Phase::Paused {
                    since: record.at,
                    reason: asked("paused", &by, reason),
                };
                Ok(())
            }
            Entry::Asked { visit, .. } => {
                self.apply_to(visit, record.entry)?;
                self.visits[visit as usize].asked_at = Some(record.at);
                Ok(())
            }
            Entry::CancelRequested { by, reason } => {
                self.cancel(&by, reason);
                Ok(())
            }
            Entry::Finished { outcome, reason } => self.finish(record.at, outcome, reason),
            Entry::Restored { copied_at } => {
                self.restore(copied_at);
                Ok(())
            }
            Entry::Started(_) | Entry::Unpaused { .. } | Entry::Reopened { .. } => {
                Err(self.illegal(&record.entry))
            }
        }
    }

    fn apply_cancelling(&mut self, record: Record) -> Result<(), Illegal> {
        match record.entry {
            // What was under way may still come to an end, one way or the other.
            Entry::Succeeded { visit, .. }
            | Entry::Failed { visit, .. }
            | Entry::Interrupted { visit, .. }
            | Entry::Evaluated { visit, .. } => self.apply_to(visit, record.entry),
            // The first request stands.
            Entry::CancelRequested { .. } => Ok(()),
            Entry::Finished { outcome, reason } => self.finish(record.at, outcome, reason),
            Entry::Restored { copied_at } => {
                self.restore(copied_at);
                Ok(())
            }
            Entry::Started(_)
            | Entry::Entered { .. }
            | Entry::Opened { .. }
            | Entry::Closed { .. }
            | Entry::Delayed { .. }
            | Entry::Elapsed { .. }
            | Entry::Found { .. }
            | Entry::Asked { .. }
            | Entry::Answered { .. }
            | Entry::Intended { .. }
            | Entry::AttentionNeeded { .. }
            | Entry::Resumed { .. }
            | Entry::Paused { .. }
            | Entry::Unpaused { .. }
            | Entry::Reopened { .. } => Err(self.illegal(&record.entry)),
        }
    }

    fn cancel(&mut self, by: &str, reason: Option<String>) {
        self.phase = Phase::Cancelling {
            reason: asked("cancelled", by, reason),
        };
    }

    fn apply_finished(&mut self, record: Record) -> Result<(), Illegal> {
        let Entry::Reopened {
            visit,
            by,
            identity,
            deadline,
        } = record.entry
        else {
            return Err(self.illegal(&record.entry));
        };
        if self.visit(visit).is_none_or(|target| target.forgotten) {
            return Err(Illegal {
                state: "finished".to_owned(),
                entry: "reopened".to_owned(),
            });
        }
        self.reopen(visit);
        let person = Person { name: by, identity };
        if !self.starters.contains(&person) {
            self.starters.push(person);
        }
        self.phase = Phase::Running;
        self.deadline = deadline;
        self.rerun += 1;
        // What follows is done anew because somebody asked for it.
        self.copied_at = None;
        self.finished_at = None;
        Ok(())
    }

    /// From here on nobody knows what was done that is not recorded.
    fn restore(&mut self, copied_at: Timestamp) {
        self.copied_at = Some(copied_at);
        for visit in &mut self.visits {
            visit.in_doubt = true;
        }
    }

    fn enter(&mut self, number: VisitNo, mut visit: Visit) -> Result<(), Illegal> {
        let next = number as usize == self.visits.len();
        let within_open = visit.path.split_last().is_none_or(|(turn, around)| {
            self.live(turn.of)
                .is_some_and(|container| container.path == around && container.holds_open(*turn))
        });
        let follows_head = match (self.frames.get(&visit.path), visit.from) {
            (Some(head), Some(from)) => {
                *head == from && matches!(self.visits[from as usize].state, VisitState::Done(_))
            }
            (None, None) => true,
            (None, Some(_)) | (Some(_), None) => false,
        };
        if !(next && within_open && follows_head) {
            return Err(Illegal {
                state: format!("at its visit number {}", self.visits.len()),
                entry: format!("entered '{}' as visit {number}", visit.step),
            });
        }
        visit.in_doubt = self.copied_at.is_some();
        self.frames.insert(visit.path.clone(), number);
        self.visits.push(visit);
        Ok(())
    }

    fn open(&mut self, number: VisitNo, mut entry: Entry) -> Result<(), Illegal> {
        if self.is_busy_within(number) {
            return Err(self.illegal(&entry));
        }
        let own = match &mut entry {
            Entry::Opened { scope, .. } => scope.take(),
            _ => None,
        };
        self.apply_to(number, entry)?;
        self.drop_frames_within(number);
        let container = &self.visits[number as usize];
        let own = own.map(|scope| (scope.variables, scope.isolated));
        self.scopes
            .open(number, &container.path, container.opened.clone(), own);
        Ok(())
    }

    fn close(&mut self, number: VisitNo, entry: Entry) -> Result<(), Illegal> {
        let given_up = matches!(&entry, Entry::Closed { error: Some(_), .. });
        let unfinished = if given_up {
            self.is_performing_within(number)
        } else {
            self.is_busy_within(number)
        };
        if unfinished {
            return Err(self.illegal(&entry));
        }
        let returned = match &entry {
            Entry::Closed { variables, .. } => variables.clone(),
            _ => BTreeMap::new(),
        };
        self.apply_to(number, entry)?;
        self.drop_frames_within(number);
        let path = self.visits[number as usize].path.clone();
        self.scopes.close(number, &path);
        self.assign(number, returned)
    }

    /// Gives variables values, as seen from a visit.
    fn assign(&mut self, number: VisitNo, values: BTreeMap<String, Json>) -> Result<(), Illegal> {
        if self.started.scope.is_none() {
            self.variables.extend(values);
            return Ok(());
        }
        let path = &self.visits[number as usize].path;
        let assigned = self.scopes.assign(path, &values);
        assigned.map_err(|reason| Illegal {
            state: format!("at visit {number} ({reason})"),
            entry: "a value".to_owned(),
        })
    }

    /// Applies an entry about one visit, with what it says about the event and the variables.
    fn apply_to(&mut self, number: VisitNo, entry: Entry) -> Result<(), Illegal> {
        if self.live(number).is_none() {
            return Err(self.illegal(&entry));
        }
        let (event, variables) = match &entry {
            Entry::Evaluated { event, .. } => (event.clone(), BTreeMap::new()),
            Entry::Succeeded { variables, .. }
            | Entry::Resumed { variables, .. }
            | Entry::Found { variables, .. }
            | Entry::Answered { variables, .. } => (None, variables.clone()),
            _ => (None, BTreeMap::new()),
        };
        let visit = &mut self.visits[number as usize];
        let approved = match (&visit.state, &entry) {
            (VisitState::Asked { question, .. }, Entry::Answered { error: None, .. }) => {
                Some(question.plan.clone()).filter(|plan| !plan.is_empty())
            }
            _ => None,
        };
        visit.apply((self.run, number), entry)?;
        visit.approved = approved.or(visit.approved.take());
        self.event = event.or(self.event.take());
        self.assign(number, variables)
    }

    fn finish(
        &mut self,
        at: Timestamp,
        outcome: Outcome,
        reason: Option<String>,
    ) -> Result<(), Illegal> {
        if self.performing().next().is_some() {
            return Err(Illegal {
                state: "performing an attempt".to_owned(),
                entry: "finished".to_owned(),
            });
        }
        self.phase = Phase::Finished { outcome, reason };
        self.finished_at = Some(at);
        // Values assigned in branches that are cut off are the run's too.
        self.scopes.settle();
        Ok(())
    }

    /// The last visit of every live frame within `container`, however deep.
    fn within(&self, container: VisitNo) -> impl Iterator<Item = (&Path, VisitNo)> {
        let mut first = self
            .visit(container)
            .map_or_else(Path::new, |visit| visit.path.clone());
        let level = first.len();
        first.push(Turn {
            of: container,
            index: 0,
        });
        // Frames are sorted by path, so those within one container stand together.
        self.frames
            .range(first..)
            .take_while(move |(path, _)| path.get(level).is_some_and(|turn| turn.of == container))
            .map(|(path, number)| (path, *number))
    }

    fn is_busy_within(&self, container: VisitNo) -> bool {
        self.within(container)
            .any(|(_, number)| !matches!(self.visits[number as usize].state, VisitState::Done(_)))
    }

    fn is_performing_within(&self, container: VisitNo) -> bool {
        self.performing_within(container).next().is_some()
    }

    /// Visits within a container whose attempt is under way.
    pub(super) fn performing_within(&self, container: VisitNo) -> impl Iterator<Item = VisitNo> {
        self.within(container)
            .map(|(_, number)| number)
            .filter(|number| {
                let state = &self.visits[*number as usize].state;
                matches!(state, VisitState::Performing { .. })
            })
    }

    fn drop_frames_within(&mut self, container: VisitNo) {
        let over: Vec<Path> = self
            .within(container)
            .map(|(path, _)| path.clone())
            .collect();
        for path in over {
            self.frames.remove(&path);
        }
    }

    fn illegal(&self, entry: &Entry) -> Illegal {
        let state = match &self.phase {
            Phase::Running => "running",
            Phase::Paused { .. } => "paused",
            Phase::Cancelling { .. } => "cancelling",
            Phase::Finished { .. } => "finished",
        };
        Illegal {
            state: state.to_owned(),
            entry: entry.name().to_owned(),
        }
    }

    /// The run's id.
    pub const fn run(&self) -> RunId {
        self.run
    }

    /// With what it began.
    pub const fn started(&self) -> &Started {
        &self.started
    }

    /// When it began.
    pub const fn started_at(&self) -> Timestamp {
        self.started_at
    }

    /// When it ended, if it did.
    pub const fn finished_at(&self) -> Option<Timestamp> {
        self.finished_at
    }

    /// When it is given up.
    pub const fn deadline(&self) -> Timestamp {
        self.deadline
    }

    /// Where it is in its life.
    pub const fn phase(&self) -> &Phase {
        &self.phase
    }

    /// How many records were folded: the version that the next append expects.
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// Every visit so far, by number.
    pub fn visits(&self) -> &[Visit] {
        &self.visits
    }

    /// The visit of this number.
    pub fn visit(&self, number: VisitNo) -> Option<&Visit> {
        self.visits.get(number as usize)
    }

    /// The visit of this number, if it is the last one of a live frame: only such a visit can
    /// change, or be followed by another.
    pub(super) fn live(&self, number: VisitNo) -> Option<&Visit> {
        self.visit(number)
            .filter(|visit| self.frames.get(&visit.path) == Some(&number))
    }

    /// The last visit of every live frame, outermost frames first.
    pub(super) fn heads(&self) -> impl Iterator<Item = (VisitNo, &Visit)> {
        self.frames
            .values()
            .map(|number| (*number, &self.visits[*number as usize]))
    }

    /// Visits that can still change, by number: those of containers that were given up, and what
    /// was gone past, cannot.
    pub fn live_visits(&self) -> Vec<(VisitNo, &Visit)> {
        let mut live: Vec<_> = self.heads().collect();
        live.sort_unstable_by_key(|(number, _)| *number);
        live
    }

    /// The last visit of one frame.
    pub(super) fn head(&self, path: &Path) -> Option<VisitNo> {
        self.frames.get(path).copied()
    }

    /// Visits with an attempt under way: by this process, or by one that died.
    pub fn performing(&self) -> impl Iterator<Item = VisitNo> + '_ {
        self.heads()
            .filter(|(_, visit)| matches!(visit.state, VisitState::Performing { .. }))
            .map(|(number, _)| number)
    }

    /// The event as scripts of this run left it; `None` while none changed it.
    pub const fn event(&self) -> Option<&Json> {
        self.event.as_ref()
    }

    /// What is seen from a frame of a playbook's run.
    pub fn scope(&self, path: &[Turn]) -> &Scope {
        self.scopes.of(path)
    }

    /// Whether these values can be assigned as seen from a frame.
    pub(super) fn can_assign(
        &self,
        path: &[Turn],
        values: &BTreeMap<String, Json>,
    ) -> Result<(), String> {
        if self.started.scope.is_none() {
            return Ok(());
        }
        self.scopes.check(path, values)
    }

    /// The variables of a playbook's run as they are now, with what was assigned in branches
    /// that are not over yet; none of any other run.
    pub fn declared(&self) -> Option<Declared> {
        self.started.scope.as_ref()?;
        let mut settled = self.scopes.clone();
        settled.settle();
        let visible = settled.of(&[]).visible().into_iter();
        let own = visible.map(|(name, variable)| (name.clone(), variable.clone()));
        Some(Declared(own.collect()))
    }

    /// Variables to which branches side by side gave different values, with the container that
    /// they were branches of. The value of the last branch stays.
    pub fn conflicts(&self) -> &[(VisitNo, Conflict)] {
        self.scopes.conflicts()
    }

    /// Variables without types, by name.
    pub const fn variables(&self) -> &BTreeMap<String, Json> {
        &self.variables
    }

    /// When the copy was taken that the run was put back from: it may have gone further than
    /// its journal knows.
    pub const fn copied_at(&self) -> Option<Timestamp> {
        self.copied_at
    }

    /// Who had it started or reopened, as far as that were people.
    pub fn starters(&self) -> &[Person] {
        &self.starters
    }

    /// How often an operator reopened the run.
    pub const fn rerun(&self) -> u32 {
        self.rerun
    }

    /// What the visit before `visit` in its frame returned, where it was an action.
    pub(super) fn output_before(&self, visit: &Visit) -> Option<&Json> {
        match &self.visits.get(visit.from? as usize)?.state {
            VisitState::Done(Done::Output(output)) => Some(output),
            _ => None,
        }
    }
}

/// What was asked for, by whom and why, in words.
fn asked(what: &str, by: &str, reason: Option<String>) -> String {
    reason.map_or_else(
        || format!("{what} by {by}"),
        |why| format!("{what} by {by}: {why}"),
    )
}
