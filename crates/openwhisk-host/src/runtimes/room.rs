//! Who gets a process next: the seats that there are, what waits for one, and what is idle.
//!
//! A call takes an idle process of its own lane (one revision, for one namespace); else one that
//! was started ahead; else a free seat, for which the longest idle process of somebody else may
//! have to go; else it waits. Lanes take turns, so an action with a thousand calls waiting
//! delays another's call by one turn. The lane whose turn it is waits for enough memory before
//! anyone behind it gets some, so that a large action is not kept out by small ones. No lane
//! holds the last seat, however many calls it has.
//!
//! Nothing here knows what a process is, or waits for one to end.

mod state;

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::time::{Duration, Instant};

use state::{Idle, Leftovers, State};

/// How much there is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Capacity {
    /// Processes, idle ones included.
    pub(super) seats: usize,
    /// Memory of all of them together, in MB, by the limits of their actions.
    pub(super) memory_mb: u32,
    /// Calls that may wait.
    pub(super) waiting: usize,
}

/// Why a call gets no process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Error {
    #[error("{asked} MB are more than the {limit} MB that there are for all actions")]
    TooLarge { asked: u32, limit: u32 },
    #[error("{0} calls are waiting already")]
    Full(usize),
    #[error("no process was free within {0:?}")]
    Late(Duration),
    #[error("the host is stopping")]
    Closed,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Wish<K, B> {
    pub(super) lane: K,
    /// What a process that belongs to no lane yet must be like.
    pub(super) breed: B,
    pub(super) memory_mb: u32,
}

/// A process, or the seat for one; and the lane's right to it, which ends when dropped.
pub(super) struct Granted<K: Key, B: Key, P> {
    pub(super) what: What<K, B, P>,
    pub(super) turn: Turn<K, B, P>,
}

pub(super) enum What<K: Key, B: Key, P> {
    /// An idle one of this lane.
    Own(P),
    /// One that was started ahead, of the right breed.
    Ahead(P),
    /// Room to start one.
    Seat(Seat<K, B, P>),
}

/// What lanes and breeds are told apart by.
pub(super) trait Key: Clone + Eq + Hash + Send + 'static {}
impl<T: Clone + Eq + Hash + Send + 'static> Key for T {}

pub(super) struct Room<K: Key, B: Key, P> {
    state: Mutex<State<K, B, P>>,
    capacity: Capacity,
    me: Weak<Self>,
}

/// A place for a process; free again when dropped.
pub(super) struct Seat<K: Key, B: Key, P> {
    /// From 0; no two seats that are taken have the same.
    pub(super) number: usize,
    memory_mb: u32,
    room: Weak<Room<K, B, P>>,
}

/// That a lane is being served; over when dropped.
pub(super) struct Turn<K: Key, B: Key, P> {
    lane: K,
    room: Weak<Room<K, B, P>>,
}

