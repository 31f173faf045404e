//! R17: at work for a while at half of what it can do. What a server has taken after a warm-up
//! it does not exceed: memory, files, threads, the write-ahead log.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use super::plant::Plant;
use super::proc::{descriptors, threads, used};
use super::receiver::Receiver;
use super::{count, tell};

/// Senders at full load; at half load they rest as long as they work.
const SENDERS: u64 = 16;
/// Looks at the server while it is at work, from which the slope is taken.
const LOOKS: u64 = 20;
/// A server that is at rest after so long has taken what it keeps.
const WARM_UP_SHARE: u32 = 3;
/// The write-ahead log's file stays below.
const LOG_MAX: u64 = 64 << 20;
/// Connections that are kept for what comes next, once nothing is under way.
const SPARE: usize = 40;
/// Resident memory may swing by so much without growing: page cache and allocator.
const SWING: u64 = 16_000_000;
/// Time for connections that nobody needs to be closed.
const PATIENCE: Duration = Duration::from_mins(2);

/// One look at the server.
struct Look {
    at: Duration,
    resident: u64,
    descriptors: usize,
    threads: usize,
    log: u64,
}

/// The most that some looks saw.
struct Most {
    resident: u64,
    descriptors: usize,
    threads: usize,
    log: u64,
}

impl Most {
    fn of(looks: &[Look]) -> Self {
        let most = |of: fn(&Look) -> u64| looks.iter().map(of).max().expect("looks");
        Self {
            resident: most(|look| look.resident),
            descriptors: most(|look| look.descriptors as u64) as usize,
            threads: most(|look| look.threads as u64) as usize,
            log: most(|look| look.log),
        }
    }
}

fn look(pid: u32, data: &Path, began: Instant) -> Look {
    let log = std::fs::metadata(data.join("conche.db-wal"));
    Look {
        at: began.elapsed(),
        resident: used(pid).expect("a live server").resident,
        descriptors: descriptors(pid),
        threads: threads(pid),
        log: log.map_or(0, |log| log.len()),
    }
}

/// Sends events in bursts and rests as long as each took, until the end; how many.
async fn at_half(plant: &Plant, receiver: SocketAddr, sender: u64, end: Instant) -> u64 {
    let mut sent = 0;
    while Instant::now() < end {
        let began = Instant::now();
        let n = sent * SENDERS + sender;
        assert!(plant.send(n, receiver).await, "{}", plant.log());
        sent += 1;
        tokio::time::sleep(began.elapsed()).await; // poll: half load is what is chosen
    }
    sent
}

/// Bytes a second by least squares.
fn slope(looks: &[Look]) -> f64 {
    let count = looks.len() as f64;
    let points = looks
        .iter()
        .map(|look| (look.at.as_secs_f64(), look.resident as f64));
    let (x, y) = points
        .clone()
        .fold((0.0, 0.0), |(x, y), point| (x + point.0, y + point.1));
    let (x, y) = (x / count, y / count);
    let above: f64 = points
        .clone()
        .map(|point| (point.0 - x) * (point.1 - y))
        .sum();
    let below: f64 = points.map(|point| (point.0 - x).powi(2)).sum();
    above / below
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_half_load_nothing_grows() {
    let span = Duration::from_secs(count("SOAK", 15, 120));
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let (_receiver, address) = Receiver::start().await;
    let mut plant = Plant::on(&data);
    assert!(plant.start(None), "{}", plant.log());
    let (pid, began) = (plant.pid(), Instant::now());
    let idle = descriptors(pid);
    let end = began + span;
    let senders = (0..SENDERS).map(|sender| at_half(&plant, address, sender, end));
    let senders = futures_util::future::join_all(senders);
    let watcher = async {
        let warm_up = span / WARM_UP_SHARE;
        let every = span.saturating_sub(warm_up) / LOOKS as u32;
        let mut looks = Vec::new();
        for number in 0..LOOKS as u32 {
            let next = began + warm_up + every * number;
            tokio::time::sleep_until(next.into()).await; // poll
            looks.push(look(pid, &data, began));
        }
        looks
    };
    let (sent, looks) = futures_util::future::join(senders, watcher).await;
    plant.settle().await;
    let sent: u64 = sent.into_iter().sum();
    let (first, second) = looks.split_at(looks.len() / 2);
    let (before, after) = (Most::of(first), Most::of(second));
    let log = before.log.max(after.log);
    tell(&format!(
        "torture R17: {} s at half load, {sent} events, {:.0} a second; at most, first and second half after the warm-up: resident {:.1} and {:.1} MB (slope {:+.1} MB a minute), open files {} and {}, threads {} and {}; log at most {:.1} MB",
        span.as_secs(),
        sent as f64 / span.as_secs_f64(),
        before.resident as f64 / 1e6,
        after.resident as f64 / 1e6,
        slope(&looks) * 60.0 / 1e6,
        before.descriptors,
        after.descriptors,
        before.threads,
        after.threads,
        log as f64 / 1e6,
    ));
    assert!(after.resident <= before.resident + SWING, "memory grew");
    // While at work there is a connection for each run that is under way, and how many are
    // depends on the machine. What counts is that they go.
    let end = Instant::now() + PATIENCE;
    while descriptors(pid) > idle + SPARE {
        let open = descriptors(pid);
        assert!(
            Instant::now() < end,
            "{open} files stay open, {idle} before"
        );
        tokio::time::sleep(Duration::from_millis(100)).await; // poll
    }
    assert!(after.threads <= before.threads + 2, "threads stay");
    assert!(log <= LOG_MAX, "the log has {log} bytes");
}
