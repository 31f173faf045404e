//! Storm control in the transaction that accepts an event: whether each of its runs is born,
//! is suppressed, or waits for more events.
//!
//! Kept apart so that no backend has a rule of its own: the rules are `conche_core::storm`'s, a
//! backend only reads and writes what is remembered, and this walks through the controls.

use conche_core::run::Record;
use conche_core::storm::{Control, Gates, Gathering, Key, Memory};
use conche_core::{EventId, RunId, Timestamp};
use serde::{Deserialize, Serialize};

/// What became of a run that an event was to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "became")]
pub enum Fate {
    /// It was born.
    Born,
    /// It never will be.
    Suppressed {
        /// By which control.
        by: Control,
        /// Events of its key are suppressed until then.
        until: Timestamp,
    },
    /// It waits for more events, or the event waits with a run that does.
    Waits {
        /// For which control.
        by: Control,
        /// The run that is to be born.
        with: RunId,
        /// When; later events may change that.
        until: Timestamp,
        /// Whether the event is the first that it waits with.
        first: bool,
    },
    /// It was born without asking this control, which had no room for another key.
    Uncontrolled {
        /// Which control.
        by: Control,
    },
}

/// What became of one reaction to an event, where it was not simply run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// The reaction.
    pub reaction: String,
    /// What became of its run.
    #[serde(flatten)]
    pub fate: Fate,
}

/// Notes of an event: the fates that tell something.
pub(crate) fn notes<'a>(fates: impl IntoIterator<Item = (&'a str, Fate)>) -> Vec<Note> {
    let told = fates.into_iter().filter(|(_, fate)| *fate != Fate::Born);
    told.map(|(reaction, fate)| Note {
        reaction: reaction.to_owned(),
        fate,
    })
    .collect()
}

/// Where something is remembered.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Spot {
    pub(crate) reaction: String,
    pub(crate) control: Control,
    pub(crate) key: Key,
}

/// A run that storm control is asked about.
pub(crate) struct Candidate<'a> {
    pub(crate) run: RunId,
    pub(crate) first: &'a Record,
    pub(crate) reaction: &'a str,
    pub(crate) gates: &'a Gates,
    pub(crate) event: EventId,
    /// Bytes of the event's data.
    pub(crate) bytes: u64,
}

/// What a backend offers. Nothing is kept unless the transaction is.
pub(crate) trait Ground {
    type Fault;

    fn memory(&mut self, at: &Spot) -> Result<Option<Memory>, Self::Fault>;

    /// Remembers until `end`, in microseconds since 1970.
    fn remember(&mut self, at: &Spot, memory: &Memory, end: i64) -> Result<(), Self::Fault>;

    fn gathering(&mut self, at: &Spot) -> Result<Option<Gathering>, Self::Fault>;

    /// Has a run wait with an event; `all` where the events before it count, too.
    fn wait(
        &mut self,
        at: &Spot,
        waiting: &Gathering,
        event: EventId,
        all: bool,
    ) -> Result<(), Self::Fault>;

    /// Has a waiting run born, due at once.
    fn bear(&mut self, at: &Spot, ripe: Gathering) -> Result<(), Self::Fault>;

    /// Whether the reaction may have a key more. Forgets keys that are over where it may not.
    fn has_room(&mut self, reaction: &str, most: u32) -> Result<bool, Self::Fault>;
}

/// Passes one run through its controls. A run that is suppressed leaves everything as it was:
/// only what runs counts.
pub(crate) fn admit<G: Ground>(
    ground: &mut G,
    candidate: &Candidate<'_>,
    now: Timestamp,
) -> Result<Fate, G::Fault> {
    let gates = candidate.gates;
    let mut fate = Fate::Born;
    let mut remember = Vec::with_capacity(gates.watches.len());
    for (watch, key) in &gates.watches {
        let at = candidate.spot(watch.control(), key);
        let known = ground.memory(&at)?;
        let by = at.control;
        match watch.pass(&known.clone().unwrap_or_default(), now) {
            Err(until) => return Ok(Fate::Suppressed { by, until }),
            Ok(memory) => remember.push((at, watch.end(&memory), memory, known.is_none())),
        }
    }
    for (at, end, memory, is_new) in &remember {
        if *is_new && !ground.has_room(candidate.reaction, gates.keys_max)? {
            fate = Fate::Uncontrolled { by: at.control };
        } else {
            ground.remember(at, memory, *end)?;
        }
    }
    match gates.gather {
        Some(_) => gather(ground, candidate, now),
        None => Ok(fate),
    }
}

fn gather<G: Ground>(
    ground: &mut G,
    candidate: &Candidate<'_>,
    now: Timestamp,
) -> Result<Fate, G::Fault> {
    let Some((gather, key)) = &candidate.gates.gather else {
        return Ok(Fate::Born);
    };
    let at = candidate.spot(gather.control(), key);
    let by = at.control;
    let waiting = ground.gathering(&at)?;
    if waiting.is_none() && !ground.has_room(candidate.reaction, candidate.gates.keys_max)? {
        return Ok(Fate::Uncontrolled { by });
    }
    let alone = (candidate.run, candidate.first.clone());
    let joined = gather.join(waiting, alone, candidate.bytes, now);
    if let Some(before) = joined.before {
        ground.bear(&at, before)?;
    }
    let with = joined.with;
    ground.wait(&at, &with, candidate.event, gather.keeps_all())?;
    let fate = Fate::Waits {
        by,
        with: with.run,
        until: with.due,
        first: with.count == 1,
    };
    if with.due <= now {
        ground.bear(&at, with)?;
    }
    Ok(fate)
}

impl Candidate<'_> {
    fn spot(&self, control: Control, key: &Key) -> Spot {
        Spot {
            reaction: self.reaction.to_owned(),
            control,
            key: key.clone(),
        }
    }
}
