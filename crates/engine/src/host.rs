//! What the engine does for actions that act on Conche itself: emit an event, start another
//! reaction, answer a request.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use conche_core::event::RUN_REQUESTED;
use conche_core::run::Person;
use conche_core::{Event, EventId, Json};
use conche_modules::{Answer, Begun, Call, Error, Host, NewEvent, Refusal};
use conche_store::{Page, RunFilter};

use crate::budget;
use crate::intake::{Only, Origin};
use crate::lists::{ListError, NewEntry as NewListEntry};
use crate::playbook_runs::Start;
use crate::{Engine, Inner};

/// The source of events that runs of ours emit.
pub(crate) const OWN_SOURCE: &str = "conche";

pub(crate) struct HostOf {
    pub(crate) engine: Arc<Inner>,
    pub(crate) event: Option<Arc<Event>>,
    /// How many events may stem from the run.
    pub(crate) budget: u32,
    /// The people who had the run started, and so have what it brings about.
    pub(crate) by: Arc<[Person]>,
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

    /// Accepts an event of this call's run, once for the call's key.
    async fn accept(
        &self,
        call: &Call,
        event: NewEvent,
        only: Option<&Only>,
    ) -> Result<EventId, Error> {
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
            by: &self.by,
            only,
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
}

#[async_trait]
impl Host for HostOf {
    async fn emit(&self, call: &Call, event: NewEvent) -> Result<EventId, Error> {
        self.accept(call, event, None).await
    }

    async fn run_reaction(&self, call: &Call, reaction: &str, data: Json) -> Result<Begun, Error> {
        let event = NewEvent {
            id: None,
            event_type: RUN_REQUESTED.to_owned(),
            subject: Some(reaction.to_owned()),
            time: None,
            data,
        };
        let event = self
            .accept(call, event, Some(&Only::Reaction(reaction.to_owned())))
            .await?;
        // It was stored with the event; a repeat finds the one of the first time.
        let filter = RunFilter {
            event: Some(event),
            ..RunFilter::default()
        };
        let page = Page {
            before: None,
            limit: 1,
        };
        let runs = self.engine.store.runs(filter, page).await;
        let runs = runs.map_err(|error| Error::retry(error.to_string()))?;
        Ok(Begun {
            event,
            run: runs.first().map(|row| row.run),
        })
    }

    async fn run_playbook(
        &self,
        call: &Call,
        playbook: &str,
        version: Option<&str>,
        variables: BTreeMap<String, Json>,
    ) -> Result<Begun, Error> {
        let permanent = |error: &dyn std::fmt::Display| Error::Permanent(error.to_string());
        let depth = self.event.as_ref().map_or(0, |event| event.depth) + 1;
        if depth > self.engine.config.emit_depth {
            return Err(permanent(
                &"runs that cause each other stand too deep already",
            ));
        }
        let origin = Origin {
            source: OWN_SOURCE,
            cause: Some(call.run),
            depth,
            follow: self.follow()?,
            by: &self.by,
            only: None,
        };
        let engine = Engine(self.engine.clone());
        let program = engine.program(playbook, version).await;
        let program = program.map_err(|error| permanent(&error))?;
        let start = Start {
            variables,
            key: None,
            by: Some(call.definition.clone()),
            person: None,
        };
        let key = Some(call.key.to_string());
        let begun = engine.run_caused(origin, &program, start, key).await;
        match begun {
            Ok(begun) => Ok(Begun {
                event: begun.event,
                run: Some(begun.run),
            }),
            Err(error) if error.is_transient() => Err(Error::retry(error.to_string())),
            Err(error) => Err(permanent(&error)),
        }
    }

    async fn list_add(
        &self,
        list: &str,
        key: &str,
        value: Json,
        ttl: Option<Duration>,
    ) -> Result<(), Error> {
        let entry = NewListEntry {
            list: list.to_owned(),
            key: key.to_owned(),
            value,
            ttl,
        };
        let put = self.engine.put_entry(entry, None).await;
        put.map(drop).map_err(refused)
    }

    async fn list_get(&self, list: &str, key: &str) -> Option<Json> {
        self.engine.lists.get(list, key, self.engine.now())
    }

    async fn list_remove(&self, list: &str, key: &str) -> Result<bool, Error> {
        self.engine
            .remove_entry(list, key, None)
            .await
            .map_err(refused)
    }

    fn respond(&self, call: &Call, answer: Answer) -> bool {
        let decided = self.decide(call, answer.clone());
        let event = call.event;
        event.is_some_and(|event| self.engine.answers.give(event, &answer)) || decided
    }

    fn decide(&self, call: &Call, answer: Answer) -> bool {
        let hearings = &self.engine.hearings;
        call.event
            .is_some_and(|event| hearings.say(event, call.run, &answer))
    }
}

fn refused(error: ListError) -> Error {
    match error {
        ListError::Store(error) => Error::retry(error.to_string()),
        // Entries end, so that there may be room later.
        error @ ListError::Full => Error::retry(error.to_string()),
        ListError::Invalid(message) => Error::Permanent(message),
    }
}
