//! The queue without a process: seats, turns and what has to go for whom.

use futures_util::poll;
use std::task::Poll;

use super::*;

struct Fake(
    &'static str,
    #[expect(dead_code, reason = "held")] Seat<&'static str, u8, Fake>,
);

type Yard = Room<&'static str, u8, Fake>;
type Got = Granted<&'static str, u8, Fake>;

fn room(seats: usize, memory_mb: u32) -> Arc<Yard> {
    Room::new(Capacity {
        seats,
        memory_mb,
        waiting: 100,
    })
}

fn wish(lane: &'static str, memory_mb: u32) -> Wish<&'static str, u8> {
    Wish {
        lane,
        breed: 0,
        memory_mb,
    }
}

/// Does the call's work with its seat and parks the process.
fn park(room: &Yard, granted: Got, lane: &'static str, memory_mb: u32) {
    let process = match granted.what {
        What::Seat(seat) => Fake(lane, seat),
        What::Own(process) | What::Ahead(process) => process,
    };
    room.park(wish(lane, memory_mb), process);
    drop(granted.turn);
}

async fn get(room: &Yard, lane: &'static str) -> Got {
    room.acquire(wish(lane, 100)).await.unwrap()
}

#[tokio::test]
async fn a_lane_gets_its_own_process_again_and_no_other_lane_does() {
    let room = room(2, 1000);
    let granted = get(&room, "a").await;
    park(&room, granted, "a", 100);
    let other = get(&room, "b").await;
    assert!(matches!(other.what, What::Seat(_)));
    let again = get(&room, "a").await;
    assert!(matches!(again.what, What::Own(Fake("a", _))));
}

#[tokio::test]
async fn the_longest_idle_process_goes_for_a_lane_that_has_none() {
    let room = room(2, 1000);
    for lane in ["a", "b"] {
        let granted = get(&room, lane).await;
        park(&room, granted, lane, 100);
    }
    let third = get(&room, "c").await;
    assert!(matches!(third.what, What::Seat(_)));
    assert!(matches!(get(&room, "b").await.what, What::Own(_)));
    assert_eq!(room.load(), (0, 0));
}

#[tokio::test]
async fn memory_is_counted_and_a_call_that_can_never_fit_is_refused() {
    let room = room(10, 250);
    let refused = room.acquire(wish("a", 251)).await.err();
    assert_eq!(
        refused,
        Some(Error::TooLarge {
            asked: 251,
            limit: 250
        })
    );
    let first = room.acquire(wish("a", 200)).await.unwrap();
    let second = room.acquire(wish("b", 100));
    tokio::pin!(second);
    assert!(poll!(second.as_mut()).is_pending());
    drop(first);
    assert!(second.await.is_ok());
}

#[tokio::test]
async fn lanes_take_turns_however_many_calls_one_of_them_has() {
    let room = room(1, 1000);
    let held = get(&room, "x").await;
    let many: Vec<_> = (0..3).map(|_| Box::pin(get(&room, "a"))).collect();
    let mut many: std::collections::VecDeque<_> = many.into();
    for call in &mut many {
        assert!(poll!(call.as_mut()).is_pending());
    }
    let one = get(&room, "b");
    tokio::pin!(one);
    assert!(poll!(one.as_mut()).is_pending());
    drop(held);
    let first = many.pop_front().unwrap().await;
    drop(first);
    assert!(matches!(poll!(one.as_mut()), Poll::Ready(_)));
}

#[tokio::test]
async fn no_lane_holds_the_last_seat() {
    let room = room(2, 1000);
    let _first = get(&room, "a").await;
    let second = get(&room, "a");
    tokio::pin!(second);
    assert!(poll!(second.as_mut()).is_pending());
    let _other = get(&room, "b").await;
    assert!(poll!(second.as_mut()).is_pending());
}

#[tokio::test]
async fn a_large_call_is_not_kept_out_by_small_ones_behind_it() {
    let room = room(10, 300);
    let small = room.acquire(wish("a", 100)).await.unwrap();
    let large = room.acquire(wish("b", 300));
    tokio::pin!(large);
    assert!(poll!(large.as_mut()).is_pending());
    let behind = room.acquire(wish("c", 100));
    tokio::pin!(behind);
    assert!(poll!(behind.as_mut()).is_pending());
    drop(small);
    let large = large.await.unwrap();
    assert!(poll!(behind.as_mut()).is_pending());
    drop(large);
    assert!(behind.await.is_ok());
}

#[tokio::test]
async fn a_call_that_nobody_waits_for_takes_nothing() {
    let room = room(1, 1000);
    let held = get(&room, "a").await;
    {
        let given_up = get(&room, "b");
        tokio::pin!(given_up);
        assert!(poll!(given_up.as_mut()).is_pending());
    }
    drop(held);
    assert!(matches!(get(&room, "c").await.what, What::Seat(_)));
    assert_eq!(room.load(), (0, 0));
}

#[tokio::test]
async fn a_process_started_ahead_is_taken_by_a_call_of_its_breed_and_size() {
    let room = room(3, 1000);
    let seat = room.spare_seat(100).unwrap();
    room.park_ahead(0, 100, Fake("ahead", seat));
    assert_eq!(room.ahead(&0, 100), 1);
    let larger = room.acquire(wish("a", 200)).await.unwrap();
    assert!(matches!(larger.what, What::Seat(_)));
    let fitting = get(&room, "a").await;
    let What::Ahead(process) = fitting.what else {
        panic!("another process");
    };
    room.park_ahead(0, 100, process);
    room.weed_ahead(&0, 100, 1);
    assert_eq!(room.ahead(&0, 100), 1);
    room.weed_ahead(&0, 100, 0);
    assert_eq!(room.ahead(&0, 100), 0);
}

#[tokio::test]
async fn one_seat_is_left_for_calls_when_processes_are_started_ahead() {
    let room = room(2, 1000);
    let first = room.spare_seat(100).unwrap();
    assert!(room.spare_seat(100).is_none());
    drop(first);
    assert!(room.spare_seat(100).is_some());
}

#[tokio::test]
async fn what_was_forgotten_is_not_used_again() {
    let room = room(3, 1000);
    let idle = get(&room, "a").await;
    let busy = get(&room, "a").await;
    park(&room, idle, "a", 100);
    room.forget(|lane| *lane == "a");
    assert_eq!(room.load().0, 0);
    park(&room, busy, "a", 100);
    assert_eq!(room.load().0, 0);
}

#[tokio::test]
async fn the_queue_has_an_end_and_a_closed_room_refuses() {
    let room = Room::<&str, u8, Fake>::new(Capacity {
        seats: 1,
        memory_mb: 1000,
        waiting: 1,
    });
    let held = get(&room, "a").await;
    let waiting = room.acquire(wish("b", 100));
    tokio::pin!(waiting);
    assert!(poll!(waiting.as_mut()).is_pending());
    assert_eq!(
        room.acquire(wish("c", 100)).await.err(),
        Some(Error::Full(1))
    );
    room.close();
    assert_eq!(waiting.await.err(), Some(Error::Closed));
    assert_eq!(
        room.acquire(wish("c", 100)).await.err(),
        Some(Error::Closed)
    );
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn what_was_idle_for_long_is_weeded() {
    let room = room(3, 1000);
    let granted = get(&room, "a").await;
    park(&room, granted, "a", 100);
    tokio::time::advance(Duration::from_mins(1)).await;
    let granted = get(&room, "b").await;
    park(&room, granted, "b", 100);
    room.weed(Instant::now(), |_, idle| idle >= Duration::from_mins(1));
    assert_eq!(room.load().0, 1);
    assert!(matches!(get(&room, "b").await.what, What::Own(_)));
}
