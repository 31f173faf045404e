//! What the room knows under its lock, and how the next call is chosen. Nothing is dropped here
//! whose end would take the lock again.

use std::collections::{HashMap, VecDeque};
use std::sync::Weak;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{Granted, Key, Room, Seat, Turn, What, Wish};

pub(super) struct State<K: Key, B: Key, P> {
    pub(super) lanes: HashMap<K, Lane<K, B, P>>,
    /// Lanes with calls waiting, once each, in the order of service.
    pub(super) turns: VecDeque<K>,
    pub(super) waiting: usize,
    /// Longest idle first.
    pub(super) idle: VecDeque<Idle<K, B, P>>,
    /// Numbers of free seats.
    pub(super) seats: Vec<usize>,
    pub(super) memory_mb: u32,
    pub(super) closed: bool,
}

pub(super) struct Lane<K: Key, B: Key, P> {
    pub(super) waiting: VecDeque<Waiting<K, B, P>>,
    /// Calls that have a process or a seat.
    pub(super) held: usize,
    /// Processes are not to be used again.
    pub(super) forgotten: bool,
}

pub(super) struct Waiting<K: Key, B: Key, P> {
    pub(super) wish: Wish<K, B>,
    pub(super) grant: oneshot::Sender<Granted<K, B, P>>,
}

pub(super) struct Idle<K: Key, B: Key, P> {
    /// None for one that was started ahead.
    pub(super) lane: Option<K>,
    pub(super) breed: B,
    pub(super) memory_mb: u32,
    pub(super) since: Instant,
    pub(super) process: P,
}

/// What has to be dropped outside the lock, as dropping it takes the lock again.
pub(super) struct Leftovers<K: Key, B: Key, P> {
    pub(super) processes: Vec<Idle<K, B, P>>,
    pub(super) grants: Vec<Granted<K, B, P>>,
}

impl<K: Key, B: Key, P> Leftovers<K, B, P> {
    pub(super) fn new() -> Self {
        Self {
            processes: Vec::new(),
            grants: Vec::new(),
        }
    }
}

impl<K: Key, B: Key, P> State<K, B, P> {
    pub(super) fn queue(&mut self, wish: Wish<K, B>) -> oneshot::Receiver<Granted<K, B, P>> {
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
    pub(super) fn serve(
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

    pub(super) fn take_seat(
        &mut self,
        memory_mb: u32,
        room: &Weak<Room<K, B, P>>,
    ) -> Option<Seat<K, B, P>> {
        let number = self.seats.pop()?;
        self.memory_mb -= memory_mb;
        Some(Seat {
            number,
            memory_mb,
            room: Weak::clone(room),
        })
    }

    /// Removes a lane that nobody needs.
    pub(super) fn tidy(&mut self, key: &K) {
        let unused = |lane: &Lane<K, B, P>| lane.held == 0 && lane.waiting.is_empty();
        if self.lanes.get(key).is_some_and(unused) {
            self.lanes.remove(key);
        }
    }
}

impl<K: Key, B: Key, P> Lane<K, B, P> {
    pub(super) fn new() -> Self {
        Self {
            waiting: VecDeque::new(),
            held: 0,
            forgotten: false,
        }
    }
}
