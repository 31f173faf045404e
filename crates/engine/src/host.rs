//! What the engine does for actions that act on Conche itself: emit an event, answer a request.

use std::sync::Arc;

use async_trait::async_trait;
use conche_core::{Event, EventId};
use conche_modules::{Answer, Call, Error, Host, NewEvent, Refusal};

use crate::Inner;
use crate::budget;
use crate::intake::Origin;

/// The source of events that runs of ours emit.
pub(crate) const OWN_SOURCE: &str = "conche";

pub(crate) struct HostOf {
    pub(crate) engine: Arc<Inner>,
    pub(crate) event: Option<Arc<Event>>,
    /// How many events may stem from the run.
    pub(crate) budget: u32,
    /// The number, from 1, of the event that this call may emit.
    pub(crate) nth: u32,
}

impl HostOf {
    /// How many events may stem from the one to be emitted, or why it may not be.
    fn follow(&self) -> Result<u32, Error> {
        let most = self.engine.config.emits_per_run;
        if self.nth > most {
            return Err(Error::Permanent(format!(
                "the run has emitted {most} events already, and limits.emits_per_run allows no more"
            )));
        }
        let share = budget::share(self.budget, self.nth).ok_or_else(|| {
            Error::Permanent(format!(
                "too many events stem from one event: of the {} that may stem from this run none is left for its event number {}; limits.emits_per_event bounds them all together",
                self.budget, self.nth
            ))
        })?;
        Ok(share - 1)
    }
}

#[async_trait]
impl Host for HostOf {
    async fn emit(&self, call: &Call, event: NewEvent) -> Result<EventId, Error> {
        let depth = self.event.as_ref().map_or(0, |event| event.depth) + 1;
        if depth > self.engine.config.emit_depth {
            return Err(Error::Permanent(format!(
                "events emitted by runs stand {depth} deep already; at most {} are allowed, since reactions that feed each other would never end",
                self.engine.config.emit_depth
            )));
        }
        let follow = self.follow()?;
        let event = NewEvent {
            id: Some(call.key.to_string()),
            ..event
        };
        let origin = Origin {
            source: OWN_SOURCE,
            cause: Some(call.run),
            depth,
            follow,
        };
        match self.engine.take_in(origin, vec![event], None, None).await {
            Ok(receipts) => receipts
                .first()
                .map(|receipt| receipt.event)
                .ok_or_else(|| Error::Permanent("nothing was emitted".to_owned())),
            Err(Refusal::Busy { retry_after }) => Err(Error::Retry {
                message: "too many events are waiting".to_owned(),
                after: Some(retry_after),
            }),
            Err(Refusal::Invalid(message)) => Err(Error::Permanent(message)),
            Err(refusal @ (Refusal::Unavailable(_) | Refusal::Stopping)) => {
                Err(Error::retry(refusal.to_string()))
            }
        }
    }

    fn respond(&self, call: &Call, answer: Answer) -> bool {
        call.event
            .is_some_and(|event| self.engine.answers.give(event, &answer))
    }
}
