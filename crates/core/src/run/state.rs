//! The state of a run: a fold of its journal and nothing else.
//!
//! | phase      | accepts |
//! |------------|---------|
//! | running    | everything but *started* and *reopened* |
//! | cancelling | entries that end what is under way, *cancel requested* again, *finished* |
//! | finished   | *reopened* |

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::entry::{Entry, Outcome, Path, Record, Started, VisitNo};
use super::visit::{Done, Illegal, Visit, VisitState};
use crate::id::RunId;
use crate::json::Json;

/// Where a run is in its life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// Steps are worked on, waited for, or left to a person.
    Running,
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
    rerun: u32,
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
            } => self.enter(
                visit,
                Visit {
                    step,
                    path,
                    from,
                    state: VisitState::Ready,
                    tries: 0,
                    attempts: 0,
                    opened: 0..0,
                },
            ),
            Entry::Evaluated {
                visit, ref event, ..
            } => {
                let event = event.clone();
                self.apply_to(visit, record.entry)?;
                if event.is_some() {
                    self.event = event;
                }
                Ok(())
            }
            Entry::Succeeded {
                visit,
                ref variables,
                ..
            } => {
                let variables = variables.clone();
                self.apply_to(visit, record.entry)?;
                self.variables.extend(variables);
                Ok(())
            }
            Entry::Opened { visit, turn, .. } => {
                self.apply_to(visit, record.entry)?;
                self.forget_frames(visit, turn);
                Ok(())
            }
            Entry::Closed { visit, .. } => {
                self.apply_to(visit, record.entry)?;
                self.forget_frames(visit, u32::MAX);
                Ok(())
            }
            Entry::Delayed { visit, .. }
            | Entry::Elapsed { visit }
            | Entry::Intended { visit, .. }
            | Entry::Failed { visit, .. }
            | Entry::Interrupted { visit, .. }
            | Entry::AttentionNeeded { visit, .. }
            | Entry::Resumed { visit, .. } => self.apply_to(visit, record.entry),
            Entry::CancelRequested { by, reason } => {
                self.phase = Phase::Cancelling {
                    reason: reason.map_or_else(
                        || format!("cancelled by {by}"),
                        |why| format!("cancelled by {by}: {why}"),
                    ),
                };
                Ok(())
            }
            Entry::Finished { outcome, reason } => self.finish(record.at, outcome, reason),
            Entry::Started(_) | Entry::Reopened { .. } => Err(self.illegal(&record.entry)),
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
            Entry::Started(_)
            | Entry::Entered { .. }
            | Entry::Opened { .. }
            | Entry::Closed { .. }
            | Entry::Delayed { .. }
            | Entry::Elapsed { .. }
            | Entry::Intended { .. }
            | Entry::AttentionNeeded { .. }
            | Entry::Resumed { .. }
            | Entry::Reopened { .. } => Err(self.illegal(&record.entry)),
        }
    }

    fn apply_finished(&mut self, record: Record) -> Result<(), Illegal> {
        let Entry::Reopened {
            visit, deadline, ..
        } = record.entry
        else {
            return Err(self.illegal(&record.entry));
        };
        let Some(target) = self.visits.get_mut(visit as usize) else {
            return Err(self.illegal(&record.entry));
        };
        target.state = VisitState::Ready;
        target.tries = 0;
        let path = target.path.clone();
        for turn in &path {
            self.visits[turn.of as usize].state = VisitState::Open;
        }
        self.frames = self.live_frames(visit);
        self.phase = Phase::Running;
        self.deadline = deadline;
        self.rerun += 1;
        self.finished_at = None;
        Ok(())
    }

    /// The frames that are live once `reopened` is the last visit of its own: the last visit
    /// of every frame whose containers are all open.
    fn live_frames(&self, reopened: VisitNo) -> BTreeMap<Path, VisitNo> {
        let own = &self.visits[reopened as usize].path;
        let live = |(number, visit): &(VisitNo, &Visit)| {
            (*number <= reopened || visit.path != *own)
                && visit.path.iter().all(|turn| {
                    let container = &self.visits[turn.of as usize];
                    container.state == VisitState::Open && container.opened.contains(&turn.index)
                })
        };
        (0..)
            .zip(&self.visits)
            .filter(live)
            .map(|(number, visit)| (visit.path.clone(), number))
            .collect()
    }

    fn enter(&mut self, number: VisitNo, visit: Visit) -> Result<(), Illegal> {
        let next = number as usize == self.visits.len();
        let within_open = visit.path.last().is_none_or(|turn| {
            self.visits.get(turn.of as usize).is_some_and(|container| {
                container.state == VisitState::Open && container.opened.contains(&turn.index)
            })
        });
        let from_done = visit.from.is_none_or(|from| {
            matches!(
                self.visits.get(from as usize),
                Some(Visit {
                    state: VisitState::Done(_),
                    ..
                })
            )
        });
        let follows_head = match (self.frames.get(&visit.path), visit.from) {
            (Some(head), Some(from)) => *head == from,
            (None, None) => true,
            (None, Some(_)) | (Some(_), None) => false,
        };
        if !(next && within_open && from_done && follows_head) {
            return Err(Illegal {
                state: format!("at its visit number {}", self.visits.len()),
                entry: format!("entered '{}' as visit {number}", visit.step),
            });
        }
        self.frames.insert(visit.path.clone(), number);
        self.visits.push(visit);
        Ok(())
    }

    fn apply_to(&mut self, visit: VisitNo, entry: Entry) -> Result<(), Illegal> {
        match self.visits.get_mut(visit as usize) {
            Some(visit) => visit.apply(entry),
            None => Err(self.illegal(&entry)),
        }
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
        Ok(())
    }

    /// Forgets the frames within `container` whose index is below `turn`, and all within those.
    fn forget_frames(&mut self, container: VisitNo, turn: u32) {
        let level = self.visits[container as usize].path.len();
        self.frames.retain(|path, _| {
            path.get(level)
                .is_none_or(|at| at.of != container || at.index >= turn)
        });
    }

    fn illegal(&self, entry: &Entry) -> Illegal {
        let state = match &self.phase {
            Phase::Running => "running",
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

    /// The last visit of every live frame, outermost frames first.
    pub(super) fn heads(&self) -> impl Iterator<Item = (VisitNo, &Visit)> {
        self.frames
            .values()
            .map(|number| (*number, &self.visits[*number as usize]))
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

    /// Variables by name.
    pub const fn variables(&self) -> &BTreeMap<String, Json> {
        &self.variables
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
