//! What storm control remembers, in maps.

use std::collections::BTreeMap;
use std::convert::Infallible;

use conche_core::run::Entry;
use conche_core::storm::{Gathering, Memory};
use conche_core::{Digest, EventId, Timestamp};

use super::state::State;
use crate::NewRun;
use crate::storms::{Ground, Spot};

/// What is kept of a key.
#[derive(Debug)]
pub(super) enum Kept {
    /// Until a time, in microseconds since 1970.
    Memory(Memory, i64),
    /// With the events that are waited with.
    Gathering(Box<Gathering>, Vec<EventId>),
}

/// What is kept of each key.
pub(super) type Storms = BTreeMap<Spot, Kept>;

/// The maps, within a change.
pub(super) struct Maps<'a> {
    pub(super) state: &'a mut State,
    pub(super) now: Timestamp,
}

impl Ground for Maps<'_> {
    type Fault = Infallible;

    fn memory(&mut self, at: &Spot) -> Result<Option<Memory>, Infallible> {
        Ok(match self.state.storms.get(at) {
            Some(Kept::Memory(memory, _)) => Some(memory.clone()),
            _ => None,
        })
    }

    fn remember(&mut self, at: &Spot, memory: &Memory, end: i64) -> Result<(), Infallible> {
        let kept = Kept::Memory(memory.clone(), end);
        self.state.storms.insert(at.clone(), kept);
        Ok(())
    }

    fn gathering(&mut self, at: &Spot) -> Result<Option<Gathering>, Infallible> {
        Ok(match self.state.storms.get(at) {
            Some(Kept::Gathering(waiting, _)) => Some((**waiting).clone()),
            _ => None,
        })
    }

    fn wait(
        &mut self,
        at: &Spot,
        waiting: &Gathering,
        event: EventId,
        all: bool,
    ) -> Result<(), Infallible> {
        let mut events = match self.state.storms.remove(at) {
            Some(Kept::Gathering(_, events)) if all => events,
            _ => Vec::new(),
        };
        events.push(event);
        let kept = Kept::Gathering(Box::new(waiting.clone()), events);
        self.state.storms.insert(at.clone(), kept);
        Ok(())
    }

    fn bear(&mut self, at: &Spot, ripe: Gathering) -> Result<(), Infallible> {
        let events = match self.state.storms.remove(at) {
            Some(Kept::Gathering(_, events)) => events,
            _ => Vec::new(),
        };
        let all = at.control == conche_core::storm::Control::Group;
        let new = NewRun {
            run: ripe.run,
            first: ripe.ripen(if all { events } else { Vec::new() }, self.now),
            gates: None,
        };
        self.state.bear(&new, self.now);
        Ok(())
    }

    fn has_room(&mut self, reaction: &str, most: u32) -> Result<bool, Infallible> {
        let count = |storms: &Storms| storms.keys().filter(|at| at.reaction == reaction).count();
        let most = most as usize;
        if count(&self.state.storms) < most {
            return Ok(true);
        }
        let now = self.now.as_microsecond();
        self.state
            .storms
            .retain(|at, kept| at.reaction != reaction || !kept.is_over(now));
        Ok(count(&self.state.storms) < most)
    }
}

impl Kept {
    /// The events that are waited with.
    pub(super) fn events(&self) -> &[EventId] {
        match self {
            Self::Gathering(_, events) => events,
            Self::Memory(..) => &[],
        }
    }

    /// The definition of the run that waits.
    pub(super) fn definition(&self) -> Option<Digest> {
        match self {
            Self::Gathering(waiting, _) => match &waiting.first.entry {
                Entry::Started(started) => Some(started.definition),
                _ => None,
            },
            Self::Memory(..) => None,
        }
    }

    pub(super) fn is_over(&self, now: i64) -> bool {
        matches!(self, Self::Memory(_, end) if *end <= now)
    }
}

impl State {
    /// Has the runs born whose time has come.
    pub(super) fn bear_ripe(&mut self, now: Timestamp, limit: usize) {
        let due = |(at, kept): (&Spot, &Kept)| match kept {
            Kept::Gathering(waiting, _) if waiting.due <= now => Some((waiting.due, at.clone())),
            _ => None,
        };
        let mut ripe: Vec<(Timestamp, Spot)> = self.storms.iter().filter_map(due).collect();
        ripe.sort_unstable();
        for (_, at) in ripe.into_iter().take(limit) {
            let mut maps = Maps { state: self, now };
            if let Ok(Some(waiting)) = maps.gathering(&at) {
                let Ok(()) = maps.bear(&at, waiting);
            }
        }
    }

    /// When the first waiting run is to be born.
    pub(super) fn next_ripe(&self) -> Option<Timestamp> {
        let due = |kept: &Kept| match kept {
            Kept::Gathering(waiting, _) => Some(waiting.due),
            Kept::Memory(..) => None,
        };
        self.storms.values().filter_map(due).min()
    }
}
