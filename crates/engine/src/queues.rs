//! Runs that were accepted but wait in the store because this node is busy, counted by
//! source: the measure by which a source is told to slow down.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use conche_core::RunId;

pub(crate) struct Queues {
    limit: usize,
    /// Set while due runs may wait in the store: then they are claimed many at a time.
    backlog: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    source_of: HashMap<RunId, String>,
    waiting: HashMap<String, usize>,
}

impl Queues {
    pub(crate) fn new(limit: usize) -> Self {
        // What a process of before left is unknown until the first claim.
        Self {
            limit,
            backlog: AtomicBool::new(true),
            state: Mutex::default(),
        }
    }

    /// Whether the source may hand in more.
    pub(crate) fn has_room(&self, source: &str) -> bool {
        self.lock()
            .waiting
            .get(source)
            .is_none_or(|waiting| *waiting < self.limit)
    }

    /// Whether runs wait in the store.
    pub(crate) fn backlog(&self) -> bool {
        self.backlog.load(Ordering::Acquire)
    }

    /// What a claim found: whether there may be more.
    pub(crate) fn set_backlog(&self, more: bool) {
        self.backlog.store(more, Ordering::Release);
    }

    /// Runs that were left waiting.
    pub(crate) fn enter(&self, source: &str, runs: impl Iterator<Item = RunId>) {
        let mut state = self.lock();
        let mut count = 0;
        for run in runs {
            state.source_of.insert(run, source.to_owned());
            count += 1;
        }
        *state.waiting.entry(source.to_owned()).or_default() += count;
    }

    /// A run is being worked on now.
    pub(crate) fn leave(&self, run: RunId) {
        let mut state = self.lock();
        if let Some(source) = state.source_of.remove(&run)
            && let Some(waiting) = state.waiting.get_mut(&source)
        {
            *waiting = waiting.saturating_sub(1);
            if *waiting == 0 {
                state.waiting.remove(&source);
            }
        }
    }

    /// Runs waiting, of all sources.
    pub(crate) fn waiting(&self) -> usize {
        self.lock().source_of.len()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
