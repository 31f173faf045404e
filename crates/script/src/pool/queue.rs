//! The calls that wait for a worker, in one lane per script.
//!
//! Workers serve the lanes in turn, so a script with a thousand calls waiting
//! delays another script's call by one turn only. A turn is a small batch of
//! calls of *one* script: nobody else's call ever stands behind a script that
//! may hang. One script can never hold the last worker, and a script under
//! suspicion holds one, one call at a time.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::errand::Errand;
use crate::script::Digest;

/// Calls sent to a worker in one write.
const BATCH_CALLS: usize = 16;
/// Bytes after which a batch is full: what a pipe takes without blocking.
const BATCH_BYTES: usize = 48 * 1024;
/// The time a batch should take: short against a deadline, long against a
/// system call.
const BATCH_TIME: Duration = Duration::from_millis(2);

#[derive(Default)]
struct Lane {
    waiting: VecDeque<Errand>,
    /// Batches that workers hold.
    held: usize,
    /// Running mean of a call's time; none before the first batch is back.
    cost: Option<Duration>,
}

#[derive(Default)]
struct State {
    lanes: HashMap<Digest, Lane>,
    /// Every lane that has calls waiting, once, in the order of service.
    turns: VecDeque<Digest>,
    waiting: usize,
    closed: bool,
}

/// A turn: calls of one script for one worker.
pub(super) struct Batch {
    pub(super) script: Digest,
    pub(super) name: Arc<str>,
    pub(super) errands: VecDeque<Errand>,
}

pub(super) struct Queue {
    state: Mutex<State>,
    changed: Notify,
    capacity: usize,
    /// Workers that one script may hold.
    share: usize,
}

impl Queue {
    pub(super) fn new(capacity: usize, workers: usize) -> Self {
        Self {
            state: Mutex::default(),
            changed: Notify::new(),
            capacity,
            share: (workers - 1).max(1),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs under this lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a call at the end of its lane, or gives it back where the queue is
    /// full or closed.
    pub(super) fn push(&self, errand: Errand) -> Option<Errand> {
        {
            let mut state = self.state();
            if state.closed || state.waiting >= self.capacity {
                return Some(errand);
            }
            state.waiting += 1;
            let script = errand.script;
            let lane = state.lanes.entry(script).or_default();
            lane.waiting.push_back(errand);
            if lane.waiting.len() == 1 {
                state.turns.push_back(script);
            }
        }
        self.changed.notify_one();
        None
    }

    /// Waits for the next turn; none when the queue is closed and empty.
    /// `is_suspect` tells which scripts are to be run carefully.
    pub(super) async fn next(&self, is_suspect: impl Fn(Digest) -> bool) -> Option<Batch> {
        loop {
            let changed = self.changed.notified();
            let (batch, more, ended) = {
                let mut state = self.state();
                let batch = state.take(self.share, &is_suspect);
                (batch, state.waiting > 0, state.closed && state.waiting == 0)
            };
            if ended || (more && batch.is_some()) {
                // Another worker may be able to go on as well.
                self.changed.notify_one();
            }
            match batch {
                Some(batch) => return Some(batch),
                None if ended => return None,
                None => changed.await,
            }
        }
    }

    /// Takes back a turn: the calls that were not run go to the front.
    pub(super) fn give_back(&self, batch: Batch, cost: Option<Duration>) {
        {
            let mut state = self.state();
            let Batch {
                script, errands, ..
            } = batch;
            state.waiting += errands.len();
            let lane = state.lanes.entry(script).or_default();
            lane.held = lane.held.saturating_sub(1);
            if let Some(cost) = cost {
                lane.cost = Some(lane.cost.map_or(cost, |mean| (mean * 3 + cost) / 4));
            }
            let was_waiting = !lane.waiting.is_empty();
            for errand in errands.into_iter().rev() {
                lane.waiting.push_front(errand);
            }
            let idle = lane.waiting.is_empty();
            if idle && lane.held == 0 {
                state.lanes.remove(&script);
            } else if !idle && !was_waiting {
                state.turns.push_front(script);
            }
        }
        self.changed.notify_one();
    }

    /// Empties a script's lane.
    pub(super) fn drain(&self, script: Digest) -> VecDeque<Errand> {
        let mut state = self.state();
        let Some(lane) = state.lanes.get_mut(&script) else {
            return VecDeque::new();
        };
        let errands = std::mem::take(&mut lane.waiting);
        state.waiting -= errands.len();
        state.turns.retain(|&turn| turn != script);
        errands
    }

    /// Takes no more calls; those waiting are still served.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.changed.notify_one();
    }

    /// Calls that wait.
    pub(super) fn waiting(&self) -> usize {
        self.state().waiting
    }

    /// Turns that workers hold.
    pub(super) fn held(&self) -> usize {
        self.state().lanes.values().map(|lane| lane.held).sum()
    }

    /// Whether no more calls are taken.
    pub(super) fn is_closed(&self) -> bool {
        self.state().closed
    }
}

impl State {
    fn take(&mut self, share: usize, is_suspect: &impl Fn(Digest) -> bool) -> Option<Batch> {
        for _ in 0..self.turns.len() {
            let script = self.turns.pop_front()?;
            let lane = self.lanes.get_mut(&script)?;
            let (share, calls) = if is_suspect(script) {
                (1, 1)
            } else {
                (share, lane.batch_calls(share))
            };
            if lane.held >= share {
                self.turns.push_back(script);
                continue;
            }
            let before = lane.waiting.len();
            let errands = lane.pick(calls);
            self.waiting -= before - lane.waiting.len();
            if !lane.waiting.is_empty() {
                self.turns.push_back(script);
            }
            let Some(first) = errands.front() else {
                if lane.waiting.is_empty() && lane.held == 0 {
                    self.lanes.remove(&script);
                }
                continue;
            };
            lane.held += 1;
            let name = Arc::clone(&first.name);
            return Some(Batch {
                script,
                name,
                errands,
            });
        }
        None
    }
}

impl Lane {
    /// How many calls make a turn: as many as fit the time of a batch, but an
    /// even part where several workers could help.
    fn batch_calls(&self, share: usize) -> usize {
        let fitting = self.cost.map_or(1, |cost| {
            (BATCH_TIME.as_micros() / cost.as_micros().max(1)) as usize
        });
        fitting
            .min(self.waiting.len().div_ceil(share))
            .clamp(1, BATCH_CALLS)
    }

    /// Takes calls from the front, leaving out those nobody waits for.
    fn pick(&mut self, calls: usize) -> VecDeque<Errand> {
        let mut errands = VecDeque::with_capacity(calls);
        let mut bytes = 0;
        while errands.len() < calls && (errands.is_empty() || bytes < BATCH_BYTES) {
            let Some(errand) = self.waiting.pop_front() else {
                break;
            };
            if errand.begin() {
                bytes += errand.input_bytes();
                errands.push_back(errand);
            }
        }
        errands
    }
}
