//! Requests that wait for a run's answer, and answers that were given before.
//!
//! An answer is recorded as the input of the `respond` or the deciding action that gave it, and
//! nowhere else: who asks again gets it from the journal, however long ago and in whichever
//! process it was given. Here the first answer counts; where all runs are asked, as about an
//! admission, it is [`crate::hearings`] that listens.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use conche_core::run::{Entry, Record};
use conche_core::{EventId, Json, Timestamp};
use conche_modules::Answer;
use conche_modules::actions::answer_given;
use conche_store::{Error, Page, RunFilter};
use serde::Deserialize;
use tokio::sync::oneshot;

use crate::Inner;

/// Who asks again while the answer is under way has the journal looked at so often.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Runs of one event that are looked at for the answer that one of them gave.
pub(crate) const RUNS_MAX: u32 = 100;
/// The module and its action whose input is an answer.
const RESPOND: &str = "respond";

/// Waiting requests by the event that each became.
#[derive(Default)]
pub(crate) struct Answers(Mutex<HashMap<EventId, Waiting>>);

struct Waiting {
    /// Whoever asked this question, once or more often.
    senders: Vec<oneshot::Sender<Answer>>,
    /// Runs that may still answer.
    runs: usize,
}

impl Answers {
    /// Registers a request before its event is accepted, so that no answer can be too early,
    /// or beside the one that asked the same before.
    pub(crate) fn wait(&self, event: EventId) -> oneshot::Receiver<Answer> {
        let (sender, receiver) = oneshot::channel();
        let mut waiting = self.lock();
        let entry = waiting.entry(event).or_insert_with(|| Waiting {
            senders: Vec::new(),
            // One more than any count of runs, until that is known.
            runs: usize::MAX,
        });
        entry.senders.push(sender);
        receiver
    }

    /// How many runs may answer; with none the request is released at once.
    pub(crate) fn expect(&self, event: EventId, runs: usize) {
        let mut waiting = self.lock();
        if runs == 0 {
            waiting.remove(&event);
        } else if let Some(entry) = waiting.get_mut(&event) {
            // Runs may have ended before the count was known.
            entry.runs = runs.saturating_sub(usize::MAX - entry.runs);
            if entry.runs == 0 {
                waiting.remove(&event);
            }
        }
    }

    /// Answers; only the first answer counts.
    pub(crate) fn give(&self, event: EventId, answer: &Answer) -> bool {
        let senders = self
            .lock()
            .get_mut(&event)
            .map(|waiting| std::mem::take(&mut waiting.senders));
        let mut delivered = false;
        for sender in senders.into_iter().flatten() {
            delivered |= sender.send(answer.clone()).is_ok();
        }
        delivered
    }

    /// A run of the event ended; when the last has, nobody will answer.
    pub(crate) fn run_ended(&self, event: EventId) {
        let mut waiting = self.lock();
        if let Some(entry) = waiting.get_mut(&event) {
            entry.runs -= 1;
            if entry.runs == 0 {
                waiting.remove(&event);
            }
        }
    }

