//! Requests that wait for a run's answer.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use conche_core::EventId;
use conche_modules::Answer;
use tokio::sync::oneshot;

/// Waiting requests by the event that each became.
#[derive(Default)]
pub(crate) struct Answers(Mutex<HashMap<EventId, Waiting>>);

struct Waiting {
    sender: Option<oneshot::Sender<Answer>>,
    /// Runs that may still answer.
    runs: usize,
}

impl Answers {
    /// Registers a request before its event is accepted, so that no answer can be too early.
    pub(crate) fn wait(&self, event: EventId) -> oneshot::Receiver<Answer> {
        let (sender, receiver) = oneshot::channel();
        // One more than any count of runs, until that is known.
        self.lock().insert(
            event,
            Waiting {
                sender: Some(sender),
                runs: usize::MAX,
            },
        );
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
    pub(crate) fn give(&self, event: EventId, answer: Answer) -> bool {
        let sender = self
            .lock()
            .get_mut(&event)
            .and_then(|waiting| waiting.sender.take());
        sender.is_some_and(|sender| sender.send(answer).is_ok())
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

    /// The request is gone.
    pub(crate) fn forget(&self, event: EventId) {
        self.lock().remove(&event);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<EventId, Waiting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
