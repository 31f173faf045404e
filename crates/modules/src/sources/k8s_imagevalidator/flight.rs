//! Questions that are being asked: who asks the same meanwhile waits for the same answer.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

use super::decide::Outcome;
use crate::admission::Question;

/// Questions under way, with the policy that they are asked under.
#[derive(Debug, Default)]
pub(super) struct Flights(Mutex<HashMap<(Question, u64), Flight>>);

/// What will become of a question.
type Flight = watch::Receiver<Option<Outcome>>;

/// One's part in a question.
pub(super) enum Part<'a> {
    /// To ask it.
    Lead(Lead<'a>),
    /// To wait for whoever asks it.
    Follow(Flight),
}

/// Whoever asks. Dropped without an answer, the next one asks.
pub(super) struct Lead<'a> {
    flights: &'a Flights,
    key: (Question, u64),
    sender: watch::Sender<Option<Outcome>>,
}

impl Flights {
    /// Joins those who ask this question, as the first or not.
    pub(super) fn join(&self, question: Question, policy: u64) -> Part<'_> {
        let key = (question, policy);
        let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = flights.get(&key) {
            return Part::Follow(flight.clone());
        }
        let (sender, receiver) = watch::channel(None);
        flights.insert(key, receiver);
        Part::Lead(Lead {
            flights: self,
            key,
            sender,
        })
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
        let flights = self.flights.0.lock();
        let mut flights = flights.unwrap_or_else(PoisonError::into_inner);
        flights.remove(&self.key);
    }
}
