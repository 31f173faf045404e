//! R1: killed at every named point and at random moments. Nothing that was acknowledged is
//! lost, no effect has two keys, no run is stuck.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use super::plant::{KillAt, Plant};
use super::receiver::Receiver;
use super::{Dice, count, tell};

/// Every named point that a run passes, in the order of a run's life.
const POINTS: [&str; 12] = [
    "engine::after_recv",
    "store::before_commit",
    "store::after_commit",
    "engine::before_ack",
    "engine::after_ack",
    "engine::after_intent",
    "engine::mid_effect",
    "engine::after_effect",
    "engine::before_result_commit",
    "engine::timer_fire",
    "store::in_claim",
    "store::in_checkpoint",
];

/// The write-ahead log's file stays below, however often the server is killed.
const LOG_MAX: u64 = 64 << 20;

struct Figures {
    kills: u64,
    acknowledged: HashSet<u64>,
    /// Points that were really passed.
    hit: HashMap<&'static str, u64>,
    /// The largest write-ahead log that a killed server left.
    log: u64,
}

impl Figures {
    /// Kills the server and looks at what it left.
    fn kill(&mut self, plant: &mut Plant) {
        plant.kill();
        self.kills += 1;
        let log = plant.config().with_file_name("data").join("conche.db-wal");
        let log = std::fs::metadata(log).map_or(0, |log| log.len());
        self.log = self.log.max(log);
    }
}

/// Sends a volley of events, gives the numbers acknowledged.
async fn volley(
    plant: &Plant,
    numbers: impl IntoIterator<Item = u64>,
    receiver: std::net::SocketAddr,
) -> Vec<u64> {
    let sends = numbers
        .into_iter()
        .map(|n| async move { plant.send(n, receiver).await.then_some(n) });
    futures_util::future::join_all(sends)
        .await
        .into_iter()
        .flatten()
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_doubled_or_stuck_by_kills() {
    let (receiver, address) = Receiver::start().await;
    let mut plant = Plant::new();
    let mut dice = Dice(2026);
    let mut figures = Figures {
        kills: 0,
        acknowledged: HashSet::new(),
        hit: HashMap::new(),
        log: 0,
    };
    let mut next = 0;
    let (times, random) = (count("POINTS", 1, 3) as usize, count("KILLS", 12, 3_000));
    let began = Instant::now();

    for point in POINTS.into_iter().cycle().take(POINTS.len() * times) {
        // Some way into the volley, so that the kill meets runs in every state; what is passed
        // rarely, at the first time.
        let rare = [
            "engine::timer_fire",
            "store::in_claim",
            "store::in_checkpoint",
        ]
        .contains(&point);
        let after = if rare { 0 } else { dice.roll(20) };
        let listening = plant.start(Some(KillAt { point, after }));
        let end = Instant::now() + Duration::from_secs(5);
        while listening && !plant.is_dead() && Instant::now() < end {
            let numbers = next..next + 10;
            next += 10;
            figures
                .acknowledged
                .extend(volley(&plant, numbers, address).await);
        }
        if plant.is_dead() {
            *figures.hit.entry(point).or_default() += 1;
        }
        figures.kill(&mut plant);
    }
    for _ in 0..random {
        assert!(plant.start(None), "{}", plant.log());
        // Log-uniform from 1 to 500 ms.
        let wait = Duration::from_secs_f64(0.001 * 500_f64.powf(dice.roll(1000) as f64 / 1000.0));
        let numbers = next..next + 40;
        next += 40;
        let killed_at = Instant::now() + wait;
        let sent =
            tokio::time::timeout_at(killed_at.into(), volley(&plant, numbers, address)).await;
        figures.acknowledged.extend(sent.unwrap_or_default());
        tokio::time::sleep_until(killed_at.into()).await; // poll: the moment of the kill is what is chosen
        figures.kill(&mut plant);
    }
    verify(plant, &receiver, address, next, &figures).await;
    tell(&format!(
        "torture R1: {} kills, {random} of them at random moments, in {:.0?}; write-ahead log at most {:.1} MB; points passed: {:?}",
        figures.kills,
        began.elapsed(),
        figures.log as f64 / 1e6,
        figures.hit
    ));
    assert!(figures.log <= LOG_MAX, "a log of {} bytes", figures.log);
    let missed: Vec<&&str> = POINTS
        .iter()
        .filter(|point| !figures.hit.contains_key(*point))
        .collect();
    assert!(
        missed.is_empty(),
        "these points were never passed: {missed:?}"
    );
}

/// Sends an event until it is acknowledged. What the lives before have left may be so much
/// that the server asks senders to come back later; any other answer is wrong.
async fn repeat(plant: &Plant, n: u64, receiver: std::net::SocketAddr) {
    let end = Instant::now() + Duration::from_mins(2);
    loop {
        let answer = plant.deliver(n, receiver, 0).await;
        let status = answer.expect("the server answers").status().as_u16();
        if status == 202 {
            return;
        }
        assert_eq!(status, 429, "{}", plant.log());
        assert!(Instant::now() < end, "never taken\n{}", plant.log());
        tokio::time::sleep(Duration::from_millis(50)).await; // poll
    }
}

/// Has the last life finish everything, then compares what was acknowledged with what was done.
async fn verify(
    mut plant: Plant,
    receiver: &Receiver,
    address: std::net::SocketAddr,
    sent: u64,
    figures: &Figures,
) {
    assert!(plant.start(None), "{}", plant.log());
    // Senders repeat what was not acknowledged; what was is a duplicate.
    for chunk in (0..sent).collect::<Vec<_>>().chunks(50) {
        let repeats = chunk.iter().map(|n| repeat(&plant, *n, address));
        futures_util::future::join_all(repeats).await;
    }
    plant.settle().await;
    let succeeded = plant
        .runs("succeeded")
        .await
        .expect("the server answers")
        .len() as u64;
    let tally = receiver.tally(&figures.acknowledged);
    tell(&format!(
        "torture R1: {sent} events, {} acknowledged before a kill, {succeeded} runs succeeded, {} effects; lost {}, doubled {}, stuck 0, requests repeated with the same key {}",
        figures.acknowledged.len(),
        tally.effects,
        tally.lost.len(),
        tally.doubled.len(),
        tally.repeats,
    ));
    assert_eq!(tally.lost, Vec::<u64>::new(), "acknowledged and lost");
    assert_eq!(tally.doubled, Vec::<String>::new(), "effects with two keys");
    assert_eq!(succeeded, sent, "one run for each event");
    assert_eq!(tally.effects as u64, sent * 2, "two effects for each event");
}
