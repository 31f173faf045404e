//! Events about which all runs are heard: who is to speak, and who has said what.
//!
//! What [`crate::answers`] is for a question that one run answers, this is for one that all
//! reactions to an event answer together, such as whether an image may run. Only runs that the
//! event itself triggered are heard, each once; a reaction whose run is missing, since its
//! filter failed or storm control held it back, is known to be silent. Who asks the same again
//! hears what the journals say. It must never make more of an answer than that it was given.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use conche_core::{EventId, RunId};
use conche_modules::{Answer, Consulted, NewEvent, Receipt, Refusal, Settles};
use conche_store::{Error, Page, RunFilter};
use tokio::sync::watch;
use uuid::Uuid;

use crate::Inner;
use crate::answers::{self, LOOK_EVERY, RUNS_MAX};
use crate::intake::refusal;

/// Events whose runs are heard now.
#[derive(Default)]
pub(crate) struct Hearings(Mutex<HashMap<EventId, watch::Sender<Heard>>>);

/// What was heard so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Heard {
    /// The runs that are to speak; none while that is not known.
    runs: Option<Vec<RunId>>,
    /// Reactions that were triggered, and for which no run will speak.
    missing: usize,
    /// The first word of each run: its answer, or that it ended without one.
    said: HashMap<RunId, Option<Answer>>,
}

impl Heard {
    fn answers(&self) -> impl Iterator<Item = &Answer> {
        let runs = self.runs.iter().flatten();
        runs.filter_map(move |run| self.said.get(run)?.as_ref())
    }

    fn open(&self) -> usize {
        let runs = self.runs.iter().flatten();
        runs.filter(|run| !self.said.contains_key(run)).count()
    }

    /// Whether nothing that comes could change the matter.
    fn is_enough(&self, settles: Settles<'_>) -> bool {
        let known = self.runs.is_some() && self.open() == 0;
        known || self.answers().any(settles)
    }

    fn consulted(&self, receipt: Receipt) -> Consulted {
        let answers: Vec<Answer> = self.answers().cloned().collect();
        let open = self.open();
        let runs = self.runs.as_ref().map_or(0, Vec::len);
        Consulted {
            receipt,
            silent: self.missing + runs - open - answers.len(),
            answers,
            // While nobody knows who will speak, somebody may.
            open: open.max(usize::from(self.runs.is_none())),
        }
    }
}