    /// Forgets requests that are gone.
    fn forget(&self, event: EventId) {
        let mut waiting = self.lock();
        if let Some(entry) = waiting.get_mut(&event) {
            entry.senders.retain(|sender| !sender.is_closed());
            if entry.senders.is_empty() {
                waiting.remove(&event);
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<EventId, Waiting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets a waiting request however the wait ends, also when its connection is dropped. Made
/// before the receiver, so that it is dropped after it.
pub(crate) struct Forget<'a> {
    pub(crate) engine: &'a Inner,
    pub(crate) event: EventId,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.engine.answers.forget(self.event);
    }
}

/// What the journals of an event's runs say.
enum Recorded {
    Given(Answer),
    /// There may be an answer yet.
    UnderWay,
    /// No run is left that could answer.
    Never,
}

impl Inner {
    /// The answer to a question that was asked before: the recorded one, or the one that is
    /// under way. `None` where there will be none, or not in this time.
    pub(crate) async fn answer_again(
        &self,
        event: EventId,
        timeout: Duration,
    ) -> Result<Option<Answer>, Error> {
        let engine = self;
        let _forget = Forget { engine, event };
        let mut waiter = self.answers.wait(event);
        let mut looks = tokio::time::interval(LOOK_EVERY);
        let answered = async {
            loop {
                tokio::select! {
                    biased;
                    answer = &mut waiter => match answer {
                        Ok(answer) => return Ok(Some(answer)),
                        Err(_released) => return self.recorded(event).await.map(Recorded::given),
                    },
                    _ = looks.tick() => match self.recorded(event).await? {
                        Recorded::UnderWay => {}
                        over => return Ok(over.given()),
                    },
                }
            }
        };
        tokio::time::timeout(timeout, answered)
            .await
            .unwrap_or(Ok(None))
    }

    async fn recorded(&self, event: EventId) -> Result<Recorded, Error> {
        let filter = RunFilter {
            event: Some(event),
            ..RunFilter::default()
        };
        let (before, limit) = (None, RUNS_MAX);
        let runs = self.store.runs(filter, Page { before, limit }).await?;
        let under_way = runs.iter().any(|run| !run.summary.status.is_finished());
        let mut first: Option<Given> = None;
        for run in runs {
            let given = match self.store.whole_journal(run.run).await {
                Ok(records) => given_in(&records, response),
                // Removed meanwhile, or damaged: the others may know.
                Err(Error::NotFound { .. } | Error::Corrupt { .. }) => continue,
                Err(error) => return Err(error),
            };
            let earlier =
                |one: Given, other: Given| if other.rank < one.rank { other } else { one };
            first = match (first, given) {
                (Some(one), Some(other)) => Some(earlier(one, other)),
                (one, other) => one.or(other),
            };
        }
        Ok(match first {
            Some(given) => Recorded::Given(given.answer),
            None if under_way => Recorded::UnderWay,
            None => Recorded::Never,
        })
    }
}

impl Recorded {
    fn given(self) -> Option<Answer> {
        match self {
            Self::Given(answer) => Some(answer),
            Self::UnderWay | Self::Never => None,
        }
    }
}

/// An answer that a run gave.
struct Given {
    /// Those that reached somebody come before those that did not, earlier before later ones.
    rank: (bool, Timestamp),
    answer: Answer,
}

/// What an invocation of this module's action with this input says.
type Saying = fn(&str, &str, &Json) -> Option<Answer>;

/// What `respond` answers.
fn response(module: &str, action: &str, input: &Json) -> Option<Answer> {
    let is_it = module == RESPOND && action == RESPOND;
    is_it.then(|| answer_of(input)).flatten()
}

/// What a run said first that is asked what it decides.
pub(crate) fn decision_in(records: &[Record]) -> Option<Answer> {
    let said: Saying = |module, action, input| {
        response(module, action, input).or_else(|| answer_given(module, action, input))
    };
    given_in(records, said).map(|given| given.answer)
}

/// The first answer that a run gave.
fn given_in(records: &[Record], saying: Saying) -> Option<Given> {
    let mut answers: BTreeMap<u32, Option<Answer>> = BTreeMap::new();
    let mut given = Vec::new();
    for record in records {
        match &record.entry {
            Entry::Intended {
                visit,
                module,
                action,
                input,
                ..
            } => {
                answers.insert(*visit, saying(module, action, input));
            }
            Entry::Succeeded { visit, output, .. } => {
                let answer = answers.get(visit).cloned().flatten();
                given.extend(answer.map(|answer| Given {
                    rank: (!was_delivered(output), record.at),
                    answer,
                }));
            }
            _ => {}
        }
    }
    given.into_iter().min_by_key(|given| given.rank)
}

/// Reads the input of a `respond` that succeeded, so that it was checked then.
fn answer_of(input: &Json) -> Option<Answer> {
    #[derive(Deserialize)]
    struct Input {
        #[serde(default = "ok")]
        status: u16,
        #[serde(default)]
        headers: BTreeMap<String, String>,
        #[serde(default = "Json::null")]
        body: Json,
    }
    const fn ok() -> u16 {
        200
    }
    let input: Input = input.read().ok()?;
    Some(Answer {
        status: input.status,
        headers: input.headers.into_iter().collect(),
        body: input.body,
    })
}

fn was_delivered(output: &Json) -> bool {
    let output: Option<serde_json::Value> = output.read().ok();
    output.is_some_and(|output| output["delivered"] == true)
}
