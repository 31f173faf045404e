//! Words of operators to runs: cancel, pause, resume, answer, retry.

use conche_core::RunId;
use conche_core::run::{
    Answer, AnswerError, Done, Entry, Phase, Record, Resolution, RunState, Status, VisitNo,
    VisitState, answer, approval_of,
};
use conche_runtime::secrets;
use conche_store::{Change, Signal};

use crate::sealed::Sealing;
use crate::{By, Engine, Inner};

/// Why a signal was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignalError {
    /// The run is not in a state in which the signal means anything.
    #[error("{0}")]
    NotNow(String),
    /// A value that is secret cannot be sealed, so that it cannot be stored.
    #[error("{0}")]
    Sealed(String),
    /// The values are not those that are asked for.
    #[error(transparent)]
    Answer(#[from] AnswerError),
    /// No such run, or the store is not available.
    #[error(transparent)]
    Store(#[from] conche_store::Error),
}

/// How often an answer is left again where the run went on meanwhile.
const ANSWER_TRIES: u32 = 8;

impl Engine {
    /// Ends a run: nothing new is started, attempts under way are stopped.
    pub async fn cancel(
        &self,
        run: RunId,
        by: impl Into<By>,
        reason: Option<String>,
    ) -> Result<(), SignalError> {
        match self.0.store.run(run).await {
            Ok(row) if row.summary.status.is_finished() => {
                return Err(SignalError::NotNow(format!(
                    "the run is over: it {}",
                    row.summary.status
                )));
            }
            // One that cannot be read is put aside when it is claimed, and ended by this word.
            Ok(_) | Err(conche_store::Error::Corrupt { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let by = by.into();
        let cancel = Signal::Cancel {
            by: by.name.clone(),
            reason,
        };
        self.signal(run, cancel, None, by).await
    }

    /// Has a run begin nothing more until it is resumed; what is under way comes to its end.
    pub async fn pause(
        &self,
        run: RunId,
        by: impl Into<By>,
        reason: Option<String>,
    ) -> Result<(), SignalError> {
        let not_now = match self.load(run).await?.phase() {
            Phase::Running => None,
            Phase::Paused { reason, .. } => Some(format!("the run is {reason} already")),
            Phase::Cancelling { .. } => Some("the run is being cancelled".to_owned()),
            Phase::Finished { .. } => Some("the run is over".to_owned()),
        };
        if let Some(reason) = not_now {
            return Err(SignalError::NotNow(reason));
        }
        let by = by.into();
        let pause = Signal::Pause {
            by: by.name.clone(),
            reason,
        };
        self.signal(run, pause, None, by).await
    }

    /// Has a paused run go on.
    pub async fn unpause(&self, run: RunId, by: impl Into<By>) -> Result<(), SignalError> {
        let status = self.load(run).await?.summary().status;
        // The word to pause may wait to be heeded still.
        let waiting = self.0.store.signals(run).await?;
        let is_told = |(_, signal): &(_, Signal)| matches!(signal, Signal::Pause { .. });
        let pauses = status == Status::Paused || waiting.iter().any(is_told);
        if status.is_finished() || !pauses {
            return Err(SignalError::NotNow(
                match status {
                    Status::NeedsAttention => {
                        "the run is not paused: it needs attention, so say how it is to go on"
                    }
                    _ => "the run is not paused",
                }
                .to_owned(),
            ));
        }
        let by = by.into();
        let unpause = Signal::Unpause {
            by: by.name.clone(),
        };
        self.signal(run, unpause, None, by).await
    }

    /// Decides how a run that needs attention goes on. Without `visit` the one attempt is meant
    /// about which a person had to decide so far: where there were more, the word may be about
    /// one that is decided already, and is refused.
    pub async fn resume(
        &self,
        run: RunId,
        visit: Option<VisitNo>,
        resolution: Resolution,
        by: impl Into<By>,
    ) -> Result<(), SignalError> {
        let (state, told) = self.load_told(run).await?;
        let attends = |visit: &VisitState| matches!(visit, VisitState::Attention { .. });
        let Some(visit) = waiting(&state, visit.ok_or(told.doubts), attends)? else {
            let paused = matches!(state.phase(), Phase::Paused { .. });
            return Err(SignalError::NotNow(if paused {
                "the run does not need attention there; it is paused, and goes on when it is resumed without a decision".to_owned()
            } else {
                "the run does not need attention there".to_owned()
            }));
        };
        let by = by.into();
        let resume = Signal::Resume {
            visit,
            resolution,
            by: by.name.clone(),
        };
        self.signal(run, resume, Some(state.version()), by).await
    }

    /// Answers what a step of a playbook asks. Without `visit` the one question is meant that
    /// the run asked so far: where it asked more, the answer may be to one that was answered
    /// already, and is refused.
    ///
    /// # Errors
    /// [`SignalError::Answer`] where the values are not those asked for.
    pub async fn answer(
        &self,
        run: RunId,
        visit: Option<VisitNo>,
        given: Answer,
        by: impl Into<By>,
    ) -> Result<(), SignalError> {
        let by = by.into();
        let mut tries = ANSWER_TRIES;
        loop {
            let (state, told) = self.load_told(run).await?;
            let asks = |visit: &VisitState| matches!(visit, VisitState::Asked { .. });
            let Some(visit) = waiting(&state, visit.ok_or(told.questions), asks)? else {
                return Err(SignalError::NotNow("the run asks nothing there".to_owned()));
            };
            answer(&state, visit, given.clone(), by.person())?;
            let signal = Signal::Answer {
                visit,
                answer: self.0.stored_answer(&state, given.clone()).await?,
                by: by.name.clone(),
                identity: by.identity.clone(),
            };
            let left = self
                .signal(run, signal, Some(state.version()), by.clone())
                .await;
            match left {
                // Another branch went on meanwhile; whether it still asks is looked at again.
                Err(SignalError::NotNow(_)) if tries > 0 => tries -= 1,
                other => return other,
            }
        }
    }

    /// Has a run that is over go on from a visit; without one, from the first that failed.
    pub async fn retry(
        &self,
        run: RunId,
        visit: Option<VisitNo>,
        by: impl Into<By>,
    ) -> Result<(), SignalError> {
        let state = self.load(run).await?;
        if !state.summary().status.is_finished() {
            return Err(SignalError::NotNow(
                "the run is not over; only then it can be retried".to_owned(),
            ));
        }
        if let Some(event) = state.started().event
            && let Err(conche_store::Error::NotFound { .. }) = self.0.store.event(event).await
        {
            let reason = "the run's event is not kept any more, and its scripts need it".to_owned();
            return Err(SignalError::NotNow(reason));
        }
        let visit = match visit {
            Some(visit) if (visit as usize) < state.visits().len() => visit,
            Some(visit) => {
                return Err(SignalError::NotNow(format!("the run has no visit {visit}")));
            }
            None => unfinished_visit(&state).ok_or_else(|| {
                SignalError::NotNow("no step failed; name the visit to start from".to_owned())
            })?,
        };
        let definition = self.0.definition(state.started().definition).await?;
        if let Some(approval) = approval_of(&definition, &state, visit) {
            return Err(SignalError::NotNow(format!(
                "what visit {visit} does is approved by a second person first: name visit {approval}, its approval, and all of its step is done anew"
            )));
        }
        let by = by.into();
        let retry = Signal::Retry {
            visit,
            by: by.name.clone(),
            identity: by.identity.clone(),
        };
        self.signal(run, retry, Some(state.version()), by).await
    }

    /// The state of a run that can go on: not one that is put aside or ended as such.
    async fn load(&self, run: RunId) -> Result<RunState, SignalError> {
        self.load_told(run).await.map(|(state, _)| state)
    }

    /// The same with how often people were asked.
    async fn load_told(&self, run: RunId) -> Result<(RunState, Told), SignalError> {
        let row = self.0.store.run(run).await?;
        if row.is_put_aside() {
            return Err(put_aside(row.summary.reason.as_deref()));
        }
        let mut told = Told::default();
        let folded = match self.0.store.whole_journal(run).await {
            Ok(records) => {
                told = Told::of(&records);
                RunState::fold(run, records).map_err(|error| error.to_string())
            }
            Err(conche_store::Error::Corrupt { message, .. }) => Err(message),
            Err(error) => return Err(error.into()),
        };
        let over = row.summary.status.is_finished();
        let state = match folded {
            Ok(state) => state,
            Err(_) if over => return Err(ended_aside(row.summary.reason.as_deref())),
            Err(reason) => return Err(put_aside(Some(&reason))),
        };
        if over && row.version == state.version() && !state.summary().status.is_finished() {
            return Err(ended_aside(row.summary.reason.as_deref()));
        }
        Ok((state, told))
    }

    /// Leaves a word. With `expected` only while the run is at that version and nobody else
    /// has left one: of several who act on the same state, one does.
    async fn signal(
        &self,
        run: RunId,
        signal: Signal,
        expected: Option<u64>,
        by: By,
    ) -> Result<(), SignalError> {
        let (store, now) = (&self.0.store, self.0.now());
        let left = match by.act {
            Some(act) => {
                let change = Change::Signal {
                    run,
                    signal,
                    expected,
                    now,
                };
                store.change(change, act).await.map(drop)
            }
            None => store.signal(run, signal, expected, now).await.map(drop),
        };
        match left {
            Ok(()) => {}
            Err(conche_store::Error::Conflict { .. }) => {
                return Err(SignalError::NotNow(
                    "the run has moved on, or somebody else's word to it is about to be heeded: look at it again"
                        .to_owned(),
                ));
            }
            Err(error) => return Err(error.into()),
        }
        if !self.0.held.poke(run) {
            self.0.wake.now();
        }
        Ok(())
    }
}

impl Inner {
    /// An answer as it may be stored: what feeds credentials is sealed.
    async fn stored_answer(
        &self,
        state: &RunState,
        mut given: Answer,
    ) -> Result<Answer, SignalError> {
        let program = state.started().definition;
        let names = self.sealed(program).await?;
        let sealing = Sealing {
            secrets: &self.secrets,
            program,
            names: &names,
        };
        let sealed = sealing.answers(&mut given.values);
        sealed.map_err(|error| match error {
            secrets::Error::TooLong => AnswerError::Value(error.to_string()).into(),
            error => SignalError::Sealed(error.to_string()),
        })?;
        Ok(given)
    }
}

fn put_aside(reason: Option<&str>) -> SignalError {
    SignalError::NotNow(format!(
        "the run was put aside and cannot go on: {}. Cancel it to end it, then it is removed with other finished runs; to have its work done, send its event again",
        reason.unwrap_or("its record cannot be read")
    ))
}

fn ended_aside(reason: Option<&str>) -> SignalError {
    SignalError::NotNow(format!(
        "the run was ended after it was put aside and cannot go on: {}. To have its work done, send its event again",
        reason.unwrap_or("its record cannot be read")
    ))
}

/// How often a run has turned to people.
#[derive(Default)]
struct Told {
    /// To ask something.
    questions: usize,
    /// To have it decided how it goes on after an attempt of unknown effect.
    doubts: usize,
}

impl Told {
    fn of(records: &[Record]) -> Self {
        let count = |is_one: fn(&Entry) -> bool| {
            let entries = records.iter().map(|record| &record.entry);
            entries.filter(|entry| is_one(entry)).count()
        };
        Self {
            questions: count(|entry| matches!(entry, Entry::Asked { .. })),
            doubts: count(|entry| matches!(entry, Entry::AttentionNeeded { .. })),
        }
    }
}

/// The visit of this number that waits for a person in this way. In place of a number there may
/// be how often people were turned to: after the first time they have to say what they mean.
fn waiting(
    state: &RunState,
    wanted: Result<VisitNo, usize>,
    waits: impl Fn(&VisitState) -> bool,
) -> Result<Option<VisitNo>, SignalError> {
    let open = matches!(state.phase(), Phase::Running | Phase::Paused { .. });
    let live = state.live_visits().into_iter().filter(|_| open);
    let mut waiting = live
        .filter(|(_, visit)| waits(&visit.state))
        .map(|(number, _)| number);
    match wanted {
        Ok(wanted) => Ok(waiting.find(|number| *number == wanted)),
        Err(..=1) => Ok(waiting.next()),
        Err(times) => {
            let numbers: Vec<String> = waiting.map(|number| number.to_string()).collect();
            if numbers.is_empty() {
                return Ok(None);
            }
            Err(SignalError::NotNow(format!(
                "the run has turned to people {times} times, so say which time is meant, by its visit; what waits now is visit {}",
                numbers.join(" and visit ")
            )))
        }
    }
}

/// The last visit that failed and is no container, else the last that is not done.
fn unfinished_visit(state: &RunState) -> Option<VisitNo> {
    let visits = || {
        (0..state.visits().len() as VisitNo)
            .zip(state.visits())
            .rev()
    };
    let failed = visits().find(|(_, visit)| {
        matches!(visit.state, VisitState::Done(Done::Failed(_))) && visit.opened.is_empty()
    });
    failed
        .or_else(|| visits().find(|(_, visit)| !matches!(visit.state, VisitState::Done(_))))
        .map(|(number, _)| number)
}
