//! Questions that are being asked: who asks the same meanwhile waits for the same answer.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::decide::Outcome;
use crate::admission::{Epoch, Question};

/// Questions under way.
#[derive(Debug, Default)]
pub(super) struct Flights(Mutex<HashMap<Key, Flight>>);

/// What an answer under way is the answer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) question: Question,
    /// The reactions that are asked, and as they were.
    pub(super) policy: u64,
    /// They may say otherwise in a dry run.
    pub(super) dry_run: bool,
}

#[derive(Debug)]
struct Flight {
    /// When it began.
    asked: Epoch,
    outcome: Outcomes,
}

/// What will become of a question.
type Outcomes = watch::Receiver<Option<Outcome>>;

/// One's part in a question.
pub(super) enum Part<'a> {
    /// To ask it.
    Lead(Lead<'a>),
    /// To wait for whoever asks it.
    Follow(Outcomes),
}

/// Whoever asks. Dropped without an answer, the next one asks.
pub(super) struct Lead<'a> {
    flights: &'a Flights,
    key: Key,
    /// When it began.
    pub(super) asked: Epoch,
    sender: watch::Sender<Option<Outcome>>,
}

impl Flights {
    /// Joins those who ask this question, as the first or not. One that began before what it
    /// looked at was forgotten is not joined: it is asked anew at the epoch `now`.
    pub(super) fn join(
        &self,
        key: Key,
        now: Epoch,
        is_forgotten: impl FnOnce(Epoch) -> bool,
    ) -> Part<'_> {
        let mut flights = self.lock();
        if let Some(flight) = flights.get(&key)
            && !is_forgotten(flight.asked)
        {
            return Part::Follow(flight.outcome.clone());
        }
        let (sender, outcome) = watch::channel(None);
        let asked = now;
        flights.insert(key, Flight { asked, outcome });
        Part::Lead(Lead {
            flights: self,
            key,
            asked,
            sender,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Flight>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lead<'_> {
    /// Tells those who follow.
    pub(super) fn tell(&self, outcome: &Outcome) {
        self.sender.send_replace(Some(outcome.clone()));
    }
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        let mut flights = self.flights.lock();
        let own = self.sender.subscribe();
        // Another may have asked anew meanwhile.
        if flights
            .get(&self.key)
            .is_some_and(|flight| flight.outcome.same_channel(&own))
        {
            flights.remove(&self.key);
        }
    }
}