impl<K: Key, B: Key, P> Room<K, B, P> {
    pub(super) fn new(capacity: Capacity) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            state: Mutex::new(State {
                lanes: HashMap::new(),
                turns: VecDeque::new(),
                waiting: 0,
                idle: VecDeque::new(),
                seats: (0..capacity.seats).rev().collect(),
                memory_mb: capacity.memory_mb,
                closed: false,
            }),
            capacity,
            me: Weak::clone(me),
        })
    }

    /// Waits for a process or a seat. Dropping the future gives up the place in the queue.
    pub(super) async fn acquire(&self, wish: Wish<K, B>) -> Result<Granted<K, B, P>, Error> {
        let granted = {
            let mut state = self.state();
            if state.closed {
                return Err(Error::Closed);
            }
            let (asked, limit) = (wish.memory_mb, self.capacity.memory_mb);
            if asked > limit {
                return Err(Error::TooLarge { asked, limit });
            }
            if state.waiting >= self.capacity.waiting {
                return Err(Error::Full(state.waiting));
            }
            state.queue(wish)
        };
        self.serve();
        granted.await.map_err(|_| Error::Closed)
    }

    /// [`Room::acquire`], giving up after so long.
    pub(super) async fn acquire_within(
        &self,
        wish: Wish<K, B>,
        limit: Duration,
    ) -> Result<Granted<K, B, P>, Error> {
        let granted = tokio::time::timeout(limit, self.acquire(wish)).await;
        granted.unwrap_or(Err(Error::Late(limit)))
    }

    /// Keeps a process for the next call of its lane, unless that was forgotten.
    pub(super) fn park(&self, wish: Wish<K, B>, process: P) {
        let idle = Idle {
            since: Instant::now(),
            lane: Some(wish.lane),
            breed: wish.breed,
            memory_mb: wish.memory_mb,
            process,
        };
        self.keep(idle);
    }

    /// Keeps a process that was started ahead.
    pub(super) fn park_ahead(&self, breed: B, memory_mb: u32, process: P) {
        self.keep(Idle {
            since: Instant::now(),
            lane: None,
            breed,
            memory_mb,
            process,
        });
    }

    fn keep(&self, idle: Idle<K, B, P>) {
        let refused = {
            let mut state = self.state();
            let lane = idle.lane.as_ref().and_then(|lane| state.lanes.get(lane));
            if state.closed || lane.is_some_and(|lane| lane.forgotten) {
                Some(idle)
            } else {
                state.idle.push_back(idle);
                None
            }
        };
        drop(refused);
        self.serve();
    }

    /// A seat at once, for a process to be started ahead; one is always left for calls.
    pub(super) fn spare_seat(&self, memory_mb: u32) -> Option<Seat<K, B, P>> {
        let mut state = self.state();
        let spare = state.turns.is_empty() && state.seats.len() > 1 && !state.closed;
        if !spare || state.memory_mb < memory_mb {
            return None;
        }
        state.take_seat(memory_mb, &self.me)
    }

    /// Processes of a breed and memory that were started ahead and are idle.
    pub(super) fn ahead(&self, breed: &B, memory_mb: u32) -> usize {
        let state = self.state();
        let ahead = state.idle.iter().filter(|idle| {
            idle.lane.is_none() && idle.breed == *breed && idle.memory_mb == memory_mb
        });
        ahead.count()
    }

    /// Ends the idle processes for which `unwanted` says so, given their lane and how long they
    /// have been idle.
    pub(super) fn weed(&self, now: Instant, unwanted: impl Fn(Option<&K>, Duration) -> bool) {
        let weeded: VecDeque<_> = {
            let mut state = self.state();
            let idle = std::mem::take(&mut state.idle);
            let (weeded, kept) = idle.into_iter().partition(|idle| {
                unwanted(
                    idle.lane.as_ref(),
                    now.saturating_duration_since(idle.since),
                )
            });
            state.idle = kept;
            weeded
        };
        drop(weeded);
    }

    /// Ends processes of a breed and memory that were started ahead, but for so many.
    pub(super) fn weed_ahead(&self, breed: &B, memory_mb: u32, kept: usize) {
        let weeded: VecDeque<_> = {
            let mut state = self.state();
            let idle = std::mem::take(&mut state.idle);
            let mut seen = 0;
            let (weeded, rest): (VecDeque<_>, _) = idle.into_iter().partition(|idle| {
                let fits =
                    idle.lane.is_none() && idle.breed == *breed && idle.memory_mb == memory_mb;
                seen += usize::from(fits);
                fits && seen > kept
            });
            state.idle = rest;
            weeded
        };
        drop(weeded);
    }

    /// Does something to every process that has been idle for so long.
    pub(super) fn each_idle(&self, now: Instant, least: Duration, mut act: impl FnMut(&mut P)) {
        let mut state = self.state();
        let old = state
            .idle
            .iter_mut()
            .filter(|idle| now.saturating_duration_since(idle.since) >= least);
        old.for_each(|idle| act(&mut idle.process));
    }

    /// Ends what is idle of certain lanes, and keeps nothing of what they hold now.
    pub(super) fn forget(&self, lanes: impl Fn(&K) -> bool) {
        for (key, lane) in &mut self.state().lanes {
            lane.forgotten |= lanes(key);
        }
        self.weed(Instant::now(), |lane, _| lane.is_some_and(&lanes));
    }

    /// Ends everything idle and refuses everything that waits.
    pub(super) fn close(&self) {
        let (waiting, idle) = {
            let mut state = self.state();
            state.closed = true;
            state.waiting = 0;
            state.turns.clear();
            let lanes = state.lanes.values_mut();
            let waiting: Vec<_> = lanes.flat_map(|lane| lane.waiting.drain(..)).collect();
            (waiting, std::mem::take(&mut state.idle))
        };
        drop((waiting, idle));
    }

    /// Processes that are idle, and calls that wait.
    pub(super) fn load(&self) -> (usize, usize) {
        let state = self.state();
        (state.idle.len(), state.waiting)
    }

    fn state(&self) -> MutexGuard<'_, State<K, B, P>> {
        // No code that can panic runs under this lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Grants what can be granted now.
    fn serve(&self) {
        loop {
            let mut left = Leftovers::new();
            let more = self.state().serve(self.share(), &self.me, &mut left);
            drop((left.processes, left.grants));
            if !more {
                break;
            }
        }
    }

    /// Seats that one lane may hold.
    fn share(&self) -> usize {
        (self.capacity.seats.saturating_sub(1)).max(1)
    }
}

impl<K: Key, B: Key, P> Drop for Seat<K, B, P> {
    fn drop(&mut self) {
        let Some(room) = self.room.upgrade() else {
            return;
        };
        {
            let mut state = room.state();
            state.seats.push(self.number);
            state.memory_mb += self.memory_mb;
        }
        room.serve();
    }
}

impl<K: Key, B: Key, P> Drop for Turn<K, B, P> {
    fn drop(&mut self) {
        let Some(room) = self.room.upgrade() else {
            return;
        };
        {
            let mut state = room.state();
            if let Some(lane) = state.lanes.get_mut(&self.lane) {
                lane.held = lane.held.saturating_sub(1);
            }
            state.tidy(&self.lane);
        }
        room.serve();
    }
}

#[cfg(test)]
mod tests;