impl Hearings {
    /// Begins to listen, before the event is accepted, so that no word is too early.
    fn hear(&self, event: EventId) -> Hearing<'_> {
        let mut hearings = self.lock();
        let sender = hearings
            .entry(event)
            .or_insert_with(|| watch::Sender::new(Heard::default()));
        Hearing {
            hearings: self,
            event,
            receiver: Some(sender.subscribe()),
        }
    }

    /// So many reactions to the event have no run.
    pub(crate) fn miss(&self, event: EventId, count: usize) {
        self.change(event, |heard| heard.missing += count);
    }

    /// These runs are to speak.
    pub(crate) fn expect(&self, event: EventId, runs: impl FnOnce() -> Vec<RunId>) {
        self.change(event, |heard| heard.runs = Some(runs()));
    }

    /// A run answers. Whether anybody listens, and to this as its first word.
    pub(crate) fn say(&self, event: EventId, run: RunId, answer: &Answer) -> bool {
        self.word(event, run, Some(answer))
    }

    /// A run ended.
    pub(crate) fn run_ended(&self, event: EventId, run: RunId) {
        self.word(event, run, None);
    }

    fn word(&self, event: EventId, run: RunId, word: Option<&Answer>) -> bool {
        let mut first = false;
        self.change(event, |heard| {
            first = !heard.said.contains_key(&run);
            heard.said.entry(run).or_insert_with(|| word.cloned());
        });
        first
    }

    fn change(&self, event: EventId, change: impl FnOnce(&mut Heard)) {
        if let Some(sender) = self.lock().get(&event) {
            sender.send_modify(change);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<EventId, watch::Sender<Heard>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One who listens; dropped, the event is forgotten with its last listener.
struct Hearing<'a> {
    hearings: &'a Hearings,
    event: EventId,
    /// There until it is dropped.
    receiver: Option<watch::Receiver<Heard>>,
}

impl Hearing<'_> {
    fn heard(&self) -> Heard {
        let receiver = self.receiver.as_ref();
        receiver.map_or_else(Heard::default, |receiver| receiver.borrow().clone())
    }

    /// Waits until it is enough.
    async fn until_enough(&mut self, settles: Settles<'_>) {
        if let Some(receiver) = &mut self.receiver {
            // Its sender lives as long as somebody listens.
            drop(receiver.wait_for(|heard| heard.is_enough(settles)).await);
        }
    }

    /// Waits until something new is said.
    async fn changed(&mut self) {
        let changed = match &mut self.receiver {
            Some(receiver) => receiver.changed().await.is_ok(),
            None => false,
        };
        if !changed {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Hearing<'_> {
    fn drop(&mut self) {
        let mut hearings = self.hearings.lock();
        drop(self.receiver.take());
        if hearings
            .get(&self.event)
            .is_some_and(|sender| sender.receiver_count() == 0)
        {
            hearings.remove(&self.event);
        }
    }
}

impl Inner {
    /// See [`conche_modules::Intake::consult`].
    pub(crate) async fn consult(
        self: &Arc<Self>,
        source: &str,
        event: NewEvent,
        timeout: Duration,
        settles: Settles<'_>,
    ) -> Result<Consulted, Refusal> {
        let id = EventId::new(Uuid::now_v7());
        let mut hearing = self.hearings.hear(id);
        let receipts = self
            .take_in(self.outside(source), vec![event], None, Some(id))
            .await?;
        let receipt = receipts.into_iter().next();
        let receipt = receipt.ok_or_else(|| Refusal::Invalid("no event".to_owned()))?;
        if receipt.duplicate {
            return self.consult_again(receipt, timeout, settles).await;
        }
        let _late = tokio::time::timeout(timeout, hearing.until_enough(settles)).await;
        Ok(hearing.heard().consulted(receipt))
    }

    /// What was said when the same was asked before, or what is being said. Each reaction that
    /// the event triggers now must have had its word then.
    async fn consult_again(
        &self,
        receipt: Receipt,
        timeout: Duration,
        settles: Settles<'_>,
    ) -> Result<Consulted, Refusal> {
        let mut hearing = self.hearings.hear(receipt.event);
        let mut heard = Heard::default();
        let listen = async {
            let row = self.store.event(receipt.event).await.map_err(refusal)?;
            let reactions = self.matching(&Arc::new(row.event)).await?.names();
            let mut looks = tokio::time::interval(LOOK_EVERY);
            loop {
                tokio::select! {
                    () = hearing.changed() => {}
                    _ = looks.tick() => {}
                }
                let said = hearing.heard().said;
                let words = self.recorded_words(receipt.event, said, &reactions).await;
                heard = words.map_err(refusal)?;
                if heard.is_enough(settles) {
                    return Ok::<(), Refusal>(());
                }
            }
        };
        if let Ok(Err(refused)) = tokio::time::timeout(timeout, listen).await {
            return Err(refused);
        }
        Ok(heard.consulted(receipt))
    }

    /// What the runs of an event have said, by their journals and by what was just heard.
    async fn recorded_words(
        &self,
        event: EventId,
        said: HashMap<RunId, Option<Answer>>,
        reactions: &[String],
    ) -> Result<Heard, Error> {
        let filter = RunFilter {
            event: Some(event),
            ..RunFilter::default()
        };
        let (before, limit) = (None, RUNS_MAX);
        let rows = self.store.runs(filter, Page { before, limit }).await?;
        let known: HashSet<&str> = rows.iter().map(|row| &*row.name).collect();
        let lacking = reactions
            .iter()
            .filter(|name| !known.contains(name.as_str()));
        // What runs beyond the last that is looked at have said is not known.
        let beyond = usize::from(rows.len() >= RUNS_MAX as usize);
        let mut heard = Heard {
            missing: lacking.count() + beyond,
            runs: Some(rows.iter().map(|row| row.run).collect()),
            said,
        };
        for row in &rows {
            if heard.said.contains_key(&row.run) {
                continue;
            }
            let over = row.summary.status.is_finished();
            let word = match self.store.whole_journal(row.run).await {
                Ok(records) => answers::decision_in(&records),
                // Removed meanwhile, or damaged: what it said can't be told.
                Err(Error::NotFound { .. } | Error::Corrupt { .. }) => None,
                Err(error) => return Err(error),
            };
            if over || word.is_some() {
                heard.said.insert(row.run, word);
            }
        }
        Ok(heard)
    }
}

#[cfg(test)]
mod tests {
    use conche_core::Json;

    use super::*;

    fn answer(text: &str) -> Answer {
        Answer {
            status: 200,
            headers: Vec::new(),
            body: Json::from(&serde_json::json!(text)),
        }
    }

    fn receipt(event: EventId) -> Receipt {
        Receipt {
            event,
            duplicate: false,
        }
    }

    #[tokio::test]
    async fn each_run_of_the_event_is_heard_once_and_nobody_else_is() {
        let hearings = Hearings::default();
        let event = EventId::new(Uuid::now_v7());
        let [one, other, stranger] = [1, 2, 3].map(|n| RunId::new(Uuid::from_u128(n)));
        assert!(!hearings.say(event, one, &answer("nobody listens")));
        let mut hearing = hearings.hear(event);
        // A word may come before it is known who is to speak.
        assert!(hearings.say(event, one, &answer("yes")));
        assert_eq!(hearing.heard().consulted(receipt(event)).open, 1);
        hearings.miss(event, 1);
        hearings.expect(event, || vec![one, other]);
        hearings.say(event, stranger, &answer("no"));
        assert!(!hearings.say(event, one, &answer("no")));
        let heard = hearing.heard().consulted(receipt(event));
        assert_eq!((heard.silent, heard.open), (1, 1));
        assert_eq!(heard.answers, [answer("yes")]);
        assert!(!hearing.heard().is_enough(&|_| false));
        assert!(
            hearing
                .heard()
                .is_enough(&|given: &Answer| *given == answer("yes"))
        );
        hearings.run_ended(event, other);
        hearing.until_enough(&|_| false).await;
        let heard = hearing.heard().consulted(receipt(event));
        assert_eq!((heard.silent, heard.open), (2, 0));
        drop(hearing);
        assert!(hearings.lock().is_empty());
    }
}
