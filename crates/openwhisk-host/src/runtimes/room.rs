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

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::oneshot;
use tokio::time::{Duration, Instant};

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

struct State<K: Key, B: Key, P> {
    lanes: HashMap<K, Lane<K, B, P>>,
    /// Lanes with calls waiting, once each, in the order of service.
    turns: VecDeque<K>,
    waiting: usize,
    /// Longest idle first.
    idle: VecDeque<Idle<K, B, P>>,
    /// Numbers of free seats.
    seats: Vec<usize>,
    memory_mb: u32,
    closed: bool,
}

struct Lane<K: Key, B: Key, P> {
    waiting: VecDeque<Waiting<K, B, P>>,
    /// Calls that have a process or a seat.
    held: usize,
    /// Processes are not to be used again.
    forgotten: bool,
}

struct Waiting<K: Key, B: Key, P> {
    wish: Wish<K, B>,
    grant: oneshot::Sender<Granted<K, B, P>>,
}

struct Idle<K: Key, B: Key, P> {
    /// None for one that was started ahead.
    lane: Option<K>,
    breed: B,
    memory_mb: u32,
    since: Instant,
    process: P,
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

/// What has to be dropped outside the lock, as dropping it takes the lock again.
struct Leftovers<K: Key, B: Key, P> {
    processes: Vec<Idle<K, B, P>>,
    grants: Vec<Granted<K, B, P>>,
}

impl<K: Key, B: Key, P> Leftovers<K, B, P> {
    fn new() -> Self {
        Self {
            processes: Vec::new(),
            grants: Vec::new(),
        }
    }
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

impl<K: Key, B: Key, P> State<K, B, P> {
    fn queue(&mut self, wish: Wish<K, B>) -> oneshot::Receiver<Granted<K, B, P>> {
        let (grant, granted) = oneshot::channel();
        let key = wish.lane.clone();
        let lane = self.lanes.entry(key.clone()).or_insert_with(Lane::new);
        lane.waiting.push_back(Waiting { wish, grant });
        self.waiting += 1;
        if lane.waiting.len() == 1 {
            self.turns.push_back(key);
        }
        granted
    }

    /// Serves lanes in turn until one has to wait. True if it was worth to try again, because
    /// something had to go to make room.
    fn serve(
        &mut self,
        share: usize,
        room: &Weak<Room<K, B, P>>,
        left: &mut Leftovers<K, B, P>,
    ) -> bool {
        let mut passed = 0;
        while passed < self.turns.len() {
            let Some(key) = self.turns.pop_front() else {
                break;
            };
            let Some(lane) = self.lanes.get_mut(&key) else {
                continue;
            };
            while lane
                .waiting
                .front()
                .is_some_and(|call| call.grant.is_closed())
            {
                lane.waiting.pop_front();
                self.waiting -= 1;
            }
            let Some(call) = lane.waiting.front() else {
                self.tidy(&key);
                continue;
            };
            if lane.held >= share {
                self.turns.push_back(key);
                passed += 1;
                continue;
            }
            let wish = call.wish.clone();
            let Some(what) = self.find(&wish, room) else {
                self.turns.push_front(key);
                let evicted = self.idle.pop_front();
                let more = evicted.is_some();
                left.processes.extend(evicted);
                return more;
            };
            self.grant(key, what, room, left);
            passed = 0;
        }
        false
    }

    fn grant(
        &mut self,
        key: K,
        what: What<K, B, P>,
        room: &Weak<Room<K, B, P>>,
        left: &mut Leftovers<K, B, P>,
    ) {
        let Some(lane) = self.lanes.get_mut(&key) else {
            return;
        };
        let Some(call) = lane.waiting.pop_front() else {
            return;
        };
        self.waiting -= 1;
        lane.held += 1;
        if !lane.waiting.is_empty() {
            self.turns.push_back(key.clone());
        }
        let turn = Turn {
            lane: key,
            room: Weak::clone(room),
        };
        if let Err(unwanted) = call.grant.send(Granted { what, turn }) {
            left.grants.push(unwanted);
        }
    }

    fn find(&mut self, wish: &Wish<K, B>, room: &Weak<Room<K, B, P>>) -> Option<What<K, B, P>> {
        // The one that was used last is the one that is still in the caches.
        let own = |idle: &Idle<K, B, P>| idle.lane.as_ref() == Some(&wish.lane);
        if let Some(index) = self.idle.iter().rposition(own) {
            return Some(What::Own(self.idle.remove(index)?.process));
        }
        let ahead = |idle: &Idle<K, B, P>| {
            idle.lane.is_none() && idle.breed == wish.breed && idle.memory_mb == wish.memory_mb
        };
        if let Some(index) = self.idle.iter().position(ahead) {
            return Some(What::Ahead(self.idle.remove(index)?.process));
        }
        if self.memory_mb < wish.memory_mb {
            return None;
        }
        self.take_seat(wish.memory_mb, room).map(What::Seat)
    }

    fn take_seat(&mut self, memory_mb: u32, room: &Weak<Room<K, B, P>>) -> Option<Seat<K, B, P>> {
        let number = self.seats.pop()?;
        self.memory_mb -= memory_mb;
        Some(Seat {
            number,
            memory_mb,
            room: Weak::clone(room),
        })
    }

    /// Removes a lane that nobody needs.
    fn tidy(&mut self, key: &K) {
        let unused = |lane: &Lane<K, B, P>| lane.held == 0 && lane.waiting.is_empty();
        if self.lanes.get(key).is_some_and(unused) {
            self.lanes.remove(key);
        }
    }
}

impl<K: Key, B: Key, P> Lane<K, B, P> {
    fn new() -> Self {
        Self {
            waiting: VecDeque::new(),
            held: 0,
            forgotten: false,
        }
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
